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


def read_rows(path: Path, space: InputSpace | None) -> Rows:
    """Read samples for a product.

    Args:
        path: a table, in which columns that the product does not read are left alone; a picture, or
            a folder of pictures, which are brought to the product's size; or an array of inputs
            before normalisation.
        space: what the product reads; None of one that reads texts, from a column ``text`` or
            ``sentence``.

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
    if path.is_file() and kind in TABLES:
        return _of_table(read_frames(path, kind)["train"], path, space)
    if path.is_file() and kind == "npy":
        return _of_array(path)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [one for one in files if one.suffix.lower() in SUFFIXES]
    if not files:
        raise DataError(f"{path} holds no samples; give {LAYOUTS}")
    return _of_pictures(files, path, space)


def _of_table(frame: pd.DataFrame, path: Path, space: InputSpace | None) -> Rows:
    ids = list(range(len(frame)))
    if space is None:
        column = next((name for name in TEXTS if name in frame), None)
        if column is None:
            known = ", ".join(map(str, frame.columns))
            raise DataError(f"{path} has no column {' or '.join(TEXTS)}, of {known}")
        texts = frame[column].tolist()
        wrong = [place for place, one in enumerate(texts) if not isinstance(one, str)]
        if wrong:
            raise DataError(f"{path}: column {column} holds no text in row {wrong[0]}")
        return Rows(ids, texts)
    if space.channels is not None:
        raise DataError(f"{path} is a table and the model reads pictures; give a folder of them")
    # Without names of its own, a product takes the columns as they stand.
    wanted = space.names or tuple(map(str, frame.columns))
    if not space.names and (len(wanted),) != space.shape:
        raise DataError(
            f"{path} has {len(wanted)} columns and the model reads {space.shape}; leave out "
            "targets and what else it was not trained on"
        )
    return Rows(ids, np.stack(_columns(frame, wanted, path), axis=1))


def _columns(
    frame: pd.DataFrame, wanted: tuple[str, ...], path: Path
) -> list[np.ndarray[Any, Any]]:
    """Inputs by name: a column of numbers, or whether a column holds a word."""
    frame = frame.set_axis(list(map(str, frame.columns)), axis=1)
    words: dict[str, set[str]] = {}
    found = []
    for name in wanted:
        if name in frame:
            found.append(_numbers(frame[name], path))
            continue
        column, equals, word = name.partition("=")
        while equals and column not in frame:  # a column's own name may hold the sign
            more, equals, word = word.partition("=")
            column = f"{column}={more}"
        if not equals:
            near = nearest(name.rpartition("=")[0] or name, list(frame.columns))
            raise DataError(f"{path} has no column {name.rpartition('=')[0] or name!r}; {near}")
        words.setdefault(column, set()).add(word)
        # An empty cell is none of the words.
        found.append((frame[column].map(str).to_numpy() == word).astype(np.float32))
    for column, known in words.items():
        if strange := sorted(set(map(str, frame[column].dropna())) - known):
            warnings.warn(
                f"{path}: column {column} holds words that training did not, which count as none: "
                f"{', '.join(strange[:SHOWN])}{' ...' if len(strange) > SHOWN else ''}",
                UnusualUseWarning,
                stacklevel=5,
            )
    return found


def _numbers(column: pd.Series[Any], path: Path) -> np.ndarray[Any, Any]:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float32)
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if len(wrong):
        row = int(wrong[0])
        cell = "is empty" if pd.isna(column.iloc[row]) else f"holds {column.iloc[row]!r}"
        raise DataError(
            f"{path}: column {column.name} {cell} in row {row}, and {len(wrong)} of {len(numbers)} "
            "rows hold no number there; fill or drop them"
        )
    return numbers


def _of_array(path: Path) -> Rows:
    try:
        x = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is no whole array of numbers ({error})") from None
    return Rows(list(range(len(x))) if x.ndim else [0], x)


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
