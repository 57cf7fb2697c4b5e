"""Which rows are predicted by fits that did not see them, and which folds a fold may learn from."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold, check_cv

from limbeck.errors import ArgumentError


class Folds(NamedTuple):
    """Splits of N rows into F folds that do not overlap.

    Args:
        splits: indices of training and held-out rows of each fold.
        number: the fold in which a row is held out, ``(N,)``; -1 for rows that never are, such as
            the oldest of a time series.
        sees: whether all rows of fold j train where fold f is held out, ``(F, F)``.
    """

    splits: list[tuple[np.ndarray, np.ndarray]]
    number: np.ndarray
    sees: np.ndarray

    def before(self, fold: int) -> list[int]:
        """The folds that train where `fold` is held out."""
        return np.flatnonzero(self.sees[fold]).tolist()

    def counted(self, weights: np.ndarray | None) -> tuple[Folds, np.ndarray]:
        """The folds of rows that are held out and weigh something, and which rows these are."""
        rows = self.number >= 0
        if weights is not None:
            rows &= weights > 0
        left, number = np.unique(self.number[rows], return_inverse=True)
        splits = [self.splits[fold] for fold in left]
        return Folds(splits, number, self.sees[np.ix_(left, left)]), rows


def make_folds(
    cv: int | Iterable[Any] | Any,
    X: Any,
    y: np.ndarray,
    groups: Any = None,
    *,
    classifier: bool = False,
    seed: int | None = 42,
) -> Folds:
    """Splits by a number of folds, a splitter, or pairs of indices.

    Unlike scikit-learn's stacking it takes splitters that hold some rows out never, as those of
    time series do.

    Args:
        cv: number of shuffled folds, a splitter, or pairs of indices.
        X: rows, as splitters ask for them.
        y: target ``(N,)``.
        groups: of the rows ``(N,)``, for splitters that keep groups together.
        classifier: with a number of folds, keep the shares of classes in each.
        seed: of the shuffle.

    Returns:
        The folds.

    Raises:
        ArgumentError: a row is held out twice, as with repeated splits, or trains for itself;
            pairs are none, or name rows that are not there.

    Example:
        >>> folds = make_folds(KFold(2), np.zeros((4, 1)), np.zeros(4))
        >>> folds.number.tolist(), folds.before(0)
        ([0, 0, 1, 1], [1])
    """
    if isinstance(cv, Integral):
        kind = StratifiedKFold if classifier else KFold
        cv = kind(int(cv), shuffle=True, random_state=seed)
    pairs = isinstance(cv, Iterable) and not hasattr(cv, "split")
    found: Any = cv if pairs else check_cv(cv, y, classifier=classifier).split(X, y, groups)
    splits = [_checked(place, one, len(y)) for place, one in enumerate(found)]
    if not splits:
        raise ArgumentError("cv holds no split; give a number of folds, or pairs of indices")
    number = np.full(len(y), -1)
    trains = np.zeros((len(splits), len(y)), dtype=bool)
    for fold, (train, test) in enumerate(splits):
        if (number[test] >= 0).any() or len(np.unique(test)) < len(test):
            raise ArgumentError(
                f"cv holds row {_first_twice(splits)} out more than once; expected folds that do "
                "not overlap, such as KFold, GroupKFold or TimeSeriesSplit, without repeats"
            )
        trains[fold, train] = True
        if trains[fold, test].any():
            raise ArgumentError(f"cv trains split {fold} on rows that it holds out")
        number[test] = fold
    held = range(len(splits))
    sees = np.array([[trains[f, number == j].all() for j in held] for f in held])
    return Folds(splits, number, sees)


def inner_groups(folds: Folds, outer: list[int], count: int) -> list[tuple[list[int], list[int]]]:
    """Folds dealt into at most `count` groups: which train and which are held out, for each.

    Whole folds stay together, so what holds for the outer splits (groups, weights, order in time)
    holds for the inner ones.

    Args:
        folds: the outer folds.
        outer: the folds that there are to learn from.
        count: how many groups.

    Returns:
        For each group with something to learn from: the folds that train, those held out.

    Example:
        >>> folds = make_folds(KFold(4), np.zeros((4, 1)), np.zeros(4))
        >>> inner_groups(folds, [0, 1, 2], 2)
        [([2], [0, 1]), ([0, 1], [2])]
    """
    groups = [part.tolist() for part in np.array_split(outer, min(count, len(outer)))]
    pairs = [
        ([j for j in outer if j not in held and folds.sees[held, j].all()], held) for held in groups
    ]
    return [(train, held) for train, held in pairs if train]


def _checked(place: int, given: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """One split as two arrays of rows that are there, whoever made it."""
    try:
        train, test = (np.asarray(part) for part in given)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"split {place} of cv is {str(given)[:40]}, expected a pair: indices of rows that "
            "train, and of rows that are held out"
        ) from None
    for what, rows in (("trains on", train), ("holds out", test)):
        whole = rows.ndim == 1 and (rows.dtype.kind in "iu" or not len(rows))
        if not whole or (len(rows) and not 0 <= rows.min() <= rows.max() < count):
            ends = f" from {rows.min()} to {rows.max()}" if rows.size else ""
            raise ArgumentError(
                f"split {place} of cv {what} {rows.dtype} of shape {rows.shape}{ends}, expected "
                f"numbers of rows from 0 to {count - 1}; make the splits for these {count} rows, "
                "and of a mask take np.flatnonzero"
            )
    return train.astype(np.int64), test.astype(np.int64)


def _first_twice(splits: list[tuple[np.ndarray, np.ndarray]]) -> int:
    rows, counts = np.unique(np.concatenate([test for _, test in splits]), return_counts=True)
    return int(rows[counts > 1][0])
