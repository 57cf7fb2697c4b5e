"""Mixed images replay from their key and hold pixels of two images only."""

import numpy as np
import pytest
import torch

from limbeck.data import Batch, cutmix
from limbeck.errors import ArgumentError


def batch(key, count=6):
    x = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(count, 3, 16, 12)
    return Batch({"x": x, "y": torch.arange(count)}, key=key)


def test_the_same_key_mixes_alike_and_another_otherwise():
    first, again, other = (cutmix(batch(key))["x"] for key in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_mixed_image_has_one_box_of_one_other_image():
    mixed = cutmix(batch(11))["x"]
    pasted = mixed[:, 0] != torch.arange(6.0)[:, None, None]
    boxes = {tuple(map(tuple, np.argwhere(one.numpy()))) for one in pasted if one.any()}
    assert len(boxes) == 1
    rows, columns = np.array(next(iter(boxes))).T
    assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    for image in mixed:
        assert len(image.unique()) <= 2


def test_the_box_covers_the_drawn_share_in_the_mean():
    covered = [
        float(
            (cutmix(batch(key))["x"][:, 0] != torch.arange(6.0)[:, None, None])
            .any(0)
            .float()
            .mean()
        )
        for key in range(400)
    ]
    # E[1 - lambda] is a half; boxes cut at the border leave less.
    assert 0.25 < np.mean(covered) < 0.5


def test_probability_zero_changes_nothing():
    assert torch.equal(cutmix(batch(1), probability=0.0)["x"], batch(1)["x"])
    mixed = sum(
        not torch.equal(cutmix(batch(k), probability=0.5)["x"], batch(k)["x"]) for k in range(100)
    )
    assert 20 < mixed < 60


def test_vectors_and_wrong_options_are_refused():
    with pytest.raises(ArgumentError, match="images"):
        cutmix(Batch({"x": torch.zeros(2, 5)}))
    with pytest.raises(ArgumentError, match="beta is 0"):
        cutmix(batch(1), beta=0)
