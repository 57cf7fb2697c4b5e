"""How well two lists of numbers agree on an order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.checks import check_dimensions, check_same_shape
from limbeck.errors import ArgumentError
from limbeck.functional.correlation import pearson_correlation
from limbeck.functional.guards import check_finite
from limbeck.functional.soft_ranks import average_ranks

# Rows of pairs that are looked at together: memory grows with the length, not with its square.
ROWS = 512


class RankAgreement(NamedTuple):
    """Three measures, each from -1 to 1."""

    kendall: float
    spearman: float
    pearson: float


def rank_agreement(
    first: Tensor | Sequence[float], second: Tensor | Sequence[float]
) -> RankAgreement:
    r"""Kendall's tau-b, Spearman's rho and Pearson's r between two equally long lists.

    .. math:: \tau_b = \frac{\sum_{i<j} \mathrm{sign}(a_i - a_j) \, \mathrm{sign}(b_i - b_j)}
        {\sqrt{n_a \, n_b}}

    with :math:`n_a` the pairs that differ in a; rho is r of the ranks, equal values sharing their
    mean rank.

    Args:
        first: numbers ``(N,)``.
        second: numbers ``(N,)`` in the same order.

    Returns:
        The three; 0 where one of the lists is constant, which has no order.

    Raises:
        ArgumentError: the lists differ in length, hold fewer than two numbers, or NaN or infinity.

    Example:
        >>> round(rank_agreement([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]).kendall, 4)
        0.3333

    Source: Kendall, Biometrika 33, 1945, of tau-b.
    """
    left, right = (torch.as_tensor(one, dtype=torch.float64).detach() for one in (first, second))
    for value, name in ((left, "first"), (right, "second")):
        check_dimensions(value, name, 1, "(N,): a number for each of what is ranked")
        check_finite(value, name)
    check_same_shape(left, right, ("first", "second"))
    if len(left) < 2:
        raise ArgumentError(f"first holds {len(left)} numbers, expected two or more to rank")
    ranks = [average_ranks(one[None])[0] for one in (left, right)]
    return RankAgreement(_kendall(left, right), _pearson(*ranks), _pearson(left, right))


def _kendall(first: Tensor, second: Tensor) -> float:
    both = in_first = in_second = 0.0
    for rows in torch.arange(len(first)).split(ROWS):
        left, right = ((one[rows, None] - one).sign() for one in (first, second))
        both += float((left * right).sum())
        in_first += float(left.abs().sum())
        in_second += float(right.abs().sum())
    return both / (in_first * in_second) ** 0.5 if in_first and in_second else 0.0


def _pearson(first: Tensor, second: Tensor) -> float:
    """Correlation of numbers in a unit in which what keeps it finite does not count."""
    scaled = []
    for value in (first, second):
        centred = value - value.mean()
        largest = centred.abs().amax()
        scaled.append(centred / torch.where(largest > 0, largest, 1.0))
    return float(pearson_correlation(*scaled))
