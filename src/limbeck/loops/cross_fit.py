"""Cross-fitting: each member is trained once a fold and asked about the rows it did not see."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from limbeck import keyed
from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.data.splits import Indices, Split, Subset
from limbeck.errors import ArgumentError, NotFiniteError
from limbeck.loops.makers import maker_of
from limbeck.loops.teach import Teaching
from limbeck.run.run import Run
from limbeck.teachers import Teacher, for_data

if TYPE_CHECKING:
    from limbeck.bridges.sklearn.folds import Folds


class CrossFitted(NamedTuple):
    """Members and what they say of rows that they did not see.

    Args:
        table: of N training rows and K members ``(N, K)`` numbers for regression, ``(N, K, C)``
            log-probabilities for classification, logits of labels; NaN for rows that are never
            held out.
        fold: in which a row is held out ``(N,)``, -1 for never.
        members: K teachers, trained on all rows; none where they were not asked for.
        members_of_folds: for each member the teachers that were trained for the folds.
    """

    table: np.ndarray[Any, Any]
    fold: Indices
    members: tuple[Teacher, ...]
    members_of_folds: tuple[tuple[Teacher, ...], ...]


def cross_fitted(
    run: Run,
    given: str | Sequence[Any],
    data: Data,
    teaching: Teaching,
    folds: Folds,
    *,
    refit: bool = True,
) -> CrossFitted:
    """Train members by name on the rows of the other folds, and once on all rows.

    Every training is a memoised stage of the run: what was trained before a stop is not trained
    again. Its draws hang on the seed, the member and the fold alone.

    Args:
        run: keeps the stages.
        given: names of members: networks or estimators of scikit-learn, in any mixture.
        data: the rows are those that teachers learn from: ``data.rest`` where there is one, else
            the training split.
        teaching: how networks are trained.
        folds: of these rows.
        refit: train the members on all rows too; False leaves them out.

    Returns:
        Predictions, the fold of each row, and the members.

    Raises:
        ArgumentError: there is no member, one comes trained, the folds are of other rows, or
            regression has several targets. Found before anything is trained.
        NotFiniteError: a member predicts NaN or infinity.

    Example:
        >>> import tempfile
        >>> from limbeck.bridges.sklearn import make_folds
        >>> from limbeck.data import from_arrays
        >>> x = np.random.default_rng(0).normal(size=(40, 2))
        >>> data = from_arrays(x, x[:, 0])
        >>> folds = make_folds(3, np.zeros((len(data.train), 1)), data.train.y.numpy())
        >>> run = Run(tempfile.mkdtemp())
        >>> cross_fitted(run, "sklearn:ridge", data, Teaching(), folds).table.shape
        (29, 1)
    """
    seen = data.for_teachers()
    names = _names(given, seen)
    _check_folds(folds, seen)
    parts = [
        dataclasses.replace(seen, train=Subset(seen.train, train)) for train, _ in folds.splits
    ]
    count = len(seen.train)
    shape = () if data.task == "regression" else (data.outputs,)
    table = np.full((count, len(names), *shape), np.nan)
    of_folds = []
    for place, name in enumerate(names):
        of_folds.append(
            tuple(
                _trained(run, ("member", place, "fold", fold), name, part, teaching)
                for fold, part in enumerate(parts)
            )
        )
        for one, (_, held) in zip(of_folds[-1], folds.splits, strict=True):
            said = predictions(one, seen, Subset(seen.train, held))
            table[held, place] = said if shape else said[:, 0]
    # The stages that teachers of these names have in every method.
    every = [
        _trained(run, ("teacher", place), name, data, teaching)
        for place, name in enumerate(names if refit else ())
    ]
    return CrossFitted(table, folds.number, tuple(every), tuple(of_folds))


@torch.no_grad()
def predictions(teacher: Teacher, data: Data, split: Split) -> np.ndarray[Any, Any]:
    """What a teacher says of a split, on a scale that members of all kinds share.

    Args:
        teacher: any.
        data: tells how inputs are read.
        split: the samples.

    Returns:
        ``(N, C)`` of float64: log-probabilities for classification, else logits or numbers.

    Raises:
        NotFiniteError: something is NaN or infinite.
    """
    parts = [teacher(batch).read("logits").double().cpu() for batch in sequential(data, split)]
    logits = torch.cat(parts).reshape(len(split), -1)
    bad = ~torch.isfinite(logits).all(1)
    if bool(bad.any()):
        raise NotFiniteError(
            f"member {getattr(teacher, 'name', teacher)} predicts NaN or infinity for "
            f"{int(bad.sum())} of {len(split)} held-out rows; lower its learning rate, or leave "
            "it out"
        )
    return (logits.log_softmax(1) if data.task == "classification" else logits).numpy()


def _trained(
    run: Run, parts: tuple[str | int, ...], name: str, data: Data, teaching: Teaching
) -> Teacher:
    stage, key = "-".join(map(str, parts)), keyed.key(run.seed, *parts)
    return for_data(maker_of(name).make(run, stage, key, name, data, teaching), data)


def _names(given: str | Sequence[Any], data: Data) -> list[str]:
    """The names, each of a member that learns."""
    several = [given] if isinstance(given, str) or not isinstance(given, Sequence) else [*given]
    if not several:
        raise ArgumentError("there are zero members; give at least one name, such as sklearn:ridge")
    for place, one in enumerate(several):
        if not isinstance(one, str) or not maker_of(one).learns(one, data):
            raise ArgumentError(
                f"member {place}, {one if isinstance(one, str) else repr(one)}, comes trained, and "
                "out-of-fold predictions need members that are trained anew for every fold; give "
                "names that learn here, or stack on a validation split that it did not see"
            )
    if data.task == "regression" and data.outputs > 1:
        raise ArgumentError(
            f"{data.name} has {data.outputs} targets, and members are stacked on one number a row; "
            "take one target at a time"
        )
    return several


def _check_folds(folds: Folds, data: Data) -> None:
    count = len(data.train)
    if len(folds.number) != count:
        raise ArgumentError(
            f"folds are of {len(folds.number)} rows and members learn from {count} rows of "
            f"{data.name}; make them of the rows of data.for_teachers().train"
        )
    if not folds.splits or not all(len(train) and len(held) for train, held in folds.splits):
        raise ArgumentError(
            f"folds has {len(folds.splits)} splits and each needs rows that train and rows that "
            "are held out; use fewer folds or more rows"
        )
