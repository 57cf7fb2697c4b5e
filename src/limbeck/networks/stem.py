"""Stem: how a published network begins on small images, and how wide it is made.

Networks that were published for 224 pixels shrink an image fourfold before their first stage. The
options `width_multiplier` and `stem_stride` cut them to the images and the time at hand; what every
family needs for the two stands here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from limbeck.errors import ArgumentError
from limbeck.networks.convnet import Size

STRIDES = (1, 2, 4)
POOLED = 4
SMALLER = "use convnet or mlp"


def check_cut(
    name: str,
    size: Size,
    width_multiplier: float,
    stem_stride: int,
    *,
    least: int,
    pools: bool = True,
) -> None:
    """Raise `ArgumentError` unless a network can be cut as asked and images outlast its halvings.

    Args:
        name: of the network, for the message.
        size: H and W in pixels.
        width_multiplier: what all channels are multiplied by.
        stem_stride: how many pixels of a side become one in the stem.
        least: pixels of a side that must be left behind the stem.
        pools: whether the family has a max-pool in its stem, which a stride of 4 needs.

    Raises:
        ArgumentError: the multiplier is no finite number above 0, there is no stem of such a
            stride, or a halving would meet a single pixel.

    Example:
        >>> check_cut("resnet18", (32, 32), 0.5, 2, least=2)
        >>> check_cut("densenet121", (28, 28), 0.5, 4, least=8)
        Traceback (most recent call last):
        ...
        limbeck.errors.ArgumentError: densenet121 with stem_stride=4 takes images of at least ...
    """
    _check_multiplier(width_multiplier)
    _check_stride(name, stem_stride, pools)
    if min(size) >= _least_side(least, stem_stride):
        return
    fitting = [one for one in STRIDES if min(size) >= _least_side(least, one)]
    stem = f" with stem_stride={stem_stride}" if stem_stride > 1 else ""
    side = _least_side(least, stem_stride)
    raise ArgumentError(
        f"{name}{stem} takes images of at least {side}x{side} pixels and these have "
        f"{size[0]}x{size[1]}; {f'use stem_stride={fitting[-1]}' if fitting else SMALLER}"
    )


def scaled(channels: Sequence[int], width_multiplier: float, multiple: int) -> list[int]:
    """Multiply numbers of channels and round each to a multiple.

    The nearest one is taken, at least one multiple, and the next where the nearest would be less
    than nine tenths of the exact number.

    Args:
        channels: as published.
        width_multiplier: above 0.
        multiple: what the family divides its channels by.

    Returns:
        As many numbers; with a multiplier of 1 those that came, where they are multiples.

    Example:
        >>> scaled([64, 128, 256], 0.25, 8), scaled([24, 116, 232], 0.25, 2)
        ([16, 32, 64], [6, 30, 58])
        >>> scaled([64, 11], 0.001, 8), scaled([11], 1, 8)
        ([8, 8], [16])

    Source: Sandler, Howard, Zhu, Zhmoginov and Chen, arXiv 1801.04381, in the form of their code.
    """
    return [_rounded(one * width_multiplier, multiple) for one in channels]


def behind_stem(size: Size, stem_stride: int) -> Size:
    """H and W of what the stem gives for images of a size, in pixels.

    Example:
        >>> behind_stem((28, 33), 4)
        (7, 9)
    """
    return -(-size[0] // stem_stride), -(-size[1] // stem_stride)


def first_convolution(
    channels: int, width: int, stem_stride: int, *, pooled_kernel: int = 3
) -> nn.Conv2d:
    """Make the convolution that a stem begins with.

    Args:
        channels: of the image.
        width: channels that come out.
        stem_stride: 1 and 2 are its own stride; with 4 it has 2 and a max-pool does the rest.
        pooled_kernel: side of the kernel with a stride of 4; it is 3 for the others.

    Returns:
        A convolution without bias, padded by half its kernel.

    Example:
        >>> first_convolution(1, 8, 4, pooled_kernel=7)
        Conv2d(1, 8, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3), bias=False)
    """
    kernel = pooled_kernel if stem_stride == POOLED else 3
    stride = min(stem_stride, 2)
    return nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False)


def _check_multiplier(width_multiplier: float) -> None:
    number = isinstance(width_multiplier, (int, float)) and not isinstance(width_multiplier, bool)
    if not number or not 0 < width_multiplier < math.inf:
        raise ArgumentError(
            f"width_multiplier is {width_multiplier!r}, expected a finite number above 0; 1 is "
            "the published width, 0.25 a quarter of its channels"
        )


def _check_stride(name: str, stem_stride: int, pools: bool) -> None:
    # True and 1.0 equal 1 and would pass for a stride.
    known = type(stem_stride) is int and stem_stride in STRIDES
    if known and (pools or stem_stride != POOLED):
        return
    if known:
        raise ArgumentError(
            f"stem_stride is {stem_stride} and {name} has no max-pool that would halve the size a "
            "second time; use stem_stride=2, which is the published stem, or smaller images"
        )
    last = " or 4 (of stride 2 and a max-pool)" if pools else ""
    raise ArgumentError(
        f"stem_stride is {stem_stride!r}, expected {'1, 2' if pools else '1 or 2'} (a convolution "
        f"of that stride){last}"
    )


def _least_side(least: int, stem_stride: int) -> int:
    # A stem rounds up, so one pixel more than `least - 1` whole strides is enough.
    return (least - 1) * stem_stride + 1


def _rounded(exact: float, multiple: int) -> int:
    near = max(multiple, int(exact + multiple / 2) // multiple * multiple)
    return near if near >= 0.9 * exact else near + multiple
