"""Fitness: what candidates of a search are compared by, from several scores of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from limbeck.errors import ArgumentError

# By name, more being better.
Scores = Mapping[str, float]
Fitness = Callable[[Sequence[Scores]], Sequence[float]]


def by(name: str) -> Fitness:
    """One of the scores.

    Example:
        >>> by("score")([{"score": 2.0}, {"score": 3.0}])
        [2.0, 3.0]
    """
    return lambda table: [one[name] for one in table]


def total(*names: str) -> Fitness:
    """The sum of some scores, where the one with the largest numbers decides.

    Example:
        >>> total("a", "b")([{"a": 1.0, "b": 10.0}])
        [11.0]
    """
    return lambda table: [sum(one[name] for name in names) for one in table]


def rank_sum(*names: str) -> Fitness:
    """The mean of the ranks that candidates have by some scores, each counting as much.

    Ranks are the share of candidates that are worse, equal ones counting half: from 0 to 1. They
    change with the company: candidates are compared where they stand together.

    Example:
        >>> rank_sum("a", "b")([{"a": 1.0, "b": -2.0}, {"a": 3.0, "b": -1e9}])
        [0.5, 0.5]
    """

    def fitness(table: Sequence[Scores]) -> Sequence[float]:
        ranks = [_shares(np.array([one[name] for one in table], dtype=float)) for name in names]
        return [float(one) for one in np.mean(ranks, axis=0)]

    return fitness


def fitness_named(name: str, names: Sequence[str]) -> Fitness:
    """A fitness by name.

    Args:
        name: ``"rank-sum"`` or ``"sum"`` of all scores, or the name of one of them.
        names: of the scores.

    Raises:
        ArgumentError: there is no such fitness and no such score.
    """
    if name in names:
        return by(name)
    known: dict[str, Callable[..., Fitness]] = {"rank-sum": rank_sum, "sum": total}
    if name not in known:
        raise ArgumentError(f"score is {name!r}, expected one of {', '.join([*known, *names])}")
    return known[name](*names)


def _shares(values: np.ndarray) -> np.ndarray:
    ordered = np.sort(values)
    low, high = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return (low + high - 1) / 2 / max(len(values) - 1, 1)
