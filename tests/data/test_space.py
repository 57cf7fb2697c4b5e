"""Input spaces: normalising and back, and the adapter from one space to another."""

import pytest
import torch
from torch.nn import functional as F

from limbeck.data import InputSpace, convert
from limbeck.errors import ArgumentError

GREY = InputSpace(size=(4, 6), channels=1, mean=(0.3,), std=(0.2,))
COLOUR = InputSpace(size=(4, 6), channels=3, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))


def pixels(channels=1, height=4, width=6, count=3):
    generator = torch.Generator().manual_seed(channels)
    return torch.rand(count, channels, height, width, generator=generator)


def test_shape_is_channels_first():
    assert GREY.shape == (1, 4, 6)
    assert InputSpace(size=(5,)).shape == (5,)
    assert InputSpace(size=(5, 2, 3, 4)).shape == (5, 2, 3, 4)


@pytest.mark.parametrize(
    ("space", "x"),
    [
        (GREY, pixels(1)),
        (COLOUR, pixels(3)),
        (InputSpace(size=(2,), mean=(1.0, -2.0), std=(3.0, 0.1)), torch.rand(5, 2)),
        (InputSpace(size=(2,), mean=(1.0, -2.0)), torch.rand(5, 2)),
        (InputSpace(size=(2,), std=(3.0, 0.1)), torch.rand(5, 2)),
    ],
)
def test_denormalise_undoes_normalise(space, x):
    torch.testing.assert_close(space.denormalise(space.normalise(x)), x)


def test_normalise_subtracts_and_divides_per_channel():
    x = pixels(3)
    seen = COLOUR.normalise(x)
    for channel, (mean, std) in enumerate(zip(COLOUR.mean, COLOUR.std, strict=True)):
        torch.testing.assert_close(seen[:, channel], (x[:, channel] - mean) / std)


def test_whole_numbers_are_normalised_as_fractions():
    space = InputSpace(size=(2,), mean=(1.5, 0.5), std=(0.5, 0.25))
    seen = space.normalise(torch.tensor([[2, 1]]))
    assert seen.tolist() == [[1.0, 2.0]]
    assert space.denormalise(torch.tensor([[1, 2]])).tolist() == [[2.0, 1.0]]


def test_doubles_stay_doubles():
    assert COLOUR.normalise(pixels(3).double()).dtype == torch.float64


def test_equal_or_unknown_spaces_are_the_identity():
    x = pixels()
    same = InputSpace(size=(4, 6), channels=1, mean=(0.3,), std=(0.2,))
    assert convert(x, GREY, same) is x
    assert convert(x, None, GREY) is x
    assert convert(x, GREY, None) is x


def test_other_statistics_are_exchanged():
    x = pixels()
    target = InputSpace(size=(4, 6), channels=1, mean=(0.5,), std=(0.4,))
    torch.testing.assert_close(convert(GREY.normalise(x), GREY, target), (x - 0.5) / 0.4)


def test_grey_is_spread_over_colours():
    x = pixels()
    seen = convert(GREY.normalise(x), GREY, COLOUR)
    torch.testing.assert_close(seen, COLOUR.normalise(x.expand(-1, 3, -1, -1)))


def test_colours_are_averaged_to_grey():
    x = pixels(3)
    seen = convert(COLOUR.normalise(x), COLOUR, GREY)
    torch.testing.assert_close(seen, GREY.normalise(x.mean(1, keepdim=True)))


def test_sizes_are_resized():
    x = pixels(3)
    target = InputSpace(size=(2, 3), channels=3)
    expected = F.interpolate(x, (2, 3), mode="bilinear", align_corners=False, antialias=True)
    torch.testing.assert_close(convert(COLOUR.normalise(x), COLOUR, target), expected)
    even = torch.full((1, 3, 4, 6), 0.25)
    bigger = convert(even, InputSpace(size=(4, 6), channels=3), InputSpace((9, 9), 3))
    torch.testing.assert_close(bigger, torch.full((1, 3, 9, 9), 0.25))


def test_value_ranges_are_mapped():
    source = InputSpace(size=(2,), range=(0.0, 1.0))
    target = InputSpace(size=(2,), range=(-1.0, 3.0))
    assert convert(torch.tensor([[0.0, 0.5]]), source, target).tolist() == [[-1.0, 1.0]]


def test_there_and_back_is_the_same():
    wide = InputSpace(size=(4, 6), channels=3, mean=(0.5,) * 3, std=(0.3,) * 3, range=(-1.0, 1.0))
    x = GREY.normalise(pixels())
    torch.testing.assert_close(convert(convert(x, GREY, wide), wide, GREY), x)


def test_what_cannot_be_converted_is_refused():
    with pytest.raises(ArgumentError, match=r"shape \(2,\) and the model expects \(1, 4, 6\)"):
        convert(torch.zeros(1, 2), InputSpace(size=(2,)), GREY)
    with pytest.raises(ArgumentError, match="3 channels and the model expects 4"):
        convert(pixels(3), COLOUR, InputSpace(size=(4, 6), channels=4))
