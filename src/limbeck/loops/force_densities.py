"""What dynamics of boxes tell: densities at constant pressure, pressures at constant volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.atoms import to_atoms
from limbeck.data.frames import Frames, join
from limbeck.errors import SettingsError
from limbeck.loops.force_frames import frames_from, tensors_of
from limbeck.run.run import Run
from limbeck.settings import settings

Positive = Annotated[float, Field(gt=0)]
# The first part of a simulation, in which a box finds its density, or its pressure.
SETTLING = 0.4
# Of a simulation, at most, that are kept.
FRAMES = 200
# Moments that means are taken over: pressures of small boxes swing by thousands of atm from one to
# the next, those of many atoms by less.
MOMENTS, PLACES = 2000, 400_000
# Fewer steps tell no mean; blocks of them tell how sure it is, long ones of what is slow.
LEAST_STEPS, BLOCKS = 10, (4, 8, 16)
# A liquid that came to less than this share of its density at the start is none any more.
APART = 0.5


@settings
class Densities:
    """How the density of a box is found, or what pressure it lacks: by dynamics.

    Args:
        by: what tells the change of pressure that leads to a density: ``"density"`` at two constant
            pressures, for boxes that hold together at both; ``"pressure"`` at constant volume and
            the density itself, which is ours.
        temperature: in K.
        pressure: in atm.
        timestep: in fs.
        picoseconds: of the dynamics; the first two fifths are not counted.
        settling: ps at constant volume before, in which a packed box comes to rest.
        paths: simulations of each box, with their own velocities and heat baths; how far they are
            apart tells how sure their mean is, which one path cannot: a box of a few molecules
            remembers for longer than some picoseconds.
        step: between the two pressures from which the slope of the density is taken, in atm.

    Raises:
        SettingsError: there are fewer than ten steps.
    """

    by: Literal["density", "pressure"] = "density"
    temperature: Positive = 300.0
    pressure: float = 1.0
    timestep: Positive = 1.0
    picoseconds: Positive = 1000.0
    settling: Annotated[float, Field(ge=0)] = 1.0
    paths: Annotated[int, Field(ge=1)] = 1
    step: Positive = 1000.0

    def __post_init__(self) -> None:
        if self.steps < LEAST_STEPS:
            raise SettingsError(
                f"picoseconds is {self.picoseconds:g} and timestep {self.timestep:g} fs, which is "
                f"{self.steps} steps; expected {LEAST_STEPS} or more: raise picoseconds"
            )

    @property
    def steps(self) -> int:
        """Of the dynamics."""
        return round(1000 * self.picoseconds / self.timestep)


@dataclass(frozen=True)
class Held:
    """What simulations of a box told, once it had settled.

    Args:
        density: in g/cm3; NaN of a box that broke off or became a gas.
        pressure: in atm; NaN of a box that broke off.
        error: standard error of the pressure in atm, the larger of what blocks of a path tell and
            how far paths are apart.
        frames: on the way, without labels.
    """

    density: float
    pressure: float
    error: float
    frames: Frames


def simulated_boxes(
    run: Run,
    word: str,
    jobs: Sequence[tuple[nn.Module, Frames, float | None]],
    densities: Densities,
) -> list[Held]:
    """What dynamics of boxes tell, in jobs that go on after a stop, one for each path.

    Args:
        run: each simulation has a run folder of its own below its ``jobs``.
        word: names them.
        jobs: a force field, one periodic frame to start from, and a pressure in atm; None holds the
            volume.
        densities: how.
    """
    paths = densities.paths
    names = [f"{word}-{number}-{path}" for number in range(len(jobs)) for path in range(paths)]
    given = [(*job, densities, word, path) for job in jobs for path in range(paths)]
    run.executor.runs(_simulated, names, given, "dynamics")
    told = [
        _told(_stage(run.executor.part(name), *job)) for name, job in zip(names, given, strict=True)
    ]
    return [together(told[first : first + paths]) for first in range(0, len(told), paths)]


def together(paths: Sequence[Held]) -> Held:
    """What several simulations of one box tell; where one broke off, they tell nothing.

    Args:
        paths: at least one.

    Example:
        >>> frame = Frames([1], [[0.0, 0.0, 0.0]], [1])
        >>> one = together([Held(0.9, 100.0, 30.0, frame), Held(1.1, 300.0, 40.0, frame)])
        >>> one.density, one.pressure, round(one.error), len(one.frames)
        (1.0, 200.0, 100, 2)
    """
    pressures = np.array([one.pressure for one in paths])
    within = math.hypot(*(one.error for one in paths)) / len(paths)
    apart = np.std(pressures, ddof=1) / math.sqrt(len(paths)) if len(paths) > 1 else 0.0
    return Held(
        float(np.mean([one.density for one in paths])),
        float(pressures.mean()),
        float(np.maximum(within, apart)),
        join([one.frames for one in paths]),
    )


def densities_of(
    run: Run,
    word: str,
    jobs: Sequence[tuple[nn.Module, Frames, float]],
    densities: Densities,
) -> list[float]:
    """Densities of boxes in g/cm3 at constant pressures; see `simulated_boxes`."""
    return [one.density for one in simulated_boxes(run, f"density-{word}", jobs, densities)]


def _simulated(run: Run, *job: Any) -> None:
    _stage(run, *job)


def _stage(
    run: Run,
    network: nn.Module,
    box: Frames,
    pressure: float | None,
    densities: Densities,
    word: str,
    path: int,
) -> dict[str, Tensor]:
    def moved(
        network: nn.Module, box: Frames, pressure: float | None, densities: Densities
    ) -> dict[str, Tensor]:
        from limbeck.bridges.ase import ForceFieldCalculator, simulate

        found = simulate(
            to_atoms(box)[0],
            ForceFieldCalculator(network),
            ensemble="nvt" if pressure is None else "npt",
            temperature=densities.temperature,
            pressure=densities.pressure if pressure is None else pressure,
            timestep=densities.timestep,
            steps=densities.steps,
            every=max(densities.steps // moments_of(len(box.species)), 1),
            # The same for all boxes: what differs between two simulations is what was changed.
            seed=keyed.key(run.seed, "density", path) % 2**31,
            settling=densities.settling,
            out=None if run.trying else run.dir / word,
        )
        settled = int(SETTLING * len(found))
        apart = max(len(found) // FRAMES, 1)
        kept = found.frames.take(range(settled, len(found), apart)).without_labels()
        return {
            **tensors_of(kept.replace(charge=np.repeat(box.charge, len(kept)))),
            "densities": torch.from_numpy(np.asarray(found.densities, dtype=float)),
            "pressures": torch.from_numpy(np.asarray(found.rows["pressure_atm"], dtype=float)),
            "stopped": torch.tensor(found.stopped is not None),
        }

    found = run.stage(word, moved, network=network, box=box, pressure=pressure, densities=densities)
    return dict(found)


def _told(found: dict[str, Tensor]) -> Held:
    seen, pressures = (found.pop(name).numpy() for name in ("densities", "pressures"))
    stopped = bool(found.pop("stopped"))
    # A box that flies apart has no density, however far it came.
    apart = stopped or seen[-1] < APART * seen[0]
    settled = int(SETTLING * len(seen))
    pressure = math.nan if stopped else float(pressures[settled:].mean())
    return Held(
        math.nan if apart else float(seen[settled:].mean()),
        pressure,
        math.nan if stopped else standard_error(pressures[settled:]),
        frames_from(found),
    )


def moments_of(atoms: int) -> int:
    """How many moments of a box tell its mean pressure about as well as those of another size.

    Example:
        >>> moments_of(100), moments_of(1000), moments_of(10000)
        (2000, 400, 200)
    """
    return min(MOMENTS, max(FRAMES, PLACES // atoms))


def standard_error(values: npt.NDArray[np.float64]) -> float:
    """How sure the mean of a series is whose neighbours are alike: by means of blocks of it.

    Blocks should be longer than the series remembers, which is not known: the largest of what
    several lengths tell is taken.

    Args:
        values: in the order of time ``(N,)``.

    Example:
        >>> standard_error(np.array([1.0, 1.0, 3.0, 3.0] * 40)) < 0.1
        True
        >>> standard_error(np.repeat([1.0, 3.0], 80)).__round__(3)
        0.577
        >>> standard_error(np.tile(np.repeat([1.0, 3.0], 20), 4)).__round__(3)
        0.378
    """
    found = []
    for count in BLOCKS:
        means = [one.mean() for one in np.array_split(values, min(count, len(values)))]
        found.append(np.std(means, ddof=1) / math.sqrt(len(means)) if len(means) > 1 else math.inf)
    return float(max(found))
