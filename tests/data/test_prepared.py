"""Prepared data lies where the images of a set lie, and the way back travels with it."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch

from limbeck.data import InputSpace, from_arrays, whitened
from limbeck.data.prepared import Pixels, Prepared, pixels_of, prepared
from limbeck.errors import ModelError

SPACE = InputSpace((6, 6), channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
WIDE = dataclasses.replace(
    SPACE, mean=(127.5, 102.0, 76.5), std=(51.0, 76.5, 102.0), range=(0.0, 255.0)
)


def images(scale=1.0):
    x = torch.rand(200, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    return from_arrays(x * scale, np.arange(200) % 2)


@pytest.fixture
def zca():
    return whitened(images())[1]


def reported(data):
    return data.test.columns["x"]


@pytest.mark.parametrize("white", [False, True])
@pytest.mark.parametrize("space", [SPACE, WIDE, dataclasses.replace(WIDE, mean=(), std=())])
def test_fractions_and_bytes_are_the_same_images(space, white, zca):
    pixels = Pixels(space, zca if white else None)
    found, wide = prepared(images(), pixels), prepared(images(255.0), pixels)
    torch.testing.assert_close(reported(found), reported(wide), atol=1e-4, rtol=1e-4)
    raw = images()
    values = raw.test.take(np.arange(len(raw.test)))["x"]
    torch.testing.assert_close(reported(found), pixels.read(values), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(pixels.show(reported(found)), values, atol=1e-4, rtol=1e-4)


def test_values_of_an_unknown_range_are_refused(zca):
    moved = from_arrays(images().test.take(np.arange(40))["x"] * 4 - 2, np.arange(40) % 2)
    for pixels in (Pixels(SPACE), Pixels(SPACE, zca)):
        with pytest.raises(ModelError, match="and the space is for 0 to 1"):
            prepared(moved, pixels)
    # What was whitened before is not whitened again.
    with pytest.raises(ModelError, match="dataclasses.replace"):
        prepared(whitened(images())[0], Pixels(SPACE, zca))


def test_the_way_back_travels_and_counts(zca):
    data = prepared(images(), Pixels(SPACE, zca))
    again = pickle.loads(pickle.dumps(data))
    kept = dataclasses.replace(again, name="other")
    assert isinstance(kept, Prepared)
    assert kept.fingerprint == data.fingerprint
    torch.testing.assert_close(
        pixels_of(kept).show(reported(kept)), pixels_of(data).show(reported(data))
    )
    other = dataclasses.replace(data, pixels=Pixels(SPACE))
    assert other.fingerprint != data.fingerprint


def test_bytes_are_those_of_the_transform(zca):
    assert Pixels().bytes == 0
    assert Pixels(SPACE).bytes == 24
    assert Pixels(SPACE, zca).bytes == 8 * (108 + 108 + 108**2)
