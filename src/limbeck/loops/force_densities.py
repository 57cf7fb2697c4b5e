"""What dynamics of boxes tell: densities at constant pressure, pressures at constant volume."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.atoms import to_atoms
from limbeck.data.boxes import at_density
from limbeck.data.frames import Frames
from limbeck.loops.force_frames import frames_from, tensors_of
from limbeck.run.run import Run
from limbeck.settings import settings

Positive = Annotated[float, Field(gt=0)]
# The first part of a simulation, in which a box finds its density.
SETTLING = 0.4
# Of a simulation, that are kept.
FRAMES = 200
# A liquid that came to less than this share of its density at the start is none any more.
APART = 0.5


@settings
class Densities:
    """How the density of a box is found, or what pressure it lacks: by dynamics.

    Args:
        by: what tells the change of pressure that leads to a density: ``"density"`` at two constant
            pressures, for boxes that hold together at both; ``"pressure"`` at constant volume and
            the density itself, for any, which is ours.
        temperature: in K.
        pressure: in atm.
        timestep: in fs.
        picoseconds: of the dynamics; the first two fifths are not counted.
        settling: ps at constant volume before, in which a packed box comes to rest.
        step: between the two pressures from which the slope of the density is taken, in atm.
    """

    by: Literal["density", "pressure"] = "density"
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


def pressures_at(
    run: Run,
    word: str,
    network: nn.Module,
    boxes: Frames,
    wanted: Sequence[float],
    densities: Densities,
) -> list[tuple[Frames, float]]:
    """Frames of boxes at given densities, and mean pressures in atm, by dynamics.

    The pressure of a box that broke off is NaN.

    Args:
        run: each simulation has a run folder of its own below its ``jobs``.
        word: names them.
        network: the force field.
        boxes: periodic frames to start from.
        wanted: the density of each in g/cm3.
        densities: how.
    """
    names = [f"pressure-{word}-{number}" for number in range(len(boxes))]
    jobs = [
        (network, at_density(boxes.take([place]), density), densities)
        for place, density in enumerate(wanted)
    ]
    run.executor.runs(_held, names, jobs, "pressures")
    told = []
    for name, job in zip(names, jobs, strict=True):
        found = _held(run.executor.part(name), *job)
        pressures = found.pop("pressures")
        if run.trying:  # the student knows nothing, and where it breaks off is no pressure
            start = job[1].without_labels()
            told.append((start.take([0] * FRAMES), 0.0))
            continue
        settled = int(SETTLING * len(pressures))
        frames = frames_from(found)
        told.append((frames.take(range(settled, len(frames))), float(pressures[settled:].mean())))
    return told


def _density(run: Run, network: nn.Module, box: Frames, densities: Densities) -> float:
    def found(network: nn.Module, box: Frames, densities: Densities) -> dict[str, Tensor]:
        path = _moved(run, network, box, densities, "npt")
        seen = np.asarray(path.densities, dtype=float)
        # A box that flies apart has no density, however far it came.
        apart = path.stopped is not None or seen[-1] < APART * seen[0]
        return {"densities": torch.from_numpy(seen * math.nan if apart else seen)}

    kept = run.stage("density", found, network=network, box=box, densities=densities)["densities"]
    return float(kept[int(SETTLING * len(kept)) :].mean())


def _held(run: Run, network: nn.Module, box: Frames, densities: Densities) -> dict[str, Tensor]:
    def found(network: nn.Module, box: Frames, densities: Densities) -> dict[str, Tensor]:
        path = _moved(run, network, box, densities, "nvt")
        seen = np.asarray(path.rows["pressure_atm"], dtype=float)
        frames = path.frames.without_labels()
        frames = frames.replace(charge=np.repeat(box.charge, len(frames)))
        if path.stopped is not None:
            seen = seen * math.nan
        return {**tensors_of(frames), "pressures": torch.from_numpy(seen)}

    return dict(run.stage("pressure", found, network=network, box=box, densities=densities))


def _moved(run: Run, network: nn.Module, box: Frames, densities: Densities, ensemble: Any) -> Any:
    """The path of a box that has settled."""
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
    return simulate(
        start,
        calculator,
        ensemble=ensemble,
        temperature=densities.temperature,
        pressure=densities.pressure,
        timestep=densities.timestep,
        steps=steps,
        every=max(steps // FRAMES, 1),
        seed=seed,
        out=run.dir / "dynamics",
    )
