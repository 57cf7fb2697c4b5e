"""Is A better than B? Tests on a table of settings by methods, by ranks within each setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from limbeck.errors import ArgumentError


@dataclass(frozen=True)
class Friedman:
    """Result of `friedman_test`."""

    statistic: float
    p_value: float
    mean_ranks: list[float]


def friedman_test(scores: ArrayLike, *, higher_is_better: bool = True) -> Friedman:
    r"""Test whether methods differ at all, from their ranks within each setting.

    With N settings, k methods and mean ranks :math:`R_j`, divided by a correction for ties:

    .. math:: \chi^2 = \frac{12 N}{k (k + 1)} \sum_j \Big( R_j - \frac{k + 1}{2} \Big)^2

    Args:
        scores: ``(N, k)``: a row for each setting (data set, backbone, seed), a column for each
            of at least three methods. For two methods a Wilcoxon signed-rank test is the tool.
        higher_is_better: whether the largest score of a row gets rank 1.

    Returns:
        The statistic, its p-value (chi-square, k - 1 degrees of freedom) and the mean rank of
        each method, 1 is best and equal scores share their mean rank. If every row is one tie,
        the statistic is 0 and the p-value 1.

    Raises:
        ArgumentError: the table is no table, is too small, or holds NaN.

    Example:
        >>> result = friedman_test([[0.9, 0.8, 0.7], [0.8, 0.6, 0.5], [0.7, 0.6, 0.1]])
        >>> round(result.p_value, 4), result.mean_ranks
        (0.0498, [1.0, 2.0, 3.0])

    Source: Demšar, JMLR 7, 2006, section 3.2.1.
    """
    from scipy.stats import chi2, rankdata

    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 3:
        raise ArgumentError(
            f"scores has shape {table.shape}, expected (N, k): at least two settings as rows and "
            "three methods as columns"
        )
    if not np.isfinite(table).all():
        raise ArgumentError("scores holds NaN or infinity; leave out settings that lack a method")
    settings, methods = table.shape
    ranks = rankdata(-table if higher_is_better else table, axis=1)
    mean_ranks = ranks.mean(0)
    ties = sum(
        float((count**3 - count).sum())
        for count in (np.unique(row, return_counts=True)[1] for row in table)
    )
    correction = 1 - ties / (settings * methods * (methods**2 - 1))
    spread = float(((mean_ranks - (methods + 1) / 2) ** 2).sum())
    statistic = 0.0
    if correction > 1e-12:
        statistic = 12 * settings / (methods * (methods + 1)) * spread / correction
    p_value = float(chi2.sf(statistic, methods - 1))
    return Friedman(statistic, p_value, [float(rank) for rank in mean_ranks])


def nemenyi_critical_difference(methods: int, settings: int, *, alpha: float = 0.05) -> float:
    r"""Least difference of mean ranks at which two methods differ (Nemenyi post-hoc test).

    .. math:: CD = q_\alpha \sqrt{\frac{k (k + 1)}{6 N}}

    with :math:`q_\alpha` the upper :math:`\alpha` point of the studentised range of k groups with
    infinite degrees of freedom, divided by :math:`\sqrt 2`.

    Args:
        methods: k, at least 2.
        settings: N, at least 1.
        alpha: error probability over all pairs of methods together, between 0 and 1.

    Returns:
        The critical difference, in ranks.

    Raises:
        ArgumentError: an argument is outside its range.

    Example:
        >>> round(nemenyi_critical_difference(6, 54), 2)
        1.03

    Source: Demšar, JMLR 7, 2006, section 3.2.2.
    """
    from scipy.stats import studentized_range

    if methods < 2 or settings < 1 or not 0 < alpha < 1:
        raise ArgumentError(
            f"got {methods} methods, {settings} settings and alpha {alpha}; expected at least 2, "
            "at least 1, and between 0 and 1"
        )
    critical = float(studentized_range.isf(alpha, methods, math.inf)) / math.sqrt(2)
    return critical * math.sqrt(methods * (methods + 1) / (6 * settings))


def tiers(mean_ranks: Sequence[float], critical_difference: float) -> list[list[int]]:
    """Group methods whose mean ranks do not differ, as the bars of a critical-difference diagram.

    Args:
        mean_ranks: mean rank of each method, 1 is best.
        critical_difference: from `nemenyi_critical_difference`.

    Returns:
        Groups of method indices, best first: every largest set that spans at most the critical
        difference. A method may be in several groups; one that differs from all others is a
        group by itself.

    Raises:
        ArgumentError: the critical difference is negative or NaN.

    Example:
        >>> tiers([1.8, 5.7, 2.2, 3.6, 3.7, 4.0], 1.03)
        [[0, 2], [3, 4, 5], [1]]
    """
    if not critical_difference >= 0:
        raise ArgumentError(f"critical_difference is {critical_difference}, expected at least 0")
    order = sorted(range(len(mean_ranks)), key=lambda method: mean_ranks[method])
    groups: list[list[int]] = []
    for start, best in enumerate(order):
        limit = mean_ranks[best] + critical_difference
        group = [method for method in order[start:] if mean_ranks[method] <= limit]
        if not groups or group[-1] != groups[-1][-1]:
            groups.append(group)
    return groups
