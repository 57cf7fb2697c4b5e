"""Rounds of labels: where members disagree on frames of their own dynamics, a source tells them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import nn

from limbeck.data.boxes import with_molecules
from limbeck.data.cutting import cluster_around
from limbeck.data.force_data import ForceData
from limbeck.data.frames import Floats, Frames, join
from limbeck.data.labelling import Source, label_source, told_by
from limbeck.data.neighbours import whole_molecules
from limbeck.errors import DataError
from limbeck.loops.force_fields import ForceTraining, predicted, trained_members
from limbeck.loops.force_frames import Sampling, drawn_frames
from limbeck.loops.force_labels import labelled_frames
from limbeck.run.run import Run
from limbeck.settings import settings

# Training frames that the source labels once more, to see whether it is the one of the labels, and
# how far its forces may be from theirs on the whole, as a share.
COMPARED, UNLIKE = 3, 0.02


@settings
class Rounds:
    """How members learn from labels of what their own dynamics came to, before they teach.

    Args:
        count: of rounds; 0 leaves it at the labels that there are.
        source: of labels, the one of those that there are (see `label_source`).
        sampling: how frames are drawn.
        clusters: that are labelled in a round, one of a frame: those around the atoms whose forces
            members disagree on most.
        reach: molecules with an atom this near to that one are in its cluster, in Angstrom.
        most_atoms: of a cluster; larger ones are passed over.
        most_force: on an atom, in kcal/mol/Angstrom; clusters with more are left out.
        epochs: of each member after a round, from the weights that it has.
        lr: learning rate at the start of these.
        decay: of the rate, by epochs.
    """

    count: Annotated[int, Field(ge=0)] = 0
    source: str = "tblite"
    sampling: Sampling = Sampling(temperature=400.0, picoseconds=0.5, every=0.01)
    clusters: Annotated[int, Field(ge=1)] = 200
    reach: Annotated[float, Field(gt=0)] = 4.0
    most_atoms: Annotated[int, Field(ge=1)] = 90
    most_force: Annotated[float, Field(gt=0)] = 350.0
    epochs: Annotated[int, Field(ge=1)] = 10
    lr: Annotated[float, Field(gt=0)] = 0.003
    decay: Annotated[float, Field(gt=0, le=1)] = 0.8

    def training(self, first: ForceTraining) -> ForceTraining:
        """How members learn after a round: as they first did, but for so long."""
        optim = dataclasses.replace(
            first.optim, lr=self.lr, schedule="exponential", decay=self.decay, plateaus=1
        )
        return dataclasses.replace(first, epochs=self.epochs, optim=optim)


def taught_in_rounds(
    run: Run,
    members: Sequence[tuple[nn.Module, float]],
    data: ForceData,
    rounds: Rounds,
    first: ForceTraining,
) -> tuple[list[tuple[nn.Module, float]], ForceData]:
    """Members, each with its error on validation frames, after rounds of labels.

    Args:
        run: simulations, labels and trainings have run folders of their own below its ``jobs``.
        members: networks with their errors.
        data: what they learned from; its boxes and clusters are where dynamics start.
        rounds: how.
        first: how they learned before.

    Returns:
        Members as they came out, and the data with what was labelled among its training frames.

    Raises:
        DataError: the source says other forces than the labels, or lacks labels that they have.
        RunError: no dynamics gave a frame.
    """
    found, training = list(members), rounds.training(first)
    source = label_source(rounds.source) if rounds.count else None
    if source is not None:
        check_source(data, source)
    for number in range(rounds.count):
        networks, word = [network for network, _ in found], f"round-{number}"
        frames, _ = drawn_frames(
            run, networks, data.train, data.liquid, rounds.sampling, word=f"{word}-frames"
        )
        clusters = doubtful_clusters(networks, frames, rounds)
        told, _ = labelled_frames(run, clusters, source, word=f"{word}-labels")
        assert told.forces is not None
        pushed = np.maximum.reduceat(np.linalg.norm(told.forces, axis=1), told.bounds[:-1])
        mild = np.flatnonzero(pushed <= rounds.most_force)
        if not len(mild):
            raise DataError(
                f"all {len(told)} clusters of round {number} have forces above "
                f"{rounds.most_force:g} kcal/mol/A, which no liquid has; train members for longer, "
                "or shorten rounds.sampling.picoseconds"
            )
        told = told.take(mild)
        data = dataclasses.replace(data, train=join([data.train, told]))
        found = trained_members(
            run, networks.__getitem__, data, training, len(networks), word=f"{word}-member"
        )
    return found, data


def check_source(data: ForceData, source: Source) -> None:
    """Raise `DataError` unless a source says of training frames what their labels say."""
    frames = data.train.take(range(min(COMPARED, len(data.train))))
    told, failed = told_by(frames, source)
    if told is None or failed:
        raise DataError(f"{source.name} has no labels for a training frame: {failed}")
    lacking = sorted(set(frames.labels) - set(told.labels))
    if lacking:
        raise DataError(
            f"{source.name} says no {', '.join(lacking)} and {data.name} has them; name the source "
            "of these labels"
        )
    apart = np.sqrt(np.square(told.forces - frames.forces).mean())  # type: ignore[operator]
    whole = np.sqrt(np.square(frames.forces).mean())  # type: ignore[arg-type]
    if apart > UNLIKE * whole:
        raise DataError(
            f"{source.name} says forces that are {apart:.3g} kcal/mol/A from the labels of "
            f"{data.name}, whose size is {whole:.3g}; name the source of these labels"
        )


def doubtful_clusters(networks: Sequence[nn.Module], frames: Frames, rounds: Rounds) -> Frames:
    """Clusters around the atoms whose forces networks disagree on most, one of a frame.

    Raises:
        DataError: none is small enough.
    """
    frames = whole_molecules(with_molecules(frames))
    said = [predicted(network, frames) for network in networks]
    doubt = torch.stack([one["forces"] for one in said]).var(0, correction=0).sum(1).numpy()
    charges: Floats = torch.stack([one["charges"] for one in said]).mean(0).numpy()
    worst = np.maximum.reduceat(doubt, frames.bounds[:-1])
    chosen: list[Frames] = []
    for place in np.argsort(-worst, kind="stable"):
        atom = int(doubt[slice(*frames.bounds[place : place + 2])].argmax())
        one = cluster_around(frames, int(place), atom, reach=rounds.reach, charges=charges)
        if one.atoms <= rounds.most_atoms:
            chosen.append(one)
        if len(chosen) == rounds.clusters:
            break
    if not chosen:
        raise DataError(
            f"all clusters within {rounds.reach:g} A have more than {rounds.most_atoms} atoms; "
            "raise rounds.most_atoms, or lower rounds.reach"
        )
    return join(chosen)
