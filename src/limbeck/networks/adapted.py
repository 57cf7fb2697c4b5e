"""Adapted: a network behind the conversion from the data's input space to its own."""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.data.space import InputSpace, convert


class Adapted(nn.Module):
    """Convert inputs to what a network was trained on, then call it.

    Args:
        network: expects inputs in `target`.
        source: the space that inputs come in.
        target: the space that the network declares: size, channels, mean, std.

    Example:
        >>> import torch
        >>> grey = InputSpace(size=(8, 8), channels=1)
        >>> colour = InputSpace(size=(4, 4), channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> Adapted(nn.Flatten(), grey, colour)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 48])
    """

    def __init__(self, network: nn.Module, source: InputSpace, target: InputSpace) -> None:
        super().__init__()
        self.network, self.source, self.target = network, source, target

    def forward(self, x: Tensor) -> Tensor:
        """Return what the network says about the converted inputs."""
        return self.network(convert(x, self.source, self.target))

    def extra_repr(self) -> str:
        return f"source={self.source}, target={self.target}"


def adapted(network: nn.Module, space: InputSpace | None, native: InputSpace) -> nn.Module:
    """Put the conversion before a network that was trained on another space than the data's."""
    if space is None or space.channels is None or space == native:
        return network
    return Adapted(network, space, native)
