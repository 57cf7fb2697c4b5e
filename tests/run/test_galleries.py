"""Galleries show images without smoothing, in rows of classes, within the bytes of a page."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from limbeck.errors import ArgumentError
from limbeck.run.galleries import EVOLUTION, GAP, WALL, evolution, grid, png, wall


def noise(count, size, channels=3, seed=0):
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, size, size, channels), dtype=np.uint8)


def opened(text):
    return Image.open(io.BytesIO(base64.b64decode(text)))


def spent(gallery):
    return sum(len(one) for row in gallery.pictures for one in row)


@pytest.mark.parametrize(("size", "factor"), [(8, 6), (12, 4), (28, 2), (32, 2), (48, 1), (95, 1)])
def test_small_images_are_enlarged_by_a_whole_number(size, factor):
    images = noise(3, size)
    whole = grid(images, across=2)
    side = size * factor
    assert whole.shape == (2 * side + GAP, 2 * side + GAP, 3)
    second = whole[:side, side + GAP :]
    assert np.array_equal(second[::factor, ::factor], images[1])
    assert np.array_equal(second, images[1].repeat(factor, 0).repeat(factor, 1))
    assert (whole[side + GAP :, side:] == 255).all()


def test_large_images_are_reduced_and_odd_channels_averaged():
    images = np.full((1, 129, 130, 3), 77, np.uint8)
    assert grid(images).shape == (64, 65, 3)
    assert (grid(images) == 77).all()
    assert grid(noise(1, 48, channels=4)).shape == (48, 48, 1)
    assert grid(noise(2, 8), factor=1).shape == (8, 16 + GAP, 3)


def test_a_wall_has_a_row_for_each_class_that_has_images():
    images = noise(5, 8, channels=1)
    found = wall("All", images, [2, 0, 2, 0, 2], ["a", "b", "c"], caption="Of digits")
    assert (found.rows, list(found.columns)) == (["a", "c"], [""])
    assert found.caption == "Of digits. All images."
    shown = np.asarray(opened(found.pictures[1][0]))
    assert np.array_equal(shown, grid(images[[0, 2, 4]]).squeeze(2))


@pytest.mark.parametrize(
    ("each", "told"),
    [
        (10, r"All images\."),
        (50, r"All images, in (256|64) colours a picture\."),
        (300, r"The first \d\d of up to 300 images a class, in 64 colours a picture\."),
    ],
)
def test_many_images_keep_within_the_budget(each, told):
    smooth = noise(2, 4).repeat(8, 1).repeat(8, 2).repeat(each, 0).astype(int)
    images = np.clip(smooth + noise(2 * each, 32) // 4 - 32, 0, 255).astype(np.uint8)
    found = wall("All", images, np.arange(2).repeat(each), ["a", "b"], budget=WALL // 5)
    assert spent(found) <= WALL // 5
    assert re.fullmatch(told, found.caption), found.caption


def test_many_classes_keep_within_the_budget():
    names = [f"class {n}" for n in range(40)]
    found = wall("All", noise(40, 90), range(40), names, budget=100_000)
    assert spent(found) <= 110_000
    assert (found.rows[0], found.rows[-1]) == ("class 0", "class 39")
    assert f"{len(found.rows)} of 40 classes" in found.caption


def test_an_evolution_has_a_column_for_each_of_five_moments():
    moments = {f"step {n}": noise(6, 8, channels=1, seed=n) for n in range(0, 101, 10)}
    found = evolution("Steps", moments, [0, 0, 0, 1, 1, 1], ["a", "b"], each=2)
    assert found.columns == ["step 0", "step 20", "step 50", "step 80", "step 100"]
    assert (len(found.pictures), len(found.pictures[0])) == (2, 5)
    assert found.caption == "The first 2 images of a class."
    shown = np.asarray(opened(found.pictures[1][4]))
    assert np.array_equal(shown, grid(moments["step 100"][3:5], across=2).squeeze(2))
    single = evolution("Steps", {"a": noise(2, 8)}, [0, 1], ["x", "y"])
    assert single.caption == "The first image of a class."


def test_an_evolution_of_many_classes_shows_some():
    moments = {str(n): noise(100, 32, seed=n) for n in range(5)}
    found = evolution("Steps", moments, range(100), [f"c{n}" for n in range(100)])
    assert len(found.rows) == 10
    assert "10 of 100 classes" in found.caption
    assert spent(evolution("Large", {"0": noise(500, 95)}, [0] * 500, ["a"], each=3)) < EVOLUTION


def test_pictures_are_the_same_each_time():
    assert png(grid(noise(3, 8))) == png(grid(noise(3, 8)))


@pytest.mark.parametrize(
    "images",
    [noise(3, 8)[0], noise(3, 8).astype(float), noise(0, 8)],
    ids=["flat", "float", "none"],
)
def test_what_is_no_pile_of_images_is_refused(images):
    with pytest.raises(ArgumentError, match="expected uint8"):
        grid(images)


def test_labels_of_another_number_are_refused():
    with pytest.raises(ArgumentError, match="3 images came with 2 labels"):
        wall("All", noise(3, 8), [0, 1], ["a", "b"])
