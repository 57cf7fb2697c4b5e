"""Clusters cut out of frames: an atom with the molecules around it, as a source labels them."""

from __future__ import annotations

import itertools

import numpy as np

from limbeck.data.frames import Floats, Frames

IMAGES = np.array(list(itertools.product((-1, 0, 1), repeat=3)))


def cluster_around(
    frames: Frames, place: int, atom: int, *, reach: float, charges: Floats | None = None
) -> Frames:
    """The molecules that have an atom near another one, without what repeats.

    Args:
        frames: molecules numbered and, where they repeat, in one piece (see
            `limbeck.data.neighbours.whole_molecules`).
        place: of the frame.
        atom: of the frame, counted from its first.
        reach: in Angstrom; molecules with an atom this near to the one are taken, their images too.
        charges: of the atoms of all frames in e ``(A,)``; the total charge of a molecule is their
            sum, rounded. None takes molecules for neutral.

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
    cell, periodic = frames.cell[place], bool(frames.periodic[place])
    rows, moved, molecules, charge = [], [], 0, 0.0
    for one in np.unique(number):
        own = np.flatnonzero(number == one)
        shifts = np.zeros((1, 3))
        if periodic:
            # Atoms are never put back into the cell, so a molecule may be some cells away.
            middle = (positions[atom] - positions[own].mean(0)) @ np.linalg.inv(cell)
            shifts = (np.round(middle) + IMAGES) @ cell
        for shift in shifts:
            image = positions[own] + shift
            if np.linalg.norm(image - positions[atom], axis=1).min() > reach:
                continue
            rows.append(own)
            moved.append(image)
            molecules += 1
            if charges is not None:
                charge += round(float(charges[inside][own].sum()))
    where = np.concatenate(moved)
    counts = [len(own) for own in rows]
    return Frames(
        frames.species[inside][np.concatenate(rows)],
        where - where.mean(0),
        np.array([len(where)]),
        charge=np.array([charge]),
        molecule=np.repeat(np.arange(molecules), counts),
    )
