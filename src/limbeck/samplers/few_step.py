"""Few steps: from noise to samples over a handful of levels."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from limbeck import keyed
from limbeck.errors import ArgumentError, SettingsError
from limbeck.functional.diffusion import add_noise, deterministic_step, per_sample
from limbeck.samplers.noise import unit_noise
from limbeck.settings import settings

Moment = tuple[float, Tensor, Tensor]
Fresh = Callable[[int], Tensor]


def _check_levels(levels: tuple[float, ...]) -> tuple[float, ...]:
    falling = all(first > second for first, second in pairwise(levels))
    if not levels or not falling or levels[0] > 1 or levels[-1] <= 0:
        raise SettingsError(
            "expected numbers that fall from at most 1, the noisiest, and stay above 0, such as "
            "1, 0.75, 0.5, 0.25"
        )
    return levels


@settings
class FewStep:
    """A sampler of few steps.

    Args:
        levels: where the network is asked, falling from 1, the noisiest; what it says at the last
            one is the sample.
        kind: how a clean prediction goes to the next level: with fresh noise (``"sde"``), or with
            the noise that the prediction implies (``"ode"``).
        guidance: scale of classifier-free guidance; 1 is none.

    Example:
        >>> FewStep(levels=(1.0, 0.5)).kind
        'sde'
    """

    levels: Annotated[tuple[float, ...], AfterValidator(_check_levels)] = (1.0, 0.75, 0.5, 0.25)
    kind: Literal["sde", "ode"] = "sde"
    guidance: Annotated[float, Field(ge=0)] = 1.0


def steps(count: int, kind: Literal["sde", "ode"] = "ode", guidance: float = 1.0) -> FewStep:
    """A sampler with evenly spread levels from 1 down.

    Args:
        count: of levels, S.
        kind: as of `FewStep`.
        guidance: as of `FewStep`.

    Returns:
        The sampler, with the levels 1, (S - 1) / S, ..., 1 / S.

    Raises:
        ArgumentError: there is no step.

    Example:
        >>> steps(4).levels
        (1.0, 0.75, 0.5, 0.25)
    """
    if count < 1:
        raise ArgumentError(f"count is {count}, expected 1 step or more")
    levels = tuple((count - place) / count for place in range(count))
    return FewStep(levels=levels, kind=kind, guidance=guidance)


def evaluations(plan: FewStep, conditional: bool) -> float:
    """How many evaluations of the network a sample takes; guidance asks it twice a level.

    Args:
        plan: the sampler.
        conditional: whether the network has conditions, without which nothing is guided.

    Example:
        >>> evaluations(FewStep(guidance=2.0), conditional=True)
        8.0
    """
    guided = conditional and plan.guidance != 1
    return float(len(plan.levels) * (2 if guided else 1))


def advance(
    denoiser: Any,
    x: Tensor,
    x0: Tensor,
    level: float,
    next_level: float,
    noise: Tensor | None = None,
) -> Tensor:
    r"""Bring a clean prediction to the next level.

    .. math:: x' = \alpha' \hat{x}_0 + \sigma' n

    Args:
        denoiser: knows alpha and sigma of a level.
        x: noisy samples at `level`, ``(N, ...)``.
        x0: what was predicted from them, ``(N, ...)``.
        level: where `x` stands.
        next_level: where to go.
        noise: fresh noise n ``(N, ...)``; None takes the noise that `x` and `x0` imply.

    Returns:
        ``(N, ...)``.

    Source: Yin et al., arXiv 2405.14867 (fresh noise); Song et al., arXiv 2010.02502 (implied).
    """
    if noise is not None:
        return add_noise(x0, noise, *denoiser.alpha_sigma(next_level))
    return deterministic_step(
        x, x0, *denoiser.alpha_sigma(level), *denoiser.alpha_sigma(next_level)
    )


@torch.no_grad()
def sample(
    denoiser: Any,
    noise: Tensor,
    condition: Tensor | None,
    plan: FewStep,
    key: int,
    *,
    ids: np.ndarray | None = None,
    trace: list[Moment] | None = None,
) -> Tensor:
    """Make samples of noise.

    Args:
        denoiser: a `Denoiser` or `Routed`.
        noise: unit normal, ``(N, ...)``.
        condition: ids ``(N,)``, or None for a network without conditions.
        plan: levels and sampler.
        key: of fresh noises, which are looked up by step and sample.
        ids: of the samples ``(N,)``; their places in the batch by default.
        trace: gets ``(level, noisy samples, clean prediction)`` of every step.

    Returns:
        Clean samples ``(N, ...)``.
    """
    named = np.arange(len(noise)) if ids is None else ids

    def fresh(step: int) -> Tensor:
        return unit_noise(keyed.key(key, "step", step), named, noise.shape[1:]).to(noise)

    return walk(denoiser, noise, condition, plan, fresh, trace=trace)


def walk(
    denoiser: Any,
    noise: Tensor,
    condition: Tensor | None,
    plan: FewStep,
    fresh: Fresh,
    *,
    trace: list[Moment] | None = None,
) -> Tensor:
    """Make samples of noise and of given fresh noises.

    Args:
        denoiser: as of `sample`.
        noise: as of `sample`.
        condition: as of `sample`.
        plan: levels and sampler.
        fresh: gives the fresh noise ``(N, ...)`` after a step, counted from 0; called for the
            kind ``"sde"`` alone.
        trace: as of `sample`.

    Returns:
        Clean samples ``(N, ...)``.
    """
    x = noise * per_sample(denoiser.alpha_sigma(plan.levels[0])[1], noise)
    last = len(plan.levels) - 1
    for step, level in enumerate(plan.levels):
        x0 = denoiser.predict(x, level, condition, guidance=plan.guidance)
        if trace is not None:
            trace.append((level, x, x0))
        if step < last:
            drawn = fresh(step) if plan.kind == "sde" else None
            x = advance(denoiser, x, x0, level, plan.levels[step + 1], drawn)
    return x0
