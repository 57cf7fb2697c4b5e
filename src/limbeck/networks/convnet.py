"""ConvNet: the network that dataset distillation is measured with."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from torch import nn

from limbeck.checks import check_choice
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError
from limbeck.networks.headed import Headed, first_padding, image_shape

Size = tuple[int, int]
NORMS = ("instance", "batch", "layer", "group", "none")
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "relu": nn.ReLU,
    "leakyrelu": partial(nn.LeakyReLU, 0.01),
    "swish": nn.SiLU,
}
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "avg": partial(nn.AvgPool2d, 2),
    "max": partial(nn.MaxPool2d, 2),
    "none": nn.Identity,
}
GROUPS, LARGEST = 4, 6


class ConvNet(Headed):
    """Blocks of convolution, normalisation, activation and pooling, and one linear layer.

    Each block is a 3x3 convolution with bias and halves the size. The first pads by 3 for grey
    images of 28 pixels, which makes them 32, and by 1 for all others.

    Args:
        channels: of the image.
        size: H and W in pixels.
        outputs: numbers that come out.
        depth: how many blocks.
        width: channels of every block.
        norm: ``"instance"`` (a group norm of one channel a group, with weights), ``"batch"``,
            ``"layer"`` over channels and pixels, ``"group"`` (four groups) or ``"none"``.
        activation: ``"sigmoid"``, ``"relu"``, ``"leakyrelu"`` or ``"swish"``.
        pooling: ``"avg"``, ``"max"`` or ``"none"``, which keeps the size.

    Raises:
        ArgumentError: an option is outside its range, or there are more blocks than halvings.

    Example:
        >>> import torch
        >>> network = ConvNet(3, (32, 32), 10)
        >>> sum(one.numel() for one in network.parameters())
        320010
        >>> network.embed(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 2048])

    Source: Gidaris and Komodakis, arXiv 1804.09458, as used by Zhao, Mopuri and Bilen,
    arXiv 2006.05929, section 3.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        outputs: int,
        *,
        depth: int = 3,
        width: int = 128,
        norm: str = "instance",
        activation: str = "relu",
        pooling: str = "avg",
    ) -> None:
        check_choice(norm, "norm", NORMS)
        check_choice(activation, "activation", tuple(ACTIVATIONS))
        check_choice(pooling, "pooling", tuple(POOLINGS))
        if type(width) is not int or width < 1:
            raise ArgumentError(f"width is {width!r}, expected a whole number of channels")
        if norm == "group" and width % GROUPS:
            raise ArgumentError(f"width is {width}, expected a multiple of {GROUPS} for norm=group")
        _check_depth(depth, size, pooling)
        blocks: list[nn.Module] = []
        padding = first_padding(channels, size, 1)
        for _ in range(depth):
            size = (size[0] + 2 * padding - 2, size[1] + 2 * padding - 2)
            blocks += [
                nn.Conv2d(channels, width, 3, padding=padding),
                normalisation(norm, width, size),
                ACTIVATIONS[activation](),
                POOLINGS[pooling](),
            ]
            channels, padding = width, 1
            size = size if pooling == "none" else (size[0] // 2, size[1] // 2)
        head = nn.Linear(width * size[0] * size[1], outputs)
        super().__init__(nn.Sequential(*blocks), head)


def normalisation(norm: str, channels: int, size: Size) -> nn.Module:
    """Make a layer that normalises images of some channels and size, with weights.

    Example:
        >>> normalisation("instance", 8, (4, 4)).num_groups
        8
    """
    if norm == "instance":
        return nn.GroupNorm(channels, channels)
    if norm == "group":
        return nn.GroupNorm(GROUPS, channels)
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.LayerNorm([channels, *size]) if norm == "layer" else nn.Identity()


def _check_depth(depth: int, size: Size, pooling: str) -> None:
    if type(depth) is not int or depth < 1:
        raise ArgumentError(f"depth is {depth!r}, expected a whole number of blocks")
    halvings = min(size).bit_length() - 1
    if pooling != "none" and depth > halvings:
        shown = f"{size[0]}x{size[1]}"
        fix = f"use at most {halvings}, or" if halvings else "use"
        raise ArgumentError(
            f"depth is {depth} and images of {shown} pixels have {halvings} halvings; {fix} "
            "pooling=none"
        )


def usual_depth(size: Size) -> int:
    """Blocks that a size usually has: 3 at 32 pixels, one more or less with each doubling.

    Example:
        >>> [usual_depth((side, side)) for side in (8, 12, 28, 32, 64, 128)]
        [1, 2, 3, 3, 4, 5]
    """
    return max(1, round(math.log2(min(size))) - 2)


def _convnet(
    space: InputSpace,
    outputs: int,
    *,
    depth: int | None = None,
    width: int = 128,
    norm: str | None = "instance",
    activation: str = "relu",
    pooling: str | None = "avg",
) -> nn.Module:
    channels, size = image_shape(space, "convnet")
    return ConvNet(
        channels,
        size,
        outputs,
        depth=usual_depth(size) if depth is None else depth,
        width=width,
        # Behind a question mark the word none reads as no value.
        norm="none" if norm is None else norm,
        activation=activation,
        pooling="none" if pooling is None else pooling,
    )


def _of_depth(depth: int) -> Callable[..., nn.Module]:
    def convnet(
        space: InputSpace,
        outputs: int,
        *,
        width: int = 128,
        norm: str | None = "instance",
        activation: str = "relu",
        pooling: str | None = "avg",
    ) -> nn.Module:
        return _convnet(
            space,
            outputs,
            depth=depth,
            width=width,
            norm=norm,
            activation=activation,
            pooling=pooling,
        )

    return convnet


CONVNETS: dict[str, Callable[..., nn.Module]] = {"convnet": _convnet} | {
    f"convnet-d{depth}": _of_depth(depth) for depth in range(1, LARGEST + 1)
}
