"""Boxes: periodic frames that dynamics start from, packed from molecules of the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import keyed
from limbeck.data.atoms import from_atoms, masses
from limbeck.data.elements import symbols
from limbeck.data.force_data import SPLITS, ForceData
from limbeck.data.frames import LABELS, Floats, Frames, Integers, join
from limbeck.data.neighbours import bonded_molecules
from limbeck.data.xyz_files import read_atoms
from limbeck.errors import ArgumentError, DataError, nearest
from limbeck.functional.units import DENSE
from limbeck.naming import split_name

OPTIONS = ("count", "density")
# Below this charge in e a frame is neutral: sums of charges that files round.
NEUTRAL = 1e-3
# Between the nearest atoms of two molecules, in Angstrom: least and most.
GAP = (1.8, 3.2)
TRIES = 200


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


def formula_of(species: Integers) -> str:
    """Symbols and how many of each, carbon and hydrogen first (Hill's order).

    Example:
        >>> formula_of(np.array([8, 1, 6, 1, 1, 1])), formula_of(np.array([8, 1, 1]))
        ('CH4O', 'H2O')
    """
    numbers, times = np.unique(species, return_counts=True)
    counts = dict(zip(symbols(numbers.tolist()), times.tolist(), strict=True))
    first = ("C", "H") if "C" in counts else ()
    order = sorted(counts, key=lambda one: (first.index(one) if one in first else 2, one))
    return "".join(f"{one}{counts[one] if counts[one] > 1 else ''}" for one in order)


def with_molecules(frames: Frames) -> Frames:
    """Frames whose molecules are numbered, by their bonds where they were not."""
    if frames.molecule is not None:
        return frames
    return frames.replace(molecule=bonded_molecules(frames))


def packed(molecule: Frames, count: int, *, density: float, key: int = 0) -> Frames:
    """A cubic periodic box of one molecule many times, at random places and angles.

    Args:
        molecule: one frame.
        count: how many.
        density: in g/cm3; it is lowered where the molecules find no room.
        key: of the draws.

    Returns:
        One frame, with molecules numbered.

    Raises:
        DataError: the molecule is charged, or they find no room, whatever the density.
    """
    charge = float(molecule.charge[0])
    if abs(charge) > NEUTRAL:
        raise DataError(
            f"the molecule {formula_of(molecule.species)} has a charge of {charge:+g} e; a box of "
            "it alone would be charged, so give one with ions of both signs: xyz:FILE"
        )
    species = molecule.species
    shape = molecule.positions - molecule.positions.mean(0)
    weight = float(masses(molecule).sum()) * count
    # Molecules are apart from images.
    least = float(np.linalg.norm(shape[:, None] - shape, axis=2).max()) + GAP[1]
    dense = max((DENSE * weight / density) ** (1 / 3), least)
    for attempt in range(TRIES):
        side = dense * 1.02**attempt
        placed = _fill(shape, count, side, keyed.key(key, attempt))
        if placed is not None:
            break
    else:
        raise DataError(f"{count} molecules found no room at {density} g/cm3; lower the density")
    return Frames(
        np.tile(species, count),
        np.concatenate(placed),
        np.array([count * len(species)]),
        cell=side * np.eye(3)[None],
        periodic=np.array([True]),
        molecule=np.repeat(np.arange(count), len(species)),
    )


def _fill(shape: Floats, count: int, side: float, key: int) -> list[Floats] | None:
    """Molecules in a cubic box, or None where one found no room."""
    placed: list[Floats] = []
    for number in range(count):
        for attempt in range(TRIES):
            own = keyed.key(key, number, attempt)
            place = side * keyed.uniform(keyed.key(own, "at"), np.zeros(1, dtype=np.int64), 3)
            moved = turned(shape, own) + place
            if not placed:
                break
            apart = moved[:, None] - np.concatenate(placed)
            # The nearest image of each atom; a box is wider than twice the gap.
            apart -= side * np.round(apart / side)
            if np.square(apart).sum(2).min() > GAP[0] ** 2:
                break
        else:
            return None
        placed.append(moved)
    return placed


def turned(shape: Floats, key: int) -> Floats:
    """A shape ``(A, 3)`` under a random rotation: a random quaternion of length 1."""
    w, x, y, z = (quarter := normal(keyed.key(key, "turn"), (1, 4))[0]) / np.linalg.norm(quarter)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    return shape @ rotation.T


def normal(key: int, shape: tuple[int, ...]) -> Floats:
    """Normal numbers by key, of two even ones each (Box and Muller)."""
    rows, columns = shape
    even = keyed.uniform(key, np.arange(rows), 2 * columns)
    radius, turn = even[:, :columns], even[:, columns:]
    return np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * turn)
