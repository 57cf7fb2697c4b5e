"""Extended XYZ as data of force fields: labelled frames in splits, free atoms, starting boxes."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.atoms import free_energy, from_atoms
from limbeck.data.boxes import boxes_of
from limbeck.data.elements import symbols
from limbeck.data.force_data import TEST_SHARE, VALIDATION_SHARE, ForceData, cut
from limbeck.data.frame_checks import check_frames, check_scales
from limbeck.data.frames import Frames, join
from limbeck.data.science import science
from limbeck.data.xyz_files import ENDINGS, read_atoms, stem, xyz_files
from limbeck.errors import DataError, UnusualUseWarning, nearest
from limbeck.functional.units import EV

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}
NAMED = {word: split for split, words in SPLITS.items() for word in words}
FREE_ATOMS = "isolated_energies*.json"
# Frames without a label to learn from that repeat: where dynamics start.
LIQUID = "liquid"
ELEMENT = re.compile(r"([A-Z][a-z]?)(\d*[+-]\d*)?$")


def is_xyz(path: Path) -> bool:
    """Whether a folder holds files of extended XYZ."""
    return path.is_dir() and bool(xyz_files(path))


def read_xyz(path: Path, *, files: str | None = None) -> ForceData:
    """Read a file or folder of extended XYZ, plain or packed by gzip.

    Labelled frames have ``energy`` (eV, of the whole frame) and ``forces`` (eV/A), perhaps
    ``charges``, ``dipole`` (e A), ``virial`` or ``stress``, a total ``charge``, and ``mol``, the
    number of an atom's molecule. Their split is what ``split`` says, or the name of the file
    (``train``, ``valid``, ``test``); where neither is said, a fifth is cut for test and a tenth of
    the rest for validation. Periodic frames are boxes that dynamics start from where they have no
    labels, or no split beside clusters that are learned from; their molecules are numbered by bonds
    where the file does not.

    Energies of free atoms are read of ``isolated_energies*.json`` beside the files, an object of eV
    by element; of an element that has none, the energy of its ion (``"Li+"``) is taken. Without
    such a file they are fitted to the training frames, of which a warning tells.

    Args:
        path: the file, or a folder of files, which are joined.
        files: names of some files of the folder, without endings and with ``+`` between them.

    Returns:
        The data set, in kcal/mol.

    Raises:
        DataError: no frame is labelled, a file is damaged, a split is unknown or said of some
            frames alone, or frames cannot be true (as `check_frames` says).
    """
    chosen = _chosen(path, files)
    beside = path if path.is_dir() else path.parent
    atoms: list[Any] = []
    places: list[str] = []
    for file in chosen:
        found = read_atoms(file)
        by_name = NAMED.get(stem(file).lower()) if len(chosen) > 1 else None
        for number, one in enumerate(found):
            one.info.setdefault("split", by_name)
            places.append(f"frame {number} of {file.name}")
        atoms += found
    parts = _sort(atoms, places, path.name)
    boxes = parts.pop(LIQUID, None)
    sets = {
        split: from_atoms(
            [atoms[n] for n in rows], check=False, what=_names(path, split, places[rows[0]])
        )
        for split, rows in parts.items()
    }
    sets = _alike(sets, path.name)
    if "test" not in sets:
        sets["train"], sets["test"] = cut(sets["train"], TEST_SHARE, "test", path.name)
    if "validation" not in sets:
        sets["train"], sets["validation"] = cut(
            sets["train"], VALIDATION_SHARE, "validation", path.name
        )
    free_atoms = _free_atoms(beside)
    if free_atoms is None:
        free_atoms = _fitted(sets["train"], path.name)
    for split, frames in sets.items():
        taken = EV * free_energy(frames, free_atoms, f"{path.name}, {split}")
        energy = frames.energy - taken  # type: ignore[operator]
        sets[split] = check_frames(frames.replace(energy=energy), f"{path.name}, {split}")
    # Of all splits together: few frames of a split tell less of what their energies are.
    check_scales(join(sets.values()), path.name)
    return ForceData(
        sets["train"],
        sets["validation"],
        sets["test"],
        name=stem(path) if path.is_file() else path.name,
        liquid=None
        if boxes is None
        else boxes_of([atoms[n] for n in boxes], f"{path.name}, liquid"),
        free_atoms=tuple(sorted(free_atoms.items())),
    )


def _chosen(path: Path, files: str | None) -> list[Path]:
    if path.is_file():
        if files is not None:
            raise DataError(f"{path} is one file; files={files} chooses among those of a folder")
        return [path]
    found = {stem(file): file for file in xyz_files(path)}
    if not found:
        raise DataError(f"{path} holds no file that ends in {', '.join(ENDINGS)}")
    names = str(files).split("+") if files is not None else list(found)
    for name in names:
        if name not in found:
            raise DataError(f"{path} has no file {name!r} of extended XYZ; {nearest(name, found)}")
    return [found[name] for name in names]


def _sort(atoms: Sequence[Any], places: Sequence[str], name: str) -> dict[str, list[int]]:
    """Positions of the frames of each split, and of the boxes."""
    labelled = [_is_labelled(one) for one in atoms]
    clusters = any(said and not one.pbc.any() for said, one in zip(labelled, atoms, strict=True))
    parts: dict[str, list[int]] = {}
    bare: list[int] = []
    unsaid: list[int] = []
    for place, one in enumerate(atoms):
        split = one.info.get("split")
        if one.pbc.all() and not (labelled[place] and (split is not None or not clusters)):
            parts.setdefault(LIQUID, []).append(place)
        elif not labelled[place]:
            bare.append(place)
        elif split is None:
            unsaid.append(place)
        elif str(split).lower() not in NAMED:
            raise DataError(
                f"{name}: {places[place]} is of split {split!r}; {nearest(str(split), NAMED)}"
            )
        else:
            parts.setdefault(NAMED[str(split).lower()], []).append(place)
    learned = [split for split in parts if split != LIQUID]
    if unsaid and learned:
        raise DataError(
            f"{name}: {places[unsaid[0]]} has no split and other frames have one; write "
            "split=train, valid or test behind each, or choose files with ?files=NAME+NAME"
        )
    if not unsaid and "train" not in parts:
        raise DataError(
            f"{name} has no labelled frames to learn from ({len(atoms)} frames were read, splits "
            f"{', '.join(learned) or 'none'}); give frames with energy and forces"
        )
    if bare:
        warnings.warn(
            f"{name}: left out {len(bare)} frames that do not repeat and have no energy and "
            f"forces, such as {places[bare[0]]}",
            UnusualUseWarning,
            stacklevel=4,
        )
    return parts | ({"train": unsaid} if unsaid else {})


def _is_labelled(atoms: Any) -> bool:
    results = getattr(atoms.calc, "results", {})
    return all(
        name in results or name in atoms.info or name in atoms.arrays
        for name in ("energy", "forces")
    )


def _names(path: Path, split: str, first: str) -> str:
    return f"{path.name}, {split} (from {first} on)"


def _alike(sets: dict[str, Frames], name: str) -> dict[str, Frames]:
    """The sets with those labels that all of them have."""
    common = set.intersection(*(set(one.labels) for one in sets.values()))
    extra = {label for one in sets.values() for label in one.labels} - common
    if extra:
        warnings.warn(
            f"{name}: {', '.join(sorted(extra))} is not in all splits and is left out",
            UnusualUseWarning,
            stacklevel=4,
        )
    return {split: one.replace(**dict.fromkeys(extra)) for split, one in sets.items()}


def _free_atoms(folder: Path) -> dict[int, float] | None:
    """Energies in eV by atomic number, or None where there is no file of them."""
    found = sorted(folder.glob(FREE_ATOMS))
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise DataError(f"{folder} has {len(found)} files of free atoms ({names}); keep one")
    try:
        table = {
            str(name): float(value) for name, value in json.loads(found[0].read_text()).items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{found[0]} is no object of energies by element ({error})") from None
    return read_free_atoms(table, found[0].name)


def read_free_atoms(table: dict[str, float], what: str) -> dict[int, float]:
    """Energies by atomic number, of a table by element or ion.

    Example:
        >>> read_free_atoms({"H": -10.7, "Li+": 4.5, "H+": 0.0}, "table")
        {1: -10.7, 3: 4.5}
    """
    numbers = science("ase.data").atomic_numbers
    atoms: dict[int, float] = {}
    ions: dict[int, float] = {}
    for name, energy in table.items():
        read = ELEMENT.match(name)
        if read is None or read[1] not in numbers:
            raise DataError(f"{what} names {name!r}, expected an element, or an ion such as Li+")
        (ions if read[2] else atoms).setdefault(numbers[read[1]], energy)
    return dict(sorted((ions | atoms).items()))


def _fitted(frames: Frames, name: str) -> dict[int, float]:
    """Energies of elements in eV whose sums come nearest to those of frames."""
    counts = np.stack(
        [
            np.bincount(frames.frame[frames.species == number], minlength=len(frames))
            for number in frames.elements
        ],
        1,
    )
    energies = np.linalg.lstsq(counts.astype(float), frames.energy / EV, rcond=None)[0]  # type: ignore[operator]
    warnings.warn(
        f"{name}: there is no {FREE_ATOMS}; energies of {' '.join(symbols(frames.elements))} are "
        f"fitted to {len(frames)} training frames",
        UnusualUseWarning,
        stacklevel=4,
    )
    return dict(zip(frames.elements, energies.tolist(), strict=True))
