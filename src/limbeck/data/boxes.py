"""Boxes: periodic frames that dynamics start from, packed from molecules of the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import keyed
from limbeck.data.atoms import from_atoms, masses
from limbeck.data.elements import formula_of
from limbeck.data.force_data import SPLITS, ForceData
from limbeck.data.frames import LABELS, Frames, join
from limbeck.data.neighbours import bonded_molecules, whole_molecules
from limbeck.data.packing import packed
from limbeck.data.xyz_files import read_atoms
from limbeck.errors import ArgumentError, DataError, nearest
from limbeck.functional.units import DENSE
from limbeck.naming import split_name

OPTIONS = ("count", "density")


def with_box(data: ForceData, liquid: Any, *, seed: int = 0) -> ForceData:
    """The data with other boxes to start dynamics from.

    Args:
        data: of which molecules are taken.
        liquid: ``xyz:FILE``, or the formula of a molecule that stands alone in a frame of the data,
            such as ``C3H6O3?count=16&density=1.0`` (molecules, and g/cm3 at the start), or a list
            of such; or periodic `Frames`, or ASE's `Atoms`. None leaves the data as they are, and
            so does ``"none"`` without its boxes.
        seed: of the draws.

    Returns:
        The data.

    Raises:
        ArgumentError: an option is unknown or outside its range.
        DataError: there is no such molecule, or a frame does not repeat.
    """
    if liquid is None:
        return data
    if liquid == "none":
        return dataclasses.replace(data, liquid=None)
    if isinstance(liquid, Frames):
        return dataclasses.replace(data, liquid=with_molecules(liquid))
    several = liquid if isinstance(liquid, (list, tuple)) else [liquid]
    boxes = [_box(data, one, keyed.key(seed, "box", place)) for place, one in enumerate(several)]
    return dataclasses.replace(data, liquid=join(map(with_molecules, boxes)))


def boxes_of(atoms: Iterable[Any], what: str) -> Frames:
    """Frames to start dynamics from: without labels, which anybody may have given, molecules told.

    Args:
        atoms: ASE's, with or without a calculator; they stay as they are.
        what: their name in errors.

    Returns:
        The frames; whether they may be charged is for a force field to say.

    Raises:
        DataError: the frames cannot be true, as `from_atoms` says.

    Example:
        >>> from ase import Atoms
        >>> argon = Atoms("Ar", cell=[5.0, 5.0, 5.0], pbc=True, info={"energy": -2e4})
        >>> boxes_of([argon], "argon").labels
        ()
    """
    bare = []
    for one in atoms:
        copy = one.copy()  # which leaves the calculator behind
        for label in (*LABELS, "stress"):
            copy.info.pop(label, None)
            copy.arrays.pop(label, None)
        bare.append(copy)
    return with_molecules(from_atoms(bare, what=what))


def _box(data: ForceData, given: Any, key: int) -> Frames:
    if not isinstance(given, str):
        return boxes_of([given], "the liquid")
    prefix, rest, options = split_name(given)
    if prefix == "xyz":
        return boxes_of(read_atoms(Path(rest).expanduser()), given)
    if prefix:
        raise ArgumentError(
            f"liquid is {given!r}, expected a formula such as H2O?count=32, or xyz:FILE"
        )
    for name in options:
        if name not in OPTIONS:
            raise ArgumentError(f"{given} has no option {name!r}; {nearest(name, OPTIONS)}")
    count, density = options.get("count", 16), options.get("density", 0.8)
    if type(count) is not int or count < 1 or type(density) not in (int, float) or density <= 0:
        raise ArgumentError(
            f"{given}: count is {count!r} and density {density!r}, expected a whole number and a "
            "number in g/cm3, both above 0"
        )
    return packed(molecule_of(data, rest), count, density=density, key=key)


def molecule_of(data: ForceData, formula: str) -> Frames:
    """The first frame of the data that is one molecule of a formula.

    Args:
        data: looked through split by split.
        formula: such as ``C3H6O3``, elements in any order.

    Raises:
        DataError: there is none; the formulas that there are stand in the words.
    """
    known: dict[str, None] = {}
    for frames in (getattr(data, split) for split in SPLITS):
        for place in range(len(frames)):
            one = frames.take([place])
            if not bonded_molecules(one).any():
                name = formula_of(one.species)
                if name == formula:
                    return one.without_labels()
                known[name] = None
    raise DataError(
        f"{data.name} has no frame of one molecule {formula}; {nearest(formula, known)}"
    )


def with_molecules(frames: Frames) -> Frames:
    """Frames whose molecules are numbered, by their bonds where they were not."""
    if frames.molecule is not None:
        return frames
    return frames.replace(molecule=bonded_molecules(frames))


def at_density(box: Frames, density: float) -> Frames:
    """A box whose molecules are moved together, or apart, until it has a density.

    Args:
        box: one periodic frame.
        density: in g/cm3.

    Returns:
        The frame with a cell of the same shape; molecules keep theirs.

    Example:
        >>> argon = Frames(
        ...     [18, 18], [[1, 1, 1.0], [3, 3, 3]], [2], cell=[np.eye(3) * 4.0], periodic=[True]
        ... )
        >>> float(at_density(argon, 0.5).cell[0, 0, 0].round(3))
        6.426
    """
    whole = whole_molecules(with_molecules(box))
    assert whole.molecule is not None
    mass, volume = masses(whole), abs(float(np.linalg.det(whole.cell[0])))
    scale = (DENSE * float(mass.sum()) / density / volume) ** (1 / 3)
    belongs = np.unique(whole.molecule, return_inverse=True)[1]
    moments = np.stack([np.bincount(belongs, mass * along) for along in whole.positions.T], axis=1)
    centre = moments / np.bincount(belongs, mass)[:, None]
    moved = whole.positions + (scale - 1) * centre[belongs]
    return whole.replace(positions=moved, cell=scale * whole.cell)
