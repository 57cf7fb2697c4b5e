"""Tables of ensemble predictions: near-duplicates out, and how well conditioned what is left is.

A row is a sample, a column a member. One matrix of products serves all pairs of members.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from limbeck.errors import ArgumentError
from limbeck.functional.arrays import Array, matrix, row_weights, vector

Reason = Literal["constant", "duplicate", "low variance"]
# A member whose deviation is below this share of the target's says the same of every sample.
CONSTANT = 1e-10
# Squared differences this close to the threshold are taken again entry by entry.
CLOSE = 1e-11


class Removal(NamedTuple):
    """One member that was left out.

    Args:
        member: its column.
        reason: it is constant, repeats a better member, or varies too little.
        error: its root mean squared error, or what members were ranked by instead.
        kept: the better member's column, None unless it is a duplicate.
        kept_error: that member's error.
        correlation: Pearson correlation with it.
        squared_difference: mean squared difference from it.
    """

    member: int
    reason: Reason
    error: float
    kept: int | None = None
    kept_error: float | None = None
    correlation: float | None = None
    squared_difference: float | None = None


class Projection(NamedTuple):
    """Which members stay.

    Args:
        kept: their columns in rising order, ``(K',)``.
        removed: the others, in the order in which they went.
        errors: what members were ranked by, ``(K,)``.
        condition_before: of the correlations of all members that are not constant.
        condition_after: of those that stay; never above `condition_before`.
    """

    kept: np.ndarray
    removed: tuple[Removal, ...]
    errors: np.ndarray
    condition_before: float
    condition_after: float


class _Pairs(NamedTuple):
    """Variances and products of centred members, and what single entries are looked up in."""

    predictions: np.ndarray
    shares: np.ndarray | None
    mean: np.ndarray
    covariance: np.ndarray

    def correlations(self, members: list[int]) -> np.ndarray:
        """Pearson correlations among `members`."""
        chosen = self.covariance[np.ix_(members, members)]
        deviation = np.sqrt(chosen.diagonal())
        return np.clip(chosen / np.outer(deviation, deviation), -1.0, 1.0)

    def differences(self, member: int, others: list[int], threshold: float) -> np.ndarray:
        """Mean squared differences of a member from others."""
        variance = self.covariance.diagonal()
        size = variance[member] + variance[others]
        apart = self.mean[member] - self.mean[others]
        found = np.maximum(size - 2 * self.covariance[member, others], 0.0) + apart**2
        # Products of nearly equal columns cancel, which matters where a decision hangs on it.
        for place in np.flatnonzero(np.abs(found - threshold) <= CLOSE * size):
            gap = self.predictions[:, member] - self.predictions[:, others[place]]
            found[place] = np.average(gap**2, weights=self.shares)
        return found


def redundancy_projection(
    predictions: Array,
    target: Array,
    *,
    weights: Array | None = None,
    errors: Array | None = None,
    correlation: float = 0.95,
    squared_difference: float = 0.01,
    variance: float = 0.01,
    relative: bool = False,
) -> Projection:
    r"""Leave out members that say nearly what a better one says.

    From the smallest error upwards, a member goes if a better one that stays is both like it and
    close to it:

    .. math:: \rho(x_k, x_s) \ge \tau_\rho \ \text{ and }\ \tfrac1N \|x_k - x_s\|^2 \le \tau_d

    Then members go whose variance is below :math:`\tau_v`. Constant members go first and are not
    compared. Equal errors keep the order of columns. The best member always stays.

    Args:
        predictions: out-of-fold predictions of K members, ``(N, K)``.
        target: ``(N,)``.
        weights: of the rows, at least 0, ``(N,)``; None is 1 each.
        errors: what members are ranked by, lower is better, ``(K,)``; None takes root mean
            squared errors.
        correlation: :math:`\tau_\rho`, signed: members that run against each other both stay.
        squared_difference: :math:`\tau_d`, in squared units of the target.
        variance: :math:`\tau_v`, in squared units of the target; 0 keeps all.
        relative: take both squared thresholds as multiples of the target's variance.

    Returns:
        The members that stay, and why the others do not.

    Raises:
        ArgumentError: lengths differ, a value is not finite, a threshold is outside its range, or
            every member is constant.

    Example:
        >>> table = np.array([[0.0, 0.1, 3.0], [1.0, 1.1, 1.0], [2.0, 2.1, 2.0]])
        >>> found = redundancy_projection(table, [0.0, 1.0, 2.0], squared_difference=0.1)
        >>> found.kept.tolist(), found.removed[0].member, found.removed[0].kept
        ([0, 2], 1, 0)

    Source: arXiv 2602.12469, redundancy projection.
    """
    table = matrix(predictions, "predictions")
    truth = vector(target, "target", len(table), "row of predictions")
    shares = row_weights(weights, len(table), "row of predictions")
    _check_thresholds(correlation, squared_difference, variance)
    spread = float(np.average((truth - np.average(truth, weights=shares)) ** 2, weights=shares))
    if relative:
        squared_difference, variance = squared_difference * spread, variance * spread
    ranks = (
        member_errors(table, truth, shares)
        if errors is None
        else vector(errors, "errors", table.shape[1], "column of predictions")
    )
    pairs = _products(table, shares)
    spreads = pairs.covariance.diagonal()
    flat = _constant(table) | (spreads <= CONSTANT**2 * spread)
    if flat.all():
        raise ArgumentError(
            f"predictions has {table.shape[1]} columns and each is constant; expected at least "
            "one member that tells samples apart"
        )
    removed = [Removal(int(k), "constant", float(ranks[k])) for k in np.flatnonzero(flat)]
    ranked = [int(k) for k in np.argsort(ranks, kind="stable") if not flat[k]]
    varied, twins = _without_twins(pairs, ranks, ranked, correlation, squared_difference)
    removed += twins
    stay = [k for k in varied if spreads[k] >= variance] or varied[:1]
    removed += [Removal(k, "low variance", float(ranks[k])) for k in varied if k not in stay]
    return Projection(
        kept=np.sort(np.array(stay)),
        removed=tuple(removed),
        errors=ranks,
        condition_before=_condition(pairs.correlations(sorted(ranked))),
        condition_after=_condition(pairs.correlations(sorted(stay))),
    )


def correlation_condition(predictions: Array) -> float:
    """Condition number, in the 2-norm, of the Pearson correlations of the columns.

    Args:
        predictions: ``(N, K)``.

    Returns:
        At least 1, exactly 1 for one column; infinity or above 1e15 where columns repeat.

    Raises:
        ArgumentError: a value is not finite, or a column is constant, which correlates with
            nothing.

    Example:
        >>> correlation_condition([[1.0, 1.0], [2.0, 1.0], [1.0, 2.0], [2.0, 2.0]])
        1.0
    """
    table = matrix(predictions, "predictions")
    pairs = _products(table, None)
    flat = np.flatnonzero(_constant(table))
    if len(flat):
        raise ArgumentError(
            f"predictions has {len(flat)} constant columns, the first is column {flat[0]}; leave "
            "them out, their correlation is undefined"
        )
    return _condition(pairs.correlations(list(range(table.shape[1]))))


def member_errors(
    predictions: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Root mean squared error of each column of a checked table, ``(K,)``.

    Equal columns get equal errors to the last bit, which a matrix product would not promise.
    """
    squared = predictions - target[:, None]
    np.square(squared, out=squared)
    return np.sqrt(np.average(squared, axis=0, weights=weights))


def _without_twins(
    pairs: _Pairs, errors: np.ndarray, ranked: list[int], correlation: float, difference: float
) -> tuple[list[int], list[Removal]]:
    """Members that are not like a better one, best first, and those that are."""
    like = np.eye(len(pairs.mean))
    like[np.ix_(ranked, ranked)] = pairs.correlations(ranked)
    stay: list[int] = []
    removed: list[Removal] = []
    for member in ranked:
        near = [other for other in stay if like[member, other] >= correlation - CLOSE]
        if near:
            apart = pairs.differences(member, near, difference)
            if (apart <= difference).any():
                place = int((apart <= difference).argmax())
                twin = near[place]
                removed.append(
                    Removal(
                        member,
                        "duplicate",
                        float(errors[member]),
                        twin,
                        float(errors[twin]),
                        float(like[member, twin]),
                        float(apart[place]),
                    )
                )
                continue
        stay.append(member)
    return stay, removed


def _products(table: np.ndarray, weights: np.ndarray | None) -> _Pairs:
    mean = np.average(table, axis=0, weights=weights)
    centred = table - mean
    if weights is None:
        covariance = centred.T @ centred / len(table)
    else:
        centred *= np.sqrt(weights)[:, None]
        covariance = centred.T @ centred / weights.sum()
    return _Pairs(table, weights, mean, covariance)


def _constant(table: np.ndarray) -> np.ndarray:
    """Which columns hold one value; deviations would be off 0 by how the mean is rounded."""
    return table.max(0) == table.min(0)


def _condition(correlations: np.ndarray) -> float:
    return 1.0 if len(correlations) == 1 else float(np.linalg.cond(correlations))


def _check_thresholds(correlation: float, difference: float, variance: float) -> None:
    if not -1 <= correlation <= 1:
        raise ArgumentError(f"correlation is {correlation}, expected -1 to 1")
    if not difference >= 0 or not variance >= 0:
        raise ArgumentError(
            f"squared_difference is {difference} and variance {variance}, expected at least 0"
        )
