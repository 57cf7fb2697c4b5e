r"""Least squares from sums: what penalised regressions need to know of the rows, and no row.

Count, mean and scatter of features and target are all that ridge, lasso and elastic net see. They
add over disjoint sets of rows, so the folds of a nested cross-validation share one pass over the
data: a fit then costs :math:`O(D^3)` whatever N is, and so does the error on held-out rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from limbeck.errors import ArgumentError
from limbeck.functional.arrays import Array, matrix, row_weights, vector

# Directions of less than this share of the largest variance are rounding.
ROUNDING = 1e-14


class Moments(NamedTuple):
    """What least squares sees of some rows, target behind the D features.

    Args:
        weight: the sum of the rows' weights, N without weights.
        mean: ``(D + 1,)``.
        scatter: weighted sum of products of centred columns, ``(D + 1, D + 1)``.
    """

    weight: float
    mean: np.ndarray
    scatter: np.ndarray


def moments(features: Array, target: Array, *, weights: Array | None = None) -> Moments:
    """Count, mean and scatter of features and target.

    Args:
        features: ``(N, D)``.
        target: ``(N,)``.
        weights: at least 0, ``(N,)``; None is 1 each.

    Returns:
        The moments, in float64.

    Raises:
        ArgumentError: lengths differ, or a value is not finite.

    Example:
        >>> moments([[1.0], [3.0]], [0.0, 4.0]).scatter.tolist()
        [[2.0, 4.0], [4.0, 8.0]]
    """
    features = matrix(features, "features", "(N, D)")
    target = vector(target, "target", len(features), "row of features")
    return table_moments(
        np.column_stack([features, target]), row_weights(weights, len(features), "row of features")
    )


def table_moments(table: np.ndarray, weights: np.ndarray | None = None) -> Moments:
    """`moments` of a checked table whose last column is the target ``(N, D + 1)``."""
    weight = float(len(table) if weights is None else weights.sum())
    mean = np.average(table, axis=0, weights=weights)
    centred = table - mean
    if weights is not None:
        centred *= np.sqrt(weights)[:, None]
    return Moments(weight, mean, centred.T @ centred)


def combined(parts: Iterable[Moments]) -> Moments:
    r"""Moments of the union of disjoint sets of rows.

    .. math:: S = S_1 + S_2 + \frac{n_1 n_2}{n_1 + n_2} d d^\top, \qquad d = m_2 - m_1

    Args:
        parts: at least one.

    Returns:
        Their moments together.

    Raises:
        ArgumentError: there is no part.

    Example:
        >>> halves = [moments([[1.0]], [0.0]), moments([[3.0]], [4.0])]
        >>> combined(halves).mean.tolist()
        [2.0, 2.0]

    Source: Chan, Golub and LeVeque, COMPSTAT 1982.
    """
    parts = iter(parts)
    try:
        total = next(parts)
    except StopIteration:
        raise ArgumentError("parts is empty, expected at least one set of rows") from None
    for part in parts:
        weight = total.weight + part.weight
        apart = part.mean - total.mean
        total = Moments(
            weight,
            total.mean + apart * (part.weight / weight),
            total.scatter
            + part.scatter
            + np.outer(apart, apart) * (total.weight * part.weight / weight),
        )
    return total


def deviations(rows: Moments) -> np.ndarray:
    """Population standard deviations of the features ``(D,)``; 1 where a feature is constant."""
    spread = np.sqrt(rows.scatter.diagonal()[:-1] / rows.weight)
    flat = spread <= 10 * np.finfo(float).eps * np.abs(rows.mean[:-1])
    return np.where(flat | (spread == 0), 1.0, spread)


def rescaled(rows: Moments, scale: np.ndarray) -> Moments:
    """Moments after features were divided by `scale` ``(D,)``; the target stays."""
    full = np.append(scale, 1.0)
    return Moments(rows.weight, rows.mean / full, rows.scatter / np.outer(full, full))


def ridge_path(rows: Moments, alphas: Sequence[float] | np.ndarray) -> np.ndarray:
    r"""Ridge coefficients for several penalties from one eigendecomposition.

    .. math:: \min_w \sum_i (y_i - b - w^\top z_i)^2 + \alpha \|w\|_2^2

    Args:
        rows: moments of features and target.
        alphas: A penalties above 0; 0 gives the least-squares solution of smallest norm.

    Returns:
        ``(A, D)``.

    Raises:
        ArgumentError: a penalty is negative.

    Example:
        >>> ridge_path(moments([[1.0], [3.0]], [0.0, 4.0]), [0.0, 2.0]).tolist()
        [[2.0], [1.0]]

    Source: Hoerl and Kennard, Technometrics 12, 1970.
    """
    alphas = np.asarray(alphas, dtype=np.float64)
    if alphas.size == 0 or not (alphas >= 0).all():
        raise ArgumentError(f"alphas are {alphas.tolist()}, expected penalties of at least 0")
    values, vectors = np.linalg.eigh(rows.scatter[:-1, :-1])
    values = np.maximum(values, 0.0)
    along = vectors.T @ rows.scatter[:-1, -1]
    below = values[None] + alphas[:, None]
    seen = below > ROUNDING * values.max(initial=0.0)
    return np.divide(along, below, out=np.zeros_like(below), where=seen) @ vectors.T


def intercepts(rows: Moments, coefficients: np.ndarray) -> np.ndarray:
    """The constants that make residuals of `coefficients` ``(A, D)`` average to 0, ``(A,)``."""
    return rows.mean[-1] - coefficients @ rows.mean[:-1]


def mean_squared_errors(
    rows: Moments, coefficients: np.ndarray, constants: np.ndarray
) -> np.ndarray:
    """Mean squared errors of linear models on rows known by their moments.

    Args:
        rows: of features and target, such as a held-out fold.
        coefficients: ``(A, D)``.
        constants: ``(A,)``.

    Returns:
        ``(A,)``, at least 0.

    Example:
        >>> fold = moments([[1.0], [3.0]], [0.0, 4.0])
        >>> mean_squared_errors(fold, np.array([[2.0]]), np.array([-1.0])).tolist()
        [1.0]
    """
    # Of the residual as a linear form of features and target.
    form = np.column_stack([-coefficients, np.ones(len(coefficients))])
    spread = np.einsum("ai,ij,aj->a", form, rows.scatter, form, optimize=True) / rows.weight
    return np.maximum(spread, 0.0) + (form @ rows.mean - constants) ** 2


def compressed(rows: Moments) -> tuple[np.ndarray, np.ndarray]:
    r"""D + 1 rows with the same scatter: any solver of least squares finds the same coefficients.

    From :math:`S = V \Lambda V^\top` the rows are :math:`\Lambda^{1/2} V^\top`. A penalty that is
    set against a mean over rows is to be multiplied by ``weight / (D + 1)``.

    Args:
        rows: moments of features and target.

    Returns:
        Features ``(D + 1, D)`` and target ``(D + 1,)``, for fits without an intercept.

    Example:
        >>> features, target = compressed(moments([[1.0], [3.0]], [0.0, 4.0]))
        >>> round(float(target @ target), 6), round(float(features[:, 0] @ target), 6)
        (8.0, 4.0)
    """
    values, vectors = np.linalg.eigh(rows.scatter)
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    return root[:, :-1], root[:, -1]
