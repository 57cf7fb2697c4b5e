"""Numbers that change over a run, as functions of where it is."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.errors import ArgumentError


def piecewise_constant(at: int, pieces: Sequence[tuple[int, int, float]]) -> float:
    """The value of the piece that an epoch or step lies in, such as a learning rate.

    Args:
        at: epoch or step.
        pieces: (first, last, value) of each piece, both ends included, in order and without a
            gap.

    Returns:
        The value.

    Raises:
        ArgumentError: `at` lies in no piece, or the pieces leave a gap or overlap.

    Example:
        >>> [piecewise_constant(epoch, [(0, 99, 0.01), (100, 179, 0.001)]) for epoch in (99, 100)]
        [0.01, 0.001]

    Source: Shen and Savvides, arXiv 2009.08453 (MEAL V2), and szq0214/MEAL-V2.
    """
    if not pieces:
        raise ArgumentError("pieces is empty, expected at least one (first, last, value)")
    expected = pieces[0][0]
    for first, last, _ in pieces:
        if first != expected or last < first:
            raise ArgumentError(
                f"pieces has one from {first} to {last}, expected one that begins at {expected} "
                "and does not end before it"
            )
        expected = last + 1
    for first, last, value in pieces:
        if first <= at <= last:
            return value
    raise ArgumentError(f"{at} is in no piece: they reach from {pieces[0][0]} to {expected - 1}")
