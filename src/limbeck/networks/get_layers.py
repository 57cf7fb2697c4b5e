"""Layers of the graph equivariant transformer."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.functional.graph_attention import (
    attention_weights,
    scalar_messages,
    vector_messages,
)
from limbeck.functional.radial import cosine_cutoff, exp_normal, exp_normal_basis
from limbeck.networks.graph_checks import check_apart

Place = Literal["first", "middle", "last"]
# How many blocks of one width a layer makes of what its atoms hear.
BLOCKS: dict[Place, int] = {"first": 1, "middle": 3, "last": 2}


class Edges(NamedTuple):
    """What layers know of edges: both atoms ``(E,)``, cutoff ``(E,)``, direction ``(E, 3)`` and
    scalars ``(E, D)``."""

    receiver: Tensor
    sender: Tensor
    cutoff: Tensor
    unit: Tensor
    scalars: Tensor


class EdgeScalars(nn.Module):
    r"""Scalars of edges from their lengths, :math:`e = \mathrm{SiLU}(W \phi(r))`.

    Args:
        radial: K functions of the radial basis, whose means and betas are trained.
        width: D.
        cutoff: in Angstrom.

    Example:
        >>> import torch
        >>> EdgeScalars(4, 8, 5.0)(torch.eye(3), torch.zeros(2, 3, dtype=torch.long)).scalars.shape
        torch.Size([3, 8])
    """

    def __init__(self, radial: int, width: int, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        means, betas = exp_normal_basis(radial, cutoff=cutoff)
        self.means, self.betas = nn.Parameter(means), nn.Parameter(betas)
        self.linear = nn.Linear(radial, width, bias=False)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Put the basis back to where it begins; it is not drawn."""
        means, betas = exp_normal_basis(len(self.means), cutoff=self.cutoff)
        self.means.copy_(means)
        self.betas.copy_(betas)

    def forward(self, vectors: Tensor, edges: Tensor) -> Edges:
        """Measure vectors of edges ``(E, 3)``, whose atoms are `edges` ``(2, E)``."""
        distance = vectors.norm(dim=1)
        check_apart(distance, edges)
        cutoff = cosine_cutoff(distance, cutoff=self.cutoff)
        basis = exp_normal(distance, self.means, self.betas, cutoff=self.cutoff, weight=cutoff)
        unit = vectors / distance[:, None]
        return Edges(edges[0], edges[1], cutoff, unit, F.silu(self.linear(basis)))


class EquivariantAttention(nn.Module):
    """One layer: atoms listen along edges with attention, look along them without, and update
    scalars x and vectors V.

    Args:
        width: D.
        heads: H, which divides D.
        place: the first layer begins V, the last one only reads it.
    """

    def __init__(self, width: int, heads: int, place: Place) -> None:
        super().__init__()
        self.heads, self.place, blocks = heads, place, BLOCKS[place]
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, blocks * width)
        if place != "first":
            self.mix = nn.Linear(width, blocks * width, bias=False)

    def forward(self, x: Tensor, vectors: Tensor | None, edges: Edges) -> tuple[Tensor, Tensor]:
        """Map x ``(A, D)`` and V ``(3, A, D)``, or None before the first layer, to new ones."""
        atoms, width = x.shape
        query, key, value = self.qkv(self.norm(x)).split(width, 1)
        query = query.index_select(0, edges.receiver)
        key, value = (one.index_select(0, edges.sender) for one in (key, value))
        weights = attention_weights(query, key, edges.cutoff, heads=self.heads)
        carried = value * edges.scalars
        heard = scalar_messages(carried, weights, edges.receiver, atoms)
        updates = self.output(heard).split(width, 1)
        if vectors is None:
            return x + updates[0], vector_messages(carried, edges.unit, edges.receiver, atoms)
        mixed = self.mix(vectors).split(width, 2)
        products = (mixed[0] * mixed[1]).sum(0)
        x = x + products * updates[-2] + updates[-1]
        if self.place == "last":
            return x, vectors
        seen = vector_messages(carried, edges.unit, edges.receiver, atoms)
        return x, vectors + mixed[2] * updates[0] + seen


def head(width: int) -> nn.Sequential:
    """A perceptron from the scalars of an atom to one number."""
    half = width // 2
    return nn.Sequential(
        nn.Linear(width, half), nn.SiLU(), nn.Linear(half, half), nn.SiLU(), nn.Linear(half, 1)
    )
