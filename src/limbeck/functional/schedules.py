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


def evaluation_rate(epoch: int, epochs: int, lr: float) -> float:
    """Learning rate with which networks are trained on a distilled set to evaluate it.

    A tenth of the rate from epoch ``epochs // 2 + 2`` on, where the optimiser starts anew; epochs
    0 to `epochs` are run, one more than the number says.

    Args:
        epoch: from 0 to `epochs`.
        epochs: the number that a protocol is named by, at least 1.
        lr: the rate at first.

    Returns:
        The rate.

    Raises:
        ArgumentError: the epoch lies outside.

    Example:
        >>> [evaluation_rate(epoch, 3, 0.5) for epoch in range(4)]
        [0.5, 0.5, 0.5, 0.05]

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA), and VICO-UoE/DatasetCondensation.
    """
    if epochs < 1 or not 0 <= epoch <= epochs:
        raise ArgumentError(f"epoch is {epoch} of {epochs}, expected one from 0 to {epochs}")
    return lr * 0.1 if epoch >= epochs // 2 + 2 else lr
