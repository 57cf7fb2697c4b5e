"""Distilling force fields: a part of a network learns from an ensemble and from labels in turn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.data.force_data import ForceData
from limbeck.data.frames import Frames
from limbeck.data.graphs import GraphBatch
from limbeck.data.loader import Batches
from limbeck.errors import ArgumentError, nearest
from limbeck.functional.bulk_forces import bulk_distillation_terms
from limbeck.loops.alternate import Models, Watch, alternate
from limbeck.loops.force_fields import (
    LOOKS,
    PropertyWeights,
    Weight,
    batches_of,
    by_epochs,
    force_distance,
)
from limbeck.loops.force_frames import Places
from limbeck.loops.optim import Optim
from limbeck.networks.get_pairs import dispersed
from limbeck.objectives import Terms
from limbeck.run.run import At, Run
from limbeck.settings import settings

# Of so many frames one is kept out, to be judged on.
JUDGED = 3


@settings
class BulkWeights:
    """How much errors against targets of frames count.

    Args:
        forces: in kcal/mol/Angstrom.
        energy: in kcal/mol, its square by the number of atoms.
        virial: in kcal/mol, its square by the number of atoms.
    """

    forces: Weight = 3.0
    energy: Weight = 0.01
    virial: Weight = 0.01

    def terms(self, said: Any, targets: Any, counts: Tensor) -> Terms:
        """Weighted squared errors by name; see `bulk_distillation_terms`."""
        weights = {"forces": self.forces, "energy": self.energy, "virial": self.virial}
        return bulk_distillation_terms(said, targets, counts, weights=weights)


@settings
class ForceDistillation:
    """How a student learns from an ensemble.

    Args:
        epochs: passes over the frames that the ensemble labelled.
        frames: of them a step.
        batch_size: labelled training frames a step.
        optim: how it learns; exponential decay goes by epochs.
        targets: weights against the ensemble.
        labels: weights against labels.
        trained: module of the student that learns, such as ``"energy"``; empty trains all of it.
    """

    epochs: Annotated[int, Field(ge=1)] = 50
    frames: Annotated[int, Field(ge=1)] = 1
    batch_size: Annotated[int, Field(ge=1)] = 512
    optim: Optim = Optim("adam", lr=1e-6, schedule="exponential", decay=0.99, plateaus=1)
    targets: BulkWeights = BulkWeights()
    labels: PropertyWeights = PropertyWeights(
        energy=0.3, forces=1.0, virial=0.1, charges=0.0, dipole=0.0, charge_response=0.0
    )
    trained: str = "energy"

    def course(self, count: int, terms: Callable[[Any, Any], Terms]) -> Course:
        """What is done with so many frames.

        Args:
            count: of frames.
            terms: of a step on frames.
        """
        return Course(
            2 * self.epochs * -(-count // self.frames),
            self.frames,
            self.batch_size,
            by_epochs(self.optim, self.epochs),
            self.trained,
            terms,
            self.labels.terms,
        )


@dataclass(frozen=True)
class Course:
    """What `alternating` does.

    Args:
        steps: of both kinds together.
        frames: of them a step.
        batch_size: labelled clusters a step.
        optim: how the network learns.
        trained: module that learns; empty trains the whole.
        terms: from what the network says and a batch of frames to named terms.
        labelled: likewise, of clusters.
        dispersion: whether what frames are compared with holds dispersion; labels do not.
    """

    steps: int
    frames: int
    batch_size: int
    optim: Optim
    trained: str
    terms: Callable[[Any, Any], Terms]
    labelled: Callable[[Any, Any], Terms]
    dispersion: bool = True


class Turns:
    """Batches of two sources in turn: the first one's come at even steps.

    Args:
        first: a source whose batches are a function of the step.
        second: another one.
    """

    def __init__(self, first: Any, second: Any) -> None:
        self.sources = (first, second)

    def batches(self, start: int, stop: int) -> Iterator[GraphBatch]:
        """Yield the batches of steps start to stop - 1."""
        for step in range(start, stop):
            yield self.sources[step % 2].batch(step // 2)


def parted(origin: Places) -> tuple[Places, Places]:
    """Places of frames to learn from and of those to judge on: the last third of each origin.

    Frames lie in order of simulation and time, so that those to judge on are of other simulations,
    or of later times; frames kept out one by one would lie beside what was learned.

    Args:
        origin: which box each frame is of, -1 of clusters ``(N,)``.

    Example:
        >>> learn, judge = parted(np.array([-1, -1, -1, 0]))
        >>> learn.tolist(), judge.tolist()
        ([0, 1, 3], [2, 3])
    """
    learn, judge = [], []
    for number in np.unique(origin):
        rows = np.flatnonzero(origin == number)
        held = -(-len(rows) // JUDGED)
        # A single frame is judged on what was learned from.
        learn.append(rows[:-held] if len(rows) > 1 else rows)
        judge.append(rows[-held:])
    return np.concatenate(learn), np.concatenate(judge)


def check_part(network: nn.Module, part: str, name: str = "trained") -> None:
    """Raise `ArgumentError` unless a network has a module with weights at a path.

    Args:
        network: the student.
        part: the path; empty stands for the whole.
        name: of the setting.
    """
    known = dict(network.named_modules())
    if part and (part not in known or not list(known[part].parameters())):
        raise ArgumentError(
            f"{name} is {part!r}, and the student has no such module with weights; "
            f"{nearest(part, [name for name, _ in network.named_children()])}"
        )


def only(network: nn.Module, part: str) -> None:
    """Let one module of a network learn and freeze the others.

    Args:
        network: changed in place.
        part: path of the module; empty stands for the whole.

    Raises:
        ArgumentError: there is no such module, or nothing in it learns.
    """
    check_part(network, part)
    network.requires_grad_(not part)
    if part:
        network.get_submodule(part).requires_grad_(True)


def alternating(
    run: Run,
    stage: str,
    network: nn.Module,
    frames: Frames,
    clusters: Frames,
    course: Course,
    watch: Watch | None = None,
) -> dict[str, Tensor]:
    """Steps on frames and steps on labelled clusters in turn.

    Args:
        run: the folder.
        stage: name of the stage.
        network: trained in place.
        frames: of the even steps.
        clusters: of the odd steps.
        course: what is learned, and how.
        watch: keeps the best weights.

    Returns:
        The weights of the network.
    """
    only(network, course.trained)
    network.train()
    bulk = batches_of(run, f"{stage} frames", network, frames, course.frames)
    source: Batches = Turns(
        bulk, batches_of(run, f"{stage} clusters", network, clusters, course.batch_size)
    )

    def step(models: Models, batch: Any, at: At) -> Terms:
        labelled = bool(at.step % 2)
        with dispersed(network, course.dispersion and not labelled):
            said = models[stage](batch)
        found = (course.labelled if labelled else course.terms)(said, batch)
        # Terms of both kinds of steps under names of their own.
        return {f"{name} of labels" if labelled else name: one for name, one in found.items()}

    alternate(
        run,
        stage,
        {stage: network},
        {stage: course.optim},
        course.steps,
        step=step,
        batches=source,
        watch=watch,
    )
    network.requires_grad_(True)
    network.eval()
    return dict(network.state_dict())


def counts_of(batch: Mapping[str, Tensor]) -> Tensor:
    """Atoms of each frame ``(N,)``."""
    return torch.bincount(batch["frame"], minlength=len(batch["charge"]))


def distilled_force_field(
    run: Run,
    stage: str,
    network: nn.Module,
    frames: Frames,
    origin: Places,
    data: ForceData,
    distillation: ForceDistillation,
) -> float:
    """Let a copy of a member learn what an ensemble says of frames, in a memoised stage.

    A third of the frames is kept out, see `parted`; of a few looks at how far the student is from
    the ensemble there, the weights of the nearest are kept.

    Args:
        run: the folder.
        stage: name of the stage.
        network: trained in place.
        frames: with energies, forces and virials of the ensemble.
        origin: which box each is of, -1 of clusters ``(N,)``.
        data: its training frames hold the student to the labels.
        distillation: how.

    Returns:
        Distance of the forces from those of the ensemble on the frames that were kept out, in
        kcal/mol/Angstrom.
    """
    told = ("energy", "forces", "virial")
    learn, judge = (frames.take(rows) for rows in parted(origin))

    def terms(said: Any, batch: Any) -> Terms:
        targets = {name: batch[name] for name in told}
        return distillation.targets.terms(said, targets, counts_of(batch))

    course = distillation.course(len(learn), terms)
    watch = Watch(
        lambda models: -force_distance(models[stage], judge),
        every=max(course.steps // min(LOOKS, distillation.epochs), 1),
    )

    def learned(network: nn.Module, data: ForceData, **key: Any) -> Any:
        return alternating(run, stage, network, learn, data.train, course, watch)

    key: dict[str, Any] = {
        "frames": frames,
        "origin": origin,
        "data": data,
        "distillation": distillation,
    }
    network.load_state_dict(run.stage(stage, learned, network=network, **key))
    return force_distance(network, judge)


def trained_on(
    run: Run,
    stage: str,
    network: nn.Module,
    count: int,
    data: ForceData,
    distillation: ForceDistillation,
) -> None:
    """Let a copy of a member learn from labels alone, for as many steps as from so many frames.

    Args:
        run: the folder.
        stage: name of the stage.
        network: trained in place.
        count: of frames that a student would learn from.
        data: its training frames are learned from.
        distillation: how a student would learn.
    """
    course = dataclasses.replace(
        distillation.course(count, distillation.labels.terms),
        frames=distillation.batch_size,
        dispersion=False,
    )

    def learned(network: nn.Module, data: ForceData, **key: Any) -> Any:
        return alternating(run, stage, network, data.train, data.train, course)

    key: dict[str, Any] = {"data": data, "count": count, "distillation": distillation}
    network.load_state_dict(run.stage(stage, learned, network=network, **key))
