"""Mosaics show the crops that an observer's scores choose, where they belong."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from limbeck import keyed
from limbeck.data import digits, from_arrays
from limbeck.data.cropping import DRAWS, crop_boxes, resized_crops
from limbeck.errors import ArgumentError, SettingsError
from limbeck.outputs import Outputs
from limbeck.plain import to_plain
from limbeck.selection import Patches, mosaics
from limbeck.teachers import ensemble, teacher

WHOLE = {"crops": 1, "scale": (1.0, 1.0)}


class Brightness(nn.Module):
    """Finds class 0 the likelier the brighter an image is, class 1 the darker."""

    def forward(self, x):
        mean = x.flatten(1).mean(1)
        return torch.stack([mean, -mean], 1)


def flat_images(size=(4, 4), channels=1, each=12, **options):
    """Images of a single value each; within a class all values differ."""
    values = np.random.default_rng(0).permutation(2 * each).astype(np.float32) / (2 * each)
    x = np.broadcast_to(values[:, None, None, None], (2 * each, channels, *size)).copy()
    y = np.arange(2 * each) % 2
    return from_arrays(x, y, test=(x, y), validation=(x, y), **options)


def textured(size=(9, 12), channels=2, each=20, **options):
    x = np.random.default_rng(1).random((2 * each, channels, *size)).astype(np.float32)
    y = np.arange(2 * each) % 2
    return from_arrays(x, y, test=(x, y), validation=(x, y), **options)


def values_of(data, label):
    """Brightness of the images of a class, those that the observer finds easiest first."""
    x = data.train.columns["x"][data.train.y == label]
    return sorted(x[:, 0, 0, 0].tolist(), reverse=label == 0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("label", [0, 1])
def test_the_easiest_fill_the_cells_row_by_row(channels, label):
    data = flat_images(channels=channels)
    images, labels = mosaics(data, Brightness(), 2, Patches(**WHOLE), seed=0)
    assert images.shape == (4, channels, 4, 4)
    assert labels.tolist() == [0, 0, 1, 1]
    ranked = values_of(data, label)
    for number, mosaic in enumerate(images[labels == label]):
        a, b, c, d = ranked[4 * number : 4 * number + 4]
        expected = [[a, a, b, b], [a, a, b, b], [c, c, d, d], [c, c, d, d]]
        for channel in mosaic:
            torch.testing.assert_close(channel, torch.tensor(expected))


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize(
    ("difficulty", "places"), [("easy", [0, 1]), ("medium", [5, 6]), ("hard", [11, 10])]
)
def test_the_difficulty_says_where_crops_are_taken(label, difficulty, places):
    data = flat_images()
    patches = Patches(factor=1, difficulty=difficulty, **WHOLE)
    images, labels = mosaics(data, Brightness(), 2, patches, seed=0)
    ranked = values_of(data, label)
    expected = torch.tensor([ranked[place] for place in places])
    torch.testing.assert_close(images[labels == label].mean((1, 2, 3)), expected)


@pytest.mark.parametrize("size", [(9, 12), (12, 12), (7, 5)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_cells_show_the_best_crop_of_each_image(size, channels, factor):
    """Told a second time, image by image and crop by crop."""
    data = textured(size, channels)
    patches = Patches(factor=factor, crops=4)
    images, labels = mosaics(data, Brightness(), 2, patches, seed=3)
    ratio = (size[1] / size[0],) * 2
    for label, sign in ((0, -1), (1, 1)):
        found = []
        for position in np.flatnonzero(data.train.y.numpy() == label):
            draws = keyed.uniform(keyed.key(3, "crops"), np.array([position]), 4 * DRAWS)
            boxes = crop_boxes(draws.reshape(4, DRAWS), size, scale=(0.08, 1.0), ratio=ratio)
            x = data.train.columns["x"][[position]]
            seen = resized_crops(x.expand(4, -1, -1, -1), boxes)
            worth = (sign * seen.mean((1, 2, 3))).tolist()
            best = int(np.argmin(worth))
            found.append((worth[best], x, boxes[[best]]))
        found.sort(key=lambda one: one[0])
        rows, columns = ([i * side // factor for i in range(factor + 1)] for side in size)
        for number, mosaic in enumerate(images[labels == label]):
            for cell in range(factor**2):
                _, x, box = found[number * factor**2 + cell]
                (top, bottom), (left, right) = (
                    bounds[place : place + 2]
                    for bounds, place in zip((rows, columns), divmod(cell, factor), strict=True)
                )
                shown = resized_crops(x, box, (bottom - top, right - left))[0]
                torch.testing.assert_close(mosaic[:, top:bottom, left:right], shown)


def test_images_come_as_networks_read_them():
    plain, standardised = (textured(standardise=one) for one in (False, True))
    network = Brightness()
    raw, _ = mosaics(plain, network, 2, Patches(**WHOLE), seed=0)
    images, _ = mosaics(standardised, network, 2, Patches(**WHOLE), seed=0)
    torch.testing.assert_close(images, standardised.input_space.normalise(raw))


def test_an_observer_sees_normalised_images_at_full_size_and_nothing_else():
    data, seen = textured(standardise=True), []

    def observer(batch):
        seen.append(batch)
        return torch.zeros(batch.size, 2)

    mosaics(data, observer, 1, Patches(crops=3), seed=0, batch_size=10)
    assert {tuple(batch) for batch in seen} == {("x",)}
    assert {tuple(batch["x"].shape) for batch in seen} == {(9, 2, 9, 12), (3, 2, 9, 12)}
    assert all(batch.space == data.input_space for batch in seen)
    assert abs(torch.cat([batch["x"] for batch in seen]).mean()) < 0.1


def test_draws_replay_and_seeds_differ():
    data = textured()
    patches = Patches(candidates=10)
    first, again, other = (
        mosaics(data, Brightness(), 2, patches, seed=one)[0] for one in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batches_do_not_matter(batch_size):
    data = textured()
    expected, _ = mosaics(data, Brightness(), 2, Patches(), seed=0)
    found, _ = mosaics(data, Brightness(), 2, Patches(), seed=0, batch_size=batch_size)
    assert torch.equal(found, expected)


def test_a_class_does_not_depend_on_the_others():
    data = textured()
    images, _ = mosaics(data, Brightness(), 2, Patches(candidates=8), seed=0)
    # Images of class 1 turn black: those of class 0 stay as they were.
    columns = data.train.columns
    x = torch.where((columns["y"] == 1)[:, None, None, None], torch.zeros(()), columns["x"])
    test = (x.numpy(), columns["y"].numpy())
    changed = from_arrays(*test, test=test, validation=test)
    found, _ = mosaics(changed, Brightness(), 2, Patches(candidates=8), seed=0)
    assert torch.equal(found[:2], images[:2])
    assert not torch.equal(found[2:], images[2:])


def test_only_so_many_candidates_are_looked_at():
    data = flat_images(each=40)
    looked_at = []

    def observer(batch):
        looked_at.append(batch.size)
        return Brightness()(batch["x"])

    patches = Patches(factor=1, crops=2, candidates=6)
    images, _ = mosaics(data, observer, 6, patches, seed=0)
    assert sum(looked_at) == 2 * 2 * 6
    assert images.mean((1, 2, 3)).unique().numel() == 12


def test_networks_teachers_and_functions_observe_alike():
    data, network = textured(), Brightness()
    frozen = teacher(Brightness())
    expected, _ = mosaics(data, network, 2, Patches(), seed=0)
    for observer in (
        frozen,
        ensemble(frozen, teacher(Brightness())),
        lambda batch: Brightness()(batch["x"]),
        lambda batch: Outputs(logits=Brightness()(batch["x"])),
    ):
        assert torch.equal(mosaics(data, observer, 2, Patches(), seed=0)[0], expected)


def test_a_network_is_asked_in_evaluation_mode_and_stays_as_it_is():
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(64, 10))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    patches = Patches(candidates=20)
    first, again = (mosaics(digits(), network, 1, patches, seed=0)[0] for _ in range(2))
    assert torch.equal(first, again)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not first.requires_grad


def test_bytes_are_read_as_fractions():
    x = np.random.default_rng(0).integers(0, 256, (24, 3, 6, 6), dtype=np.uint8)
    y = np.arange(24) % 2
    data = from_arrays(x, y, test=(x, y), validation=(x, y))
    images, _ = mosaics(data, Brightness(), 1, Patches(), seed=0)
    assert 0 <= images.min() < images.max() <= 1


@pytest.mark.parametrize(
    ("each", "patches", "per_class", "message"),
    [
        (12, Patches(), 4, "class '0' has 12 images, of which 12 .* 16 are needed for 4 mosaics"),
        (12, Patches(factor=3), 2, r"18 are needed .* 3 x 3 cells; lower images_per_class"),
        (40, Patches(candidates=10), 3, r"40 images, of which 10 .* raise candidates"),
        (12, Patches(), 0, "per_class is 0"),
        (12, Patches(factor=5), 1, "factor is 5 and images have 4 x 4 pixels"),
    ],
)
def test_too_few_images_are_told(each, patches, per_class, message):
    def never(batch):
        raise AssertionError("asked before the check")

    with pytest.raises(ArgumentError, match=message):
        mosaics(flat_images(each=each), never, per_class, patches, seed=0)


def test_the_class_with_too_few_images_is_named():
    x, y = np.zeros((13, 1, 4, 4), dtype=np.float32), np.array([0] * 10 + [1] * 3)
    data = from_arrays(x, y, test=(x, y), validation=(x, y), classes=["cat", "dog"])
    with pytest.raises(ArgumentError, match="class 'dog' has 3 images"):
        mosaics(data, Brightness(), 1, Patches(), seed=0)


def test_only_images_with_classes_make_mosaics():
    vectors = from_arrays(np.zeros((20, 3)), np.arange(20) % 2)
    with pytest.raises(ArgumentError, match=r"inputs of shape \(3,\), expected \(C, H, W\)"):
        mosaics(vectors, Brightness(), 1, Patches(), seed=0)
    numbers = from_arrays(np.zeros((20, 1, 4, 4)), np.linspace(0, 1, 20))
    with pytest.raises(ArgumentError, match="is a regression task"):
        mosaics(numbers, Brightness(), 1, Patches(), seed=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"factor": 0}, "Patches.factor is 0"),
        ({"crops": 0}, "Patches.crops is 0"),
        ({"candidates": 0}, "Patches.candidates is 0"),
        ({"scale": (0.5, 0.1)}, r"scale is \(0.5, 0.1\), expected 0 < low <= high <= 1"),
        ({"scale": (0.5,)}, "Patches.scale"),
        ({"difficulty": "tough"}, "Patches.difficulty is 'tough'"),
        ({"crop": 3}, "did you mean crops"),
    ],
)
def test_settings_outside_their_range_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        Patches(**values)


def test_settings_read_back_what_they_write():
    patches = Patches(scale=(0.25, 0.5), difficulty="hard")
    assert Patches(**to_plain(patches)) == patches
    assert dataclasses.replace(patches, factor=3).scale == (0.25, 0.5)
