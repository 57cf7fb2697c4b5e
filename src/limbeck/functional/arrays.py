"""Tables of predictions as float64 arrays, whatever they came as."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from limbeck.errors import ArgumentError, NotFiniteError

# What a table of predictions may come as: an array, a tensor, a data frame, nested lists.
Array = Any


def matrix(value: Array, name: str, letters: str = "(N, K)") -> np.ndarray:
    """`value` as a finite float64 matrix with at least one row and one column.

    Args:
        value: a matrix ``(N, K)``; not copied where it is a float64 array already.
        name: what to call it in an error.
        letters: its shape in words.

    Returns:
        ``(N, K)`` in float64.

    Raises:
        ArgumentError: it is no matrix of numbers, or empty.
        NotFiniteError: it holds NaN or infinity; the message names the columns.

    Example:
        >>> matrix([[1, 2]], "predictions").dtype.name
        'float64'
    """
    table = _numbers(value, name)
    if table.ndim != 2 or 0 in table.shape:
        raise ArgumentError(
            f"{name} has shape {table.shape}, expected {letters} with at least one row and column"
        )
    # One sum tells that all is well; infinities of both signs may make NaN of it.
    with np.errstate(invalid="ignore", over="ignore"):
        fine = bool(np.isfinite(table.sum()))
    if not fine:
        _refuse_columns(table, name)
    return table


def vector(value: Array, name: str, length: int, each: str) -> np.ndarray:
    """`value` as a finite float64 vector of a given length.

    Args:
        value: ``(N,)``.
        name: what to call it in an error.
        length: N.
        each: what one number belongs to, such as "row of predictions".

    Returns:
        ``(N,)`` in float64.

    Raises:
        ArgumentError: it is no vector of that length.
        NotFiniteError: it holds NaN or infinity.

    Example:
        >>> vector([1, 2], "target", 2, "row of predictions").tolist()
        [1.0, 2.0]
    """
    numbers = _numbers(value, name)
    if numbers.shape != (length,):
        raise ArgumentError(
            f"{name} has shape {numbers.shape}, expected ({length},): one number for each {each}, "
            "in the same order"
        )
    bad = ~np.isfinite(numbers)
    if bad.any():
        raise NotFiniteError(
            f"{name} holds NaN or infinity at {bad.sum()} of {length} places, the first is "
            f"{bad.argmax()}; leave each {each} without a number out"
        )
    return numbers


def row_weights(value: Array | None, length: int, each: str) -> np.ndarray | None:
    """Checked weights of rows, at least 0 with a sum above 0; None stays None.

    Args:
        value: ``(N,)``.
        length: N.
        each: what a weight belongs to, such as "row of predictions".

    Returns:
        ``(N,)`` in float64, or None.

    Raises:
        ArgumentError: the length differs, a weight is negative, or all are 0.

    Example:
        >>> row_weights([0, 2], 2, "row of predictions").tolist()
        [0.0, 2.0]
    """
    if value is None:
        return None
    weights = vector(value, "weights", length, each)
    if weights.min() < 0 or weights.sum() == 0:
        raise ArgumentError(
            f"weights go from {weights.min():.4g} to {weights.max():.4g}, expected at least 0 and "
            "not all 0"
        )
    return weights


def _numbers(value: Array, name: str) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name} does not hold numbers: {error}") from error


def _refuse_columns(table: np.ndarray, name: str) -> None:
    bad = ~np.isfinite(table)
    if not bad.any():
        return
    columns = np.flatnonzero(bad.any(0))
    rows = int(bad[:, columns[0]].sum())
    raise NotFiniteError(
        f"{name} holds NaN or infinity in {len(columns)} of {table.shape[1]} columns, the first "
        f"is column {columns[0]} ({rows} of {len(table)} rows); leave that column out, or the rows"
    )
