"""Gathering: the table of what members say, from folds, from a split, or from data that hold it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from limbeck import keyed
from limbeck.bridges.sklearn import Folds, make_folds
from limbeck.data import Data, Split, Subset
from limbeck.errors import ArgumentError
from limbeck.loops.makers import maker_of
from limbeck.loops.teach import Teaching
from limbeck.methods.regularized_meta_learning.members import (
    MemberTable,
    grouped,
    predictions_of,
    targets_of,
)
from limbeck.naming import distinct
from limbeck.run import Run
from limbeck.teachers import Teacher

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
    names = distinct([str(getattr(one, "name", one)) for one in members])
    target = targets_of(data, split)
    folds = folds_of(target, cv, seed, data)
    table = predictions_of(members, names, data, split)
    return MemberTable(names, grouped(members), table, target, split.ids, folds, origin)


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
    run: Run,
    given: Any,
    data: Data,
    teaching: Teaching,
    cv: int,
    seed: int,
    *,
    refit: bool,
) -> MemberTable:
    """Train every member once a fold and ask it about the rows that it did not see."""
    known = [given] if isinstance(given, str) else list(given)
    names = distinct(known)
    target = targets_of(data, data.train)
    folds = folds_of(target, cv, seed, data)
    width = (data.outputs,) if data.task == "classification" else ()
    table = np.full((len(target), len(known), *width), np.nan)
    of_folds: list[list[Any]] = [[] for _ in known]
    for number, (train, test) in enumerate(folds.splits):
        part = dataclasses.replace(data, train=Subset(data.train, train), rest=None)
        for place, name in enumerate(known):
            key = keyed.key(run.seed, "member", place, number)
            made = maker_of(name).make(
                run, f"member-{place}-fold-{number}", key, name, part, teaching
            )
            held = Subset(data.train, test)
            table[test, place] = predictions_of([made], [names[place]], data, held)[:, 0]
            of_folds[place].append(made)
    whole = [
        maker_of(name).make(
            run, f"member-{place}", keyed.key(run.seed, "member", place), name, data, teaching
        )
        for place, name in enumerate(known)
    ]
    members = grouped(whole) if refit else grouped(of_folds)
    return MemberTable(names, members, table, target, data.train.ids, folds, "folds")
