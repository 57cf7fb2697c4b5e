"""The embedded set is the one that scikit-learn ships, in an order of limbeck's own."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from limbeck.data import digits, shifted_digits
from limbeck.data.names import resolve


def test_digits_are_those_of_scikit_learn():
    x, y = load_digits(return_X_y=True)
    expected = sorted(zip(map(bytes, (x.astype(np.uint8))), y, strict=True))
    data, found = digits(), []
    for part in (data.train, data.validation, data.test):
        columns = data.columns(part, np.arange(len(part)))
        levels = (columns["x"] * 16).round().to(torch.uint8).flatten(1).numpy()
        found += list(zip(map(bytes, levels), columns["y"].tolist(), strict=True))
    assert sorted(found) == expected


def test_every_class_is_in_every_split_about_evenly():
    data = digits()
    for part, share in ((data.train, 0.675), (data.validation, 0.075), (data.test, 0.25)):
        counts = torch.bincount(part.y, minlength=10)
        assert counts.min() > 0.9 * share * 174
        assert counts.max() < 1.1 * share * 183 + 1


def test_digits_are_the_same_at_every_call():
    assert digits().fingerprint == digits().fingerprint


def cropped(data, part):
    """Digits of a split as they are, and their offsets, found where the ink is."""
    split = getattr(data, part)
    return data.columns(split, np.arange(len(split)))["x"][:, 0]


@pytest.fixture(scope="module")
def shifted():
    return shifted_digits()


def test_shifted_digits_are_digits_somewhere_on_a_canvas(shifted):
    plain = digits()
    known = {
        bytes((image * 255).round().to(torch.uint8).numpy())
        for part in ("train", "validation", "test")
        for image in cropped(plain, part)
    }
    for image in cropped(shifted, "test")[::50]:
        levels = (image * 255).round().to(torch.uint8).numpy()
        places = [levels[r : r + 8, c : c + 8] for r in range(5) for c in range(5)]
        assert any(bytes(np.ascontiguousarray(place)) in known for place in places)
        assert levels.min() == 0


def shape_of(image):
    """The ink of an image, wherever it stands."""
    rows, columns = image.any(1).nonzero().flatten(), image.any(0).nonzero().flatten()
    ink = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return tuple(ink.shape), bytes(ink.contiguous().numpy())


def test_no_digit_lies_in_two_splits(shifted):
    parts = {
        part: {shape_of(image) for image in cropped(shifted, part)}
        for part in ("train", "validation", "test")
    }
    assert [len(parts[part]) for part in parts] == [1168, 129, 500]
    assert parts["train"].isdisjoint(parts["validation"] | parts["test"])
    assert parts["validation"].isdisjoint(parts["test"])


def test_offsets_are_spread_evenly(shifted):
    images = torch.cat([cropped(shifted, part) for part in ("train", "test")])
    # Some digits fill all 8 rows: their first row tells the offset.
    rows = images.any(2)
    full = rows[rows.sum(1) == 8].int().argmax(1)
    counts = torch.bincount(full, minlength=5).float()
    assert len(counts) == 5
    assert (counts / counts.sum() - 0.2).abs().max() < 0.03


def test_shifted_digits_are_standardised_and_always_the_same(shifted):
    x = shifted.normalise(shifted.columns(shifted.train, np.arange(len(shifted.train))))["x"]
    assert abs(float(x.mean())) < 1e-3
    assert abs(float(x.std()) - 1) < 1e-3
    assert shifted.fingerprint == resolve("shifted-digits").fingerprint
