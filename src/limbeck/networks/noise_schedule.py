"""Noise schedules: how much of a sample is signal and how much is noise, at levels from 0 to 1."""

from __future__ import annotations

import functools
import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.errors import ArgumentError, SettingsError
from limbeck.functional.noise_levels import beta_schedule, shift_levels, vp_alpha_sigma
from limbeck.settings import settings

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Kind = Literal["flow", "vp", "edm"]
Betas = Literal["linear", "scaled_linear", "squaredcos_cap_v2"]
Units = Literal["unit", "steps"]


@settings
class NoiseSchedule:
    """What a level means: x_t = alpha x0 + sigma e, with t from 0 (clean) to 1 (noisiest).

    ``"flow"`` is flow matching, ``"vp"`` keeps the variance (alpha² + sigma² = 1), ``"edm"`` adds
    noise to samples that stay as they are (alpha = 1).

    Args:
        kind: ``"flow"``, ``"vp"`` or ``"edm"``.
        shift: of flow matching: above 1 it moves levels towards noise, as
            t' = shift t / (1 + (shift - 1) t).
        betas: of vp: how the variance that a step adds grows.
        beta_start: of vp: variance that the first step adds.
        beta_end: of vp: variance that the last step adds; the cosine needs neither.
        steps: of vp: how many; of flow matching, what a level is multiplied by for networks that
            count in steps.
        sigma_min: of edm: the least noise, at t = 0.
        sigma_max: of edm: the most, at t = 1.
        rho: of edm: how far levels lean to little noise.
        units: what networks are given as time. ``"unit"``: the shifted level (flow) or t (vp).
            ``"steps"``, as networks of diffusers: the shifted level times `steps` (flow) or the
            number of the step from 0 (vp). Under edm both are ln(sigma) / 4.

    Raises:
        SettingsError: a value lies outside its range.

    Example:
        >>> schedule = NoiseSchedule("flow", shift=3.0)
        >>> alpha, sigma = schedule.alpha_sigma(0.5)
        >>> round(float(alpha), 4), round(float(sigma), 4)
        (0.25, 0.75)

    Source: Ho, Jain and Abbeel, arXiv 2006.11239 (vp); Karras et al., arXiv 2206.00364 (edm);
    Lipman et al., arXiv 2210.02747, and Esser et al., arXiv 2403.03206, section 5.3.2 (flow).
    """

    kind: Kind = "flow"
    shift: Positive = 1.0
    betas: Betas = "linear"
    beta_start: Positive = 1e-4
    beta_end: Positive = 0.02
    steps: Annotated[int, Field(ge=2)] = 1000
    sigma_min: Positive = 0.002
    sigma_max: Positive = 80.0
    rho: Positive = 7.0
    units: Units = "unit"

    def __post_init__(self) -> None:
        if not self.beta_start <= self.beta_end < 1:
            raise SettingsError(
                f"NoiseSchedule.beta_end is {self.beta_end}, expected at least the beta_start of "
                f"{self.beta_start} and below 1"
            )
        if self.sigma_min >= self.sigma_max:
            raise SettingsError(
                f"NoiseSchedule.sigma_min is {self.sigma_min}, expected below the sigma_max of "
                f"{self.sigma_max}"
            )

    def alpha_sigma(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Shares of signal and noise.

        Between two steps of vp, log alpha is interpolated.

        Args:
            t: levels ``(N,)`` or one, from 0 to 1.

        Returns:
            alpha and sigma, float64 in the shape of `t`. At t = 0 they are 1 and 0, under edm 1
            and `sigma_min`.

        Example:
            >>> alpha, _ = NoiseSchedule("vp").alpha_sigma(torch.tensor([0.0, 1.0]))
            >>> [round(one, 5) for one in alpha.tolist()]
            [1.0, 0.00635]
        """
        t = _double(t)
        if self.kind == "flow":
            level = torch.as_tensor(shift_levels(t, self.shift))
            return 1 - level, level
        if self.kind == "edm":
            low, high = self._ends()
            sigma = (low + t * (high - low)).pow(self.rho)
            return torch.ones_like(sigma), sigma
        logs = self._knots(t.device)
        place = t * self.steps
        below = place.floor().clamp(0, self.steps - 1).long()
        log_alpha = logs[below] + (place - below) * (logs[below + 1] - logs[below])
        # -expm1 keeps what 1 - alpha² loses near the clean end.
        return log_alpha.exp(), (-torch.expm1(2 * log_alpha)).sqrt()

    def rates(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Rates that predictions of kind ``"flow"`` stand for: u = rate_alpha x0 + rate_sigma e.

        Args:
            t: levels ``(N,)`` or one.

        Returns:
            (-1, 1) for flow matching (by its shifted level), (0, 1) for edm (by sigma), float64 in
            the shape of `t`.

        Raises:
            ArgumentError: the schedule is vp, whose networks predict eps, v or x0.

        Example:
            >>> [float(one) for one in NoiseSchedule("edm").rates(0.5)]
            [0.0, 1.0]
        """
        if self.kind == "vp":
            raise ArgumentError(
                "prediction is 'flow' and the schedule is vp, which has no velocity of its own; "
                "use x0, eps, v or score"
            )
        one = torch.ones_like(_double(t))
        return (-one if self.kind == "flow" else 0 * one), one

    def time(self, t: Tensor | float, units: Units | None = None) -> Tensor:
        """What networks are given as time.

        Args:
            t: levels ``(N,)`` or one, from 0 to 1.
            units: None takes those of the schedule.

        Returns:
            float64 in the shape of `t`.

        Example:
            >>> NoiseSchedule("vp").time(torch.tensor([0.25, 1.0]), "steps").tolist()
            [249.0, 999.0]
        """
        t, counted = _double(t), (units or self.units) == "steps"
        if self.kind == "edm":
            return self.alpha_sigma(t)[1].log() / 4
        if self.kind == "vp":
            return t * self.steps - 1 if counted else t
        level = torch.as_tensor(shift_levels(t, self.shift))
        return level * self.steps if counted else level

    def level_at(self, time: Tensor | float, units: Units | None = None) -> Tensor:
        """The level whose `time` this is, float64 in the shape of `time`.

        Example:
            >>> schedule = NoiseSchedule("flow", shift=3.0)
            >>> round(float(schedule.level_at(schedule.time(0.4, "steps"), "steps")), 9)
            0.4
        """
        time, counted = _double(time), (units or self.units) == "steps"
        if self.kind == "edm":
            return self._level(-4 * time)
        if self.kind == "vp":
            return (time + 1) / self.steps if counted else time
        return self._unshifted(time / self.steps if counted else time)

    def level_of(self, other: NoiseSchedule, t: Tensor | float) -> Tensor:
        """The level of this schedule that has as much noise for its signal as another's at `t`.

        Args:
            other: whose levels `t` are.
            t: levels ``(N,)`` or one, from 0 to 1.

        Returns:
            The levels with the same log(alpha / sigma), float64 in the shape of `t`; the end where
            this schedule does not reach so far. States then differ by the ratio of both alphas.

        Example:
            >>> schedule = NoiseSchedule("vp")
            >>> level = schedule.level_of(NoiseSchedule("flow"), 0.5)
            >>> alpha, sigma = schedule.alpha_sigma(level)
            >>> round(float(alpha / sigma), 6)
            1.0
        """
        alpha, sigma = other.alpha_sigma(t)
        # Through infinity where there is no noise or no signal, which both end well below.
        return self._level(alpha.log() - sigma.log())

    def _level(self, log_ratio: Tensor) -> Tensor:
        """The level with this log(alpha / sigma)."""
        if self.kind == "flow":
            return self._unshifted(torch.sigmoid(-log_ratio))
        if self.kind == "edm":
            low, high = self._ends()
            root = (-log_ratio / self.rho).exp()
            return ((root - low) / (high - low)).clamp(0, 1)
        logs = self._knots(log_ratio.device)
        # alpha² is the logistic function of twice the log ratio.
        sought = (-0.5 * torch.nn.functional.softplus(-2 * log_ratio)).clamp(float(logs[-1]), 0)
        above = torch.searchsorted(-logs, -sought.contiguous()).clamp(1, self.steps)
        share = (sought - logs[above - 1]) / (logs[above] - logs[above - 1])
        return (above - 1 + share) / self.steps

    def _unshifted(self, level: Tensor) -> Tensor:
        return level / (self.shift - (self.shift - 1) * level)

    def _ends(self) -> tuple[float, float]:
        """The least and the most noise of edm, as levels are spread between them."""
        return math.pow(self.sigma_min, 1 / self.rho), math.pow(self.sigma_max, 1 / self.rho)

    def _knots(self, device: torch.device) -> Tensor:
        """log alpha of vp at t = 0, 1/K, .. 1, ``(K + 1,)``."""
        return _log_alphas(self.betas, self.steps, self.beta_start, self.beta_end, device)


@functools.lru_cache(maxsize=16)
def _log_alphas(betas: Betas, steps: int, start: float, end: float, device: torch.device) -> Tensor:
    alpha, _ = vp_alpha_sigma(beta_schedule(betas, steps=steps, start=start, end=end))
    return torch.cat([alpha.new_zeros(1), alpha.log()]).to(device)


def _double(t: Tensor | float) -> Tensor:
    return torch.as_tensor(t, dtype=torch.float64)
