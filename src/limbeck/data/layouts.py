"""File layouts: data sets read from files and folders, whatever their name and classes."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.beir import is_beir, read_beir
from limbeck.data.data import Data, assemble
from limbeck.data.options import check_options
from limbeck.data.pictures import SPLITS, decode, read_pictures
from limbeck.data.splits import TensorSplit
from limbeck.data.tables import read_csv, read_jsonl, read_table, table_files
from limbeck.data.tu_files import is_graphs, read_graphs
from limbeck.data.xyz import is_xyz, read_xyz
from limbeck.errors import DataError

INPUTS, TARGETS = ("x", "images", "image"), ("y", "labels", "label")
# What stands beside class folders and says more about their pictures; no table of samples.
LABELS = "labels.csv"
BROKEN = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


def read_npz(path: Path, *, size: int | None = None) -> Data:
    """Read one npz file with the arrays ``x_train, y_train, x_test, y_test``.

    Args:
        path: the file, or a folder that holds exactly one. ``images_`` or ``image_`` may stand
            for ``x_``, ``labels_`` or ``label_`` for ``y_``; validation arrays and
            ``class_names`` are read where present.
        size: resize images to this many pixels a side.

    Returns:
        The data set, standardised by the statistics of its training split.

    Raises:
        DataError: the file is damaged, or arrays are missing or hold pickled objects.
    """
    _check_size(size)
    file = _one_file(path, "*.npz")
    with _open(file) as arrays:
        found: dict[str, TensorSplit] = {}
        for split, names in SPLITS.items():
            x = _first(arrays.files, INPUTS, names)
            y = _first(arrays.files, TARGETS, names)
            if x and y:
                found[split] = _image_split(_read(arrays, x, file), _read(arrays, y, file), size)
        classes = None
        if "class_names" in arrays:
            words = _read(arrays, "class_names", file).tolist()
            classes = [word.decode() if isinstance(word, bytes) else word for word in words]
        missing = [split for split in ("train", "test") if split not in found]
        if missing:
            raise DataError(
                f"{file} has no arrays for {' and '.join(missing)}: expected x_train, y_train, "
                f"x_test, y_test, found {', '.join(arrays.files)}"
            )
    return _assemble(found, classes, path)


def read_parquet(path: Path, **options: Any) -> Data:
    """Read Parquet files: pictures where there is a column of them, else a table."""
    files = {"train": path} if path.is_file() else table_files(path, "parquet")
    image = str(options.get("image", "image"))
    schemas = [_schema(file) for file in files.values()]
    if path.is_dir() and ("image" in options or any(_has_pictures(one, image) for one in schemas)):
        check_options(read_encoded, options)
        return read_encoded(path, **options)
    check_options(read_table, options)
    return read_table(path, "parquet", **options)


def _has_pictures(schema: Any, column: str) -> bool:
    from pyarrow import types

    if column not in schema.names:
        return False
    kind = schema.field(column).type
    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_struct(kind)


def _schema(file: Path) -> Any:
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_schema(file)
    except BROKEN as error:
        raise DataError(f"{file} is no whole Parquet file ({error})") from None


def read_encoded(
    path: Path, *, image: str = "image", label: str = "label", size: int | None = None
) -> Data:
    """Read a folder with ``train.parquet`` and ``test.parquet``, an encoded picture a row.

    Args:
        path: the folder; ``validation.parquet`` or ``valid.parquet`` is read where present.
        image: column of the bytes of a JPEG or PNG file, or of Hugging Face's
            ``{"bytes", "path"}`` records.
        label: column of class numbers or names.
        size: resize pictures to this many pixels a side; needed where their sizes differ.

    Returns:
        The data set, standardised by the statistics of its training split.

    Raises:
        DataError: a file or column is missing, or a picture does not decode (named).
    """
    import pandas as pd

    _check_size(size)
    tables: dict[str, Any] = {}
    for split, names in SPLITS.items():
        file = next((path / f"{name}.parquet" for name in names if _is_file(path, name)), None)
        if file is None:
            continue
        try:
            table = pd.read_parquet(file)
        except BROKEN as error:
            raise DataError(f"{file} is no whole Parquet file ({error})") from None
        absent = [str(column) for column in (image, label) if column not in table]
        if absent:
            present = ", ".join(map(str, table.columns))
            raise DataError(f"{file} has no column {' or '.join(absent)}; it has {present}")
        if (empty := table[label].isna().to_numpy()).any():
            raise DataError(f"{file}: column {label} is empty in row {empty.argmax()}")
        tables[split] = table
    missing = [split for split in ("train", "test") if split not in tables]
    if missing:
        raise DataError(f"{path} has no {' and no '.join(f'{name}.parquet' for name in missing)}")
    classes = None
    if tables["train"][label].dtype.kind not in "iu":
        classes = sorted({str(name) for table in tables.values() for name in table[label]})
    pictures = {
        split: decode_images(table[image].tolist(), size, f"{path.name} {split}")
        for split, table in tables.items()
    }
    channels = max(x.shape[1] for x in pictures.values())
    found = {}
    for split, x in pictures.items():
        labels = tables[split][label]
        y = labels.map(str).map(classes.index) if classes else labels
        x = x if x.shape[1] == channels else np.repeat(x, channels, axis=1)
        found[split] = TensorSplit({"x": x, "y": y.to_numpy()})
    return _assemble(found, classes, path)


def decode_images(
    encoded: list[Any], size: int | None, what: str
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Decode pictures into one uint8 array ``(N, C, H, W)``; grey only if all of them are.

    Args:
        encoded: bytes of picture files, or records with the key ``"bytes"``.
        size: resize to this many pixels a side, or None to keep the size that all share.
        what: name of the set in errors.

    Returns:
        The pictures.

    Raises:
        DataError: one does not decode (its position is named), or sizes differ.
    """

    def one(place: int) -> np.ndarray[Any, Any]:
        content = encoded[place]
        raw: Any = content.get("bytes") if isinstance(content, dict) else content
        try:
            return decode(raw, size)
        except Exception as error:  # a damaged picture can fail in its decoder in any way
            raise DataError(f"{what}: picture {place} does not decode ({error})") from None

    # The decoders release the interpreter lock, so threads share the work.
    with ThreadPoolExecutor() as pool:
        pictures = list(pool.map(one, range(len(encoded))))
    sizes = {picture.shape[1:] for picture in pictures}
    if len(sizes) > 1:
        raise DataError(
            f"{what}: pictures have {len(sizes)} different sizes, such as {sorted(sizes)[:2]}; "
            "give one with ?size=32 behind the name"
        )
    channels = max((picture.shape[0] for picture in pictures), default=1)
    even = [np.broadcast_to(picture, (channels, *picture.shape[1:])) for picture in pictures]
    return np.stack(even) if even else np.empty((0, 1, 1, 1), np.uint8)


def read_folder(path: Path, **options: Any) -> Any:
    """Read a folder of the data root in whichever layout it is in.

    Raises:
        DataError: no layout fits; what was found is listed.
    """
    if is_beir(path):
        check_options(read_beir, options)
        return read_beir(path, **options)
    if is_xyz(path):
        check_options(read_xyz, options)
        return read_xyz(path, **options)
    if is_graphs(path):
        check_options(read_graphs, options)
        return read_graphs(path, **options)
    readers: list[tuple[str, Callable[..., Data]]] = [
        ("*.parquet", read_parquet),
        ("*.npz", read_npz),
        ("*.csv*", read_csv),
        ("*.jsonl*", read_jsonl),
    ]
    inside = path.is_dir() and any(entry.is_dir() for entry in path.iterdir())
    for pattern, reader in readers:
        if any(not inside or file.name != LABELS for file in path.glob(pattern)):
            check_options(reader, options)
            return reader(path, **options)
    if inside:
        check_options(read_pictures, options)
        return read_pictures(path, **options)
    names = sorted(file.name for file in path.iterdir()) if path.is_dir() else []
    found = ", ".join(names) or "nothing"
    raise DataError(
        f"{path} is in no layout that limbeck reads: expected one npz file, tables (parquet, csv, "
        "jsonl), a corpus.jsonl with queries, files of extended XYZ, graphs, or a sub-folder of "
        f"pictures a class, found {found}"
    )


def _check_size(size: Any) -> None:
    if size is not None and (type(size) is not int or size < 1):
        raise DataError(f"size is {size!r}, expected a whole number of pixels, such as ?size=32")


def _assemble(found: dict[str, TensorSplit], classes: list[str] | None, path: Path) -> Data:
    return assemble(
        found["train"],
        found["test"],
        found.get("validation"),
        classes=classes,
        standardise=True,
        name=path.stem if path.is_file() else path.name,
    )


def _image_split(x: Any, y: Any, size: int | None) -> TensorSplit:
    if x.ndim == 4 and x.shape[-1] in (1, 3) and x.shape[1] not in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim == 3:
        x = x[:, None]
    if size is not None and x.ndim == 4:
        import torch
        from torch.nn.functional import interpolate

        pixels = interpolate(torch.from_numpy(x).float(), (size, size), mode="area").numpy()
        x = (pixels if x.dtype.kind == "f" else pixels.round()).astype(x.dtype)
    return TensorSplit({"x": x, "y": y})


def _first(present: list[str], stems: tuple[str, ...], splits: tuple[str, ...]) -> str | None:
    names = (f"{stem}_{split}" for split in splits for stem in stems)
    return next((name for name in names if name in present), None)


def _open(file: Path) -> Any:
    try:
        arrays = np.load(file, allow_pickle=False)
    except BROKEN as error:
        raise DataError(f"{file} is no whole npz file ({error})") from None
    if isinstance(arrays, np.ndarray):
        raise DataError(f"{file} is no whole npz file: it holds a single array")
    return arrays


def _read(arrays: Any, name: str, file: Path) -> np.ndarray[Any, Any]:
    try:
        return arrays[name]
    except BROKEN as error:
        if "allow_pickle" not in str(error):
            raise DataError(f"{file} is no whole npz file: array {name} ({error})") from None
        raise DataError(
            f"{file}: array {name} holds pickled objects, which are not read; save plain numbers"
        ) from None


def _one_file(path: Path, pattern: str) -> Path:
    if path.is_file():
        return path
    files = sorted(path.glob(pattern))
    if len(files) != 1:
        raise DataError(f"{path} holds {len(files)} files {pattern}, expected one; name the file")
    return files[0]


def _is_file(folder: Path, name: str) -> bool:
    return (folder / f"{name}.parquet").is_file()
