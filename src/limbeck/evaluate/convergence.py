"""Convergence: how near each generation of a chain comes to its base teachers, and how fast."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from limbeck import files
from limbeck.errors import ArgumentError
from limbeck.evaluate.quality import quality
from limbeck.functional.classification import agreement
from limbeck.functional.convergence import (
    SETTLED,
    RateFit,
    RatePrediction,
    chain_distances,
    fit_rate,
    predict_rate,
)
from limbeck.functional.divergences import entropy
from limbeck.functional.recursion import Mixture, anchored_teacher, total_variation
from limbeck.plain import finite

COLUMNS = {
    "tv": "TV",
    "kl": "KL(B||S)",
    "reverse_kl": "KL(S||B)",
    "js": "JS",
    "error": "error",
    "agreement": "agreement",
    "accuracy": "accuracy",
    "nll": "NLL",
    "ece": "ECE",
    "entropy": "entropy",
}


@dataclass(frozen=True)
class Chain:
    """What the generations of a chain say about the same samples, kept for the analysis.

    Args:
        base: pool of the base teachers at the chain's temperature, probabilities ``(N, C)``.
        students: every generation at that temperature, probabilities ``(G + 1, N, C)``.
        logits: every generation's raw logits ``(G + 1, N, C)``.
        target: labels ``(N,)``.
        anchors: of the G generations.
        mixture: family of the mixture.
        temperature: at which base and students are compared.
        clipped: mean mass that clipping added to a row, of base and students.
        temperatures: at which each of the G generations learned; empty where it was `temperature`.
        matches: what each generation was to match and what it says, at the temperature at which
            it learned, both ``(G, N, C)``; None mixes the former from `students` and `base`, which
            is right where all generations learned at `temperature`.
    """

    base: Tensor
    students: Tensor
    logits: Tensor
    target: Tensor
    anchors: tuple[float, ...]
    mixture: Mixture = "linear"
    temperature: float = 1.0
    clipped: float = 0.0
    temperatures: tuple[float, ...] = ()
    matches: tuple[Tensor, Tensor] | None = None

    def __post_init__(self) -> None:
        if self.matches is None and any(one != self.temperature for one in self.temperatures):
            raise ArgumentError(
                f"temperatures is {self.temperatures} and everything is compared at "
                f"{self.temperature}: give matches, each at its generation's temperature"
            )

    @property
    def errors(self) -> list[float]:
        """Mean total variation of each generation to what it was to match, as it learned it."""
        if self.matches is not None:
            return total_variation(*self.matches).mean(1).tolist()
        found = []
        for number, anchor in enumerate(self.anchors):
            last, own = self.students[number], self.students[number + 1]
            meant = anchored_teacher(last, self.base, anchor=anchor, mixture=self.mixture)
            found.append(float(total_variation(meant, own).mean()))
        return found


@dataclass(frozen=True)
class ConvergenceReport:
    """Table, fits and verdict of a chain.

    Args:
        rows: figures of each generation by name.
        tv: fit of the mean total variation.
        kl: fit of the mean KL(base || student).
        prediction: what the theory says, with the largest measured error.
        verdict: one sentence.
        state: ``"contracting"``, ``"floored"`` or ``"drifting"``.
        settled: first generation that improved by less than `tolerance`, or None.
        tolerance: of total variation.
        facts: how the chain was made and compared.
    """

    rows: tuple[Mapping[str, float], ...]
    tv: RateFit
    kl: RateFit
    prediction: RatePrediction
    verdict: str
    state: str
    settled: int | None
    tolerance: float
    facts: Mapping[str, Any]

    def column(self, name: str) -> list[float]:
        """One figure of all generations; NaN where a generation has none."""
        return [row.get(name, math.nan) for row in self.rows]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads and cells, one row a generation."""
        cells = [
            [str(number), *(_cell(name, row) for name in COLUMNS)]
            for number, row in enumerate(self.rows)
        ]
        return ["generation", *COLUMNS.values()], cells

    def to_plain(self) -> dict[str, Any]:
        """Plain values as JSON holds them; numbers that are not finite become None."""
        return finite(
            {
                "generations": [dict(row) for row in self.rows],
                "fits": {"tv": vars(self.tv), "kl": vars(self.kl)},
                "prediction": {**vars(self.prediction), "bound": list(self.prediction.bound)},
                "verdict": self.verdict,
                "state": self.state,
                "settled": self.settled,
                "tolerance": self.tolerance,
                **self.facts,
            }
        )

    def save(self, path: str | Path) -> None:
        """Write the report as JSON."""
        files.write_text(Path(path), json.dumps(self.to_plain(), indent=1, allow_nan=False) + "\n")


def convergence_report(
    chain: Chain, *, tolerance: float = 0.005, resamples: int = 1000, seed: int = 0
) -> ConvergenceReport:
    r"""Measure a chain: distances to the base teachers, rates, floor, realisability, quality.

    Args:
        chain: what the generations said about the same samples.
        tolerance: a generation that brings the mean total variation down by less has settled.
        resamples: of the samples, for the intervals of the rates.
        seed: of the resampling.

    Returns:
        The report. The ``error`` of generation k is the mean total variation between the student
        and the teacher that it was to match, :math:`\varepsilon_k`, at the temperature at which
        it learned; all else is at the chain's.

    Raises:
        ArgumentError: shapes do not fit, or rows do not sum to one.

    Example:
        >>> import torch
        >>> from limbeck.functional import anchored_recursion
        >>> torch.manual_seed(0)
        <torch._C.Generator object at ...>
        >>> start, base = torch.randn(2, 64, 5, dtype=torch.float64).softmax(-1)
        >>> students = anchored_recursion(start, base, anchors=[0.3] * 6)
        >>> exact = Chain(base, students, students.log(), base.argmax(-1), (0.3,) * 6)
        >>> report = convergence_report(exact)
        >>> report.state, round(report.tv.rate, 6)
        ('contracting', 0.7)
    """
    distances = chain_distances(chain.base, chain.students)
    errors = [math.nan, *chain.errors]
    rows = []
    for number, student in enumerate(chain.students):
        figures = {name: float(values[number].mean()) for name, values in distances.items()}
        if number:
            figures["error"] = errors[number]
        figures["agreement"] = float(agreement(student, chain.base))
        figures |= quality(chain.logits[number], chain.target, "classification")
        figures["entropy"] = float(entropy(student, kind="probabilities"))
        rows.append(figures)
    tv = fit_rate(distances["tv"], resamples=resamples, seed=seed)
    kl = fit_rate(distances["kl"], resamples=resamples, seed=seed)
    largest = max(errors[1:], default=0.0)
    anchors = chain.anchors or (0.0,)
    linear = chain.mixture == "linear"
    start = rows[0]["tv" if linear else "kl"]
    prediction = predict_rate(anchors, chain.mixture, largest, start=start)
    means = [row["tv"] for row in rows]
    state = _state(means, prediction)
    falls = [before - after for before, after in itertools.pairwise(means)]
    settled = next((k + 1 for k, fall in enumerate(falls) if fall < tolerance), None)
    return ConvergenceReport(
        rows=tuple(rows),
        tv=tv,
        kl=kl,
        prediction=prediction,
        verdict=_verdict(state, means, tv, prediction),
        state=state,
        settled=settled,
        tolerance=tolerance,
        facts={
            "anchors": list(chain.anchors),
            "mixture": chain.mixture,
            "temperature": chain.temperature,
            "temperatures": list(chain.temperatures or [chain.temperature] * len(chain.anchors)),
            "mean_error": statistics.fmean(errors[1:] or [0.0]),
            "largest_error": largest,
            "ended_at": statistics.fmean(means[-2:]),
            "clipped_mass": chain.clipped,
            "samples": len(chain.target),
        },
    )


def _state(means: Sequence[float], prediction: RatePrediction) -> str:
    """Whether a distance still falls, has stopped falling, or has risen without need.

    An anchored chain that begins at its floor, or below, moves about within it.
    """
    if means[-1] > 0 and means[-1] >= means[0] * (1 - SETTLED):
        within = prediction.converges and means[-1] <= prediction.floor
        return "floored" if within else "drifting"
    if len(means) > 1 and abs(means[-1] - means[-2]) <= SETTLED * means[-2]:
        return "floored"
    return "contracting"


def _verdict(state: str, means: Sequence[float], tv: RateFit, prediction: RatePrediction) -> str:
    went = f"total variation to the base teachers went from {means[0]:.3f} to {means[-1]:.3f}"
    if state == "drifting":
        word = "is anchored" if prediction.converges else "has no anchor"
        return f"drifting: {went}; the chain {word}"
    if math.isnan(tv.rate):
        rate = "too few generations above the floor to fit a rate"
    else:
        rate = (
            f"rate {tv.rate:.3f} (95 % {tv.low:.3f} to {tv.high:.3f}) over {tv.read} generations, "
            f"predicted {prediction.tv_rate:.3f}"
        )
    bound = f"; predicted to end at {prediction.floor:.3f} or below"
    end = bound if state == "floored" else ""
    return f"{state}: {went}; {rate}{end}"


def _cell(name: str, row: Mapping[str, float]) -> str:
    if name not in row:
        return ""
    if name in ("agreement", "accuracy"):
        return f"{row[name] * 100:.1f}"
    return f"{row[name]:.4f}"
