"""Tables of out-of-fold predictions: a column a member, or a column a member and class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from limbeck.data.data import TASKS, TEST_SHARE, Data
from limbeck.data.predictions import Scores, assembled, prediction_split
from limbeck.data.splits import Indices, Split, hold_out
from limbeck.data.tables import (
    check_unit,
    listed,
    read_frames,
    read_targets,
    table_files,
    target_columns,
)
from limbeck.errors import DataError, nearest

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("parquet", "csv", "jsonl")
ID, FOLD = "id", "fold"


def read_oof(
    path: Path,
    *,
    target: str | None = None,
    task: str | None = None,
    scores: Scores = "probabilities",
    drop: str = "",
    unit: float = 1.0,
) -> Data:
    """Read a table of out-of-fold predictions, or a folder with ``train`` and ``test`` tables.

    For numbers every column of numbers is a member. For classes a column is called
    ``member:class``, and each member has all classes. A column ``id`` holds whole numbers that
    name the rows, a column ``fold`` stays beside the predictions.

    Args:
        path: a Parquet, csv or JSON-lines file, or a folder.
        target: column to predict; None looks for ``y``, ``label``, ``labels`` or ``target``.
            Words and whole numbers are classes, other numbers a regression.
        task: ``"classification"`` or ``"regression"`` where that is not plain.
        scores: what columns of classes hold: ``"probabilities"`` or ``"logits"``.
        drop: columns to leave out, with commas between them.
        unit: what targets and predictions of a regression are divided by.

    Returns:
        The data set, with ``members``.

    Raises:
        DataError: a column is absent or holds no numbers, or a member lacks a class.
    """
    if task not in (None, "classification", "regression"):
        raise DataError(f"task is {task!r}, expected classification or regression")
    check_unit(unit)
    frames = read_frames(path, _kind(path))
    first = next(iter(frames.values()))
    targets = target_columns(target, first, path)
    dropped = listed(drop)
    for column in (*targets, *dropped):
        if column not in first:
            near = nearest(column, list(map(str, first.columns)))
            raise DataError(f"{path} has no column {column!r}; {near}")
    y, observed, found = read_targets(frames, targets, task, unit, path)
    if found not in TASKS[:2] or len(targets) > 1:
        raise DataError(
            f"{path}: predictions have one target, and {', '.join(targets)} are several"
        )
    columns = [str(one) for one in first if one not in (*targets, *dropped, ID, FOLD)]
    for split, frame in frames.items():
        _check_numbers(frame, columns, f"{path} ({split})")
    names: tuple[str, ...] = tuple(columns)
    classes: list[str] | None = None
    if found == "regression":
        said = {
            split: frame[columns].to_numpy(np.float64) / unit for split, frame in frames.items()
        }
        classes = observed
    else:
        names, classes = _by_class(columns, observed, path)
        order = [f"{one}:{label}" for one in names for label in classes]
        shape = (-1, len(names), len(classes))
        said = {n: one[order].to_numpy(np.float64).reshape(shape) for n, one in frames.items()}
        moved = np.array([classes.index(label) for label in observed])
        y = {split: moved[labels] for split, labels in y.items()}
    splits: dict[str, Split] = {}
    for split, frame in frames.items():
        what = f"{path} ({split})"
        beside = {FOLD: _whole(frame, FOLD, what)} if FOLD in frame else {}
        splits[split] = prediction_split(
            said[split],
            y[split],
            names,
            scores,
            what,
            ids=_ids(frame, what),
            named=ID in frame,
            **beside,
        )
    if "test" not in splits:
        splits["train"], splits["test"] = hold_out(splits["train"], TEST_SHARE, "test")
    title = path.name.split(".")[0]
    chosen = splits.get("validation")
    return assembled(splits["train"], splits["test"], chosen, names, classes, title)


def _kind(path: Path) -> str:
    if path.is_dir():
        return next((kind for kind in KINDS if table_files(path, kind)), KINDS[0])
    kind = next((kind for kind in KINDS if f".{kind}" in path.suffixes), None)
    if kind is None:
        raise DataError(f"{path} is no {', '.join(KINDS)} file; name one of these")
    return kind


def _check_numbers(frame: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    from pandas.api.types import is_numeric_dtype

    words = [str(name) for name in columns if not is_numeric_dtype(frame[name])]
    if words or not len(columns):
        said = f"columns {', '.join(words)} hold words" if words else "there is no other column"
        raise DataError(
            f"{what}: every column but target, id and fold is the predictions of a member, and "
            f"{said}; leave columns out with ?drop=NAME"
        )
    empty = [str(name) for name in columns if frame[name].isna().any()]
    if empty:
        raise DataError(
            f"{what} has empty cells in {', '.join(empty)}; drop rows that a member did not "
            "predict, such as the oldest of a time series"
        )


def _by_class(
    columns: Sequence[str], observed: Sequence[str], path: Path
) -> tuple[tuple[str, ...], list[str]]:
    """Members, and classes in their order, of columns ``member:class``."""
    found: dict[str, list[str]] = {}
    for column in columns:
        member, colon, label = str(column).rpartition(":")
        if not colon:
            raise DataError(
                f"{path}: column {column!r} is not called member:class, and the target holds "
                f"classes; rename it, leave it out with ?drop={column}, or say ?task=regression"
            )
        found.setdefault(member, []).append(label)
    every = {*observed, *(label for labels in found.values() for label in labels)}
    numbers = all(label.lstrip("-").isdigit() for label in every)
    classes = sorted(every, key=int) if numbers else sorted(every)
    for member, labels in found.items():
        missing = [label for label in classes if label not in labels]
        if missing:
            raise DataError(
                f"{path}: member {member} has no column for class {', '.join(missing)}; expected "
                f"{member}:{missing[0]}"
            )
    return tuple(found), classes


def _ids(frame: pd.DataFrame, what: str) -> Indices:
    if ID not in frame:
        return frame.index.to_numpy(np.int64)
    given = _whole(frame, ID, what)
    if len(np.unique(given)) < len(given):
        raise DataError(f"{what}: column {ID} holds a number more than once; rows need their own")
    return given


def _whole(frame: pd.DataFrame, column: str, what: str) -> Indices:
    if frame[column].dtype.kind not in "iu":
        raise DataError(f"{what}: column {column} holds no whole numbers; rename or ?drop={column}")
    return frame[column].to_numpy(np.int64)
