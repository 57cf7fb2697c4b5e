"""Item sets: which things often occur together, counted exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from limbeck.errors import ArgumentError
from limbeck.functional.numbering import compacted

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
# Words of 64 transactions that are compared at a time.
AT_ONCE = 2**21


@dataclass(frozen=True)
class ItemSets:
    """Sets of items with the number of transactions that hold all of them.

    Args:
        sets: items in rising order, sets by size and then in the order of their items.
        supports: transactions that hold each set ``(S,)``.
        larger: whether sets of more items than were asked for are frequent too.
        cut: whether more sets are frequent than were asked for.
    """

    sets: tuple[tuple[int, ...], ...]
    supports: Integers
    larger: bool = False
    cut: bool = False

    def __len__(self) -> int:
        return len(self.sets)

    def take(self, places: Sequence[int]) -> ItemSets:
        """The sets at some places."""
        chosen = tuple(self.sets[place] for place in places)
        supports = self.supports[np.asarray(places, np.int64)]
        return ItemSets(chosen, supports, self.larger, self.cut)


class _Level(NamedTuple):
    """Sets of one size, in the order of their items.

    Args:
        members: numbers of items ``(S, k)``.
        held: which transactions hold each, a bit each ``(S, W)``.
        supports: ``(S,)``.
    """

    members: Integers
    held: Words
    supports: Integers

    def take(self, places: Any) -> _Level:
        return _Level(self.members[places], self.held[places], self.supports[places])


def frequent_item_sets(
    rows: Any,
    items: Any,
    min_count: int,
    *,
    max_size: int | None = None,
    max_sets: int | None = None,
) -> ItemSets:
    """Find all sets of items that enough transactions hold, with their exact supports.

    Transactions are bits of one long word for each item; the sets of a size are what is left of
    unions of two sets of one item less that share all items but the last. A limit on the number
    of sets keeps the first by falling support, then rising size, then order of items, and no more
    are ever held; so a lower `min_count` never gives fewer sets.

    Args:
        rows: the transaction of each occurrence ``(P,)``.
        items: the item of each occurrence ``(P,)``; one that occurs twice counts once.
        min_count: the least number of transactions.
        max_size: the most items of a set; None for any number.
        max_sets: the most sets; None for any number, which may not fit into memory.

    Returns:
        The sets.

    Raises:
        ArgumentError: shapes do not belong together, or a number is below 1.

    Example:
        >>> found = frequent_item_sets([0, 0, 1, 1, 2], [7, 9, 7, 9, 7], 2)
        >>> found.sets, found.supports.tolist()
        (((7,), (9,), (7, 9)), [3, 2, 2])

    Source: Agrawal and Srikant, VLDB 1994 (levels); Zaki, IEEE TKDE 12(3), 2000 (intersections).
    """
    _check(rows, items, {"min_count": min_count, "max_size": max_size, "max_sets": max_sets})
    names, level = _single(np.asarray(rows, np.int64), np.asarray(items, np.int64), min_count)
    # One more than asked for tells whether there are more.
    most = None if max_sets is None else max_sets + 1
    levels, floor = _kept([level], most, min_count)
    while len(levels[-1].members) and (max_size is None or len(levels) < max_size):
        levels, floor = _extended(levels, floor, most, min_count)
    larger = any(len(one.members) for one in _grown(levels[-1], floor))
    cut = max_sets is not None and sum(len(one.members) for one in levels) > max_sets
    if cut:
        levels, _ = _kept(levels, max_sets, min_count)
    sets = [tuple(names[one].tolist()) for level in levels for one in level.members]
    supports = np.concatenate([level.supports for level in levels])
    return ItemSets(tuple(sets), supports, larger, cut)


def exclusive_item_sets(classes: Sequence[ItemSets]) -> tuple[list[ItemSets], list[int]]:
    """Keep the sets that are frequent in one class alone.

    Args:
        classes: frequent sets of each class.

    Returns:
        The sets of each class, and the numbers of classes that would have none left: these keep
        all of theirs.

    Example:
        >>> one = frequent_item_sets([0, 0], [1, 2], 1)
        >>> other = frequent_item_sets([0], [1], 1)
        >>> kept, emptied = exclusive_item_sets([one, other])
        >>> [each.sets for each in kept], emptied
        ([((2,), (1, 2)), ((1,),)], [1])
    """
    counts: dict[tuple[int, ...], int] = {}
    for found in classes:
        for one in found.sets:
            counts[one] = counts.get(one, 0) + 1
    kept, emptied = [], []
    for number, found in enumerate(classes):
        places = [place for place, one in enumerate(found.sets) if counts[one] == 1]
        if not places and len(found):
            emptied.append(number)
            places = list(range(len(found)))
        kept.append(found.take(places))
    return kept, emptied


def _single(rows: Integers, items: Integers, min_count: int) -> tuple[Integers, _Level]:
    """Items that are frequent by themselves, and their level."""
    item, count = compacted(items)
    kinds = np.empty(count, np.int64)
    kinds[item] = items
    # Those that occur too seldom, though every occurrence were in a row of its own, go first.
    often = np.bincount(item, minlength=count)[item] >= min_count
    row, transactions = compacted(rows[often])
    pairs = np.unique(item[often] * max(transactions, 1) + row)
    item, row = np.divmod(pairs, max(transactions, 1))
    supports = np.bincount(item, minlength=count)
    frequent = np.flatnonzero(supports >= min_count)
    place = np.full(count, -1)
    place[frequent] = np.arange(len(frequent))
    inside = place[item] >= 0
    held = np.zeros((len(frequent), -(-transactions // 64)), np.uint64)
    bits = np.uint64(1) << (row[inside] % 64).astype(np.uint64)
    np.bitwise_or.at(held, (place[item[inside]], row[inside] // 64), bits)
    members = np.arange(len(frequent))[:, None]
    return kinds[frequent], _Level(members, held, supports[frequent])


def _extended(
    levels: list[_Level], floor: int, most: int | None, min_count: int
) -> tuple[list[_Level], int]:
    """Levels with that of the next size, and the least support that could still get in.

    Where there are too many, sets are cut as they come: what is made of those that are cut stands
    behind them in the order, and would be cut too.
    """
    source = levels[-1]
    size = source.members.shape[1] + 1
    fresh = _Level(source.members[:0].repeat(2, 1)[:, :size], source.held[:0], source.supports[:0])
    for part in _grown(source, floor):
        fresh = _Level(*(np.concatenate(pair) for pair in zip(fresh, part, strict=True)))
        (*levels, fresh), floor = _kept([*levels, fresh], most, min_count)
    return [*levels, fresh], floor


def _grown(level: _Level, floor: int) -> Iterator[_Level]:
    """Sets of one item more with enough support, in parts."""
    members, held, _ = level
    if not len(members):
        return
    fresh = np.ones(len(members), np.bool_)
    if members.shape[1] > 1:
        fresh[1:] = (members[1:, :-1] != members[:-1, :-1]).any(1)
    elif len(members):
        fresh[1:] = False
    ends = np.append(np.flatnonzero(fresh)[1:], len(members))
    partners = ends[np.cumsum(fresh) - 1] - np.arange(len(members)) - 1
    totals = np.cumsum(partners)
    most = max(AT_ONCE // max(held.shape[1], 1), 1)
    begin = 0
    while begin < len(members):
        before = totals[begin - 1] if begin else 0
        end = max(int(np.searchsorted(totals, before + most, "right")), begin + 1)
        counts = partners[begin:end]
        first = np.repeat(np.arange(begin, end), counts)
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        second = first + 1 + np.arange(len(first)) - starts
        both = held[first] & held[second]
        supports = np.bitwise_count(both).sum(1, dtype=np.int64)
        chosen = supports >= floor
        joined = np.column_stack([members[first[chosen]], members[second[chosen], -1]])
        yield _Level(joined, both[chosen], supports[chosen])
        begin = end


def _kept(levels: list[_Level], most: int | None, min_count: int) -> tuple[list[_Level], int]:
    """At most so many sets of several levels, and the least support that could still get in."""
    supports = np.concatenate([level.supports for level in levels])
    if most is None or len(supports) < most:
        return levels, min_count
    chosen = np.zeros(len(supports), np.bool_)
    # Levels and sets stand in order already, which sorting keeps among equals.
    chosen[np.argsort(-supports, kind="stable")[:most]] = True
    ends = np.cumsum([len(level.supports) for level in levels])[:-1]
    parts = np.split(chosen, ends)
    kept = [level.take(part) for level, part in zip(levels, parts, strict=True)]
    return kept, max(int(supports[chosen].min()) + 1, min_count)


def _check(rows: Any, items: Any, numbers: dict[str, int | None]) -> None:
    shapes = np.shape(rows), np.shape(items)
    if shapes[0] != shapes[1] or len(shapes[0]) != 1:
        raise ArgumentError(
            f"rows and items have shapes {shapes[0]} and {shapes[1]}, expected (P,)"
        )
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise ArgumentError(f"{name} is {value}, expected at least 1")
