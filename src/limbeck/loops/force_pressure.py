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

from limbeck.data.force_data import ForceData
from limbeck.data.frames import Frames
from limbeck.errors import (
    ArgumentError,
    DivergedError,
    SettingsError,
    UnusualUseWarning,
)
from limbeck.functional.pressure import alignment_pressure_loss, virial_pressure
from limbeck.loops.force_densities import Densities, Positive
from limbeck.loops.force_distilling import (
    BulkWeights,
    Course,
    alternating,
    counts_of,
    parted,
)
from limbeck.loops.force_fields import PropertyWeights, by_epochs, force_error, predicted
from limbeck.loops.force_frames import Places
from limbeck.loops.optim import Optim
from limbeck.objectives import Terms
from limbeck.run.run import Run
from limbeck.settings import settings

# Densities in g/cm3 beyond which no liquid is, nor any matter on earth.
LEAST, MOST = 0.01, 25.0
# From the published rate on, to where small networks move.
RATES = (1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7)


@settings
class Alignment:
    """How pressures are moved; nothing is done without a change of pressure or a density.

    Args:
        pressure_change: of each box, or one for all, in atm; negative raises densities.
        density: of each box as measured, or one for all, in g/cm3, in place of `pressure_change`;
            what change leads to it is found by dynamics.
        densities: how.
        frames: of each box, at most; one a step.
        epochs: passes over the frames.
        batch_size: labelled training frames a step.
        rates: learning rates that are tried in turn, smallest first, until the pressure has moved;
            the first is the published one.
        reached: share of the change that may be missing.
        guard: share by which the error of forces on validation clusters may grow.
        optim: how it learns; its rate is one of `rates`.
        past: weights against the student's own past.
        labels: weights against labels.
        trained: module of the student that learns.

    Raises:
        SettingsError: both a density and a change of pressure are given, or a density is none in
            g/cm3.
    """

    pressure_change: tuple[float, ...] = ()
    density: tuple[float, ...] = ()
    densities: Densities = Densities()
    frames: Annotated[int, Field(ge=1)] = 30
    epochs: Annotated[int, Field(ge=1)] = 30
    batch_size: Annotated[int, Field(ge=1)] = 512
    rates: Annotated[tuple[Positive, ...], Field(min_length=1)] = RATES
    reached: Annotated[float, Field(gt=0, lt=1)] = 0.15
    guard: Positive = 0.05
    optim: Optim = Optim("sgd", lr=1e-12, schedule="exponential", decay=0.99, plateaus=1)
    past: BulkWeights = BulkWeights(forces=1e6, energy=100.0, virial=3000.0)
    labels: PropertyWeights = PropertyWeights(
        energy=0.3, forces=1.0, virial=0.1, charges=0.0, dipole=3.0, charge_response=0.0
    )
    trained: str = "energy"

    def __post_init__(self) -> None:
        if self.density and self.pressure_change:
            raise SettingsError(
                f"density is {self.density} and pressure_change is {self.pressure_change}: one "
                "follows from the other; give one of them"
            )
        for one in self.density:
            if not LEAST <= one <= MOST:
                raise SettingsError(
                    f"density is {one:g}, expected g/cm3, from {LEAST:g} to {MOST:g}; divide "
                    "kg/m3 by 1000"
                )

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.pressure_change or self.density)

    @property
    def held(self) -> bool:
        """Whether boxes are held at their densities, and aligned on frames of that."""
        return bool(self.density) and self.densities.by == "pressure"

    def each(self, boxes: int) -> list[float]:
        """The density, or the change of pressure, of each of so many boxes.

        Raises:
            ArgumentError: there are neither as many numbers nor one.
        """
        name = "density" if self.density else "pressure_change"
        given = getattr(self, name)
        if len(given) not in (1, boxes):
            raise ArgumentError(
                f"alignment.{name} has {len(given)} numbers for {boxes} boxes, expected one, or "
                "one for each"
            )
        return list(given) * (boxes if len(given) == 1 else 1)


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
    learn, judge = (Past.of(network, frames.take(rows), box[rows], goal) for rows in parted(box))
    before = force_error(network, data.validation)
    told: dict[str, Any] = {"moved": [0.0] * len(goal), "rate": 0.0}
    told |= {"force_error_before": before, "force_error_after": before}
    tried: list[tuple[dict[str, Any], nn.Module]] = [(told, network)]
    why = "no rate moved it further"
    for place, rate in enumerate(alignment.rates):
        one = copy.deepcopy(network)
        try:
            _aligned(run, f"alignment-{place}", one, learn, data, alignment, rate)
        except DivergedError:
            why = f"at the rate {rate:g} it diverges"
            break
        moved, after = judge.moved(one), force_error(one, data.validation)
        if not after <= (1 + alignment.guard) * before:
            why = (
                f"at the rate {rate:g} the error of its forces grows from {before:.4g} to "
                f"{after:.4g} kcal/mol/A, by more than {alignment.guard:.0%}"
            )
            break
        new = {"moved": moved.tolist(), "rate": rate, "force_error_after": after}
        tried.append(({**told, **new}, one))
        # A rehearsal counts all: what they come to says nothing.
        if not run.trying and _reached(moved, goal, alignment.reached):
            break
    told, best = min(tried, key=lambda one: float(np.square(one[0]["moved"] - goal).sum()))
    if not run.trying and not _reached(np.array(told["moved"]), goal, alignment.reached):
        _warn_short(told, goal, why, left=best is network)
    network.load_state_dict(best.state_dict())
    return told


def _reached(moved: Any, goal: Any, missing: float) -> bool:
    """Whether no box misses more than a share of its change; of none, that of the largest."""
    size = np.abs(goal)
    return bool((np.abs(moved - goal) <= missing * np.where(size > 0, size, size.max())).all())


def _warn_short(told: dict[str, Any], goal: Any, why: str, *, left: bool) -> None:
    """Say that pressures have not moved as far as was wanted, and why not further."""
    moved, wanted = (", ".join(f"{one:.4g}" for one in each) for each in (told["moved"], goal))
    ends = "the force field is left as it was" if left else f"at the rate {told['rate']:g} it stays"
    warnings.warn(
        f"the pressure moved by {moved} atm and {wanted} are wanted: {why}; {ends}. Change "
        "alignment.rates or alignment.epochs, or raise alignment.guard or alignment.reached",
        UnusualUseWarning,
        stacklevel=3,
    )


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
            one.to(now)[rows] for one in (self.between, self.volume, self.goal[self.box])
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
