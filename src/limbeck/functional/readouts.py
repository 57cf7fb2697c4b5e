"""Readouts: one vector for each graph from those of its nodes, or of some of them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from limbeck.checks import check_choice
from limbeck.errors import ArgumentError

Reduce = Literal["sum", "mean"]


def root_readout(
    x: Tensor,
    graph: Tensor,
    graphs: int,
    *,
    root: Tensor | None = None,
    reduce: Reduce = "sum",
) -> Tensor:
    r"""Reduce the rows of roots, graph by graph.

    .. math:: h_G = \sum_{v \in G} r_v x_v \quad\text{or}\quad
        h_G = \sum_{v \in G} r_v x_v \,/\, \sum_{v \in G} r_v

    Args:
        x: rows of nodes ``(A, D)``.
        graph: which graph a node belongs to ``(A,)``.
        graphs: N, how many there are.
        root: how often a node counts ``(A,)``: 1 for roots and 0 for others, or, for roots that
            stand for several, how many; None counts all nodes once.
        reduce: ``"sum"`` or ``"mean"``.

    Returns:
        ``(N, D)``; zeros for a graph none of whose nodes counts.

    Raises:
        ArgumentError: shapes do not belong together, or the reduction is unknown.

    Example:
        >>> x = torch.tensor([[1.0], [2.0], [4.0]])
        >>> root_readout(x, torch.tensor([0, 0, 1]), 2, root=torch.tensor([0, 1, 1])).tolist()
        [[2.0], [4.0]]

    Source: arXiv 2310.09486, eq. 3.
    """
    check_choice(reduce, "reduce", ("sum", "mean"))
    if (
        x.ndim != 2
        or graph.shape != x.shape[:1]
        or (root is not None and root.shape != graph.shape)
    ):
        shapes = tuple(graph.shape), None if root is None else tuple(root.shape)
        raise ArgumentError(
            f"x has shape {tuple(x.shape)} and graph and root have {shapes[0]} and {shapes[1]}, "
            "expected (A, D) and (A,)"
        )
    counted = x.new_ones(len(x)) if root is None else root.to(x.dtype)
    sums = x.new_zeros(graphs, x.shape[1]).index_add(0, graph, counted[:, None] * x)
    if reduce == "sum":
        return sums
    total = x.new_zeros(graphs).index_add(0, graph, counted)
    return sums / torch.where(total > 0, total, 1)[:, None]
