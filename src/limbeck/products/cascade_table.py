"""Cascade table: a cascade beside its first stage, a single threshold and the whole ensemble."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from limbeck.data.data import Data
from limbeck.data.names import resolve
from limbeck.data.ranges import in_space
from limbeck.errors import ArgumentError
from limbeck.evaluate.diagnostics import diagnostics_of
from limbeck.evaluate.selective_quality import DEFINITIONS
from limbeck.evaluate.table import ROLES
from limbeck.functional.cascades import cascade_cost
from limbeck.functional.selective import risk_coverage_curve
from limbeck.products.cascade_measures import (
    Asked,
    StageCost,
    Told,
    figures_of,
    mean_cost,
    stage_costs,
)
from limbeck.products.fitting import check_shape
from limbeck.products.stages import MemberStages
from limbeck.run.exhibits import Chart, Line, Sheet, write_exhibits
from limbeck.teachers import uncounted_bytes

if TYPE_CHECKING:
    from limbeck.products.window_cascade import WindowCascade
    from limbeck.run.run import Run

POINTS, BINS = 60, 40


@dataclasses.dataclass(frozen=True)
class Arm:
    """One row of the table on its way.

    Args:
        name: of the row.
        role: one of `limbeck.evaluate.table.ROLES`.
        cascade: that is measured.
        inside: what it says about the test split.
        outside: what it says about samples from outside, where there are some.
        costs: of its stages.
    """

    name: str
    role: str
    cascade: WindowCascade
    inside: Told
    outside: Told | None
    costs: list[StageCost]

    def row(self, data: Data) -> dict[str, Any]:
        """The row of the table."""
        cost = mean_cost(self.cascade, self.costs, data, self.inside.reached)
        if self.outside is not None and "macs" in cost:
            paid = [one.macs for one in self.costs]
            halves = [cascade_cost(one.reached, paid) for one in (self.inside, self.outside)]
            cost["mixture_macs"] = float(sum(halves)) / 2
        figures = figures_of(self.inside, self.outside)
        return {"name": self.name, "role": self.role, "quality": figures, "cost": cost}


def cascade_table(
    run: Run,
    cascade: WindowCascade,
    name: str,
    baselines: Mapping[str, WindowCascade],
    data: Data,
    outside: Any = None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measure a cascade and what it is compared with, and draw what tells them apart.

    Every model is asked once about each split: what cascades of the same ones say is read off that.

    Args:
        run: gets the charts and tables.
        cascade: calibrated.
        name: of its row.
        baselines: other cascades by name; the first is the baseline.
        data: its test split is reported.
        outside: data or its name, whose test split holds samples from outside; or None.

    Returns:
        Rows ``{"name", "role", "quality", "cost"}``, and diagnostics.
    """
    seen = cascade.see(data)
    beyond = outside_of(outside, data)
    inside = Asked(seen, seen.test)
    outer = None if beyond is None else Asked(beyond, beyond.test)
    named = [(name, cascade), *baselines.items()]
    entries = [
        (label, ROLES[place] if place < 2 else "reference", one)
        for place, (label, one) in enumerate(named)
    ]
    if len(cascade.models) > 1:
        role = "ensemble" if cascade.averaged else "teacher"
        entries.append(("ensemble" if cascade.averaged else "last exit", role, cascade.whole))
    entries += [(label, "teacher", one) for label, one in _members(cascade)]
    if outer is not None:
        entries.append(("windows of the pool", "reference", _shifted(cascade, inside, outer)))
    arms = []
    for label, role, one in entries:
        said = inside.told(one)
        costs = stage_costs(one.models, seen, said.reached)
        beside = None if outer is None else outer.told(one)
        arms.append(Arm(label, role, one, said, beside, costs))
    _show(run, cascade, arms, inside)
    drawn = {
        arm.name: (arm.inside.logits, arm.inside.target) for arm in arms if arm.role != "teacher"
    }
    return [arm.row(seen) for arm in arms], diagnostics_of(drawn, seen.classes)


def _shifted(cascade: WindowCascade, inside: Asked, outside: Asked) -> WindowCascade:
    """The cascade with windows placed anew: offline, the whole pool of samples is at hand."""
    exits = cascade.calibrated
    pool = torch.cat([one.of(cascade.models) for one in (inside, outside)], 1)
    return cascade.with_exits(exits.shifted(exits.confidences(pool)[:-1]))


def outside_of(given: Any, data: Data) -> Data | None:
    """Samples from outside as the models of some data read them.

    Args:
        given: data or its name, or None.
        data: that the models are for.

    Raises:
        ArgumentError: the given is no data.
        ModelError: its inputs have another shape.
    """
    if given is None:
        return None
    found = resolve(given)
    if not isinstance(found, Data):
        raise ArgumentError(f"outside is a {type(found).__name__}, expected data or its name")
    if data.input_space is None:
        return dataclasses.replace(found, input_space=None)
    if found.input_space is not None:
        check_shape(found, data.input_space, "the cascade reads")
    return in_space(found, data.input_space)


def _members(cascade: WindowCascade) -> list[tuple[str, WindowCascade]]:
    """Each member by itself; the first of them is a baseline already."""
    if not isinstance(cascade.models, MemberStages):
        return []
    return [
        (str(getattr(one, "name", one)), cascade.single(MemberStages([one])))
        for one in cascade.models.members[1:]
    ]


def _show(run: Run, cascade: WindowCascade, arms: list[Arm], inside: Asked) -> None:
    compared = [arm for arm in arms if arm.role != "teacher" or not cascade.averaged]
    charts = [_curves(compared), *_histogram(cascade, inside)]
    write_exhibits(run.dir, charts, [_shares(cascade, arms[0])])


def _curves(arms: list[Arm]) -> Chart:
    lines = []
    for arm in arms:
        curve = risk_coverage_curve(arm.inside.correct, arm.inside.confidence)
        places = _spread(len(curve.risk))
        lines.append(Line(arm.name, curve.coverage[places].tolist(), curve.risk[places].tolist()))
    return Chart(
        "Risk and coverage",
        f"Share of wrong answers over the share answered, most confident first. {DEFINITIONS}.",
        "coverage",
        "risk",
        lines,
    )


def _histogram(cascade: WindowCascade, inside: Asked) -> list[Chart]:
    """Confidences of the first stage, and the window on them."""
    if not cascade.calibrated.windows:
        return []
    said = inside.told(cascade.first)
    low, high = cascade.calibrated.windows[0]
    counts, ends = np.histogram(said.confidence.numpy(), bins=BINS)
    middles, top = (ends[:-1] + ends[1:]) / 2, float(counts.max())
    window = [
        Line(label, [end, end], [0.0, top], "bound")
        for label, end in (("from", low), ("to", high))
        if np.isfinite(end)
    ]
    shown = Line("test samples", middles.tolist(), counts.tolist())
    return [
        Chart(
            "The window of the first stage",
            f"How many samples of the test split have which confidence ({cascade.policy.score}); "
            "those between the dashed lines go on to the next stage.",
            "confidence of the first stage",
            "samples",
            [shown, *window],
        )
    ]


def _shares(cascade: WindowCascade, arm: Arm) -> Sheet:
    exits = cascade.calibrated
    counted = all(uncounted_bytes(one) is None for one in cascade.models.members)
    heads = ["stage", "samples reach it", "MACs", "ms", "threshold", "window"]
    heads += ["samples from outside reach it"] if arm.outside is not None else []
    rows = []
    for place, one in enumerate(arm.costs):
        later = place == len(exits.windows)
        window = "" if later else " to ".join(f"{end:.4g}" for end in exits.windows[place])
        threshold = f"{exits.thresholds[place]:.4g}" if place < len(exits.thresholds) else ""
        cells = [
            str(place),
            f"{one.share:.1%}",
            f"{one.macs:,}" if counted else "",
            f"{one.latency_ms:.3f}",
            threshold,
            window,
        ]
        if arm.outside is not None:
            cells.append(f"{float((arm.outside.reached >= place).double().mean()):.1%}")
        rows.append(cells)
    facts = exits.facts
    caption = (
        f"Test split. Windows are for {facts['task']} {facts['target']:g}, chosen on "
        f"{facts['samples']:,} validation samples (min_points {facts['min_points']}). MACs and ms "
        "are for one sample in that stage alone."
    )
    return Sheet("Who goes how far", heads, rows, caption)


def _spread(count: int) -> Tensor:
    """Places of evenly spread points of a curve, from the first sample answered to the last."""
    return torch.linspace(1, count - 1, min(POINTS, count - 1)).long()
