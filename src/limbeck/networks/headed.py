"""Headed: what networks of images share, features with a linear layer on top."""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError


class Headed(nn.Module):
    """Features of an input, and one linear layer that reads them.

    Args:
        features: from images ``(N, C, H, W)`` to features of any shape.
        head: reads them flattened.

    Example:
        >>> import torch
        >>> network = Headed(nn.AvgPool2d(2), nn.Linear(4, 10))
        >>> x = torch.zeros(3, 1, 4, 4)
        >>> network.embed(x).shape, network(x).shape
        (torch.Size([3, 4]), torch.Size([3, 10]))
    """

    def __init__(self, features: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.features, self.head = features, head

    def embed(self, x: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` to what the last layer reads ``(N, D)``."""
        return self.features(x).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` to logits ``(N, outputs)``."""
        return self.head(self.embed(x))


def image_shape(space: InputSpace, name: str) -> tuple[int, tuple[int, int]]:
    """Channels and size of images, or `ArgumentError` where inputs are none."""
    if space.channels is None or len(space.size) != 2:
        raise ArgumentError(
            f"a {name} takes images and the inputs have shape {space.shape}; use mlp"
        )
    height, width = space.size
    return space.channels, (height, width)


def first_padding(channels: int, size: tuple[int, int], usual: int) -> int:
    """Padding of the first convolution: grey images of 28 pixels are brought to 32.

    Example:
        >>> first_padding(1, (28, 28), 1), first_padding(1, (8, 8), 1)
        (3, 1)
    """
    return usual + 2 if channels == 1 and size == (28, 28) else usual
