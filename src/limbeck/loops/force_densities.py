"""Densities of force fields: dynamics of boxes at constant pressure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.atoms import to_atoms
from limbeck.data.frames import Frames
from limbeck.run.run import Run
from limbeck.settings import settings

Positive = Annotated[float, Field(gt=0)]
# The first part of a simulation, in which a box finds its density.
SETTLING = 0.4
# A liquid that came to less than this share of its density at the start is none any more.
APART = 0.5


@settings
class Densities:
    """How the density of a box is found: dynamics at constant pressure.

    Args:
        temperature: in K.
        pressure: in atm.
        timestep: in fs.
        picoseconds: of the dynamics; the first two fifths are not counted.
        settling: ps at constant volume before, in which a packed box loses its pressure.
        step: between the two pressures from which the slope of the density is taken, in atm.
    """

    temperature: Positive = 300.0
    pressure: float = 1.0
    timestep: Positive = 1.0
    picoseconds: Positive = 1000.0
    settling: Annotated[float, Field(ge=0)] = 1.0
    step: Positive = 1000.0


def densities_of(
    run: Run,
    word: str,
    jobs: Sequence[tuple[nn.Module, Frames, float]],
    densities: Densities,
) -> list[float]:
    """Densities of boxes in g/cm3 by dynamics, in jobs that go on after a stop.

    That of a box which broke off or became a gas is NaN.

    Args:
        run: each simulation has a run folder of its own below its ``jobs``.
        word: names them.
        jobs: a force field, one periodic frame to start from, and a pressure in atm.
        densities: how.
    """
    names = [f"density-{word}-{number}" for number in range(len(jobs))]
    given = [
        (network, box, dataclasses.replace(densities, pressure=pressure))
        for network, box, pressure in jobs
    ]
    return run.executor.runs(_density, names, given, "densities")


def _density(run: Run, network: nn.Module, box: Frames, densities: Densities) -> float:
    def found(network: nn.Module, box: Frames, densities: Densities) -> dict[str, Tensor]:
        from limbeck.bridges.ase import ForceFieldCalculator, settled, simulate

        calculator = ForceFieldCalculator(network)
        steps = round(1000 * densities.picoseconds / densities.timestep)
        seed = keyed.key(run.seed, "density") % 2**31
        start = settled(
            to_atoms(box)[0],
            calculator,
            temperature=densities.temperature,
            timestep=densities.timestep,
            picoseconds=densities.settling,
            seed=seed,
        )
        path = simulate(
            start,
            calculator,
            ensemble="npt",
            temperature=densities.temperature,
            pressure=densities.pressure,
            timestep=densities.timestep,
            steps=steps,
            every=max(steps // 200, 1),
            seed=seed,
            out=run.dir / "dynamics",
        )
        seen = np.asarray(path.densities, dtype=float)
        # A box that flies apart has no density, however far it came.
        apart = path.stopped is not None or seen[-1] < APART * seen[0]
        return {"densities": torch.from_numpy(seen * math.nan if apart else seen)}

    kept = run.stage("density", found, network=network, box=box, densities=densities)["densities"]
    return float(kept[int(SETTLING * len(kept)) :].mean())
