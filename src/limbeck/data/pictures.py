"""Pictures: files decoded when a batch needs them, in the loader's worker processes."""

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.data.data import TEST_SHARE, Data, assemble
from limbeck.data.space import InputSpace
from limbeck.data.splits import Indices, Split, hold_out
from limbeck.errors import DataError, UnusualUseWarning
from limbeck.fingerprint import fingerprint

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
STATISTICS_SAMPLES = 512
# Names under which the splits of a set are found, the first one being the usual.
SPLITS = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


def decode(content: bytes | Path, size: int | None, channels: int | None = None) -> np.ndarray:
    """Decode one picture.

    Args:
        content: the bytes of a JPEG, PNG or other picture file, or the path of one.
        size: resize to this many pixels a side, or None to keep the size.
        channels: 1 or 3; None keeps grey pictures grey and makes all others colour.

    Returns:
        uint8 pixels ``(channels, H, W)``.

    Raises:
        Exception: the picture does not decode; a damaged one can fail in its decoder in any way.
    """
    from PIL import Image

    source: Any = content if isinstance(content, Path) else io.BytesIO(content)
    with Image.open(source) as picture:
        if size is not None and picture.format == "JPEG":
            # The decoder can leave out detail that resizing would throw away.
            picture.draft(None, (size, size))
        if picture.mode.startswith("I"):  # sixteen bits, which would be cut off at 255
            shown = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
        else:
            shown = picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")
    if channels is not None:
        shown = shown.convert("L" if channels == 1 else "RGB")
    if size is not None and shown.size != (size, size):
        shown = shown.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(shown)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


class PictureSplit:
    """Labelled picture files, read when they are needed.

    Args:
        files: the pictures.
        labels: class indices ``(N,)``.
        size: pixels a side, or None where all pictures have one size.
        channels: 1 or 3.
        root: fingerprints name files relative to it, so that a moved folder stays the same data.
    """

    def __init__(
        self, files: list[Path], labels: list[int], size: int | None, channels: int, root: Path
    ) -> None:
        self._files, self._size, self._channels, self._root = files, size, channels, root
        self._y = torch.tensor(labels, dtype=torch.int64)
        self.ids = np.arange(len(files), dtype=np.int64)

    def __len__(self) -> int:
        return len(self._files)

    @property
    def y(self) -> Tensor | None:
        return self._y

    @cached_property
    def fingerprint(self) -> str:
        # Names and lengths: reading every picture to name the data could take an hour.
        names = [str(file.relative_to(self._root)) for file in self._files]
        lengths = [file.stat().st_size for file in self._files]
        return fingerprint(names, lengths, self._y, self._size, self._channels)

    def take(self, indices: Indices) -> dict[str, Tensor]:
        pictures = [self._picture(int(index)) for index in indices]
        shapes = {picture.shape for picture in pictures}
        if len(shapes) > 1:
            raise DataError(
                f"pictures of {self._root.name} have different sizes, such as "
                f"{sorted(shape[1:] for shape in shapes)[:2]}; give one with ?size=64"
            )
        index = torch.from_numpy(np.ascontiguousarray(indices))
        return {"x": torch.from_numpy(np.stack(pictures)), "y": self._y[index]}

    def _picture(self, index: int) -> np.ndarray:
        file = self._files[index]
        try:
            return decode(file, self._size, self._channels)
        except Exception as error:  # a damaged picture can fail in its decoder in any way
            raise DataError(
                f"{file} does not decode ({error}); remove it, or leave out such files with "
                "?unreadable=skip"
            ) from None


def read_pictures(path: Path, *, size: int | None = None, unreadable: str = "refuse") -> Data:
    """Read a folder of pictures, one sub-folder a class; nothing is decoded before it is needed.

    Args:
        path: holds class folders, or the folders ``train`` and ``test`` (and ``validation``) that
            hold them. Without ``test`` the last fifth of each class, by name, is cut off for it.
        size: resize to this many pixels a side; needed where sizes differ.
        unreadable: ``"refuse"`` stops at a picture that does not decode and names it; ``"skip"``
            looks at all pictures first and leaves such ones out with a warning.

    Returns:
        The data set, standardised by the statistics of up to 512 training pictures.

    Raises:
        DataError: there are no class folders, a class has no pictures, or a split has a class
            that the training split lacks.
    """
    if unreadable not in ("refuse", "skip"):
        raise DataError(f"unreadable is {unreadable!r}, expected refuse or skip")
    parts = {
        split: next((path / name for name in names if (path / name).is_dir()), None)
        for split, names in SPLITS.items()
    }
    root = parts["train"] or path
    classes = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    if not classes:
        raise DataError(f"{root} has no sub-folders: put the pictures of each class into one")
    listed = _list_class_folders(root, classes, unreadable)
    channels = 1 if all(_is_grey(files[0]) for files in listed) else 3

    def split_of(place: Path, files: list[list[Path]]) -> PictureSplit:
        flat = [file for one in files for file in one]
        labels = [label for label, one in enumerate(files) for _ in one]
        return PictureSplit(flat, labels, size, channels, place)

    train: Split = split_of(root, listed)
    others: dict[str, Split] = {}
    for name in ("validation", "test"):
        place = parts[name] if parts["train"] else None
        if place is not None:
            strange = {entry.name for entry in place.iterdir() if entry.is_dir()} - set(classes)
            if strange:
                raise DataError(f"{place} has classes that {root} lacks: {sorted(strange)}")
            others[name] = split_of(place, _list_class_folders(place, classes, unreadable))
    if "test" not in others:
        train, others["test"] = hold_out(train, TEST_SHARE, "test")
    space = _statistics(train, channels)
    return assemble(
        train,
        others["test"],
        others.get("validation"),
        classes=classes,
        input_space=space,
        name=path.name,
    )


def _list_class_folders(root: Path, classes: list[str], unreadable: str) -> list[list[Path]]:
    listed = []
    for name in classes:
        files = sorted(file for file in (root / name).rglob("*") if file.suffix.lower() in SUFFIXES)
        if unreadable == "skip":
            files = readable(files, f"{root.name}/{name}")
        if not files:
            raise DataError(
                f"{root / name} has no pictures; add some or remove the folder (endings read: "
                f"{', '.join(sorted(SUFFIXES))})"
            )
        listed.append(files)
    return listed


def _is_grey(file: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(file) as picture:
            return picture.mode in ("1", "L", "LA") or picture.mode.startswith("I")
    except Exception:  # it is named when it is needed
        return False


def _statistics(train: Split, channels: int) -> InputSpace:
    """Mean and standard deviation of each channel over a sample spread evenly over the split."""
    count = min(len(train), STATISTICS_SAMPLES)
    chosen = np.unique(np.linspace(0, len(train) - 1, num=count).astype(np.int64))
    x = train.take(chosen)["x"].double() / 255
    std = x.std((0, 2, 3), correction=0)
    std = torch.where(std > 1e-8, std, 1.0)
    return InputSpace(
        size=tuple(x.shape[2:]),
        channels=channels,
        mean=tuple(round(value, 6) for value in x.mean((0, 2, 3)).tolist()),
        std=tuple(round(value, 6) for value in std.tolist()),
    )


def readable(files: list[Path], what: str) -> list[Path]:
    """Leave out files that do not decode, and warn with their names.

    Args:
        files: pictures.
        what: name of the set in the warning.

    Returns:
        The files that decode.
    """

    def reads(file: Path) -> bool:
        try:
            decode(file, None)
        except Exception:  # as above
            return False
        return True

    with ThreadPoolExecutor() as pool:
        good = list(pool.map(reads, files))
    bad = [file.name for file, fine in zip(files, good, strict=True) if not fine]
    if bad:
        warnings.warn(
            f"{what}: {len(bad)} of {len(files)} pictures do not decode and are left out: "
            f"{', '.join(bad[:5])}{' ...' if len(bad) > 5 else ''}",
            UnusualUseWarning,
            stacklevel=2,
        )
    return [file for file, fine in zip(files, good, strict=True) if fine]
