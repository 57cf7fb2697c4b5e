"""Gathering: the table of what members say, from folds, from a split, or from data that hold it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from limbeck.bridges.sklearn import Folds, make_folds
from limbeck.data import Data, Split
from limbeck.errors import ArgumentError
from limbeck.loops.cross_fit import cross_fitted, predictions
from limbeck.loops.makers import maker_of
from limbeck.loops.teach import Teaching
from limbeck.methods.regularized_meta_learning.members import (
    MemberTable,
    grouped,
    targets_of,
)
from limbeck.naming import distinct, without_place
from limbeck.run import Run
from limbeck.teachers import Teacher

# Which rows are stacked on, in words.
WHERE = {
    "folds": "the training split",
    "predictions": "the training split",
    "validation": "the validation split",
}
# What scikit-learn takes as a seed.
SEEDS = 2**32


def from_split(
    members: Sequence[Teacher], data: Data, split: Split, cv: int, seed: int, origin: str
) -> MemberTable:
    """Ask members about a split whose rows none of them has learnt from.

    Args:
        members: frozen.
        data: tells how inputs are read.
        split: the rows to stack on.
        cv: folds of the regressions on them.
        seed: of the folds.
        origin: what the rows are.

    Returns:
        The table.
    """
    names = distinct([without_place(str(getattr(one, "name", one))) for one in members])
    target = targets_of(data, split)
    check_classes(target, data, WHERE[origin])
    folds = folds_of(target, cv, seed, data)
    said = np.stack([predictions(one, data, split) for one in members], axis=1)
    table = np.exp(said) if data.task == "classification" else said[:, :, 0]
    return MemberTable(names, grouped(members), table, target, split.ids, folds, origin)


def check_classes(target: np.ndarray, data: Data, where: str) -> None:
    """Raise `ArgumentError` where the rows to stack on lack a class.

    Args:
        target: of the rows.
        data: tells the classes.
        where: which rows they are.
    """
    if data.task != "classification":
        return
    counts = np.bincount(target, minlength=len(data.classes))
    lacking = [name for name, count in zip(data.classes, counts, strict=True) if not count]
    if lacking:
        raise ArgumentError(
            f"{where} of {data.name} has no row of class {', '.join(lacking)}, and a stack learns "
            f"every class from the {len(target)} rows there; give it rows of each class, or "
            "data without that class"
        )


def folds_of(target: np.ndarray, cv: int, seed: int, data: Data) -> Folds:
    """Shuffled folds, which keep the shares of classes.

    Raises:
        ArgumentError: there are fewer rows, or fewer of every class, than folds.
    """
    classes = data.task == "classification"
    most = int(np.bincount(target).max()) if classes else len(target)
    if most < cv:
        what = f"{most} of its largest class" if classes else f"{most}"
        raise ArgumentError(
            f"cv is {cv} and {data.name} has {what} rows to stack on, expected at least a row a "
            "fold; lower --set cv=N or take more data"
        )
    rows = np.empty((len(target), 1))
    return make_folds(cv, rows, target, classifier=classes, seed=seed % SEEDS)


def from_folds(
    run: Run, given: Any, data: Data, teaching: Teaching, cv: int, seed: int, *, refit: bool
) -> MemberTable:
    """Train every member once a fold and ask it about the rows that it did not see.

    Args:
        run: keeps what is trained.
        given: names of members.
        data: members learn from the rows that teachers learn from.
        teaching: how networks are trained.
        cv: how many folds.
        seed: of the folds.
        refit: predict by members trained on all rows, or by those of the folds, averaged.

    Returns:
        The table.

    Raises:
        ArgumentError: a member comes trained.
    """
    seen = data.for_teachers()
    names = _learning(given, seen)
    target = targets_of(seen, seen.train)
    check_classes(target, seen, WHERE["folds"])
    folds = folds_of(target, cv, seed, seen)
    found = cross_fitted(run, names, data, teaching, folds, refit=refit)
    table = np.exp(found.table) if data.task == "classification" else found.table
    groups = grouped(found.members) if refit else grouped(found.members_of_folds)
    return MemberTable(distinct(names), groups, table, target, seen.train.ids, folds, "folds")


def _learning(given: Any, data: Data) -> list[str]:
    several = [given] if isinstance(given, str) or not isinstance(given, Sequence) else [*given]
    for one in several:
        if not isinstance(one, str) or not maker_of(one).learns(one, data):
            raise ArgumentError(
                f"member {one if isinstance(one, str) else repr(one)} comes trained and is not "
                "trained anew for every fold; stack on the validation split, which it must not "
                "have seen: --set fit_on=validation"
            )
    return several
