"""Force fields: networks trained on labels of frames, members of an ensemble among them."""

from __future__ import annotations

import copy
import dataclasses
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.elements import symbols
from limbeck.data.force_data import ForceData
from limbeck.data.frames import Frames
from limbeck.data.graphs import GraphBatch, GraphBatches, in_turn
from limbeck.errors import ArgumentError, UnusualUseWarning
from limbeck.features import device_of, evaluating
from limbeck.functional.forces import force_field_terms
from limbeck.loops.alternate import Models, Watch, alternate
from limbeck.loops.optim import Optim
from limbeck.naming import with_options
from limbeck.networks.fresh import fresh
from limbeck.networks.get import GET
from limbeck.networks.get_pairs import Dispersion, dispersed
from limbeck.objectives import Terms
from limbeck.run.run import At, Run
from limbeck.settings import settings

Weight = Annotated[float, Field(ge=0)]
# Frames of a batch where nothing is learned.
SHOWN = 16
# What a stage keeps beside the weights.
ERROR = "error of forces"
# Looks at the validation frames while a network is trained.
LOOKS = 15


@settings
class PropertyWeights:
    """How much errors of each property count; those without labels do not.

    Args:
        energy: in kcal/mol, after the mean of a batch is taken off.
        forces: in kcal/mol/Angstrom.
        virial: in kcal/mol.
        charges: in e.
        dipole: in Debye.
        charge_response: of forces that charges out of rest would have, in kcal/mol/Angstrom.
    """

    energy: Weight = 0.01
    forces: Weight = 0.3
    virial: Weight = 0.01
    charges: Weight = 10.0
    dipole: Weight = 10.0
    charge_response: Weight = 300.0

    def terms(self, said: Any, labels: Any) -> Terms:
        """Weighted squared errors by name.

        Args:
            said: outputs of a network in training mode.
            labels: of the same frames.
        """
        weights = dataclasses.asdict(self)
        response = weights.pop("charge_response")
        return force_field_terms(said, labels, weights=weights, response_weight=response)


@settings
class ForceTraining:
    """How a force field learns from labels.

    Args:
        epochs: passes over the training frames.
        batch_size: frames a step.
        optim: how it learns; exponential decay goes by epochs.
        weights: of properties.
    """

    epochs: Annotated[int, Field(ge=1)] = 750
    batch_size: Annotated[int, Field(ge=1)] = 128
    optim: Optim = Optim(
        "adamax", lr=0.01, weight_decay=0.001, schedule="exponential", decay=0.99, plateaus=1
    )
    weights: PropertyWeights = PropertyWeights()

    def steps(self, frames: int) -> int:
        """Optimiser steps, over so many training frames."""
        return self.epochs * math.ceil(frames / min(self.batch_size, frames))

    def paced(self) -> Optim:
        """The optimiser, its plateaus being epochs."""
        return by_epochs(self.optim, self.epochs)


def by_epochs(optim: Optim, epochs: int) -> Optim:
    """An optimiser whose exponential decay goes by epochs."""
    if optim.schedule != "exponential":
        return optim
    return dataclasses.replace(optim, plateaus=epochs)


def fresh_force_field(run: Run, given: Any, data: ForceData, number: int = 0) -> nn.Module:
    """A network for the elements of the data, whose weights depend on seed and number.

    Args:
        run: its seed keys the weights.
        given: a name such as ``get?width=32``, or a network whose weights are drawn anew, and whose
            constants of dispersion are kept.
        data: tells the elements.
        number: of the member.

    Raises:
        ArgumentError: it is no force field, or does not know an element.
    """
    if isinstance(given, str):
        given = with_options(given, {"species": "".join(symbols(data.elements))})
    elif not isinstance(given, nn.Module):
        raise ArgumentError(
            f"the student is a {type(given).__name__}, expected a force field or its name, such as "
            "get?width=32"
        )
    key = keyed.key(run.seed, "member", number)
    network = fresh(given, None, 1, key)
    if isinstance(network, GET) and not hasattr(network, "limbeck_spec"):
        # Linear maps reset themselves to other scales than those of a GET that was just made.
        with keyed.torch_seeded(key):
            network.draw_linear()
    for path, part in given.named_modules() if isinstance(given, nn.Module) else ():
        if isinstance(part, Dispersion):
            # A network that a name was built to is built anew, without what was loaded into it.
            network.get_submodule(path).load_state_dict(part.state_dict())
    check_force_field(network, data, "the student")
    return network


def check_force_field(given: Any, data: ForceData, what: str) -> None:
    """Raise `ArgumentError` unless a network takes graphs of the data's elements.

    One with dispersion must have its constants.
    """
    needed = ("cutoff", "pair_cutoff", "species")
    missing = [name for name in needed if not hasattr(given, name)]
    if missing or not isinstance(given, nn.Module):
        raise ArgumentError(
            f"{what} is a {type(given).__name__} without {' and '.join(missing) or 'weights'}, "
            "expected a force field, such as get?width=32"
        )
    known: Any = given.species
    strange = sorted(set(data.elements) - set(known))
    if strange:
        raise ArgumentError(
            f"{what} is made for {' '.join(symbols(known))} and {data.name} holds "
            f"{' '.join(symbols(strange))} too; give a force field for all elements"
        )
    for part in given.modules():
        if isinstance(part, Dispersion):
            part.check()


def cutoffs(network: Any) -> dict[str, float]:
    """Cutoffs of edges and pairs, as graphs are made with them."""
    return {"cutoff": network.cutoff, "pair_cutoff": network.pair_cutoff}


def precision(network: nn.Module) -> torch.dtype:
    """Of a network's weights; double where it has none."""
    kinds = (one.dtype for one in network.parameters() if one.is_floating_point())
    return next(kinds, torch.float64)


def shown(network: Any, frames: Frames, batch_size: int = SHOWN) -> Iterator[GraphBatch]:
    """Frames in order, as a network takes them."""
    return in_turn(frames, batch_size, dtype=precision(network), **cutoffs(network))


def batches_of(run: Run, stage: str, network: Any, frames: Frames, batch_size: int) -> GraphBatches:
    """Frames in the order of a stage, as a network takes them."""
    return GraphBatches(
        frames,
        batch_size,
        seed=run.seed,
        stage=stage,
        rank=run.engine.rank,
        world=run.engine.world,
        dtype=precision(network),
        **cutoffs(network),
    )


def predicted(network: nn.Module, frames: Frames, batch_size: int = SHOWN) -> dict[str, Tensor]:
    """What a network says of frames, by name, on the CPU in double precision."""
    found: dict[str, list[Tensor]] = {}
    device = device_of(network)
    with torch.no_grad(), evaluating(network):
        for batch in shown(network, frames, batch_size):
            for name, value in network(batch.to(device)).items():
                found.setdefault(name, []).append(value.detach().cpu().double())
    return {name: torch.cat(parts) for name, parts in found.items()}


def force_distance(network: nn.Module, frames: Frames) -> float:
    """Root mean square distance of forces from those that frames hold, in kcal/mol/Angstrom."""
    said = predicted(network, frames)["forces"]
    return float((said - torch.from_numpy(frames.forces)).square().mean().sqrt())


def force_error(network: nn.Module, frames: Frames) -> float:
    """Root mean square error of forces against labels without dispersion, in kcal/mol/Angstrom."""
    with dispersed(network, False):
        return force_distance(network, frames)


def trained_force_field(
    run: Run, stage: str, network: nn.Module, data: ForceData, training: ForceTraining
) -> float:
    """Train a network on the training frames in a memoised stage, keeping its best weights.

    Args:
        run: the folder.
        stage: name of the stage.
        network: trained in place.
        data: its validation frames choose the weights.
        training: how.

    Returns:
        Error of the forces of validation frames, in kcal/mol/Angstrom.
    """
    steps = training.steps(len(data.train))

    def learned(network: nn.Module, data: ForceData, training: ForceTraining) -> dict[str, Tensor]:
        def step(models: Models, batch: Any, at: At) -> Terms:
            return training.weights.terms(models[stage](batch), batch)

        network.train()
        ended = alternate(
            run,
            stage,
            {stage: network},
            {stage: training.paced()},
            steps,
            step=step,
            batches=batches_of(run, stage, network, data.train, training.batch_size),
            watch=Watch(
                lambda models: -force_error(models[stage], data.validation),
                every=max(steps // LOOKS, 1),
            ),
        )
        score = (
            ended.best_score
            if ended.best_score is not None
            else -force_error(network, data.validation)
        )
        return {**network.state_dict(), ERROR: torch.tensor(-score, dtype=torch.float64)}

    found = run.stage(stage, learned, network=network, data=data, training=training)
    network.load_state_dict({name: one for name, one in found.items() if name != ERROR})
    network.eval()
    return float(found[ERROR])


def trained_members(
    run: Run,
    made: Callable[[int], nn.Module],
    data: ForceData,
    training: ForceTraining,
    count: int,
    *,
    word: str = "member",
) -> list[tuple[nn.Module, float]]:
    """Train members as jobs; those that are done are read back.

    Args:
        run: each member has a run folder of its own below its ``jobs``.
        made: from the number of a member to the network that it begins as.
        data: what they learn from.
        training: how.
        count: how many.
        word: names them.

    Returns:
        Each with the error of its forces on validation frames.
    """
    names = [f"{word}-{number}" for number in range(count)]
    jobs = [(word, made(number), data, training) for number in range(count)]
    run.executor.runs(_train, names, jobs, "members")
    return [
        (job[1], trained_force_field(run.executor.part(name), *job))
        for name, job in zip(names, jobs, strict=True)
    ]


def _train(
    run: Run, word: str, network: nn.Module, data: ForceData, training: ForceTraining
) -> None:
    # A copy: a job may run in the process that asks once more with the untrained network.
    trained_force_field(run, word, copy.deepcopy(network), data, training)


def of_quality(members: Sequence[tuple[nn.Module, float]], gate: float) -> list[int]:
    """Numbers of the members whose error is at most so many times that of the best, best first.

    Args:
        members: with their errors.
        gate: at least 1.

    Example:
        >>> of_quality([(nn.Identity(), 6.0), (nn.Identity(), 5.0)], 1.5)
        [1, 0]
    """
    errors = [error for _, error in members]
    order = sorted(range(len(errors)), key=errors.__getitem__)
    kept = [number for number in order if errors[number] <= gate * errors[order[0]]]
    if len(kept) < len(order):
        left = ", ".join(f"{number} ({errors[number]:.3g})" for number in order[len(kept) :])
        warnings.warn(
            f"members {left} are left out: errors of their forces are above {gate:g} times that of "
            f"the best, {errors[order[0]]:.3g} kcal/mol/A; train for longer, or raise gate",
            UnusualUseWarning,
            stacklevel=2,
        )
    return kept
