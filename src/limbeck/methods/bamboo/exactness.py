"""What must hold exactly of any force field: invariance, and forces that are slopes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# Step of finite differences, in Angstrom.
STEP = 1e-4


def physics_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """Relative errors of what must hold exactly, of a network with drawn weights.

    Args:
        folder: nothing is written.
        seed: of weights and of the rotation.
    """
    import torch

    from limbeck.data.graphs import graph
    from limbeck.data.names import resolve
    from limbeck.keyed import key, torch_seeded
    from limbeck.networks import GET

    data = resolve("molecules?frames=20")
    frames = data.test.without_labels()
    # Of all charges: those of atoms must sum to them.
    frames = frames.replace(charge=np.arange(len(frames)) % 3 - 1.0)
    with torch_seeded(key(seed, "physics")):
        network = GET(data.elements, width=16, heads=4, layers=3, radial=8).eval()
        turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
        move = 10 * torch.rand(3, dtype=torch.float64)
        order = np.concatenate(
            [
                low + torch.randperm(count).numpy()
                for low, count in zip(frames.bounds[:-1], frames.counts, strict=True)
            ]
        )

    def said(frames: Any, double: bool = False) -> dict[str, Any]:
        dtype = torch.float64 if double else torch.float32
        made = graph(frames, range(len(frames)), cutoff=5.0, pair_cutoff=10.0, dtype=dtype)
        return network.to(dtype)(made)

    def error(one: Any, other: Any) -> float:
        return float((one - other).abs().max() / other.abs().max())

    turned = frames.replace(positions=frames.positions @ turn.numpy().T + move.numpy())
    mixed = frames.replace(species=frames.species[order], positions=frames.positions[order])
    if frames.molecule is not None:
        mixed = mixed.replace(molecule=frames.molecule[order])
    plain, other, shuffled = said(frames), said(turned), said(mixed)
    charges = torch.zeros(len(frames)).index_add(
        0, torch.from_numpy(frames.frame), plain["charges"]
    )
    return {
        "energy, turned": error(other["energy"], plain["energy"]),
        "forces, turned": error(other["forces"], plain["forces"] @ turn.T.float()),
        "energy, reordered": error(shuffled["energy"], plain["energy"]),
        "forces, reordered": error(shuffled["forces"], plain["forces"][order]),
        "sum of charges": float((charges - torch.from_numpy(frames.charge)).abs().max()),
        **_slopes(network, frames, said),
    }


def _slopes(network: Any, frames: Any, said: Any) -> dict[str, float]:
    """Errors of forces against differences of the energy, in double precision.

    Forces leave out how charges change, so that charges are held: those of a frame are all alike.
    """
    import torch

    one = frames.take([int(np.argmax(frames.counts))])
    bound, network.charges.bound = network.charges.bound, 1e-30
    try:
        forces = said(one, double=True)["forces"]
        slopes = torch.zeros_like(forces)
        for atom, axis in np.ndindex(forces.shape):
            ends = []
            for sign in (1, -1):
                positions = one.positions.copy()
                positions[atom, axis] += sign * STEP
                ends.append(said(one.replace(positions=positions), double=True)["energy"][0])
            slopes[atom, axis] = -(ends[0] - ends[1]) / (2 * STEP)
    finally:
        network.charges.bound = bound
    return {"forces against differences": float((forces - slopes).abs().max() / forces.abs().max())}
