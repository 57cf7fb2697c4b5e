"""Pairs: noises and what the teacher's own sampler makes of them, to learn by regression."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck.loops.draws import Draws
from limbeck.objectives import Terms
from limbeck.run.run import Run
from limbeck.samplers.few_step import sample, steps
from limbeck.settings import settings

CHUNK = 512


@settings
class Regression:
    """Regression on what the teacher makes of stored noises.

    Args:
        weight: of the squared error; 0 makes no pairs.
        pairs: how many are made and kept.
        steps: of the teacher's sampler.
    """

    weight: Annotated[float, Field(ge=0)] = 0.0
    pairs: Annotated[int, Field(ge=1)] = 5000
    steps: Annotated[int, Field(ge=1)] = 50


def teacher_pairs(
    run: Run, teacher: nn.Module, labels: Tensor, regression: Regression, guidance: float
) -> dict[str, Tensor]:
    """Make the pairs in a memoised stage.

    Args:
        run: the folder.
        teacher: frozen denoiser.
        labels: conditions of real samples, which those of the pairs are drawn from.
        regression: how many and with how many steps.
        guidance: of the teacher.

    Returns:
        ``noise`` and ``sample`` ``(P, ...)``, and ``condition`` ``(P,)``.
    """

    def make(
        teacher: Any, labels: Tensor, count: int, long: int, guidance: float
    ) -> dict[str, Tensor]:
        plan, parts = steps(long, guidance=guidance), []
        placed = run.engine.place(teacher)
        with run.progress("teacher pairs", count) as shown:
            for start in range(0, count, CHUNK):
                size = min(CHUNK, count - start)
                key = keyed.key(run.seed, "pairs", start)
                with keyed.torch_seeded(key):
                    draws = Draws(size, run.engine.device)
                    noise, condition = draws.normal(*teacher.shape), draws.one_of(labels)
                asked = condition if teacher.conditional else None
                made = sample(placed, noise, asked, plan, key)
                parts.append({"noise": noise, "condition": condition, "sample": made})
                shown.advance(size)
        return {name: torch.cat([one[name].cpu() for one in parts]) for name in parts[0]}

    return run.stage(
        "pairs",
        make,
        teacher=teacher,
        labels=labels,
        count=regression.pairs,
        long=regression.steps,
        guidance=guidance,
    )


def regression_term(
    student: nn.Module, pairs: dict[str, Tensor], level: float, weight: float, draws: Draws
) -> Terms:
    """Squared error of the student's first step on pairs drawn anew.

    Args:
        student: the denoiser that learns.
        pairs: as `teacher_pairs` makes them.
        level: that the noises stand at.
        weight: of the term.
        draws: of the step.
    """
    own: Any = student
    rows = draws.one_of(torch.arange(len(pairs["noise"]), device=draws.device))
    noise, goal, condition = (pairs[name][rows] for name in ("noise", "sample", "condition"))
    start = noise * own.alpha_sigma(level)[1].to(noise)
    made = student(start, level, condition if own.conditional else None, as_="x0")
    return {"regression": weight * (made - goal).square().mean()}
