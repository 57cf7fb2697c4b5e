"""Small molecules and clusters of them, labelled when they are asked for: forces without files."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from limbeck import keyed
from limbeck.data.atoms import masses
from limbeck.data.force_data import ForceData
from limbeck.data.frames import Floats, Frames, join
from limbeck.data.labelling import label_source, labelled
from limbeck.data.science import science
from limbeck.errors import DataError
from limbeck.functional.units import DENSE

# Closed shells of H, C, N and O among the molecules that ASE brings along (the G2 set).
SMALL = ("H2O", "NH3", "CH4", "CH3OH", "H2CO", "HCN", "CO2")
# What the liquid is of; its density in g/cm3, below that of the real one: a start to relax from.
SOLVENT, DENSITY = "CH3OH", 0.7
# Share of frames that hold one molecule, and of the others the most molecules that they hold.
ALONE, MOST = 0.4, 4
# Deviation of an atom from its place in Angstrom, and the nearest atoms of two molecules.
SHAKEN, GAP = 0.05, (1.8, 3.2)
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
TRIES = 200


def molecules(
    *, frames: int = 240, draw: int = 0, box: int = 12, source: str = "tblite"
) -> ForceData:
    """Small molecules and weakly bound clusters of them, with a periodic box, labelled at once.

    Geometries come from ASE's own molecules, turned, shaken and put beside each other by key; the
    labels (GFN2-xTB by default) take a few milliseconds a frame.

    Args:
        frames: how many in all; a fifth is for test and a tenth for validation.
        draw: number of the draw; each number gives other frames of the same molecules.
        box: molecules of the periodic box, the ``liquid``.
        source: what labels them, as `label_source` takes it.

    Returns:
        The data set.

    Raises:
        DataError: an option is outside its range, or a library is not installed.

    Example:
        >>> molecules(frames=20)
        ForceData('molecules', train=14, validation=2, test=4, liquid=1, elements=H C N O)
    """
    for name, value, least in (("frames", frames, 10), ("draw", draw, 0), ("box", box, 1)):
        if type(value) is not int or value < least:
            raise DataError(f"{name} is {value!r}, expected a whole number of at least {least}")
    return _molecules(frames, draw, box, label_source(source).name)


@functools.lru_cache(maxsize=4)
def _molecules(frames: int, draw: int, box: int, source: str) -> ForceData:
    drawn = join([_cluster(keyed.key("molecules", draw, number)) for number in range(frames)])
    told = labelled(drawn, source, what="molecules")
    order = keyed.permutation(keyed.key("molecules", draw, "splits"), len(told))
    test = max(round(TEST_SHARE * len(told)), 1)
    chosen = test + max(round(VALIDATION_SHARE * len(told)), 1)
    free_atoms = label_source(source).free_atoms(told.elements)
    return ForceData(
        told.take(np.sort(order[chosen:])),
        told.take(np.sort(order[test:chosen])),
        told.take(np.sort(order[:test])),
        name="molecules",
        liquid=liquid_box(SOLVENT, box, density=DENSITY, key=keyed.key("molecules", draw, "box")),
        free_atoms=tuple(sorted(free_atoms.items())),
    )


def liquid_box(name: str, count: int, *, density: float, key: int = 0) -> Frames:
    """A cubic periodic box of molecules at random places and angles, none of them too near.

    Args:
        name: of a molecule of ASE's G2 set.
        count: how many.
        density: in g/cm3; it is lowered where the molecules find no room.
        key: of the draws.

    Returns:
        One frame, with molecules numbered.

    Raises:
        DataError: ASE knows no such molecule.
    """
    shape, species = _shape(name)
    one = Frames(species, shape, np.array([len(species)]))
    return packed(one, count, density=density, key=key)


def packed(molecule: Frames, count: int, *, density: float, key: int = 0) -> Frames:
    """A cubic periodic box of one molecule many times, at random places and angles.

    Args:
        molecule: one frame, neutral.
        count: how many.
        density: in g/cm3; it is lowered where the molecules find no room.
        key: of the draws.

    Returns:
        One frame, with molecules numbered.

    Raises:
        DataError: they find no room, whatever the density.
    """
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


def _cluster(key: int) -> Frames:
    """One to a few molecules near each other."""
    alone, more = keyed.uniform(keyed.key(key, "count"), np.zeros(1, dtype=np.int64), 2)[0]
    count = 1 if alone < ALONE else 2 + int(more * (MOST - 1))
    which, gaps = keyed.uniform(keyed.key(key, "which"), np.arange(count), 2).T
    placed: list[Floats] = []
    species: list[Any] = []
    for number in range(count):
        shape, kind = _shape(SMALL[int(which[number] * len(SMALL))])
        own = keyed.key(key, "place", number)
        turned = _turned(shape, own)
        gap = GAP[0] + (GAP[1] - GAP[0]) * gaps[number]
        if placed:
            turned = _beside(np.concatenate(placed), turned, gap, own)
        placed.append(turned + SHAKEN * _normal(keyed.key(own, "shaken"), turned.shape))
        species.append(kind)
    sizes = [len(one) for one in species]
    return Frames(
        np.concatenate(species),
        np.concatenate(placed),
        np.array([sum(sizes)]),
        molecule=np.repeat(np.arange(count), sizes),
    )


def _beside(there: Floats, shape: Floats, gap: float, key: int) -> Floats:
    """A molecule moved along a direction until its nearest atom is a gap away from what is there.

    From outside inwards: distances along the way are found by halving.
    """
    way = _normal(keyed.key(key, "way"), (1, 3))[0]
    way /= np.linalg.norm(way)
    middle = there.mean(0)
    near, far = 0.0, 20.0 + float(np.ptp(there, axis=0).max())
    for _ in range(40):
        at = (near + far) / 2
        moved = shape + middle + at * way
        closest = np.linalg.norm(moved[:, None] - there[None], axis=2).min()
        near, far = (at, far) if closest < gap else (near, at)
    return shape + middle + far * way


def _fill(shape: Floats, count: int, side: float, key: int) -> list[Floats] | None:
    """Molecules in a cubic box, or None where one found no room."""
    placed: list[Floats] = []
    for number in range(count):
        for attempt in range(TRIES):
            own = keyed.key(key, number, attempt)
            place = side * keyed.uniform(keyed.key(own, "at"), np.zeros(1, dtype=np.int64), 3)
            moved = _turned(shape, own) + place
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


@functools.lru_cache(maxsize=64)
def _shape(name: str) -> tuple[Floats, Any]:
    """Positions about the middle, and atomic numbers, of one of ASE's molecules."""
    try:
        atoms = science("ase.build").molecule(name)
    except KeyError:
        raise DataError(f"ASE knows no molecule {name!r}") from None
    return atoms.positions - atoms.positions.mean(0), atoms.numbers


def _turned(shape: Floats, key: int) -> Floats:
    """A shape under a random rotation: a random quaternion of length 1."""
    w, x, y, z = (quarter := _normal(keyed.key(key, "turn"), (1, 4))[0]) / np.linalg.norm(quarter)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    return shape @ rotation.T


def _normal(key: int, shape: tuple[int, ...]) -> Floats:
    """Normal numbers by key, of two even ones each (Box and Muller)."""
    rows, columns = shape
    even = keyed.uniform(key, np.arange(rows), 2 * columns)
    radius, turn = even[:, :columns], even[:, columns:]
    return np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * turn)
