"""Attention along the edges of a graph, without a softmax: messages that turn with the frame.

Heads are laid out so that their numbers lie side by side: the first of every head, then the second
of every head, and so on. Kernels over whole rows are then several times as fast as over heads.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.errors import ArgumentError
from limbeck.functional.graph_sums import sum_to


def attention_weights(query: Tensor, key: Tensor, cutoff: Tensor, *, heads: int) -> Tensor:
    r"""How much each head listens along an edge.

    .. math:: a_{ij} = \mathrm{SiLU}(q_i \cdot k_j)\, c(r_{ij})

    Args:
        query: q of the receiving atom of each edge, ``(E, D)``.
        key: k of the sending atom, ``(E, D)``.
        cutoff: c, see `cosine_cutoff`, ``(E,)``.
        heads: H, which divides D.

    Returns:
        ``(E, H)``.

    Raises:
        ArgumentError: the heads do not divide the width.

    Example:
        >>> one = torch.ones(1, 4)
        >>> attention_weights(one, -50 * one, torch.ones(1), heads=2).abs().amax() < 1e-6
        tensor(True)

    Source: BAMBOO, arXiv 2404.07181.
    """
    if heads < 1 or query.shape[1] % heads:
        raise ArgumentError(
            f"heads is {heads} and query has shape {tuple(query.shape)}, expected a number that "
            "divides its width"
        )
    # Parts of one number of every head.
    first, *others = (query * key).split(heads, 1)
    return F.silu(sum(others, first)) * cutoff[:, None]


def scalar_messages(carried: Tensor, weights: Tensor, receiver: Tensor, atoms: int) -> Tensor:
    r"""What atoms hear, :math:`m_i = \sum_j a_{ij}\, (v_j * e_{ij})`, head for head.

    Args:
        carried: :math:`v_j * e_{ij}` ``(E, D)``.
        weights: a ``(E, H)``, see `attention_weights`.
        receiver: the receiving atom of each edge, ``(E,)``.
        atoms: A.

    Returns:
        ``(A, D)``; 0 for an atom without edges.

    Example:
        >>> scalar_messages(torch.ones(2, 4), torch.eye(2), torch.tensor([1, 1]), 2)
        tensor([[0., 0., 0., 0.],
                [1., 1., 1., 1.]])

    Source: BAMBOO, arXiv 2404.07181.
    """
    spread = torch.cat([weights] * (carried.shape[1] // weights.shape[1]), 1)
    return sum_to(carried * spread, receiver, atoms)


def vector_messages(carried: Tensor, unit: Tensor, receiver: Tensor, atoms: int) -> Tensor:
    r"""What atoms see, :math:`M_i = \sum_j (v_j * e_{ij}) \otimes u_{ij}`; no attention is paid.

    Args:
        carried: :math:`v_j * e_{ij}` ``(E, D)``.
        unit: u, directions of edges, ``(E, 3)``.
        receiver: the receiving atom of each edge, ``(E,)``.
        atoms: A.

    Returns:
        ``(3, A, D)``, which turns with the directions.

    Example:
        >>> up = torch.tensor([[0.0, 0.0, 1.0]])
        >>> vector_messages(torch.ones(1, 2), up, torch.tensor([0]), 1)[2, 0]
        tensor([1., 1.])

    Source: BAMBOO, arXiv 2404.07181.
    """
    # One axis after the other: terms of all three at once are three times as much memory.
    return torch.stack([sum_to(carried * one, receiver, atoms) for one in unit.split(1, 1)])
