"""A small critic of features: do they come from real samples or from made ones?"""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.errors import ArgumentError


class Critic(nn.Module):
    """One number a sample from features of a denoiser.

    Args:
        shape: of the features of one sample: ``(D,)``, or ``(D, H, W)`` for images.

    Raises:
        ArgumentError: features of another number of axes.

    Example:
        >>> import torch
        >>> Critic((8, 4, 4))(torch.zeros(3, 8, 4, 4)).shape
        torch.Size([3, 1])
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        if len(shape) not in (1, 3):
            raise ArgumentError(
                f"features have shape {shape} a sample, expected (D,) or (D, H, W); name another "
                "module with adversary.features"
            )
        width = shape[0]
        first: list[nn.Module] = [nn.Linear(width, width), nn.SiLU()]
        if len(shape) == 3:
            pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
            first = [nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), *pooled]
        self.layers = nn.Sequential(*first, nn.Linear(width, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map features ``(N, ...)`` to one number a sample, ``(N, 1)``: high where it is real."""
        return self.layers(features)
