"""Tables: csv, JSON lines and Parquet files with a row a sample, of numbers or of texts."""

from __future__ import annotations

import gzip
import json
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.data.data import TASKS, TEST_SHARE, Data, assemble
from limbeck.data.options import check_options
from limbeck.data.pictures import SPLITS
from limbeck.data.splits import Split, TensorSplit, hold_out
from limbeck.data.texts import TextSplit
from limbeck.errors import DataError, UnusualUseWarning, nearest

if TYPE_CHECKING:
    import pandas as pd

TARGETS, TEXTS = ("y", "label", "labels", "target"), ("text", "sentence")
MANY_CLASSES, MANY_CATEGORIES, FAR_SPREAD = 100, 100, 100.0
Columns = list[str]


def read_csv(path: Path, **options: Any) -> Data:
    """Read a csv file; see `read_table`."""
    check_options(read_table, options)
    return read_table(path, "csv", **options)


def read_jsonl(path: Path, **options: Any) -> Data:
    """Read a file of one JSON object a line; see `read_table`."""
    check_options(read_table, options)
    return read_table(path, "jsonl", **options)


def read_table(
    path: Path,
    kind: str,
    *,
    target: str | None = None,
    text: str | None = None,
    task: str | None = None,
    drop: str = "",
    missing: str = "refuse",
    unit: float = 1.0,
) -> Data:
    """Read a table, or a folder with ``train`` and ``test`` (and ``validation``) tables.

    Args:
        path: the file or folder; files may be packed with gzip. A lone file has the last fifth of
            each class (of numbers a mixed fifth) cut off for the test split.
        kind: ``"csv"``, ``"jsonl"`` or ``"parquet"``.
        target: column to predict, or several with commas between them; None looks for ``y``,
            ``label``, ``labels`` or ``target``. Words and whole numbers are classes, other numbers
            are a regression, several columns of 0 and 1 are labels.
        text: column of texts, which are then the only input; None looks for ``text`` or
            ``sentence``.
        task: says what the targets are where that is not plain.
        drop: columns to leave out, with commas between them.
        missing: ``"refuse"`` stops at an empty cell, ``"mean"`` takes the training mean.
        unit: what targets of a regression are divided by, which their names then say.

    Returns:
        The data set. Numbers are standardised by the training split, words become one column of
        0 and 1 for each that occurs.

    Raises:
        DataError: a file does not read, a column is absent or has empty cells, or nothing is left
            to predict from; the columns there are get named.
    """
    if missing not in ("refuse", "mean"):
        raise DataError(f"missing is {missing!r}, expected refuse or mean")
    if task is not None and task not in TASKS:
        raise DataError(f"task is {task!r}, expected one of {', '.join(TASKS)}")
    check_unit(unit)
    frames = _without_index(read_frames(path, kind), path)
    first = next(iter(frames.values()))
    targets = target_columns(target, first, path)
    dropped = listed(drop)
    for name in (*targets, *dropped, *([text] if text else [])):
        for split, frame in frames.items():
            if name not in frame:
                near = nearest(name, list(map(str, first.columns)))
                raise DataError(f"{path} ({split}) has no column {name!r}; {near}")
    written = text or next((name for name in TEXTS if name in first and name not in targets), None)
    y, classes, task = read_targets(frames, targets, task, unit, path)
    if "test" not in frames:
        frames, y = _cut(frames["train"], y["train"])
    splits: dict[str, Split]
    names: Columns = []
    if written is not None:
        _check_texts(frames, written, path)
        splits = {
            name: TextSplit(frame[written].tolist(), y[name], frame.index.to_numpy(), named=False)
            for name, frame in frames.items()
        }
    else:
        kept = {name: frame.drop(columns=[*targets, *dropped]) for name, frame in frames.items()}
        x, names = _features(kept, missing, path)
        splits = {
            name: TensorSplit({"x": x[name], "y": y[name]}, frame.index.to_numpy(), named=False)
            for name, frame in frames.items()
        }
    data = assemble(
        splits["train"],
        splits["test"],
        splits.get("validation"),
        task=task,  # type: ignore[arg-type]
        classes=classes,
        standardise=written is None,
        name=path.name.split(".")[0],
    )
    if data.input_space is None:
        return data
    # A product knows its inputs by name: a table with other columns is refused, not misread.
    return replace(data, input_space=replace(data.input_space, names=tuple(names)))


def _without_index(frames: dict[str, pd.DataFrame], path: Path) -> dict[str, pd.DataFrame]:
    """Tables without a first column that has no name and numbers the rows, as pandas writes one."""
    index = next(iter(frames.values())).columns[0]
    if not str(index).startswith("Unnamed: 0") or len(next(iter(frames.values())).columns) == 1:
        return frames
    if any(frame[index].tolist() != list(range(len(frame))) for frame in frames.values()):
        return frames
    warnings.warn(
        f"the first column of {path.name} has no name and numbers the rows: it is left out; write "
        "tables without an index",
        UnusualUseWarning,
        stacklevel=4,
    )
    return {split: frame.drop(columns=[index]) for split, frame in frames.items()}


def check_unit(unit: Any) -> None:
    """Raise `DataError` unless targets can be divided by a unit."""
    if isinstance(unit, bool) or not isinstance(unit, (int, float)) or not unit > 0:
        raise DataError(f"unit is {unit!r}, expected a number above 0, such as ?unit=1000")


def table_files(path: Path, kind: str) -> dict[str, Path]:
    """The files of a folder that hold its splits, by the name of the split."""
    found = {}
    for split, names in SPLITS.items():
        candidates = [path / f"{name}.{kind}{end}" for name in names for end in ("", ".gz")]
        present = next((file for file in candidates if file.is_file()), None)
        if present is not None:
            found[split] = present
    if "train" not in found:
        lone = sorted([*path.glob(f"*.{kind}"), *path.glob(f"*.{kind}.gz")])
        found = {"train": lone[0]} if len(lone) == 1 else {}
    return found


def read_frames(path: Path, kind: str, *, as_written: bool = False) -> dict[str, pd.DataFrame]:
    """Tables by split, checked to be whole and to have the same columns.

    Args:
        path: a file, or a folder of a file a split.
        kind: ``"csv"``, ``"jsonl"`` or ``"parquet"``.
        as_written: leave cells of a csv file as the words that stand there, numbers too.
    """
    import pandas as pd

    cells: Any = {"dtype": str} if as_written else {}

    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        # Words such as None stay words; a csv does not tell the number 1 from the word.
        "csv": lambda file: pd.read_csv(file, keep_default_na=False, na_values=[""], **cells),
        "jsonl": lambda file: pd.DataFrame(_objects(file)),
        "parquet": pd.read_parquet,
    }
    files = {"train": path} if path.is_file() else table_files(path, kind)
    if not files:
        raise DataError(
            f"{path} holds no train.{kind} (and test.{kind}) and no lone {kind} file; name the file"
        )
    frames = {}
    for split, file in files.items():
        try:
            frame = readers[kind](file)
        except Exception as error:  # a damaged file can fail in its reader in any way
            raise DataError(f"{file} is no whole {kind} file ({error})") from None
        if not len(frame):
            raise DataError(f"{file} has no rows")
        frames[split] = frame.reset_index(drop=True)
    first = set(next(iter(frames.values())).columns)
    for split, frame in frames.items():
        if strange := sorted(map(str, first ^ set(frame.columns))):
            raise DataError(f"{path}: {split} and train do not share the columns {strange}")
    for name in first:
        for split, frame in frames.items():
            odd = [isinstance(one, (list, dict, np.ndarray)) for one in frame[name]]
            if any(odd):
                raise DataError(
                    f"{path} ({split}): column {name} holds no number or word in row "
                    f"{int(np.argmax(odd))}"
                )
    return frames


def _objects(file: Path) -> list[dict[str, Any]]:
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
        objects = [json.loads(line) for line in lines if line.strip()]
    if not all(isinstance(one, dict) for one in objects):
        raise ValueError("a line is no JSON object")
    return objects


def listed(names: str) -> Columns:
    """Names of columns that an option holds with commas between them."""
    return [name for name in str(names).split(",") if name]


def target_columns(target: str | None, first: pd.DataFrame, path: Path) -> Columns:
    """The columns to predict: those that are named, else the first of `TARGETS` that is there."""
    if target is not None:
        return listed(target)
    found = [name for name in TARGETS if name in first]
    if not found:
        raise DataError(
            f"{path} has no column {', '.join(TARGETS)}; say which one is the target with "
            f"?target=NAME, of {', '.join(map(str, first.columns))}"
        )
    return found[:1]


def read_targets(
    frames: dict[str, pd.DataFrame], targets: Columns, task: str | None, unit: float, path: Path
) -> tuple[dict[str, np.ndarray[Any, Any]], list[str], str]:
    """Targets by split, the names of classes, labels or numbers, and the task."""
    import pandas as pd

    for split, frame in frames.items():
        for name in targets:
            if (empty := frame[name].isna().to_numpy()).any():
                raise DataError(f"{path} ({split}): column {name} is empty in row {empty.argmax()}")
    whole = pd.concat([frame[targets] for frame in frames.values()])
    numeric = all(pd.api.types.is_numeric_dtype(whole[name]) for name in targets)
    if len(targets) > 1 and not numeric:
        raise DataError(f"{path}: several targets must be numbers, and {targets} hold words")
    labels = len(targets) > 1 and numeric and bool(whole.isin([0, 1]).all(axis=None))
    if (task == "multilabel" and not labels) or (task == "classification" and len(targets) > 1):
        raise DataError(
            f"{path}: task is {task} and the target {', '.join(targets)}: labels are several "
            "columns of 0 and 1, classes one column"
        )
    if labels and task != "regression":
        return _columns(frames, targets, np.float32), targets, "multilabel"
    column = whole[targets[0]]
    floats = numeric and pd.api.types.is_float_dtype(column)
    if task == "regression" or len(targets) > 1 or (floats and task is None):
        if not numeric:
            raise DataError(f"{path}: column {targets[0]} holds words, which are no regression")
        y = {name: one / unit for name, one in _columns(frames, targets, np.float64).items()}
        if (spread := float(y["train"].std())) > FAR_SPREAD:
            unit = 10 ** round(math.log10(spread))
            warnings.warn(
                f"targets of {path.name} have a standard deviation of {spread:.3g}, which networks "
                f"learn badly; give another unit, such as ?unit={unit:g}",
                UnusualUseWarning,
                stacklevel=4,
            )
        return (
            {n: one[:, 0] if len(targets) == 1 else one for n, one in y.items()},
            [one if unit == 1 else f"{one}/{unit:g}" for one in targets],
            "regression",
        )
    values = sorted(column.unique()) if numeric else sorted(column.unique(), key=str)
    if len(values) < 2:
        raise DataError(f"{path}: column {targets[0]} holds the same in every row: {values[0]!r}")
    if numeric and task is None and len(values) > max(MANY_CLASSES, len(column) // 10):
        raise DataError(
            f"{path}: column {targets[0]} holds {len(values)} different whole numbers; say "
            "?task=regression or ?task=classification"
        )
    numbers = {value: place for place, value in enumerate(values)}
    y = {name: frame[targets[0]].map(numbers).to_numpy(np.int64) for name, frame in frames.items()}
    return y, [str(value) for value in values], "classification"


def _columns(
    frames: dict[str, pd.DataFrame], names: Columns, kind: Any
) -> dict[str, np.ndarray[Any, Any]]:
    return {split: frame[names].to_numpy(kind) for split, frame in frames.items()}


def _cut(
    frame: pd.DataFrame, y: np.ndarray[Any, Any]
) -> tuple[dict[str, pd.DataFrame], dict[str, np.ndarray[Any, Any]]]:
    """Cut a test split off a lone table; rows keep their numbers."""
    train, test = hold_out(TensorSplit({"y": y}), TEST_SHARE, "test")
    rows = {"train": train.ids, "test": test.ids}
    return {n: frame.iloc[r] for n, r in rows.items()}, {n: y[r] for n, r in rows.items()}


def _check_texts(frames: dict[str, pd.DataFrame], column: str, path: Path) -> None:
    for split, frame in frames.items():
        wrong = [not isinstance(one, str) for one in frame[column]]
        if any(wrong):
            row = int(np.argmax(wrong))
            raise DataError(
                f"{path} ({split}): column {column} holds no text in row {row}: "
                f"{frame[column].iloc[row]!r}"
            )


def _features(
    frames: dict[str, pd.DataFrame], missing: str, path: Path
) -> tuple[dict[str, np.ndarray[Any, Any]], Columns]:
    """Numbers as they are, words as one column each, by split; and the names of the columns."""
    import pandas as pd

    whole = pd.concat(frames.values())
    if not len(whole.columns):
        raise DataError(f"{path} has no column to predict from besides its target")
    empty = [name for name in whole.columns if whole[name].isna().any()]
    if empty and missing == "refuse":
        counts = ", ".join(f"{name} ({int(whole[name].isna().sum())})" for name in empty)
        raise DataError(
            f"{path} has empty cells in {counts}; fill them, or take the training mean with "
            "?missing=mean, or leave columns out with ?drop=NAME"
        )
    parts: dict[str, list[np.ndarray[Any, Any]]] = {split: [] for split in frames}
    names: Columns = []
    for name in whole.columns:
        if pd.api.types.is_numeric_dtype(whole[name]):
            mean = float(frames["train"][name].mean())
            if not np.isfinite(mean):
                raise DataError(f"{path}: column {name} has no numbers in train; ?drop={name}")
            names.append(str(name))
            for split, frame in frames.items():
                values = frame[name].astype(np.float64).fillna(mean)
                parts[split].append(values.to_numpy(np.float32)[:, None])
            continue
        words = sorted(map(str, whole[name].dropna().unique()))
        if len(words) > MANY_CATEGORIES:
            raise DataError(
                f"{path}: column {name} holds {len(words)} different words; leave it out with "
                f"?drop={name}, or read it as text with ?text={name}"
            )
        names += [f"{name}={word}" for word in words]
        for split, frame in frames.items():
            # An empty cell is none of the words.
            said = frame[name].map(str).to_numpy()
            parts[split].append((said[:, None] == np.array(words)).astype(np.float32))
    return {split: np.concatenate(columns, axis=1) for split, columns in parts.items()}, names
