"""Pressure of force fields moved to where simulated densities are as measured."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.atoms import to_atoms
from limbeck.data.force_data import ForceData
from limbeck.data.frames import Frames
from limbeck.errors import ArgumentError, DivergedError, RunError, UnusualUseWarning
from limbeck.functional.pressure import alignment_pressure_loss, virial_pressure
from limbeck.loops.force_distilling import (
    JUDGED,
    BulkWeights,
    Course,
    alternating,
    counts_of,
)
from limbeck.loops.force_fields import PropertyWeights, by_epochs, force_error, predicted
from limbeck.loops.force_frames import Places
from limbeck.loops.optim import Optim
from limbeck.objectives import Terms
from limbeck.run.run import Run
from limbeck.settings import settings

Positive = Annotated[float, Field(gt=0)]
# The first part of a simulation, in which a box finds its density.
SETTLING = 0.4


@settings
class Densities:
    """How the density of a box is found: dynamics at constant pressure.

    Args:
        temperature: in K.
        pressure: in atm.
        timestep: in fs.
        picoseconds: of the dynamics; the first two fifths are not counted.
        step: between the two pressures from which the slope of the density is taken, in atm.
    """

    temperature: Positive = 300.0
    pressure: float = 1.0
    timestep: Positive = 1.0
    picoseconds: Positive = 1000.0
    step: Positive = 1000.0


@settings
class Alignment:
    """How pressures are moved; nothing is done without a change of pressure or a density.

    Args:
        pressure_change: of each box, or one for all, in atm; negative raises densities.
        density: of each box as measured, or one for all, in g/cm3, in place of `pressure_change`;
            what change leads to it is found by dynamics at two pressures.
        densities: how.
        frames: of each box, at most; one a step.
        epochs: passes over the frames.
        batch_size: labelled training frames a step.
        rates: learning rates that are tried, smallest first, until the pressure has moved.
        reached: share of the change that may be missing.
        guard: share by which the error of forces on validation clusters may grow.
        optim: how it learns; its rate is one of `rates`.
        past: weights against the student's own past.
        labels: weights against labels.
        trained: module of the student that learns.
    """

    pressure_change: tuple[float, ...] = ()
    density: tuple[Positive, ...] = ()
    densities: Densities = Densities()
    frames: Annotated[int, Field(ge=1)] = 30
    epochs: Annotated[int, Field(ge=1)] = 30
    batch_size: Annotated[int, Field(ge=1)] = 512
    rates: tuple[Positive, ...] = (1e-12,)
    reached: Annotated[float, Field(gt=0, lt=1)] = 0.15
    guard: Positive = 0.05
    optim: Optim = Optim("sgd", lr=1e-12, schedule="exponential", decay=0.99, plateaus=1)
    past: BulkWeights = BulkWeights(forces=1e6, energy=100.0, virial=3000.0)
    labels: PropertyWeights = PropertyWeights(
        energy=0.3, forces=1.0, virial=0.1, charges=0.0, dipole=3.0, charge_response=0.0
    )
    trained: str = "energy"

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.pressure_change or self.density)


def densities_of(
    run: Run,
    word: str,
    jobs: Sequence[tuple[nn.Module, Frames, float]],
    densities: Densities,
) -> list[float]:
    """Densities of boxes in g/cm3 by dynamics, in jobs that go on after a stop.

    Args:
        run: each simulation has a run folder of its own below its ``jobs``.
        word: names them.
        jobs: a force field, one periodic frame to start from, and a pressure in atm.
        densities: how.

    Raises:
        RunError: a simulation broke off.
    """
    names = [f"density-{word}-{number}" for number in range(len(jobs))]
    given = [
        (network, box, dataclasses.replace(densities, pressure=pressure))
        for network, box, pressure in jobs
    ]
    return run.executor.runs(_density, names, given, "densities")


def _density(run: Run, network: nn.Module, box: Frames, densities: Densities) -> float:
    def found(network: nn.Module, box: Frames, densities: Densities) -> dict[str, Tensor]:
        from limbeck.bridges.ase import ForceFieldCalculator, relaxed, simulate

        calculator = ForceFieldCalculator(network)
        steps = round(1000 * densities.picoseconds / densities.timestep)
        path = simulate(
            relaxed(to_atoms(box)[0], calculator),
            calculator,
            ensemble="npt",
            temperature=densities.temperature,
            pressure=densities.pressure,
            timestep=densities.timestep,
            steps=steps,
            every=max(steps // 200, 1),
            seed=keyed.key(run.seed, "density") % 2**31,
            out=run.dir / "dynamics",
        )
        if path.stopped is not None:
            raise RunError(
                f"dynamics at {densities.pressure:g} atm broke off after {path.steps} of {steps} "
                f"steps ({path.stopped}), so that no density is known; train for longer"
            )
        return {"densities": torch.from_numpy(np.asarray(path.densities))}

    kept = run.stage("density", found, network=network, box=box, densities=densities)["densities"]
    return float(kept[int(SETTLING * len(kept)) :].mean())


def wanted_changes(
    run: Run, network: nn.Module, boxes: Frames, alignment: Alignment
) -> dict[str, list[float]]:
    r"""The change of pressure that each box needs.

    .. math:: \Delta P = -(\rho^* - \rho) / (d\rho / dP)

    Args:
        run: the folder.
        network: the force field.
        boxes: periodic frames.
        alignment: tells the densities that were measured, or the changes themselves.

    Returns:
        ``wanted`` in atm for each box, and where they were found by dynamics ``density`` and
        ``slope`` (in g/cm3 per atm).

    Raises:
        ArgumentError: there are as many boxes neither as changes nor as densities.
        RunError: a density does not grow with the pressure, as far as the dynamics tell.
    """
    name = "density" if alignment.density else "pressure_change"
    given = getattr(alignment, name)
    if len(given) not in (1, len(boxes)):
        raise ArgumentError(
            f"alignment.{name} has {len(given)} numbers for {len(boxes)} boxes, expected one, or "
            "one for each"
        )
    each = list(given) * (1 if len(given) > 1 else len(boxes))
    if not alignment.density:
        return {"wanted": each}
    how = alignment.densities
    pressures = [how.pressure, how.pressure + how.step]
    places = range(len(boxes))
    jobs = [(network, boxes.take([place]), one) for place in places for one in pressures]
    found = np.array(densities_of(run, "before", jobs, how)).reshape(-1, 2)
    slopes = (found[:, 1] - found[:, 0]) / how.step
    if not (slopes > 0).all():
        worst = int(np.argmin(slopes))
        low, high = found[worst]
        raise RunError(
            f"the density of box {worst} is {low:.4g} g/cm3 at {pressures[0]:g} atm and "
            f"{high:.4g} at {pressures[1]:g}, so that it does not tell which pressure is missing; "
            "raise alignment.densities.picoseconds, or give alignment.pressure_change"
        )
    wanted = -(np.array(each) - found[:, 0]) / slopes
    return {
        "wanted": wanted.tolist(), "density": found[:, 0].tolist(), "slope": slopes.tolist()
    }  # fmt: skip


def aligned_force_field(
    run: Run,
    network: nn.Module,
    frames: Frames,
    box: Places,
    data: ForceData,
    alignment: Alignment,
    wanted: Sequence[float],
) -> dict[str, Any]:
    """Move the pressure between molecules, holding the network to its past and to the labels.

    Rates are tried from the smallest on, each from the same weights, until the pressure of frames
    that were kept out has moved far enough. A rate at which the error of forces on validation
    clusters grows by more than the guard is not taken.

    Args:
        run: the folder.
        network: trained in place, or left as it is where no rate will do.
        frames: of periodic boxes, with molecules numbered.
        box: which box each frame is of ``(N,)``.
        data: labelled clusters.
        alignment: how.
        wanted: change of each box in atm.

    Returns:
        ``moved`` in atm for each box, ``rate``, ``force_error_before`` and ``force_error_after``
        in kcal/mol/Angstrom on validation clusters.
    """
    goal = np.array(wanted)
    held = np.arange(len(frames)) % JUDGED == 0
    learn, judge = (
        Past.of(network, frames.take(np.flatnonzero(some)), box[some], goal)
        for some in (~held, held)
    )
    before = force_error(network, data.validation)
    none: dict[str, Any] = {"moved": [0.0] * len(goal), "rate": 0.0}
    none |= {"force_error_before": before, "force_error_after": before}
    tried: list[tuple[dict[str, Any], nn.Module]] = [(none, network)]
    for place, rate in enumerate(alignment.rates):
        one = copy.deepcopy(network)
        try:
            _aligned(run, f"alignment-{place}", one, learn, data, alignment, rate)
        except DivergedError:
            break
        moved, after = judge.moved(one), force_error(one, data.validation)
        if not after <= (1 + alignment.guard) * before:
            break
        told = {"moved": moved.tolist(), "rate": rate, "force_error_after": after}
        tried.append(({**none, **told}, one))
        if (np.abs(moved - goal) <= alignment.reached * np.abs(goal)).all():
            break
    told, best = min(tried, key=lambda one: float(np.square(one[0]["moved"] - goal).sum()))
    if best is network:
        warnings.warn(
            "the force field is left as it was: no rate moves its pressure without raising the "
            f"error of its forces by more than {alignment.guard:.0%}; change alignment.rates",
            UnusualUseWarning,
            stacklevel=2,
        )
    network.load_state_dict(best.state_dict())
    return told


@dataclass(frozen=True)
class Past:
    """Periodic frames with what a network said of them before it was changed.

    Args:
        frames: with its energies, forces and virials.
        between: virial between molecules ``(N,)``, in kcal/mol.
        volume: ``(N,)``, in cubic Angstrom.
        box: which box each frame is of ``(N,)``.
        goal: change of the pressure of each box, in atm.
    """

    frames: Frames
    between: Tensor
    volume: Tensor
    box: Tensor
    goal: Tensor

    @classmethod
    def of(cls, network: nn.Module, frames: Frames, box: Places, goal: Any) -> Past:
        """What a network says of frames now."""
        said = predicted(network, frames)
        labels = {name: said[name].numpy() for name in ("energy", "forces", "virial")}
        volume = torch.from_numpy(np.abs(np.linalg.det(frames.cell)))
        kept = frames.without_labels().replace(**labels)
        numbers = torch.from_numpy(box), torch.from_numpy(goal)
        return cls(kept, said["intermolecular_virial"], volume, *numbers)

    def moved(self, network: nn.Module) -> Any:
        """Mean change of the pressure between molecules since then, of each box in atm."""
        change = predicted(network, self.frames)["intermolecular_virial"] - self.between
        change = virial_pressure(change, self.volume)
        sums = torch.zeros(len(self.goal), dtype=change.dtype).index_add(0, self.box, change)
        return (sums / torch.bincount(self.box, minlength=len(self.goal))).numpy()

    def terms(self, said: Any, batch: Any, past: BulkWeights) -> Terms:
        """Terms of a batch of the frames: the pressure, and what is held to the past."""
        now, rows = said["intermolecular_virial"], batch["id"]
        between, volume, goal = (
            one[rows].to(now) for one in (self.between, self.volume, self.goal[self.box])
        )
        held = {name: batch[name] for name in ("energy", "forces", "virial")}
        pressure = alignment_pressure_loss(now, between, goal, volume=volume)
        return {"pressure": pressure, **past.terms(said, held, counts_of(batch))}


def _aligned(
    run: Run,
    stage: str,
    network: nn.Module,
    past: Past,
    data: ForceData,
    alignment: Alignment,
    rate: float,
) -> None:
    course = Course(
        2 * alignment.epochs * len(past.frames),
        1,
        alignment.batch_size,
        dataclasses.replace(by_epochs(alignment.optim, alignment.epochs), lr=rate),
        alignment.trained,
        lambda said, batch: past.terms(said, batch, alignment.past),
        alignment.labels.terms,
    )

    def learned(network: nn.Module, data: ForceData, **key: Any) -> Any:
        return alternating(run, stage, network, past.frames, data.train, course)

    key: dict[str, Any] = {
        "frames": past.frames,
        "goal": [past.goal, past.box],
        "alignment": alignment,
    }
    network.load_state_dict(run.stage(stage, learned, network=network, data=data, **key))
