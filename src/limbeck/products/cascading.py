"""Cascading: samples on their way through the stages, of which later ones see fewer and fewer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError, ModelError
from limbeck.functional.guards import widened
from limbeck.outputs import Outputs
from limbeck.products.stages import Stages, State
from limbeck.selection.exits import Exits


class Part(NamedTuple):
    """Samples that a stage is asked about at once.

    Args:
        batch: themselves.
        state: what the stage before left of them.
    """

    batch: Batch
    state: State = None


@torch.no_grad()
def cascaded(models: Stages, exits: Exits, batches: Sequence[Batch]) -> Outputs:
    """Ask every stage about the samples that reach it, and about no others.

    Samples of several batches that go on are asked about together, so that later stages see
    batches worth their while; unless a stage leaves something for the next, which is kept of one
    batch at a time.

    Args:
        models: the stages.
        exits: which samples go on.
        batches: N samples in all, at least one.

    Returns:
        Logits ``(N, C)`` of the last stage that each sample reaches, with ``extra.confidence``
        ``(N,)`` and ``extra.reached`` ``(N,)``, counted from 0.

    Raises:
        ModelError: a stage says something of another shape than those before it.
    """
    if models.leaves and len(batches) > 1:
        return _together([cascaded(models, exits, [batch]) for batch in batches])
    parts, most = [Part(batch) for batch in batches], max(batch.size for batch in batches)
    said, parts = _asked(models, 0, parts)
    told, scores = said[None], exits.scores(said)[None]
    # Copies: a model may keep what it returned.
    logits, confidence = said.clone(), scores[0].clone()
    sure = confidence
    rows = torch.arange(len(said), device=said.device)
    reached = torch.zeros_like(rows)
    for stage in range(1, len(models)):
        goes = exits.goes_on(stage - 1, sure)
        kept = goes.nonzero()[:, 0]
        if not len(kept):
            break
        rows, parts = rows.index_select(0, kept), packed(_left(parts, goes), most)
        said, parts = _asked(models, stage, parts)
        if said.shape != (len(kept), *logits.shape[1:]):
            raise ModelError(
                f"stage {stage} gives logits of shape {tuple(said.shape)} and the stages before it "
                f"{(len(kept), *logits.shape[1:])}; all must know the same classes"
            )
        told = torch.cat([told.index_select(1, kept), said[None]])
        scores = torch.cat([scores.index_select(1, kept), exits.scores(said)[None]])
        sure = exits.confidence(scores)
        logits.index_copy_(0, rows, exits.said(told))
        confidence.index_copy_(0, rows, sure)
        reached.index_fill_(0, rows, stage)
    return Outputs(logits=logits, extra={"confidence": confidence, "reached": reached})


def _together(said: Sequence[Outputs]) -> Outputs:
    """What was said about several batches, as of one."""
    extra = {
        name: torch.cat([one.read(f"extra.{name}") for one in said])
        for name in ("confidence", "reached")
    }
    return Outputs(logits=torch.cat([one.read("logits") for one in said]), extra=extra)


def _asked(models: Stages, stage: int, parts: Sequence[Part]) -> tuple[Tensor, list[Part]]:
    """What a stage by itself says about all parts, and the parts with what it leaves."""
    answers = [models.ask(stage, *part) for part in parts]
    said = [widened(logits) for logits, _ in answers]
    left = [Part(part.batch, state) for part, (_, state) in zip(parts, answers, strict=True)]
    return said[0] if len(said) == 1 else torch.cat(said), left


def _left(parts: Sequence[Part], goes: Tensor) -> list[Part]:
    """Of every part the samples that go on, ``(n,)`` over all of them; empty parts are dropped."""
    found = []
    for part, mine in zip(parts, goes.split([one.batch.size for one in parts]), strict=True):
        kept = mine.nonzero()[:, 0]
        if len(kept):
            # Samples may wait on the host while a device answers: an index of the host fits both.
            found.append(Part(part.batch.rows(kept.cpu()), rows_of(part.state, kept)))
    return found


def packed(parts: Sequence[Part], most: int) -> list[Part]:
    """Neighbours put together as long as they are no more than so many samples.

    Args:
        parts: one, or several of stages that leave nothing.
        most: samples.
    """
    groups: list[list[Part]] = []
    for part in parts:
        room = groups and sum(one.batch.size for one in groups[-1]) + part.batch.size <= most
        if room and _shapes(groups[-1][0].batch) == _shapes(part.batch):
            groups[-1].append(part)
        else:
            groups.append([part])
    return [_joined(group) for group in groups]


def _shapes(batch: Batch) -> dict[str, torch.Size]:
    """Shapes of one sample: texts of different batches may be of different lengths."""
    return {name: value.shape[1:] for name, value in batch.items()}


def _joined(group: Sequence[Part]) -> Part:
    if len(group) == 1:
        return group[0]
    first = group[0].batch
    columns = {name: torch.cat([one.batch[name] for one in group]) for name in first}
    return Part(Batch(columns, key=first.key, space=first.space))


def rows_of(state: State, rows: Tensor) -> State:
    """Some samples of what a stage leaves, whatever holds the tensors.

    Args:
        state: tensors with a row a sample, in tuples, lists or mappings; or None.
        rows: which ones.

    Returns:
        The same of those samples.

    Raises:
        ArgumentError: it holds something else.

    Example:
        >>> rows_of({"x": torch.arange(3)}, torch.tensor([2]))["x"].tolist()
        [2]
    """
    if isinstance(state, Tensor):
        return state[rows]
    if isinstance(state, Mapping):
        return {name: rows_of(one, rows) for name, one in state.items()}
    if isinstance(state, (tuple, list)):
        return type(state)(rows_of(one, rows) for one in state)
    if state is None:
        return None
    raise ArgumentError(
        f"a stage leaves a {type(state).__name__}, expected tensors with a row a sample, in "
        "tuples, lists or mappings"
    )
