"""Small molecules and clusters of them, labelled when they are asked for: forces without files."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from limbeck import keyed
from limbeck.data.force_data import ForceData
from limbeck.data.frames import Floats, Frames, join
from limbeck.data.labelling import label_source, labelled
from limbeck.data.packing import normal, packed, turned
from limbeck.data.science import science
from limbeck.errors import DataError

# Closed shells of H, C, N and O among the molecules that ASE brings along (the G2 set).
SMALL = ("H2O", "NH3", "CH4", "CH3OH", "H2CO", "HCN", "CO2")
# What the liquid is of; its density in g/cm3, below that of the real one: a start to relax from.
SOLVENT, DENSITY = "CH3OH", 0.7
# Share of frames that hold one molecule, and of the others the most molecules that they hold.
ALONE, MOST = 0.4, 4
# Between the nearest atoms of two molecules of a cluster, in Angstrom: least and most.
GAP = (1.8, 3.2)
# Deviation of an atom from its place in Angstrom.
SHAKEN = 0.05
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1


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
    """A cubic periodic box of molecules at random places and angles.

    Args:
        name: of a molecule of ASE's G2 set.
        count: how many.
        density: in g/cm3, as `limbeck.data.packing.packed` takes it.
        key: of the draws.

    Returns:
        One frame, with molecules numbered.

    Raises:
        DataError: ASE knows no such molecule.
    """
    shape, species = _shape(name)
    one = Frames(species, shape, np.array([len(species)]))
    return packed(one, count, density=density, key=key)


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
        moved = turned(shape, own)
        gap = GAP[0] + (GAP[1] - GAP[0]) * gaps[number]
        if placed:
            moved = _beside(np.concatenate(placed), moved, gap, own)
        placed.append(moved + SHAKEN * normal(keyed.key(own, "shaken"), moved.shape))
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
    way = normal(keyed.key(key, "way"), (1, 3))[0]
    way /= np.linalg.norm(way)
    middle = there.mean(0)
    near, far = 0.0, 20.0 + float(np.ptp(there, axis=0).max())
    for _ in range(40):
        at = (near + far) / 2
        moved = shape + middle + at * way
        closest = np.linalg.norm(moved[:, None] - there[None], axis=2).min()
        near, far = (at, far) if closest < gap else (near, at)
    return shape + middle + far * way


@functools.lru_cache(maxsize=64)
def _shape(name: str) -> tuple[Floats, Any]:
    """Positions about the middle, and atomic numbers, of one of ASE's molecules."""
    try:
        atoms = science("ase.build").molecule(name)
    except KeyError:
        raise DataError(f"ASE knows no molecule {name!r}") from None
    return atoms.positions - atoms.positions.mean(0), atoms.numbers
