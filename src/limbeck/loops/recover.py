"""Recover: images that frozen networks take for their classes and for what they were trained on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck import outputs as reading
from limbeck.data.batch import Batch
from limbeck.data.batch_views import BatchViews
from limbeck.data.space import InputSpace
from limbeck.functional.statistics import (
    image_variation,
    recovery_terms,
    statistics_regulariser,
)
from limbeck.functional.supervised import cross_entropy
from limbeck.loops.optim import Optim
from limbeck.loops.synthesize import Learned, synthesize
from limbeck.networks.batch_norm import batch_norms, check_evaluating, statistics_matched
from limbeck.objectives import Terms
from limbeck.run.run import At, Run
from limbeck.settings import settings

STAGE = "recovered"


@settings
class Recovery:
    r"""How images are recovered from networks with BatchNorm, a block of classes at a time.

    .. math:: \sum_k w_k \bigl( CE(T_k(\tilde x), y) + r \sum_l v_l (\|\mu_l - \mu_l^T\|_2
        + \|\sigma^2_l - \sigma^{2,T}_l\|_2) \bigr)

    over the layers l of each network, :math:`v_1` being the first layer's weight and the others 1.

    Args:
        steps: of the images of a block.
        optim: how they learn; each block starts anew.
        statistics_weight: r; 0 matches no statistics.
        first_weight: :math:`v_1`.
        views: how a block is changed before the networks look at it.
        variation_weight: of the total variation, which makes images smooth.
        size_weight: of the mean norm of an image.
        block: classes that are recovered together, one image of each.

    Source: Yin, Xing and Shen, arXiv 2306.13092 (SRe2L), and VILA-Lab/SRe2L.
    """

    steps: Annotated[int, Field(ge=1)] = 4000
    optim: Optim = Optim("adam", lr=0.25, betas=(0.5, 0.9), schedule="cosine")
    statistics_weight: Annotated[float, Field(ge=0)] = 0.01
    first_weight: Annotated[float, Field(ge=0)] = 10.0
    views: BatchViews = BatchViews()
    variation_weight: Annotated[float, Field(ge=0)] = 0.0
    size_weight: Annotated[float, Field(ge=0)] = 0.0
    block: Annotated[int, Field(ge=1)] = 100


@dataclass(frozen=True)
class Block:
    """Images that are recovered together: statistics are taken over all of them.

    Args:
        number: of the block; keys its draws.
        labels: class of each image ``(B,)``.
        networks: which networks look at it.
        weights: of each of them.
        start: where the images begin, as bytes ``(B, C, H, W)``, or None for standard normal
            numbers.
    """

    number: int
    labels: Tensor
    networks: tuple[int, ...] = (0,)
    weights: tuple[float, ...] = (1.0,)
    start: Tensor | None = None


# From the number of an image of a class to the networks that look at it, and their weights.
Choice = Callable[[int], tuple[tuple[int, ...], tuple[float, ...]]]


def planned(
    classes: int,
    per_class: int,
    size: int,
    *,
    starts: Tensor | None = None,
    choose: Choice = lambda turn: ((0,), (1.0,)),
) -> list[Block]:
    """Blocks for all images: of each class the first, then of each class the second, and so on.

    Args:
        classes: K.
        per_class: M.
        size: classes of a block; the last one of a turn may be smaller.
        starts: where images begin, bytes ``(K M, C, H, W)`` in the order of the classes, or None
            for noise.
        choose: who looks at the m-th image of every class.

    Returns:
        Blocks in turn.

    Example:
        >>> [block.labels.tolist() for block in planned(3, 2, 2)]
        [[0, 1], [2], [0, 1], [2]]
    """
    blocks: list[Block] = []
    for turn in range(per_class):
        for labels in torch.arange(classes).split(size):
            start = None if starts is None else starts[labels * per_class + turn]
            blocks.append(Block(len(blocks), labels, *choose(turn), start))
    return blocks


def recovered(
    run: Run,
    networks: Sequence[nn.Module],
    blocks: Sequence[Block],
    space: InputSpace,
    recovery: Recovery,
    *,
    name: str = "block",
    moments: Sequence[int] = (),
) -> tuple[Tensor, dict[int, Tensor]]:
    """Recover blocks of images as jobs; those that are done are read back.

    Args:
        run: each block has a run folder of its own below its ``jobs``.
        networks: frozen, in evaluation mode, with running statistics; they read images of `space`.
        blocks: what to recover.
        space: of the images.
        recovery: how.
        name: of the jobs.
        moments: steps at whose beginning the images of the first block are kept.

    Returns:
        All images as bytes ``(K M, C, H, W)`` in the order of the classes, and those of the first
        block at the moments, as networks read them.

    Raises:
        ModelError: a network has no BatchNorm layer with running statistics, or is in training
            mode.
        RunError: a loss is not finite.
    """
    for network in networks:
        batch_norms(network)
        check_evaluating(network)
    # Blocks that the same networks look at are jobs of one kind.
    names = [f"{name}-{'+'.join(map(str, one.networks))}-{one.number}" for one in blocks]
    jobs = [
        (
            block,
            [networks[n] for n in block.networks],
            space,
            recovery,
            () if place else tuple(moments),
        )
        for place, block in enumerate(blocks)
    ]
    found = run.executor.runs(_recover, names, jobs, "blocks of images")
    looks = sorted(int(step) for step in found[0] if step != STAGE)
    seen = {step: found[0][str(step)] for step in looks}
    # A rehearsal takes all blocks to be like the first, which is never smaller than another.
    parts = [one[STAGE][: len(block.labels)] for one, block in zip(found, blocks, strict=True)]
    # Blocks come in the order of the images of a class, which a stable sort keeps.
    order = torch.cat([block.labels for block in blocks]).argsort(stable=True)
    return torch.cat(parts)[order], seen


def _recover(
    run: Run,
    block: Block,
    networks: list[nn.Module],
    space: InputSpace,
    recovery: Recovery,
    moments: tuple[int, ...],
) -> dict[str, Tensor]:
    """The job: the images of one block, and what they were at some steps."""

    def make(**given: object) -> dict[str, Tensor]:
        images = Learned(_start(run, block, space), keep=space.clip)
        with ExitStack() as stack:
            step = _Step(run, block, networks, recovery, space, stack)
            seen = synthesize(
                run,
                STAGE,
                {"images": images},
                {"images": recovery.optim},
                recovery.steps,
                step=step,
                watched="images",
                moments=moments,
            )
        kept = {str(step): one for step, one in seen.items()}
        return {STAGE: space.to_bytes(images.value.detach().cpu()), **kept}

    return run.stage(
        STAGE, make, block=block, networks=networks, space=space, recovery=recovery, moments=moments
    )


def _start(run: Run, block: Block, space: InputSpace) -> Tensor:
    if block.start is not None:
        return space.of_bytes(block.start)
    with keyed.torch_seeded(keyed.key(run.seed, "start", block.number)):
        return torch.randn(len(block.labels), *space.shape)


class _Step:
    """One look of the networks at the changed images."""

    def __init__(
        self,
        run: Run,
        block: Block,
        networks: Sequence[nn.Module],
        recovery: Recovery,
        space: InputSpace,
        stack: ExitStack,
    ) -> None:
        self._block, self._recovery, self._space = block, recovery, space
        # Channels last is the quickest layout; the caller's networks keep theirs.
        laid = [copy.deepcopy(one).to(memory_format=torch.channels_last) for one in networks]
        self._networks = [run.engine.place(one.requires_grad_(False)) for one in laid]
        device = run.engine.device
        self._labels = block.labels.to(device)
        matches = recovery.statistics_weight > 0
        self._matched = [
            stack.enter_context(statistics_matched(one)) if matches else None
            for one in self._networks
        ]

    def __call__(self, values: Mapping[str, Tensor], at: At) -> Terms:
        recovery, images = self._recovery, values["images"]
        key = keyed.key(at.key, self._block.number)
        x = recovery.views.apply(images, at.step, recovery.steps, key)
        x = x.contiguous(memory_format=torch.channels_last)
        batch, losses, distances = Batch({"x": x}, space=self._space), [], []
        for network, matched in zip(self._networks, self._matched, strict=True):
            losses.append(cross_entropy(reading.of(network, batch).read("logits"), self._labels))
            if matched is not None:
                found = matched.distances()
                distances.append(statistics_regulariser(found, first_weight=recovery.first_weight))
        terms = recovery_terms(
            torch.stack(losses),
            torch.stack(distances) if distances else None,
            self._block.weights,
            statistics_weight=recovery.statistics_weight,
        )
        if recovery.variation_weight:
            terms["variation"] = recovery.variation_weight * image_variation(images, form="l2")
        if recovery.size_weight:
            terms["size"] = recovery.size_weight * images.flatten(1).norm(dim=1).mean()
        return terms
