"""Sets of points: checked rows, and their distances a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from limbeck.checks import check_dimensions
from limbeck.errors import ArgumentError
from limbeck.functional.guards import check_finite

# Rows whose pairs with all others are held at a time.
CHUNK = 1024
# Up to this width differences are taken entry by entry, which leaves nothing to rounding.
NARROW = 16


def rows(value: Tensor, name: str, least: int = 1) -> Tensor:
    """Checked rows in float64 without a gradient; at least so many."""
    check_dimensions(value, name, 2, "rows (N, D); flatten images with .flatten(1)")
    if len(value) < least or value.shape[1] == 0:
        raise ArgumentError(
            f"{name} has shape {tuple(value.shape)}, expected at least {least} rows of at least "
            "one number"
        )
    check_finite(value, name)
    return value.detach().double()


def two_sets(
    x: Tensor, y: Tensor, names: tuple[str, str] = ("x", "y"), least: int = 2
) -> tuple[Tensor, Tensor]:
    """Checked rows of two sets of one width."""
    first, second = rows(x, names[0], least), rows(y, names[1], least)
    if first.shape[1] != second.shape[1]:
        raise ArgumentError(
            f"{names[0]} has shape {tuple(x.shape)} and {names[1]} has shape {tuple(y.shape)}, "
            "expected rows of one width"
        )
    return first, second.to(first.device)


def chunks(x: Tensor, chunk: int) -> Iterator[tuple[int, Tensor]]:
    """Consecutive rows, at most `chunk` at a time, each time with the place of the first.

    Args:
        x: rows ``(N, D)``.
        chunk: how many, at least 1.

    Raises:
        ArgumentError: `chunk` is below 1.

    Example:
        >>> [(start, len(part)) for start, part in chunks(torch.zeros(5, 1), 2)]
        [(0, 2), (2, 2), (4, 1)]
    """
    if chunk < 1:
        raise ArgumentError(f"chunk is {chunk}, expected at least 1 row at a time")
    for start in range(0, len(x), chunk):
        yield start, x[start : start + chunk]


def distances(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances between the rows of two sets; within one, see `pairwise_distances`.

    Args:
        x: rows ``(N, D)``.
        y: rows ``(M, D)``.

    Returns:
        ``(N, M)``. Equal rows are exactly 0 apart up to 16 numbers a row, above that up to
        rounding.

    Example:
        >>> distances(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])).tolist()
        [[5.0]]
    """
    if x.shape[1] <= NARROW:
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    # Products are many times faster; large common parts would cost digits.
    centre = y.mean(0)
    return torch.cdist(x - centre, y - centre, compute_mode="use_mm_for_euclid_dist")
