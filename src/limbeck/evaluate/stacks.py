"""Stacks: one table for a stack, simpler ones over the same members, and the members alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.data.splits import Split
from limbeck.evaluate.quality import Figures, collect, quality
from limbeck.evaluate.table import ROLES, Row
from limbeck.outputs import Outputs


def stack_rows(stacks: Mapping[str, Any], data: Data) -> list[Row]:
    """Rows of stacks and of every member that one of them has, on the test split.

    Args:
        stacks: by name; the first is the product, the second the baseline, others are references.
        data: its test split is reported.

    Returns:
        Rows ``{"name", "role", "quality", "cost"}``; each model was asked once a batch.
    """
    alone: dict[str, Any] = {}
    # Those that hold all members first, in whose order the members stand.
    for stack in sorted(stacks.values(), key=lambda one: -len(one.names)):
        alone |= {name: one for name, one in stack.alone().items() if name not in alone}
    found = stack_quality({**{f"member {n}": one for n, one in alone.items()}, **stacks}, data)
    rows = [
        _row(name, ROLES[place] if place < 2 else "reference", found[name], one.cost(data))
        for place, (name, one) in enumerate(stacks.items())
    ]
    return rows + [
        _row(name, "teacher", found[f"member {name}"], one.cost(data))
        for name, one in alone.items()
    ]


@torch.no_grad()
def stack_quality(
    stacks: Mapping[str, Any], data: Data, split: Split | None = None
) -> dict[str, Figures]:
    """Quality of several stacks whose models are asked once together.

    Args:
        stacks: by name.
        data: tells how inputs are read.
        split: the samples; None takes the test split.

    Returns:
        Figures by name.
    """
    split = data.test if split is None else split
    said: dict[str, list[Tensor]] = {name: [] for name in stacks}
    for batch in sequential(data, split):
        known: dict[int, Tensor] = {}
        for name, stack in stacks.items():
            said[name].append(stack.outputs(batch, known).read("logits"))

    def told(name: str) -> Figures:
        answers = iter(said[name])
        return quality(*collect(lambda _: Outputs(logits=next(answers)), data, split), data.task)

    return {name: told(name) for name in stacks}


def _row(name: str, role: str, figures: Figures, costs: Mapping[str, float]) -> Row:
    return {"name": name, "role": role, "quality": dict(figures), "cost": dict(costs)}
