"""Numbering: whole numbers from 0 on for keys that may lie far apart, by table or by sorting."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
# Up to so many places for each key, and beyond that, a table is quicker than sorting.
ROOM, SPARE = 16, 4096


def compacted(keys: Integers) -> tuple[Integers, int]:
    """Number keys in rising order.

    Args:
        keys: whole numbers ``(N,)``.

    Returns:
        Numbers ``(N,)`` from 0 to K - 1, equal where keys are, and K.

    Example:
        >>> numbers, count = compacted(np.array([70, 5, 70, 9]))
        >>> numbers.tolist(), count
        ([2, 0, 2, 1], 3)
    """
    if not len(keys):
        return keys, 0
    low = int(keys.min())
    wide = int(keys.max()) - low + 1
    if wide > ROOM * len(keys) + SPARE:
        found, numbers = np.unique(keys, return_inverse=True)
        return numbers.reshape(-1), len(found)
    places = keys - low
    there = np.zeros(wide, np.bool_)
    there[places] = True
    ranks = np.cumsum(there) - 1
    return ranks[places], int(ranks[-1]) + 1


def by_first(numbers: Integers, count: int) -> tuple[Integers, Integers]:
    """Number again, in the order in which numbers first occur.

    Args:
        numbers: from 0 to `count` - 1, each of them at least once ``(N,)``.
        count: K.

    Returns:
        The new numbers ``(N,)``, and where each first occurs ``(K,)``.

    Example:
        >>> again, first = by_first(np.array([2, 0, 2, 1]), 3)
        >>> again.tolist(), first.tolist()
        ([0, 1, 0, 2], [0, 1, 3])
    """
    first = np.empty(count, np.int64)
    # Of several values for one place the last is kept: from the end the first occurrence.
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    order = np.argsort(first)
    ranks = np.empty(count, np.int64)
    ranks[order] = np.arange(count)
    return ranks[numbers], first[order]
