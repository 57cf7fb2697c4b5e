"""One operation a batch, drawn evenly, replayed from its key, alike for two batches if asked."""

from collections import Counter

import numpy as np
import pytest
import torch

from limbeck import keyed
from limbeck.data import Loader, Siamese, Views, from_arrays
from limbeck.data.siamese import FULL
from limbeck.errors import SettingsError
from limbeck.functional.siamese import OPERATIONS, siamese_augment


@pytest.fixture(scope="module")
def images():
    return torch.rand(8, 2, 6, 6, generator=torch.Generator().manual_seed(0))


def test_the_full_strategy_is_all_operations():
    assert tuple(FULL.split("_")) == OPERATIONS


def test_operations_are_drawn_evenly():
    found = Counter(Siamese().operation(keyed.key("batch", step)) for step in range(1200))
    assert set(found) == set(OPERATIONS)
    assert all(150 < count < 250 for count in found.values())


def test_a_strategy_draws_from_its_own_operations():
    found = {Siamese("flip_crop").operation(keyed.key(step)) for step in range(50)}
    assert found == {"flip", "crop"}


@pytest.mark.parametrize("step", range(12))
def test_draws_are_those_of_key_and_row(images, step):
    key = keyed.key("batch", step)
    draws = torch.from_numpy(keyed.uniform(key, np.arange(8), 3)).float()
    expected = siamese_augment(images, Siamese().operation(key), draws)
    assert torch.equal(Siamese().apply(images, key), expected)
    rows = np.array([5, 2])
    torch.testing.assert_close(Siamese().apply(images[rows], key, rows=rows), expected[rows])


@pytest.mark.parametrize("step", range(12))
def test_siamese_mode_gives_every_image_the_change_of_the_first(images, step):
    key = keyed.key("batch", step)
    seen = Siamese().apply(images, key, siamese=True)
    copies = images[3:4].expand(8, -1, -1, -1)
    alike = Siamese().apply(copies, key, siamese=True)
    torch.testing.assert_close(alike, seen[3:4].expand_as(alike))
    torch.testing.assert_close(Siamese().apply(images, key)[:1], seen[:1])


def test_an_empty_strategy_changes_nothing(images):
    assert Siamese("").apply(images, 0) is images


@pytest.mark.parametrize("make", [Siamese, lambda word: Views(siamese=word)])
@pytest.mark.parametrize("word", ["colour_flip", "flip_", "flip crop"])
def test_unknown_operations_are_refused(make, word):
    with pytest.raises(SettingsError, match=r"names an operation .*Valid: color, crop, cutout"):
        make(word)


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).random((20, 1, 8, 8)).astype(np.float32)
    y = np.arange(20) % 2
    return from_arrays(x, y, test=(x[:4], y[:4]), validation=(x[4:8], y[4:8]), standardise=True)


def loader(data, views, **options):
    return Loader(data, data.train, 6, seed=3, stage="student", views=views, **options)


def test_a_loader_changes_normalised_images_by_the_key_of_the_batch(data):
    plain, changed = (loader(data, Views(siamese=word)) for word in ("", FULL))
    for step in range(8):
        before, after = plain.batch(step), changed.batch(step)
        assert torch.equal(before["id"], after["id"])
        key = keyed.key(after.key, "siamese")
        assert torch.equal(after["x"], Siamese().apply(before["x"], key))
        assert "view" not in after
        assert "view" in before


def test_processes_share_the_changed_batch(data):
    views = Views(flip=True, siamese=FULL)
    for step in range(6):
        whole = loader(data, views).batch(step)["x"]
        for rank in range(2):
            part = loader(data, views, rank=rank, world=2).batch(step)["x"]
            torch.testing.assert_close(part, whole[rank::2])


def test_siamese_views_come_once(data):
    assert Views(siamese="flip").changing
    assert loader(data, Views(siamese="flip", distinct=2)).views_shown(50) == []


def test_vectors_are_left_alone():
    x = np.random.default_rng(0).random((20, 3)).astype(np.float32)
    vectors = from_arrays(x, np.arange(20) % 2)
    before, after = (loader(vectors, Views(siamese=word)).batch(1)["x"] for word in ("", FULL))
    assert torch.equal(before, after)
