"""Force fields side by side: errors on test frames beside parameters and time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from limbeck.data.force_data import ForceData
from limbeck.data.frames import LABELS, Frames
from limbeck.data.graphs import graph
from limbeck.evaluate.forces import answers, force_quality, spread
from limbeck.features import evaluating, on_device
from limbeck.loops.force_fields import cutoffs, precision

Row = dict[str, Any]
ROLES = ("product", "baseline")
# How often forces are asked for before the clock runs, and while it does.
WARM, TIMED = 2, 7


def force_rows(
    entries: Mapping[str, nn.Module], members: Sequence[nn.Module], data: ForceData
) -> list[Row]:
    """Rows of force fields, of the members that taught, and of their mean.

    Args:
        entries: force fields by name: the product, its baseline, references.
        members: of the ensemble, the best one first.
        data: the test frames are reported.

    Returns:
        Rows ``{"name", "role", "quality", "cost"}``; that of the mean says how far members are
        apart.
    """
    rows = [
        force_row(name, ROLES[place] if place < 2 else "reference", one, data)
        for place, (name, one) in enumerate(entries.items())
    ]
    said = [answers(one, data.test) for one in members]
    costs = [force_cost(one, data.test) for one in members]
    if len(members) > 1:
        total = {name: sum(cost[name] for cost in costs) for name in costs[0]}
        total["atoms"] = costs[0]["atoms"]
        mean = _row("ensemble", "ensemble", mean_of(said), data.test, total)
        mean["quality"] |= spread(said)
        rows.append(mean)
    for number, (one, cost) in enumerate(zip(said, costs, strict=True)):
        rows.append(_row(f"member {number}", "teacher", one, data.test, cost))
    return rows


def force_row(name: str, role: str, network: nn.Module, data: ForceData) -> Row:
    """The row of one force field on the test frames."""
    cost = force_cost(network, data.test)
    return _row(name, role, answers(network, data.test), data.test, cost)


def mean_of(said: Sequence[Frames]) -> Frames:
    """The mean of what members said of the same frames."""
    labels = {
        name: np.mean([getattr(one, name) for one in said], axis=0)
        for name in LABELS
        if all(getattr(one, name) is not None for one in said)
    }
    return said[0].replace(**labels)


def force_cost(network: nn.Module, frames: Frames) -> dict[str, float]:
    """Parameters, and what energy and forces of the largest frame take on the CPU of this machine.

    Args:
        network: the force field.
        frames: among which is the largest.

    Returns:
        ``parameters``, ``bytes``, ``atoms`` of that frame, and ``force_ms``, the median.
    """
    place = int(np.argmax(frames.counts))
    asked = graph(frames.without_labels(), [place], dtype=precision(network), **cutoffs(network))
    taken = []
    with torch.no_grad(), evaluating(network), on_device("cpu", network):
        for number in range(WARM + TIMED):
            begun = time.perf_counter()
            network(asked)
            if number >= WARM:
                taken.append(1000 * (time.perf_counter() - begun))
    weights = list(network.parameters())
    return {
        "parameters": sum(one.numel() for one in weights),
        "bytes": sum(one.numel() * one.element_size() for one in weights),
        "atoms": int(frames.counts[place]),
        "force_ms": round(statistics.median(taken), 4),
    }


def _row(name: str, role: str, said: Frames, told: Frames, cost: Mapping[str, float]) -> Row:
    return {"name": name, "role": role, "quality": force_quality(said, told), "cost": dict(cost)}
