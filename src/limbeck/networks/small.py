"""Networks of a few thousand parameters, for small images and vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError


class MLP(nn.Sequential):
    """A multi-layer perceptron over flattened inputs.

    Args:
        inputs: numbers in one input.
        hidden: widths of the hidden layers.
        outputs: numbers that come out.

    Example:
        >>> MLP(64, (32, 16), 10)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        super().__init__(*layers, nn.Linear(inputs, outputs))


class CNN(nn.Module):
    """Three-by-three convolutions with batch normalisation, halving the size between stages.

    Args:
        channels: of the image.
        width: channels of the first stage; every next stage has twice as many.
        stages: how many.
        outputs: numbers that come out.

    Example:
        >>> CNN(1, 8, 2, 10)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, channels: int, width: int, stages: int, outputs: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for stage in range(stages):
            wide = width * 2**stage
            blocks += [
                nn.Conv2d(channels, wide, 3, padding=1, bias=False),
                nn.BatchNorm2d(wide),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            channels = wide
        self.features = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` to logits ``(N, outputs)``."""
        return self.head(self.features(x).mean((2, 3)))


def _mlp(space: InputSpace, outputs: int, *, hidden: int | str = "64x64") -> nn.Module:
    words = [width for width in str(hidden).split("x") if width]
    if not all(width.isdigit() and int(width) for width in words):
        raise ArgumentError(f"hidden is {hidden!r}, expected widths such as 128 or 64x64")
    widths = [int(width) for width in words]
    return MLP(torch.Size(space.shape).numel(), widths, outputs)


def _cnn(space: InputSpace, outputs: int, *, width: int = 16, stages: int = 2) -> nn.Module:
    if space.channels is None:
        raise ArgumentError(f"a cnn takes images and the inputs have shape {space.shape}; use mlp")
    if type(width) is not int or width < 1:
        raise ArgumentError(f"width is {width!r}, expected a whole number of channels")
    if type(stages) is not int or stages < 1 or min(space.size) < 2**stages:
        raise ArgumentError(
            f"stages is {stages}, expected at least 1 and at most the halvings of {space.size}"
        )
    return CNN(space.channels, width, stages, outputs)


SMALL: dict[str, Callable[..., nn.Module]] = {"mlp": _mlp, "cnn": _cnn}
