"""Rounds of labels: where members disagree on frames of their own dynamics, a source tells them."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.data.boxes import with_molecules
from limbeck.data.cutting import cluster_around, formal_charges, molecules_of, overlaps
from limbeck.data.force_data import ForceData
from limbeck.data.frames import Frames, join
from limbeck.data.labelling import Source, label_source, told_by
from limbeck.data.neighbours import whole_molecules
from limbeck.errors import DataError, UnusualUseWarning
from limbeck.loops.force_fields import ForceTraining, predicted, trained_members
from limbeck.loops.force_frames import Sampling, drawn_frames, frames_from, tensors_of
from limbeck.loops.force_labels import labelled_frames
from limbeck.run.run import Run
from limbeck.settings import settings

# Training frames that the source labels once more, to see whether it is the one of the labels, and
# how far what it says may be from these on the whole, as a share.
COMPARED, UNLIKE = 4, 0.02
# Of so many labelled clusters one is for validation.
KEPT_OUT = 10


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


def check_rounds(rounds: Rounds, data: ForceData) -> None:
    """Raise before anything learns unless rounds can be held with some data.

    Raises:
        ArgumentError: the dynamics give no frame.
        DataError: the source says something else than the labels, or lacks labels that they have.
    """
    if rounds.count:
        boxes = 0 if data.liquid is None else len(data.liquid)
        rounds.sampling.check(boxes, aligned=False, name="rounds.sampling")
        _source(rounds, data)


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
        Members as they came out, and the data with what was labelled: nine tenths among its
        training frames, the rest among those for validation.

    Raises:
        DataError: as `check_rounds` says, or no cluster has labels to learn from.
        RunError: no dynamics gave a frame.
    """
    found, training = list(members), rounds.training(first)
    source = _source(rounds, data) if rounds.count else None
    starts = with_molecules(data.train) if rounds.count else data.train
    charges = formal_charges(starts) if rounds.count else {}
    for number in range(rounds.count):
        networks, word = [network for network, _ in found], f"round-{number}"
        frames, _ = drawn_frames(
            run, networks, starts, data.liquid, rounds.sampling, word=f"{word}-frames"
        )
        if run.trying:  # members know nothing, and where they go nothing is to be labelled
            clusters = data.train.take(range(min(rounds.clusters, len(data.train))))
        else:
            clusters = frames_from(
                _doubtful(run, f"{word}-clusters", networks, frames, rounds, charges)
            )
        told, _ = labelled_frames(run, clusters, source, word=f"{word}-labels")
        told = told if run.trying else _mild(told, rounds, number)
        kept = np.arange(len(told)) % KEPT_OUT == KEPT_OUT - 1
        data = dataclasses.replace(
            data,
            train=join([data.train, told.take(np.flatnonzero(~kept))]),
            validation=join([data.validation, told.take(np.flatnonzero(kept))]),
        )
        found = trained_members(
            run, networks.__getitem__, data, training, len(networks), word=f"{word}-member"
        )
    return found, data


def _doubtful(
    run: Run,
    stage: str,
    networks: list[nn.Module],
    frames: Frames,
    rounds: Rounds,
    charges: Mapping[str, int],
) -> dict[str, Tensor]:
    def chosen(networks: list[nn.Module], frames: Frames, **key: Any) -> dict[str, Tensor]:
        return tensors_of(doubtful_clusters(networks, frames, rounds, charges))

    # How members learn from them is no part of it.
    sought = [rounds.clusters, rounds.reach, rounds.most_atoms]
    key: dict[str, Any] = {"sought": sought, "charges": charges}
    return run.stage(stage, chosen, networks=networks, frames=frames, **key)


def doubtful_clusters(
    networks: Sequence[nn.Module], frames: Frames, rounds: Rounds, charges: Mapping[str, int]
) -> Frames:
    """Clusters around the atoms whose forces networks disagree on most, one of a frame.

    Frames in which atoms lie in one place are passed over, and those with molecules of a formula
    whose charge is unknown.

    Args:
        networks: members.
        frames: of their dynamics.
        rounds: how many, and how large.
        charges: of molecules by formula, see `limbeck.data.cutting.formal_charges`.

    Raises:
        DataError: none is left.
    """
    frames = whole_molecules(with_molecules(frames))
    said = [predicted(network, frames)["forces"] for network in networks]
    doubt = torch.stack(said).var(0, correction=0).sum(1).numpy()
    worst = np.maximum.reduceat(doubt, frames.bounds[:-1])
    chosen: list[Frames] = []
    passed = dict.fromkeys(("larger than rounds.most_atoms", "overlapping", "of unknown charge"), 0)
    large, overlapping, unknown = passed
    for place in np.argsort(-worst, kind="stable").tolist():
        formulas = molecules_of(frames, place)
        if not set(formulas.values()) <= set(charges):
            passed[unknown] += 1
            continue
        own = {number: float(charges[name]) for number, name in formulas.items()}
        atom = int(doubt[slice(*frames.bounds[place : place + 2])].argmax())
        one = cluster_around(frames, place, atom, reach=rounds.reach, charges=own)
        if one.atoms > rounds.most_atoms:
            passed[large] += 1
        elif overlaps(one):
            passed[overlapping] += 1
        else:
            chosen.append(one)
        if len(chosen) == rounds.clusters:
            break
    if not chosen:
        words = ", ".join(f"{count} {name}" for name, count in passed.items() if count)
        raise DataError(
            f"none of {len(frames)} frames gives a cluster to label: {words}; raise "
            "rounds.most_atoms, lower rounds.reach, or train members for longer before"
        )
    return join(chosen)


def _mild(told: Frames, rounds: Rounds, number: int) -> Frames:
    """Frames without forces that no liquid has."""
    assert told.forces is not None
    pushed = np.maximum.reduceat(np.linalg.norm(told.forces, axis=1), told.bounds[:-1])
    mild = np.flatnonzero(pushed <= rounds.most_force)
    words = (
        f"{len(told) - len(mild)} of {len(told)} clusters of round {number} have forces above "
        f"{rounds.most_force:g} kcal/mol/A and are left out; train members for longer before, or "
        "shorten rounds.sampling.picoseconds"
    )
    if not len(mild):
        raise DataError(words)
    if 2 * len(mild) < len(told):
        warnings.warn(words, UnusualUseWarning, stacklevel=3)
    return told.take(mild)


def _source(rounds: Rounds, data: ForceData) -> Source:
    """The source of rounds, with the free atoms of the data, checked against its labels."""
    source = label_source(rounds.source, free_atoms=dict(data.free_atoms) or None)
    places = np.unique(np.linspace(0, len(data.train) - 1, COMPARED).astype(np.int64))
    frames = data.train.take(places[~data.train.periodic[places]])
    told, failed = told_by(frames, source)
    if told is None or failed:
        reason = next(iter(failed.values()), "no training frame is a cluster")
        raise DataError(f"{source.name} has no labels for a training frame: {reason}")
    # What is labelled in rounds does not repeat, and has no virial.
    lacking = sorted(set(data.train.labels) - set(told.labels))
    if lacking:
        raise DataError(
            f"{source.name} says no {', '.join(lacking)} of clusters and {data.name} has them; "
            "name the source of these labels, or leave them out of the data"
        )
    for name in told.labels:
        given, said = (np.asarray(getattr(one, name)) for one in (frames, told))
        if name == "energy":
            given, said = given / frames.counts, said / frames.counts
        apart = float(np.sqrt(np.square(said - given).mean()))
        size = max(float(np.sqrt(np.square(given).mean())), 1e-3)
        if apart > UNLIKE * size:
            raise DataError(
                f"{source.name} says another {name} than {data.name} of {len(frames)} training "
                f"frames: {apart:.3g} apart, of a size of {size:.3g}; name the source of the labels"
            )
    return source
