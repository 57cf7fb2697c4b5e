"""Widths are rounded as published, and what a stem cannot do is refused with a way out."""

import math

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.networks.stem import behind_stem, check_cut, first_convolution, scaled


def test_widths_are_rounded_as_in_mobilenet_v2():
    make_divisible = pytest.importorskip(
        "torchvision.models._utils", reason="needs the vision extra"
    )._make_divisible
    for multiplier in (0.01, 0.1, 0.25, 0.35, 0.5, 0.75, 1, 1.0, 1.4, 3):
        for multiple in (1, 2, 8):
            widths = (16, 24, 32, 96, 116, 1280)
            expected = [make_divisible(one * multiplier, multiple) for one in widths]
            assert scaled(widths, multiplier, multiple) == expected


@pytest.mark.parametrize("side", [5, 8, 13, 28, 32])
@pytest.mark.parametrize("stem_stride", [1, 2])
def test_the_size_behind_a_stem_is_that_of_its_convolution(side, stem_stride):
    convolution = first_convolution(3, 4, stem_stride, pooled_kernel=7)
    assert convolution.kernel_size == (3, 3)
    y = convolution(torch.zeros(1, 3, side, 2 * side))
    assert tuple(y.shape[2:]) == behind_stem((side, 2 * side), stem_stride)


@pytest.mark.parametrize("wrong", [0, -1, math.inf, math.nan, True, "half", None])
def test_a_multiplier_that_is_no_number_above_zero_is_refused(wrong):
    with pytest.raises(ArgumentError, match=r"width_multiplier is .*, expected a finite number"):
        check_cut("resnet18", (32, 32), wrong, 1, least=2)


@pytest.mark.parametrize("wrong", [0, 3, 8, 1.0, True, "2", None])
@pytest.mark.parametrize(
    ("pools", "words"), [(True, r"1, 2 \(a .*\) or 4 \(.*max-pool\)"), (False, r"1 or 2 \(a ")]
)
def test_a_stride_that_no_stem_has_is_refused(wrong, pools, words):
    with pytest.raises(ArgumentError, match=rf"stem_stride is {wrong!r}, expected {words}"):
        check_cut("a-network", (32, 32), 1.0, wrong, least=2, pools=pools)


@pytest.mark.parametrize(
    ("size", "stem_stride", "words"),
    [
        ((28, 28), 4, r"with stem_stride=4 takes .* 29x29 .* 28x28; use stem_stride=2"),
        ((64, 14), 4, r"with stem_stride=4 takes .* 29x29 .* 64x14; use stem_stride=1"),
        ((7, 64), 2, r"with stem_stride=2 takes .* 15x15 .* 7x64; use convnet or mlp"),
        ((7, 7), 1, r"a-network takes images of at least 8x8 pixels .* use convnet or mlp"),
    ],
)
def test_small_images_are_told_the_largest_stride_that_fits(size, stem_stride, words):
    with pytest.raises(ArgumentError, match=words):
        check_cut("a-network", size, 1.0, stem_stride, least=8)
    check_cut("a-network", (29, 29), 1.0, stem_stride, least=8)
