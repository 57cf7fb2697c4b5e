"""Rows without targets: samples that a product is asked about and nobody has labelled."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.data.pictures import SUFFIXES, decode
from limbeck.data.space import InputSpace
from limbeck.data.tables import TEXTS, read_frames
from limbeck.errors import DataError, UnusualUseWarning, nearest

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("csv", "jsonl", "parquet")
LAYOUTS = "a table (.csv, .jsonl, .parquet), a picture or a folder of pictures, or an array (.npy)"
# Wrong cells that a message shows.
SHOWN = 5


@dataclass(frozen=True)
class Rows:
    """Samples as a product takes them.

    Args:
        ids: of the samples: row numbers of a table or an array, names of picture files.
        x: before normalisation: ``(N, ...)``, or texts.
    """

    ids: list[Any]
    x: Any


def read_rows(
    path: Path, space: InputSpace | None, *, missing: str = "refuse", text: str | None = None
) -> Rows:
    """Read samples for a product.

    Args:
        path: a table, in which columns that the product does not read are left alone; a picture, or
            a folder of pictures, which are brought to the product's size; or an array of inputs
            before normalisation.
        space: what the product reads; None of one that reads texts.
        missing: of a table, ``"refuse"`` stops at an empty cell, ``"mean"`` takes the training mean
            of a column of numbers and none of the words of others.
        text: column of texts; None looks for ``text`` or ``sentence``.

    Raises:
        DataError: the file does not read, or lacks a column; a cell is empty or no number.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "rows.csv"
        >>> _ = file.write_text("colour,width\\nred,1.5\\nblue,2\\n")
        >>> space = InputSpace(size=(3,), names=("width", "colour=blue", "colour=red"))
        >>> read_rows(file, space).x.tolist()
        [[1.5, 0.0, 1.0], [2.0, 1.0, 0.0]]
    """
    if not path.exists():
        raise DataError(f"there is no file or folder {path}; give {LAYOUTS}")
    kind = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if missing not in ("refuse", "mean"):
        raise DataError(f"missing is {missing!r}, expected refuse or mean")
    if path.is_file() and kind in TABLES:
        frame = read_frames(path, kind, as_written=True)["train"]
        frame = frame.set_axis(list(map(str, frame.columns)), axis=1)
        if space is None:
            return _of_texts(frame, path, text)
        return _of_table(frame, path, space, missing == "mean")
    if path.is_file() and kind == "npy":
        return _of_array(path, space)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [one for one in files if one.suffix.lower() in SUFFIXES]
    if not files:
        raise DataError(f"{path} holds no samples; give {LAYOUTS}")
    return _of_pictures(files, path, space)


def _of_texts(frame: pd.DataFrame, path: Path, column: str | None) -> Rows:
    wanted = TEXTS if column is None else (column,)
    found = next((name for name in wanted if name in frame), None)
    if found is None:
        known = ", ".join(frame.columns)
        raise DataError(
            f"{path} has no column {' or '.join(wanted)}, of {known}; name it with ?text=NAME"
        )
    texts = frame[found].tolist()
    wrong = [place for place, one in enumerate(texts) if not isinstance(one, str)]
    if wrong:
        raise DataError(f"{path}: column {found} holds no text in row {wrong[0]}")
    return Rows(list(range(len(texts))), texts)


def _of_table(frame: pd.DataFrame, path: Path, space: InputSpace, filled: bool) -> Rows:
    if space.channels is not None:
        raise DataError(f"{path} is a table and the model reads pictures; give a folder of them")
    # Without names of its own, a product takes the columns as they stand.
    wanted = space.names or tuple(frame.columns)
    if not space.names and (len(wanted),) != space.shape:
        raise DataError(
            f"{path} has {len(wanted)} columns and the model reads {space.shape}; leave out "
            "targets and what else it was not trained on"
        )
    means = space.mean or (0.0,) * len(wanted)
    words: dict[str, set[str]] = {}
    found = []
    for name, mean in zip(wanted, means, strict=True):
        if name in frame:
            found.append(_numbers(frame[name], path, mean if filled else None))
            continue
        column, word = _column_and_word(name, list(frame.columns), path)
        words.setdefault(column, set()).add(word)
        found.append((frame[column].map(str).to_numpy() == word).astype(np.float32))
    for column, known in words.items():
        _check_words(frame[column], known, path, filled)
    return Rows(list(range(len(frame))), np.stack(found, axis=1))


def _column_and_word(name: str, columns: list[str], path: Path) -> tuple[str, str]:
    """Take ``column=word`` apart at the longest column that there is."""
    parts = name.split("=")
    for cut in range(len(parts) - 1, 0, -1):
        column = "=".join(parts[:cut])
        if column in columns:
            return column, "=".join(parts[cut:])
    wanted = name.rpartition("=")[0] or name
    raise DataError(f"{path} has no column {wanted!r}; {nearest(wanted, columns)}")


def _check_words(column: pd.Series[Any], known: set[str], path: Path, filled: bool) -> None:
    """Refuse empty cells, and warn of words that training did not hold."""
    empty = np.flatnonzero(column.isna().to_numpy())
    if len(empty) and not filled:
        raise _refused(column, path, empty)
    if strange := sorted(set(map(str, column.dropna())) - known):
        warnings.warn(
            f"{path}: column {column.name} holds words that training did not, which count as none: "
            f"{', '.join(strange[:SHOWN])}{' ...' if len(strange) > SHOWN else ''}",
            UnusualUseWarning,
            stacklevel=5,
        )


def _numbers(column: pd.Series[Any], path: Path, mean: float | None) -> np.ndarray[Any, Any]:
    """A column of numbers; with a mean, that is what empty cells hold."""
    import pandas as pd

    truth = {"True": 1.0, "False": 0.0}
    written = column.map(lambda cell: truth.get(str(cell), cell))
    numbers = pd.to_numeric(written, errors="coerce").to_numpy(np.float32, copy=True)
    if mean is not None:
        numbers[column.isna().to_numpy()] = mean
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if len(wrong):
        raise _refused(column, path, wrong)
    return numbers


def _refused(column: pd.Series[Any], path: Path, wrong: np.ndarray[Any, Any]) -> DataError:
    import pandas as pd

    row = int(wrong[0])
    empty = bool(pd.isna(column.iloc[row]))
    cell = "is empty" if empty else f"holds {column.iloc[row]!r}"
    fix = ", or take the training mean with ?missing=mean" if empty else ""
    return DataError(
        f"{path}: column {column.name} {cell} in row {row}, and {len(wrong)} of {len(column)} rows "
        f"hold nothing of use there; fill or drop them{fix}"
    )


def _of_array(path: Path, space: InputSpace | None) -> Rows:
    try:
        x = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is no whole array of numbers ({error})") from None
    if x.dtype.kind not in "biuf" or not x.ndim or not len(x):
        raise DataError(
            f"{path} holds {x.dtype} of shape {x.shape}, expected numbers (N, ...) of a sample at "
            "least"
        )
    if space is not None and x.shape in (space.shape, space.size):
        x = x[None]
    return Rows(list(range(len(x))), x)


def _of_pictures(files: list[Path], path: Path, space: InputSpace | None) -> Rows:
    if space is None or space.channels is None:
        what = "texts" if space is None else "rows of numbers"
        raise DataError(f"{path} holds pictures and the model reads {what}; give a table")
    height, width = space.size
    pictures = []
    for file in files:
        try:
            picture = decode(file, height if height == width else None, space.channels)
        except Exception as error:  # a damaged picture can fail in its decoder in any way
            raise DataError(f"{file} does not decode ({error}); leave it out") from None
        if picture.shape[1:] != space.size:
            raise DataError(
                f"{file} has {picture.shape[1]} x {picture.shape[2]} pixels and the model reads "
                f"{height} x {width}; only squares are resized"
            )
        pictures.append(picture)
    root = path if path.is_dir() else path.parent
    return Rows([one.relative_to(root).as_posix() for one in files], np.stack(pictures))
