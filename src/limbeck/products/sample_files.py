"""Sample files: what a generator makes, as pictures or numbers on disk."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from limbeck import files
from limbeck.errors import ArgumentError, RunError, nearest
from limbeck.products.dataset_exporting import folder_names
from limbeck.products.generator import Generator
from limbeck.run.densities import density, extent_of
from limbeck.run.galleries import Images, grid, png


def asked_for(made: Generator, count: int, name: str | None = None) -> list[int]:
    """Classes of so many samples: all of one class, or all classes by turns.

    Args:
        made: the generator.
        count: how many.
        name: of a class, or None.

    Raises:
        ArgumentError: there is no such class, or the network takes none.
    """
    classes = max(1, len(made.classes))
    if name is None:
        return [place % classes for place in range(count)]
    if not made.conditional:
        raise ArgumentError(f"the generator takes no classes, so there is none called {name!r}")
    if name not in made.classes:
        raise ArgumentError(f"there is no class {name!r}; {nearest(name, made.classes)}")
    return [made.classes.index(name)] * count


def write_samples(made: Generator, labels: Sequence[int], to: Path, seed: int = 0) -> list[str]:
    """Make samples and write them.

    Args:
        made: the generator.
        labels: their classes ``(N,)``.
        to: ``FILE.npy`` for the numbers in the value range of the data ``(N, ...)``, ``FILE.png``
            for one picture of all images (of points in a plane, of how many lie where), or a
            folder for a picture each, in a sub-folder a class.
        seed: of the noise.

    Returns:
        Names of the files, below the folder where there is one.

    Raises:
        ArgumentError: samples are no pictures, or the file has another ending.
        RunError: the place cannot be written, or holds something already.
    """
    if to.suffix == ".npy":
        content = io.BytesIO()
        np.save(content, made.sample(labels, seed=seed).numpy())
        files.write_bytes(to, content.getvalue())
        return [to.name]
    if to.suffix == ".png":
        files.write_bytes(to, png(_picture(made, labels, seed)))
        return [to.name]
    if to.suffix:
        raise ArgumentError(f"{to} ends in {to.suffix}, expected .png, .npy, or a folder")
    return _folder(made, labels, to, seed)


def _picture(made: Generator, labels: Sequence[int], seed: int) -> Images:
    """One picture of all samples, about as wide as high."""
    if made.network.shape == (2,):
        points = made.sample(labels, seed=seed)
        return density(points, extent_of(points))
    return grid(_images(made, labels, seed), across=math.ceil(math.sqrt(len(labels))))


def _images(made: Generator, labels: Sequence[int], seed: int) -> Images:
    space = made.space
    if space is None or space.channels not in (1, 3):
        raise ArgumentError(
            f"samples have shape {made.network.shape}, and pictures 1 or 3 channels; write their "
            "numbers: --to FILE.npy"
        )
    return made.sample(labels, seed=seed, as_bytes=True).permute(0, 2, 3, 1).numpy()


def _folder(made: Generator, labels: Sequence[int], to: Path, seed: int) -> list[str]:
    if to.is_file() or (to.is_dir() and any(to.iterdir())):
        raise RunError(f"{to} holds something already; choose another folder")
    pictures, digits = _images(made, labels, seed), len(str(len(labels) - 1))
    places = folder_names(made.classes) if made.conditional else []
    names = [
        "/".join([*places[label : label + 1], f"{place:0{digits}}.png"])
        for place, label in enumerate(labels)
    ]
    with files.new_folder(to) as part:
        for name, picture in zip(names, pictures, strict=True):
            files.write_bytes(part / name, png(picture))
    return names
