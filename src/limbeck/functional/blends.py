"""Weights over the members of an ensemble: by their errors, by greedy search, how unequal."""

from __future__ import annotations

import numpy as np

from limbeck.errors import ArgumentError
from limbeck.functional.arrays import Array, matrix, row_weights, vector
from limbeck.functional.stacking import member_errors


def inverse_error_weights(
    predictions: Array, target: Array, *, weights: Array | None = None
) -> np.ndarray:
    r"""Weights of members by the inverse of their root mean squared errors.

    .. math:: w_m = \frac{1 / e_m}{\sum_h 1 / e_h}

    Args:
        predictions: ``(N, K)``, a column a member.
        target: ``(N,)``.
        weights: of the rows, ``(N,)``; None is 1 each.

    Returns:
        ``(K,)``, at least 0 with sum 1. Members without any error share the whole weight.

    Raises:
        ArgumentError: lengths differ, or a value is not finite.

    Example:
        >>> inverse_error_weights([[1.0, 3.0]], [0.0]).tolist()
        [0.75, 0.25]

    Source: arXiv 2602.12469, inverse-RMSE blending.
    """
    table = matrix(predictions, "predictions")
    truth = vector(target, "target", len(table), "row of predictions")
    errors = member_errors(table, truth, row_weights(weights, len(table), "row of predictions"))
    share = errors == 0 if (errors == 0).any() else errors.min() / errors
    return share / share.sum()


def blend(predictions: Array, weights: Array) -> np.ndarray:
    """Weighted sum of members.

    Args:
        predictions: ``(N, K)``.
        weights: of the members, ``(K,)``, used as they are.

    Returns:
        ``(N,)``.

    Raises:
        ArgumentError: there is not one weight a column, or a value is not finite.

    Example:
        >>> blend([[1.0, 3.0]], [0.5, 0.5]).tolist()
        [2.0]
    """
    table = matrix(predictions, "predictions")
    return table @ vector(weights, "weights", table.shape[1], "column of predictions")


def greedy_weights(
    predictions: Array, target: Array, *, rounds: int = 100, weights: Array | None = None
) -> np.ndarray:
    r"""Greedy hill climbing: add, again and again, the member that lowers the average's error.

    With the matrix of products of errors :math:`G` and counts :math:`c` a round costs
    :math:`O(K)`:

    .. math:: (t + 1)^2 e_{+k}^2 = c^\top G c + 2 (G c)_k + G_{kk}

    Args:
        predictions: ``(N, K)``.
        target: ``(N,)``.
        rounds: how many members are added at most; it stops where none lowers the error.
        weights: of the rows, ``(N,)``; None is 1 each.

    Returns:
        ``(K,)``, at least 0 with sum 1. Its error is never above that of the best member.

    Raises:
        ArgumentError: lengths differ, a value is not finite, or there is no round.

    Example:
        >>> greedy_weights([[1.0, -1.0, 5.0], [1.0, -1.0, 5.0]], [0.0, 0.0]).tolist()
        [0.5, 0.5, 0.0]

    Source: Caruana et al., ICML 2004.
    """
    if rounds < 1:
        raise ArgumentError(f"rounds is {rounds}, expected at least 1")
    table = matrix(predictions, "predictions")
    wrong = table - vector(target, "target", len(table), "row of predictions")[:, None]
    shares = row_weights(weights, len(table), "row of predictions")
    if shares is not None:
        wrong *= np.sqrt(shares)[:, None]
    products = wrong.T @ wrong
    counts, along, total = np.zeros(len(products)), np.zeros(len(products)), 0.0
    for added in range(rounds):
        after = total + 2 * along + products.diagonal()
        best = int(after.argmin())
        # Rounding is no improvement.
        if added and after[best] / (added + 1) ** 2 >= total / added**2 * (1 - 1e-12):
            break
        total = float(after[best])
        counts[best] += 1
        along += products[best]
    return counts / counts.sum()


def weight_gini(weights: Array) -> float:
    r"""Gini coefficient of absolute weights: 0 if all are equal, 1 - 1/K if one holds all.

    .. math:: \frac{2 \sum_i i \, |w|_{(i)}}{K \sum_i |w|_i} - \frac{K + 1}{K}

    Args:
        weights: ``(K,)``, signs do not matter.

    Returns:
        From 0 to 1 - 1/K; 0 where every weight is 0.

    Raises:
        ArgumentError: there is no weight, or one is not finite.

    Example:
        >>> weight_gini([0.0, 0.0, 0.0, -2.0])
        0.75
    """
    size = np.sort(np.abs(vector(weights, "weights", len(weights), "member")))
    if len(size) == 0:
        raise ArgumentError("weights is empty, expected a weight for each member")
    if size.sum() == 0:
        return 0.0
    ranks = np.arange(1, len(size) + 1)
    value = 2 * (ranks @ size) / (len(size) * size.sum()) - (len(size) + 1) / len(size)
    return max(0.0, float(value))
