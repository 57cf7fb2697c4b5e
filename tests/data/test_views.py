"""Views replay from their key and change images as their names say."""

import numpy as np
import pytest
import torch

from limbeck import keyed
from limbeck.data import Views
from limbeck.errors import SettingsError

KEY = keyed.key(0, "views")
IDS = np.arange(200)
EPOCHS = np.zeros(200, dtype=np.int64)


@pytest.fixture(scope="module")
def images():
    # No pixel is zero, so what was shifted in is seen.
    return torch.rand(200, 2, 5, 7, generator=torch.Generator().manual_seed(0)) + 0.1


def shifted(image, down, right):
    """An image moved by whole pixels, zeros moving in, written out pixel by pixel."""
    moved = torch.zeros_like(image)
    height, width = image.shape[1:]
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                moved[:, row, column] = image[:, row - down, column - right]
    return moved


def test_no_view_is_no_change(images):
    assert Views().apply(images, IDS, EPOCHS, KEY) is images


def test_a_flip_mirrors_left_and_right_about_half_the_time(images):
    seen = Views(flip=True).apply(images, IDS, EPOCHS, KEY)
    flipped = [torch.equal(new, old.flip(-1)) for new, old in zip(seen, images, strict=True)]
    same = [torch.equal(new, old) for new, old in zip(seen, images, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 70 < sum(flipped) < 130


def test_a_crop_is_every_shift_up_to_its_size_and_no_other(images):
    seen = Views(crop=1).apply(images, IDS, EPOCHS, KEY)
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    found = []
    for new, old in zip(seen, images, strict=True):
        (shift,) = [one for one in shifts if torch.equal(new, shifted(old, *one))]
        found.append(shift)
    assert set(found) == set(shifts)


def test_flip_and_crop_together_are_a_shift_of_the_mirrored_image(images):
    seen = Views(flip=True, crop=2).apply(images, IDS, EPOCHS, KEY)
    shifts = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    for new, old in zip(seen[:40], images, strict=False):
        candidates = [shifted(one, *shift) for one in (old, old.flip(-1)) for shift in shifts]
        assert any(torch.equal(new, candidate) for candidate in candidates)


def test_the_change_of_a_sample_depends_on_its_id_and_epoch_alone(images):
    views = Views(flip=True, crop=2)
    whole = views.apply(images, IDS, EPOCHS, KEY)
    order = keyed.permutation(3, 200)[:50]
    part = views.apply(images[torch.from_numpy(order)], IDS[order], EPOCHS[order], KEY)
    assert torch.equal(part, whole[torch.from_numpy(order)])


def test_epochs_and_keys_bring_other_changes(images):
    views = Views(flip=True, crop=2)
    first = views.apply(images, IDS, EPOCHS, KEY)
    assert torch.equal(views.apply(images, IDS, EPOCHS, KEY), first)
    for other in (
        views.apply(images, IDS, EPOCHS + 1, KEY),
        views.apply(images, IDS, EPOCHS, keyed.key(1, "views")),
    ):
        same = [torch.equal(a, b) for a, b in zip(first, other, strict=True)]
        # One in fifty changes is the same by chance.
        assert sum(same) < 20


def test_vectors_are_left_alone():
    x = torch.rand(4, 3)
    assert Views(flip=True, crop=1).apply(x, np.arange(4), np.zeros(4, dtype=int), KEY) is x


def test_a_negative_crop_is_refused():
    with pytest.raises(SettingsError, match=r"Views\.crop is -1"):
        Views(crop=-1)
