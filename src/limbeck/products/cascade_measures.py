"""Cascade measures: what a cascade says about a split, and what each of its stages takes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.data.splits import Split, Subset
from limbeck.errors import ArgumentError
from limbeck.evaluate.cost import median_ms, multiply_adds, weights
from limbeck.evaluate.quality import quality
from limbeck.evaluate.selective_quality import selective_quality
from limbeck.products.stages import MemberStages, Stages, State, asked
from limbeck.selection.exits import stages_of
from limbeck.teachers import uncounted_bytes

if TYPE_CHECKING:
    from limbeck.products.window_cascade import WindowCascade


class StageCost(NamedTuple):
    """What one stage of a cascade takes.

    Args:
        macs: multiply-adds for a sample that reaches it.
        latency_ms: median time for one such sample.
        share: of samples that reach it.
    """

    macs: int
    latency_ms: float
    share: float


class Told(NamedTuple):
    """What a cascade says about a split, on the CPU, in its order.

    Args:
        logits: ``(N, C)``.
        confidence: ``(N,)``.
        reached: ``(N,)``.
        target: ``(N,)``.
    """

    logits: Tensor
    confidence: Tensor
    reached: Tensor
    target: Tensor

    @property
    def correct(self) -> Tensor:
        """Whether each prediction is right, ``(N,)``."""
        return self.logits.argmax(1) == self.target


def check_said(given: Any, stages: int, classes: int) -> tuple[Tensor, Any]:
    """What stages say about validation samples, with their classes, as it was handed over.

    Args:
        given: predictions ``(S, N, C)`` and class indices ``(N,)``.
        stages: S, as the cascade has them.
        classes: C.

    Raises:
        ArgumentError: it is no such pair, or is of other stages or classes.
    """
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise ArgumentError(
            f"validation is a {type(given).__name__}, expected data, its name, or a pair: what "
            f"each of {stages} stages says, (S, N, C), and the classes (N,)"
        )
    said = stages_of(given[0])
    found = (len(said), said.shape[2])
    if found != (stages, classes):
        raise ArgumentError(
            f"outputs are of {found[0]} stages and {found[1]} classes, {tuple(said.shape)}, and "
            f"the cascade has {stages} and {classes}: give what each of its stages by itself says, "
            f"({stages}, N, {classes}), as its predictions(data) do"
        )
    return said, given[1]


@torch.no_grad()
def stage_predictions(models: Stages, data: Data, split: Split) -> tuple[Tensor, Tensor]:
    """What each stage by itself says about a split, on the CPU.

    Args:
        models: the stages.
        data: as the cascade's ``see`` gives it.
        split: of it.

    Returns:
        Logits ``(S, N, C)`` and classes ``(N,)``.
    """
    parts, targets = [], []
    for batch in sequential(data, split):
        parts.append(asked(models, batch).cpu())
        targets.append(batch["y"].cpu())
    return torch.cat(parts, 1), torch.cat(targets)


class Asked:
    """What models by themselves say about a split, each asked once however many cascades it is in.

    Args:
        data: as the cascade's ``see`` gives it.
        split: of it.
    """

    def __init__(self, data: Data, split: Split) -> None:
        self._data, self._split = data, split
        self._known: dict[str, Tensor] = {}

    def of(self, models: Stages) -> Tensor:
        """What each stage by itself says about all samples, ``(S, N, C)``, on the CPU."""
        if isinstance(models, MemberStages):
            missing = [one for one in models.members if one.fingerprint not in self._known]
            if missing:
                said, _ = stage_predictions(MemberStages(missing), self._data, self._split)
                names = [one.fingerprint for one in missing]
                self._known |= dict(zip(names, said, strict=True))
            return torch.stack([self._known[one.fingerprint] for one in models.members])
        (network,) = models.members
        name = network.fingerprint
        if len(self._known.get(name, ())) < len(models):
            self._known[name], _ = stage_predictions(models, self._data, self._split)
        return self._known[name][: len(models)]

    def told(self, cascade: WindowCascade) -> Told:
        """What a cascade of models that were asked says."""
        target = self._split.y
        assert target is not None
        return Told(*cascade.calibrated.route(self.of(cascade.models)), target)


@torch.no_grad()
def told(cascade: WindowCascade, data: Data, split: Split) -> Told:
    """Ask a cascade about a split of data that fits, as its ``see`` gives it."""
    found: dict[str, list[Tensor]] = {"logits": [], "confidence": [], "reached": [], "y": []}
    for batch in sequential(data, split):
        said = cascade.outputs(batch)
        columns = {"logits": said.read("logits"), **said.extra, "y": batch["y"]}
        for name, parts in found.items():
            parts.append(columns[name].cpu())
    return Told(*(torch.cat(parts) for parts in found.values()))


def figures_of(said: Told, outside: Told | None = None) -> dict[str, float]:
    """Figures of what a cascade said, and of what it said about samples from outside."""
    beside = None if outside is None else outside.confidence
    figures = quality(said.logits, said.target, "classification")
    return figures | selective_quality(said.correct, said.confidence, beside)


@torch.no_grad()
def stage_costs(models: Stages, data: Data, reached: Tensor) -> list[StageCost]:
    """What each stage takes by itself, going on from what the one before it left.

    Args:
        models: the stages.
        data: whose first test sample is asked about, as the cascade's ``see`` gives it.
        reached: where samples end, ``(N,)``; tells the shares.

    Returns:
        One a stage.
    """
    one, found = next(sequential(data, data.test, 1)), []
    state: State = None
    for stage in range(len(models)):
        ask: Any = partial(_ask, models, stage, state)
        found.append(
            StageCost(
                multiply_adds(ask, one),
                median_ms(partial(ask, one)),
                float((reached >= stage).double().mean()),
            )
        )
        _, state = ask(one)
    return found


def mean_cost(
    cascade: WindowCascade, costs: Sequence[StageCost], data: Data, reached: Tensor
) -> dict[str, float]:
    """Parameters and bytes of all stages, multiply-adds and latency of the mean sample.

    Latency is that of whole calls, one sample each, which end at each stage as often as samples
    do. Where a member is no network there is no number of parameters and multiply-adds.

    Args:
        cascade: that is measured.
        costs: of its stages.
        data: as the cascade's ``see`` gives it; samples of its test split are asked about.
        reached: where these end, ``(N,)``.
    """
    latency = 0.0
    for stage in range(len(costs)):
        ending = (reached == stage).nonzero().flatten()
        if len(ending):
            sample = Subset(data.test, ending[:1].numpy())
            ask: Any = partial(cascade.outputs, next(sequential(data, sample, 1)))
            latency += len(ending) / len(reached) * median_ms(ask)
    parameters, size = weights(cascade.modules)
    found = {"latency_ms": round(latency, 4)}
    sizes = [uncounted_bytes(one) for one in cascade.models.members]
    beside = [one for one in sizes if one is not None]
    if beside:
        # What the networks alone have would pass for the whole.
        return {**found, "bytes": size + sum(beside)}
    macs = sum(one.share * one.macs for one in costs)
    return {"parameters": parameters, "macs": macs, **found, "bytes": size}


def _ask(models: Stages, stage: int, state: State, batch: Batch) -> tuple[Tensor, State]:
    return models.ask(stage, batch, state)
