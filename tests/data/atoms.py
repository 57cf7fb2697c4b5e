"""Atoms that several tests take: a random cluster, a random box, neighbours by trying all."""

from __future__ import annotations

import itertools

import numpy as np

from limbeck.data.frames import Frames


def water(count=1, **labels):
    """Water molecules in frames of their own."""
    one = Frames([8, 1, 1], [[0, 0, 0.0], [0.96, 0, 0], [-0.24, 0.93, 0]], [3])
    return one.take([0] * count).replace(**labels)


def spread_out(count, seed=0, side=6.0, least=0.8, cell=None):
    """Positions in a box, none of them nearer than a length, images counted."""
    rng = np.random.default_rng(seed)
    cell = side * np.eye(3) if cell is None else cell
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ cell
    placed = []
    while len(placed) < count:
        one = rng.random(3) @ cell
        apart = [np.linalg.norm(one - other + shifts, axis=1).min() for other in placed]
        if all(length > least for length in apart):
            placed.append(one)
    return np.array(placed)


def box(count=8, seed=0, side=6.0, species=(6, 1), cell=None):
    """A periodic frame."""
    cell = side * np.eye(3) if cell is None else np.asarray(cell)
    kinds = np.resize(species, count)
    return Frames(
        kinds, spread_out(count, seed, cell=cell), [count], cell=cell[None], periodic=[True]
    )


def by_trying(positions, cell, cutoff):
    """Every directed pair below a cutoff as (i, j, image), found by trying images."""
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    scaled = positions @ np.linalg.inv(cell)
    reach = np.ceil(cutoff / heights + np.ptp(scaled, axis=0)).astype(int)
    found = set()
    for image in itertools.product(*(range(-n, n + 1) for n in reach)):
        vectors = positions[:, None] - positions[None] - np.array(image) @ cell
        near = np.linalg.norm(vectors, axis=2) < cutoff
        if image == (0, 0, 0):
            np.fill_diagonal(near, False)
        found |= {(int(i), int(j), image) for i, j in zip(*np.nonzero(near), strict=True)}
    return found
