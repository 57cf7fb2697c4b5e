"""Clusters cut out of frames: an atom with the molecules around it, as a source labels them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from limbeck.data.elements import formula_of
from limbeck.data.frames import Floats, Frames
from limbeck.data.science import science

# Atoms nearer than this share of their covalent radii together lie in one place.
OVERLAP = 0.6


def cluster_around(
    frames: Frames,
    place: int,
    atom: int,
    *,
    reach: float,
    charges: Mapping[int, float] | None = None,
) -> Frames:
    """The molecules that have an atom near another one, without what repeats.

    Args:
        frames: molecules numbered and, where they repeat, in one piece (see
            `limbeck.data.neighbours.whole_molecules`).
        place: of the frame.
        atom: of the frame, counted from its first.
        reach: in Angstrom; molecules with an atom this near to the one are taken, their images too.
        charges: of the molecules of the frame in e, by number; None takes all for neutral.

    Returns:
        One frame about its middle, that does not repeat.

    Example:
        >>> pair = Frames(
        ...     [1, 1, 1, 1], [[0, 0, 0.0], [0, 0, 0.7], [9, 0, 0], [9, 0, 0.7]], [4],
        ...     cell=[10 * np.eye(3)], periodic=[True], molecule=[0, 0, 1, 1],
        ... )
        >>> cluster_around(pair, 0, 0, reach=2.0).positions[:, 0].tolist()
        [0.5, 0.5, -0.5, -0.5]
    """
    assert frames.molecule is not None
    inside = slice(*frames.bounds[place : place + 2])
    positions, number = frames.positions[inside], frames.molecule[inside]
    rows, moved, charge = [], [], 0.0
    for one in np.unique(number).tolist():
        own = np.flatnonzero(number == one)
        for shift in _shifts(frames, place, positions[own], positions[atom], reach):
            image = positions[own] + shift
            if np.linalg.norm(image - positions[atom], axis=1).min() > reach:
                continue
            rows.append(own)
            moved.append(image)
            charge += 0.0 if charges is None else charges[one]
    where = np.concatenate(moved)
    return Frames(
        frames.species[inside][np.concatenate(rows)],
        where - where.mean(0),
        np.array([len(where)]),
        charge=np.array([charge]),
        molecule=np.repeat(np.arange(len(rows)), [len(own) for own in rows]),
    )


def _shifts(frames: Frames, place: int, positions: Floats, centre: Floats, reach: float) -> Floats:
    """Translations ``(S, 3)`` of a molecule: all that bring an atom within reach, and more."""
    if not frames.periodic[place]:
        return np.zeros((1, 3))
    cell = frames.cell[place]
    inverse = np.linalg.inv(cell)
    middle = positions.mean(0)
    wide = reach + np.linalg.norm(positions - middle, axis=1).max()
    # Cells between planes that are so far apart, and half of one for where the middle lies.
    count = np.floor(0.5 + wide * np.linalg.norm(inverse, axis=0)).astype(int)
    images = np.array(list(itertools.product(*(range(-one, one + 1) for one in count))))
    # Atoms are never put back into the cell, so a molecule may be some cells away.
    return (np.round((centre - middle) @ inverse) + images) @ cell


def formal_charges(frames: Frames) -> dict[str, int]:
    """Charges of molecules by formula, as labels of frames have them.

    Args:
        frames: molecules numbered; with charges of atoms, or all of them neutral.

    Returns:
        Charges in e by formula: sums of the charges of a molecule's atoms, rounded after the mean
        over all molecules of a formula; without charges of atoms, those of frames that hold one
        molecule, and 0 of the others of neutral frames.

    Example:
        >>> ion = Frames([3, 8, 1, 1], np.eye(4, 3), [4], charge=[1.0], molecule=[0, 1, 1, 1],
        ...     charges=[0.9, -0.5, 0.3, 0.3])
        >>> formal_charges(ion)
        {'Li': 1, 'H2O': 0}
    """
    assert frames.molecule is not None
    sums: dict[str, list[float]] = {}
    for place in range(len(frames)):
        inside = slice(*frames.bounds[place : place + 2])
        number, species = frames.molecule[inside], frames.species[inside]
        whole = float(frames.charge[place])
        several = len(np.unique(number)) > 1
        for one in np.unique(number):
            own = number == one
            if frames.charges is not None:
                said = float(frames.charges[inside][own].sum())
            elif several and whole:
                continue
            else:
                said = whole
            sums.setdefault(formula_of(species[own]), []).append(said)
    return {name: round(float(np.mean(each))) for name, each in sums.items()}


def molecules_of(frames: Frames, place: int) -> dict[int, str]:
    """Formulas of the molecules of a frame, by number."""
    assert frames.molecule is not None
    inside = slice(*frames.bounds[place : place + 2])
    number, species = frames.molecule[inside], frames.species[inside]
    return {int(one): formula_of(species[number == one]) for one in np.unique(number)}


def overlaps(frame: Frames) -> bool:
    """Whether two atoms of one frame that does not repeat lie nearly in one place."""
    radii = np.asarray(science("ase.data").covalent_radii)[frame.species]
    apart = np.linalg.norm(frame.positions[:, None] - frame.positions, axis=2)
    np.fill_diagonal(apart, np.inf)
    return bool((apart < OVERLAP * (radii[:, None] + radii)).any())
