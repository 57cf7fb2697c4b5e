"""Graphs of atoms by brute force over all images, the slow way that nobody can get wrong."""

from __future__ import annotations

import itertools

import numpy as np
import torch

JOINED = ("species", "positions", "charge", "edge_shifts", "pair_shifts", "periodic", "cell")


def graph_of(
    numbers,
    positions,
    *,
    cell=None,
    charge=0.0,
    cutoff=5.0,
    pair_cutoff=10.0,
    molecule=None,
    dtype=torch.float64,
):
    """One frame as a graph; with a cell it is periodic."""
    positions = np.asarray(positions, dtype=float)
    periodic = cell is not None
    cell = np.zeros((3, 3)) if cell is None else np.asarray(cell, dtype=float)
    edges, edge_shifts = neighbours(positions, cell, cutoff, periodic)
    pairs, pair_shifts = neighbours(positions, cell, pair_cutoff if periodic else np.inf, periodic)
    # Of both directions of a pair one is kept; an atom and its own image are told by the shift.
    first, second = pairs
    ahead = [tuple(shift) > (0, 0, 0) for shift in pair_shifts]
    kept = (first < second) | ((first == second) & np.array(ahead, dtype=bool))
    graph = {
        "species": torch.as_tensor(np.asarray(numbers)),
        "positions": torch.tensor(positions, dtype=dtype),
        "frame": torch.zeros(len(positions), dtype=torch.long),
        "charge": torch.tensor([charge], dtype=dtype),
        "edges": torch.tensor(edges),
        "edge_shifts": torch.tensor(edge_shifts, dtype=dtype),
        "pairs": torch.tensor(pairs[:, kept]),
        "pair_shifts": torch.tensor(pair_shifts[kept], dtype=dtype),
        "periodic": torch.tensor([periodic]),
        "cell": torch.tensor(cell, dtype=dtype)[None],
    }
    if molecule is not None:
        graph["molecule"] = torch.as_tensor(molecule)
    return graph


def neighbours(positions, cell, cutoff, periodic):
    """Every directed pair with a distance below the cutoff, ``(2, E)``, and its shift."""
    reach = [0, 0, 0]
    if periodic:
        heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
        # Atoms may lie anywhere, so one image more than the height says.
        reach = [int(np.ceil(cutoff / height)) + 1 for height in heights]
    found, shifts = [np.zeros((2, 0), dtype=int)], [np.zeros((0, 3))]
    for steps in itertools.product(*(range(-most, most + 1) for most in reach)):
        shift = np.array(steps, dtype=float) @ cell
        distance = np.linalg.norm(positions[:, None] - positions[None] - shift, axis=-1)
        near = distance < cutoff
        if not any(steps):
            np.fill_diagonal(near, False)
        ends = np.array(np.nonzero(near))
        found.append(ends)
        shifts.append(np.tile(shift, (ends.shape[1], 1)))
    return np.concatenate(found, 1), np.concatenate(shifts)


def batch_of(graphs):
    """Several graphs as one."""
    starts = np.cumsum([0, *(len(one["species"]) for one in graphs)])
    whole = {name: torch.cat([one[name] for one in graphs]) for name in JOINED}
    for name in ("edges", "pairs"):
        whole[name] = torch.cat(
            [one[name] + int(start) for one, start in zip(graphs, starts, strict=False)], 1
        )
    whole["frame"] = torch.cat(
        [torch.full_like(one["frame"], number) for number, one in enumerate(graphs)]
    )
    return whole


def molecules(seed=0, count=3, *, elements=(1, 6, 8, 9), spread=3.0, closest=0.9):
    """Numbers and positions of `count` groups of four atoms that do not overlap."""
    random = np.random.default_rng(seed)
    positions = []
    while len(positions) < 4 * count:
        centre = np.array([spread * (len(positions) // 4), 0, 0])
        one = centre + random.normal(size=3) * 1.2
        if all(np.linalg.norm(one - other) > closest for other in positions):
            positions.append(one)
    return random.choice(elements, len(positions)), np.array(positions)
