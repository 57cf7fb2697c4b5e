"""Which layer of the teacher a layer of the student learns from."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_choice
from limbeck.errors import ArgumentError
from limbeck.functional.guards import check_finite, traced, widened

Strategy = Literal["skip", "last"]
Feature = Literal["hidden", "attention"]


def layer_pairs(
    student_layers: int,
    teacher_layers: int,
    *,
    strategy: Strategy = "skip",
    feature: Feature = "hidden",
) -> list[tuple[int, int]]:
    r"""Pair every layer of the student with one of the teacher.

    With S and T layers, for student layer i:

    - ``"skip"``: spread over the teacher, :math:`\lfloor i T / S \rfloor`; for attention the last
      block of each stretch, :math:`\lfloor (i + 1) T / S \rfloor - 1`
    - ``"last"``: the top of the teacher, :math:`T - S + i`

    Args:
        student_layers: S, at least 1.
        teacher_layers: T, at least S.
        strategy: ``"skip"`` or ``"last"``.
        feature: ``"hidden"`` counts hidden states, 0 being the embeddings, so i runs from 0 to S;
            ``"attention"`` counts blocks from 0, so i runs from 0 to S - 1.

    Returns:
        (student, teacher) layer indices in the order of the student.

    Raises:
        ArgumentError: the numbers of layers do not fit, or an option is unknown.

    Example:
        >>> layer_pairs(4, 12)
        [(0, 0), (1, 3), (2, 6), (3, 9), (4, 12)]
        >>> layer_pairs(4, 12, strategy="last", feature="attention")
        [(0, 8), (1, 9), (2, 10), (3, 11)]

    Source: Sun et al., arXiv 1908.09355 (patient KD); arXiv 2109.11105 (Distiller).
    """
    check_choice(strategy, "strategy", ("skip", "last"))
    check_choice(feature, "feature", ("hidden", "attention"))
    if not 1 <= student_layers <= teacher_layers:
        raise ArgumentError(
            f"student_layers is {student_layers} and teacher_layers {teacher_layers}, expected a "
            "student of at least one layer and at most the teacher's"
        )
    own = range(student_layers + (feature == "hidden"))
    if strategy == "last":
        return [(i, teacher_layers - student_layers + i) for i in own]
    if feature == "hidden":
        return [(i, i * teacher_layers // student_layers) for i in own]
    return [(i, (i + 1) * teacher_layers // student_layers - 1) for i in own]


@loss(
    "layer-transport",
    "The least cost of moving the student's layers to the teacher's",
    student="layer costs",
    teacher=("layer costs",),
    source="arXiv 2010.06133",
)
def transport_loss(cost: Tensor) -> Tensor:
    r"""Many-to-many layer loss: the least cost of moving the student's layers to the teacher's.

    .. math:: \ell = \min_F \sum_{ij} F_{ij} c_{ij}, \quad F \ge 0, \quad
        \sum_j F_{ij} = 1 / S, \quad \sum_i F_{ij} = 1 / T

    The gradient with respect to the costs is the flow :math:`F`, itself a constant.

    Args:
        cost: the loss of each pair of layers ``(S, T)``, of any sign.

    Returns:
        A scalar, in float32 or wider.

    Raises:
        ArgumentError: as `transport_plan`.

    Example:
        >>> transport_loss(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).item()
        0.0

    Source: Li et al., arXiv 2010.06133 (BERT-EMD).
    """
    return (transport_plan(cost) * widened(cost)).sum()


def transport_plan(cost: Tensor) -> Tensor:
    """The exact optimal flow between layers that all weigh the same, as `transport_loss` has it.

    Args:
        cost: ``(S, T)``. The flow is found on the host.

    Returns:
        ``(S, T)``, rows that sum to 1/S and columns that sum to 1/T, in float32 or wider; a
        constant, through which no gradient goes to `cost`.

    Raises:
        ArgumentError: `cost` is not a matrix with entries, or one is NaN or infinite.

    Example:
        >>> transport_plan(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).tolist()
        [[0.5, 0.0], [0.0, 0.5]]

    Source: Li et al., arXiv 2010.06133 (BERT-EMD); solved by successive shortest paths.
    """
    if cost.ndim != 2 or cost.numel() == 0:
        raise ArgumentError(
            f"cost has shape {tuple(cost.shape)}, expected (S, T): a row for each layer of the "
            "student, a column for each of the teacher"
        )
    check_finite(cost, "cost")
    cost = widened(cost.detach())
    return _plan_operator(cost) if traced(cost) else _plan(cost)


def _plan(cost: Tensor) -> Tensor:
    return torch.from_numpy(_solved(cost.double().cpu().numpy())).to(cost)


# The same as an operator of its own, which can be compiled and mapped; its first call takes a
# second or two.
_plan_operator = torch.library.custom_op("limbeck::transport_plan", _plan, mutates_args=())


@_plan_operator.register_fake
def _(cost: Tensor) -> Tensor:
    return torch.empty_like(cost)


@_plan_operator.register_vmap
def _(info: object, in_dims: tuple[int], cost: Tensor) -> tuple[Tensor, int]:
    return torch.stack([_plan_operator(one) for one in cost.unbind(in_dims[0])]), 0


def _solved(cost: np.ndarray) -> np.ndarray:
    """Send whole units along cheapest paths until every row has sent what it has.

    A path leads from a row with units left to a column with room; it may pass through other rows,
    which then send units elsewhere. After each, no cheaper flow of as many units exists.
    """
    # The same flow is best for any shift of all costs, and digits are kept.
    cost = cost - cost.min()
    rows, columns = cost.shape
    unit = math.gcd(rows, columns)
    supply, demand = np.full(rows, columns // unit), np.full(columns, rows // unit)
    flow = np.zeros(cost.shape, dtype=np.int64)
    while supply.any():
        path = _cheapest_path(cost, flow, supply > 0, demand > 0)
        forward = list(zip(path[0::2], path[1::2], strict=True))
        backward = list(zip(path[2::2], path[1::2], strict=False))
        first, last = path[0], path[-1]
        amount = min(supply[first], demand[last], *(flow[place] for place in backward))
        for place in forward:
            flow[place] += amount
        for place in backward:
            flow[place] -= amount
        supply[first] -= amount
        demand[last] -= amount
    return flow * unit / (rows * columns)


def _cheapest_path(
    cost: np.ndarray, flow: np.ndarray, sources: np.ndarray, sinks: np.ndarray
) -> list[int]:
    """Row, column, row ... column of the cheapest way (Bellman and Ford): there along any pair,
    back along one that has flow."""
    rows, columns = cost.shape
    every_row, every_column = np.arange(rows), np.arange(columns)
    # Without a tolerance, rounding could make a way in a circle look cheaper for ever.
    tolerance = 1e-12 * cost.max()
    to_row, to_column = np.where(sources, 0.0, np.inf), np.full(columns, np.inf)
    row_before, column_before = np.zeros(columns, int), np.full(rows, -1)
    for _ in range(rows + columns):
        ways = to_row[:, None] + cost
        best = ways.argmin(0)
        better = ways[best, every_column] < to_column - tolerance
        to_column[better], row_before[better] = ways[best, every_column][better], best[better]
        ways = np.where(flow > 0, to_column - cost, np.inf)
        best = ways.argmin(1)
        better = ways[every_row, best] < to_row - tolerance
        to_row[better], column_before[better] = ways[every_row, best][better], best[better]
        if not better.any():
            break
    path = [int(np.where(sinks, to_column, np.inf).argmin())]
    while path[0] >= 0:
        row = int(row_before[path[0]])
        path = [int(column_before[row]), row, *path]
    return path[1:]
