"""Centred images lie from -1 to 1; all else stays."""

import numpy as np
import pytest
import torch

from limbeck.data import centred, digits, from_arrays
from limbeck.data.names import resolve


def read(data):
    split = data.train
    return data.normalise(data.columns(split, np.arange(len(split))))["x"]


def test_digits_are_read_from_minus_one_to_one():
    data = centred(digits())
    x = read(data)
    assert (float(x.min()), float(x.max())) == (-1, 1)
    shown = data.input_space.to_bytes(x[:5])
    assert torch.equal(shown, digits().train.take(np.arange(5))["x"])
    assert data.name == "digits"


@pytest.mark.parametrize("high", [1.0, 255.0])
def test_the_range_of_the_pixels_decides(high):
    pixels = np.random.default_rng(0).random((20, 3, 4, 4)) * high
    pixels[0, 0, 0, :2] = 0, high
    data = centred(from_arrays(pixels, np.arange(20) % 2))
    assert data.input_space.mean == (high / 2,) * 3
    assert read(data).abs().max() <= 1


def test_points_stay_as_they_are():
    data = resolve("swiss")
    assert centred(data) is data
