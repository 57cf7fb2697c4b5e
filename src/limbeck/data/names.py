"""Data sets by name: embedded, a file or folder behind a prefix, or a folder of the data root."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limbeck.data.beir import read_beir
from limbeck.data.data import Data, from_arrays
from limbeck.data.docstrings import docstrings
from limbeck.data.embedded import EMBEDDED
from limbeck.data.force_data import ForceData
from limbeck.data.graph_data import GraphData
from limbeck.data.layouts import read_folder, read_npz, read_parquet
from limbeck.data.molecules import molecules
from limbeck.data.motif_graphs import motif_graphs
from limbeck.data.oof import read_oof
from limbeck.data.options import COUNTS, check_options
from limbeck.data.retrieval import RetrievalData
from limbeck.data.tables import read_csv, read_jsonl
from limbeck.data.tu_files import read_graphs
from limbeck.data.xyz import read_xyz
from limbeck.errors import DataError, UnknownNameError, absent, nearest
from limbeck.naming import split_name

ROOT = "LIMBECK_DATA"
SETS: dict[str, Callable[..., Any]] = {
    **EMBEDDED,
    "docstrings": docstrings,
    "molecules": molecules,
    "motif-graphs": motif_graphs,
}
# Kinds of data that are no arrays, and cut themselves.
KINDS = (RetrievalData, ForceData, GraphData)
READERS: dict[str, Callable[..., Any]] = {
    "npz": read_npz,
    "parquet": read_parquet,
    "csv": read_csv,
    "jsonl": read_jsonl,
    "folder": read_folder,
    "oof": read_oof,
    "beir": read_beir,
    "xyz": read_xyz,
    "tu": read_graphs,
}


def resolve(data: Any, *, seed: int = 0) -> Any:
    """Return the data set that a name or object stands for.

    Args:
        data: a `Data`, a `RetrievalData`, a `ForceData`, a `GraphData`, a pair of arrays
            ``(x, y)``, or a name: ``digits``, or points in the plane such as ``ring8-2c``;
            ``docstrings``, a corpus with queries; ``molecules``, small molecules labelled by a
            tight-binding method; ``motif-graphs``, drawn graphs with planted motifs;
            ``npz:FILE``, ``parquet:PATH``, ``csv:PATH``, ``jsonl:PATH`` (tables of numbers or
            texts), ``oof:PATH`` (a table of out-of-fold predictions of models), ``folder:FOLDER``
            (pictures, a sub-folder a class), ``beir:FOLDER`` (a corpus with queries), ``xyz:PATH``
            (labelled frames of atoms), ``tu:PATH`` (labelled graphs); or the name of a folder of
            the data root (the environment variable LIMBECK_DATA). Options ride behind a question
            mark: ``labels=200`` keeps that many training samples (queries, frames, graphs) for the
            student, the others going to teachers trained here; ``samples=200`` keeps that many
            (documents, and the queries that they answer) for all of them; ``size=32`` resizes
            images, ``titles=false`` leaves out titles of documents, ``files=NAME+NAME`` chooses
            files of a folder of frames, ``set=NAME`` one of several sets of graphs.
        seed: decides which samples ``labels`` and ``samples`` keep.

    Returns:
        The data set: a `Data`, a `RetrievalData` where the name is of a corpus, a `ForceData` where
        it is of frames of atoms, or a `GraphData` where it is of graphs.

    Raises:
        DataError: there is no such set (the nearest name is suggested), or it does not read.

    Example:
        >>> len(resolve("digits?labels=50").train)
        50
    """
    if isinstance(data, (Data, *KINDS)):
        return data
    if isinstance(data, (tuple, list)) and len(data) == 2 and not isinstance(data[0], str):
        return from_arrays(*data)
    if not isinstance(data, str):
        raise DataError(
            f"data is a {type(data).__name__}, expected a name, a Data, or a pair (x, y); for "
            "torch data sets use limbeck.data.from_datasets(train, test)"
        )
    prefix, rest, options = split_name(data)
    counts = {name: options.pop(name, None) for name in COUNTS}
    for name, count in counts.items():
        if count is not None and type(count) is not int:
            raise DataError(f"{data}: {name} is {count!r}, expected a whole number")
    found = _read(prefix, rest, options)
    if counts["samples"] is not None:
        found = _cut(found, counts["samples"], seed)
    return found if counts["labels"] is None else found.few(counts["labels"], seed=seed)


def _cut(found: Any, samples: int, seed: int) -> Any:
    """A part of a data set for all who learn from it."""
    if isinstance(found, KINDS):
        return found.part(samples, seed=seed)
    return dataclasses.replace(found.few(samples, seed=seed), rest=None)


def _read(prefix: str, rest: str, options: dict[str, Any]) -> Any:
    if prefix:
        if prefix not in READERS:
            raise UnknownNameError(
                f"no data is known under {prefix + ':'!r}; {nearest(prefix, READERS)}"
            )
        path = Path(rest).expanduser()
        if not path.exists():
            raise UnknownNameError(absent(path))
        check_options(READERS[prefix], options)
        return READERS[prefix](path, **options)
    if rest in SETS:
        check_options(SETS[rest], options)
        return SETS[rest](**options)
    root = os.environ.get(ROOT)
    inside = rest not in ("", ".", "..") and not Path(rest).is_absolute()
    if root and inside and (Path(root) / rest).is_dir():
        return read_folder(Path(root) / rest, **options)
    if "/" in rest and Path(rest).expanduser().is_dir():
        raise UnknownNameError(
            f"{rest} is a folder and no name of a data set; write folder:{rest}, which reads it in "
            f"whichever layout it is, or name the layout: {', '.join(READERS)}"
        )
    names = [*SETS, *(f"{prefix}:PATH" for prefix in READERS)]
    where = (
        "and the data root has no such folder"
        if root
        else f"and {ROOT} is not set, which names a folder whose sub-folders are data sets "
        "(--data-root)"
    )
    if root and Path(root).is_dir():
        names += [entry.name for entry in Path(root).iterdir() if entry.is_dir()]
    raise UnknownNameError(f"there is no data set {rest!r}, {where}; {nearest(rest, names)}")
