"""A network as a function of one vector: what loops differentiate through."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from limbeck.errors import ArgumentError


class Flat:
    """A network whose weights are given with every call, as one vector.

    Weights that several layers share stand in the vector once.

    Args:
        network: keeps its own weights; they are not used.

    Raises:
        ArgumentError: it has no weights.

    Example:
        >>> flat = Flat(nn.Linear(3, 2))
        >>> flat.size, flat(torch.zeros(flat.size), torch.ones(4, 3)).shape
        (8, torch.Size([4, 2]))
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        named = dict(network.named_parameters())
        if not named:
            raise ArgumentError(f"the {type(network).__name__} has no weights to make a vector of")
        self._names = list(named)
        self._shapes = [one.shape for one in named.values()]
        self._sizes = [one.numel() for one in named.values()]
        self.size = sum(self._sizes)

    def vector(self) -> Tensor:
        """The network's own weights, ``(P,)``, detached."""
        return torch.cat([one.detach().flatten() for one in self.network.parameters()])

    def load(self, vector: Tensor) -> None:
        """Give the network the weights of a vector ``(P,)``."""
        with torch.no_grad():
            for own, one in zip(self.network.parameters(), self._cut(vector), strict=True):
                own.copy_(one)

    def __call__(self, vector: Tensor, x: Tensor) -> Tensor:
        """What the network says.

        Args:
            vector: weights ``(P,)``, or of M networks at once ``(M, P)``.
            x: inputs ``(N, ...)``; of each network its own, ``(M, N, ...)``, in the second case.

        Returns:
            Its outputs, such as ``(N, C)`` or ``(M, N, C)``.
        """
        if vector.ndim == 2:
            return vmap(self)(vector, x)
        weights = dict(zip(self._names, self._cut(vector), strict=True))
        return functional_call(self.network, weights, (x,))

    def _cut(self, vector: Tensor) -> list[Tensor]:
        if vector.shape != (self.size,):
            raise ArgumentError(
                f"the vector has shape {tuple(vector.shape)}, expected ({self.size},) for a "
                f"{type(self.network).__name__}"
            )
        parts = vector.split(self._sizes)
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]
