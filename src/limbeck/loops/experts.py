"""Experts: networks trained on the real data, with a snapshot of weights after every epoch."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck import outputs as reading
from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import Loader
from limbeck.data.siamese import FULL
from limbeck.data.views import Views
from limbeck.functional.sharpness import ascent, surrogate_gap_direction
from limbeck.functional.supervised import cross_entropy
from limbeck.loops.alternate import Models, alternate
from limbeck.loops.optim import Optim
from limbeck.networks.flat import Flat
from limbeck.networks.fresh import fresh
from limbeck.objectives import Terms
from limbeck.run.run import At, Run
from limbeck.settings import settings

SNAPSHOTS = "snapshots"


@settings
class Experts:
    """How experts are trained.

    Args:
        count: how many; each starts from weights of its own.
        epochs: passes over the training samples; a snapshot is kept before the first and after
            each.
        batch_size: samples a step.
        optim: how they learn.
        views: random changes of images.
        radius: how far to look for higher loss before a step, which leads to flat places; 0 takes
            plain steps.
        gap_weight: how strongly the gap between the loss there and here is lowered too.
        adaptive: whether the radius is in units of each weight's size.

    Source: of radius, weight and adaptivity: Zhuang et al., arXiv 2203.08065 (GSAM).
    """

    count: Annotated[int, Field(ge=1)] = 100
    epochs: Annotated[int, Field(ge=1)] = 100
    batch_size: Annotated[int, Field(ge=1)] = 256
    optim: Optim = Optim("sgd", lr=0.01)
    views: Views = Views(siamese=FULL)
    radius: Annotated[float, Field(ge=0)] = 0.01
    gap_weight: Annotated[float, Field(ge=0)] = 0.3
    adaptive: bool = True


class Trajectories:
    """Snapshots of several experts, left on disk and read one at a time.

    Args:
        snapshots: of each expert ``(E + 1, P)``.
    """

    def __init__(self, snapshots: Sequence[Tensor]) -> None:
        self._snapshots = list(snapshots)

    def __len__(self) -> int:
        return len(self._snapshots)

    @property
    def epochs(self) -> int:
        """E, how many epochs each was trained for."""
        return len(self._snapshots[0]) - 1

    def weights(self, expert: int, epoch: int) -> Tensor:
        """Weights of an expert after an epoch, ``(P,)``."""
        return self._snapshots[expert][epoch].clone()

    def last(self, network: nn.Module) -> list[nn.Module]:
        """All experts as they ended, each a copy of a network of their architecture."""
        found = [copy.deepcopy(network) for _ in self._snapshots]
        for number, one in enumerate(found):
            Flat(one).load(self.weights(number, self.epochs))
        return found


def trained_experts(run: Run, network: nn.Module, data: Data, experts: Experts) -> Trajectories:
    """Train experts as jobs; those that are done are read back.

    Args:
        run: each expert has a run folder of its own below its ``jobs``.
        network: the architecture; the weights of each expert are drawn anew.
        data: ``data.train`` is what they learn from.
        experts: how.

    Returns:
        Their snapshots.
    """
    names = [f"expert-{number}" for number in range(experts.count)]
    jobs = [(network, data, experts, number) for number in range(experts.count)]
    # What a job computes stays on disk: another process would send a copy.
    run.executor.runs(_train, names, jobs, "experts")
    parts = [run.executor.part(name) for name in names]
    return Trajectories(
        [_trajectory(part, *job)[SNAPSHOTS] for part, job in zip(parts, jobs, strict=True)]
    )


def _train(run: Run, network: nn.Module, data: Data, experts: Experts, number: int) -> None:
    _trajectory(run, network, data, experts, number)


def _trajectory(
    run: Run, network: nn.Module, data: Data, experts: Experts, number: int
) -> dict[str, Tensor]:
    def make(network: nn.Module, data: Data, experts: Experts, number: int) -> dict[str, Tensor]:
        key = keyed.key(run.seed, "expert", number)
        return {
            SNAPSHOTS: _snapshots(
                run, fresh(network, data.input_space, data.outputs, key), data, experts, number
            )
        }

    return run.stage(
        "expert", make, mapped=True, network=network, data=data, experts=experts, number=number
    )


def _snapshots(run: Run, network: nn.Module, data: Data, experts: Experts, number: int) -> Tensor:
    """Train one expert and return its weights before the first epoch and after each."""
    loader = Loader(
        data,
        data.train,
        experts.batch_size,
        seed=run.seed,
        stage=f"expert-{number}",
        views=experts.views,
        workers=run.options.workers,
    )
    samples, size = len(data.train), loader.batch_size
    # The step at which an epoch is complete, the last batch of it reaching into the next.
    ends = {math.ceil(epoch * samples / size): epoch for epoch in range(experts.epochs + 1)}
    flat = Flat(network)
    memory: dict[str, Any] = {SNAPSHOTS: torch.empty(experts.epochs + 1, flat.size)}

    def step(models: Models, batch: Batch, at: At) -> Terms:
        if at.step in ends:
            memory[SNAPSHOTS][ends[at.step]] = flat.vector().cpu()
        return {"loss": _loss(models["expert"], batch, experts)}

    steps = max(ends)
    network.train()
    alternate(
        run,
        "expert",
        {"expert": network},
        {"expert": experts.optim},
        steps,
        step=step,
        batches=loader,
        memory=memory,
    )
    memory[SNAPSHOTS][experts.epochs] = flat.vector().cpu()
    if run.trying:
        # Epochs that were not reached are taken to lie somewhere near.
        memory[SNAPSHOTS] = flat.vector() + 0.01 * torch.randn(experts.epochs + 1, flat.size)
    return memory[SNAPSHOTS]


def _loss(network: nn.Module, batch: Batch, experts: Experts) -> Tensor:
    """Cross-entropy, whose gradient leads to flat places if that is asked for."""

    def here() -> Tensor:
        return cross_entropy(reading.of(network, batch).read("logits"), batch["y"])

    loss = here()
    if not experts.radius:
        return loss
    weights: list[Tensor] = list(network.parameters())
    gradients = _gradients(loss, weights)
    with torch.no_grad():
        kept = [one.clone() for one in weights]
        up = ascent(weights, gradients, radius=experts.radius, adaptive=experts.adaptive)
        for one, part in zip(weights, up, strict=True):
            one.add_(part)
    perturbed = _gradients(here(), weights)
    with torch.no_grad():
        for one, before in zip(weights, kept, strict=True):
            one.copy_(before)
    direction = surrogate_gap_direction(gradients, perturbed, weight=experts.gap_weight)
    return _Directed.apply(loss.detach(), direction, *weights)


def _gradients(loss: Tensor, weights: list[Tensor]) -> Sequence[Tensor]:
    """Gradients; zeros for weights that the network does not use."""
    return torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)


class _Directed(torch.autograd.Function):
    """A value whose gradient is given."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, direction: Sequence[Tensor], *weights: Tensor) -> Tensor:
        ctx.direction = direction
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return None, None, *(grads[0] * one for one in ctx.direction)
