"""From one noise level to a noisier one, and what a denoiser learns where x0 is unknown."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_choice, check_no_grad, check_same_shape
from limbeck.errors import ArgumentError
from limbeck.functional.diffusion import Level, Prediction, Rates, per_sample, prediction_target
from limbeck.functional.distribution_matching import sample_mean
from limbeck.functional.guards import check_numbers, traced, widened
from limbeck.functional.reductions import Reduction, reduce


def transition(
    alpha_s: Level, sigma_s: Level, alpha_t: Level, sigma_t: Level, *, epsilon: float = 1e-8
) -> tuple[Tensor, Tensor]:
    r"""Scales of sample and fresh noise that lead from level s to a noisier level t.

    .. math:: \alpha_{ts} = \alpha_t / \alpha_s, \quad
        \sigma_{ts} = \sqrt{\max(\sigma_t^2 - \alpha_{ts}^2 \sigma_s^2,\ \epsilon)}

    With them `add_noise` makes x_t of x_s: ``add_noise(x_s, noise, *transition(...))``.

    Args:
        alpha_s: at s, ``(N,)`` or one number, above 0.
        sigma_s: at s, ``(N,)`` or one number.
        alpha_t: at t, ``(N,)`` or one number.
        sigma_t: at t, ``(N,)`` or one number.
        epsilon: the least variance of the fresh noise, above 0. At equal levels it is all there
            is; targets that are divided by its root are huge there, so keep a margin.

    Returns:
        ``alpha_ts`` and ``sigma_ts``, ``(N,)`` or ``()`` each, in float64.

    Raises:
        ArgumentError: on the CPU, s is pure noise or t is less noisy than s; `epsilon` is not
            above 0.

    Example:
        >>> [round(one.item(), 4) for one in transition(0.5, 0.5, 0.25, 0.75)]
        [0.5, 0.7071]

    Source: Phased DMD, arXiv 2510.27684.
    """
    if not epsilon > 0:
        raise ArgumentError(f"epsilon is {epsilon}, expected a number above 0")
    a_s, s_s, a_t, s_t = _levels(alpha_s, sigma_s, alpha_t, sigma_t)
    kept = a_t / a_s
    return kept, (s_t.square() - (kept * s_s).square()).clamp(min=epsilon).sqrt()


def transition_target(
    x_s: Tensor,
    noise: Tensor,
    alpha_s: Level,
    sigma_s: Level,
    alpha_t: Level,
    sigma_t: Level,
    *,
    kind: Prediction = "flow",
    rates: Rates | None = None,
    epsilon: float = 1e-8,
) -> Tensor:
    r"""What a denoiser at t is to say, of samples at s alone: its mean given x_t is exact.

    With x_t from `transition` and the fresh noise e:

    - ``"score"``: :math:`-e / \sigma_{ts}`
    - ``"flow"`` of flow matching: :math:`-\frac{x_s}{\alpha_s} + \frac{\alpha_s^2 \sigma_t +
      \alpha_t \sigma_s^2}{\alpha_s^2 \sigma_{ts}} e`
    - the other kinds: what `convert_prediction` makes of the score at x_t

    Where s is clean, it is what `prediction_target` gives.

    Args:
        x_s: samples at level s, ``(N, ...)``.
        noise: e, which took them to t, same shape.
        alpha_s: at s, as the following in `transition`.
        sigma_s: at s.
        alpha_t: at t.
        sigma_t: at t.
        kind: of the prediction.
        rates: of ``"flow"`` at t, as in `prediction_target`.
        epsilon: as in `transition`.

    Returns:
        The target, of the shape of `x_s`, in float32 or wider. It grows without bounds as t
        comes near s; `transition_loss` does not divide.

    Raises:
        ArgumentError: as `transition`, the kind is unknown or shapes differ.

    Example:
        >>> x_s, noise = torch.tensor([[1.0]]), torch.tensor([[3.0]])
        >>> transition_target(x_s, noise, 1.0, 0.0, 0.5, 0.5).item()
        2.0

    Source: Phased DMD, arXiv 2510.27684.
    """
    levels = alpha_s, sigma_s, alpha_t, sigma_t
    scaled, spread = _scaled_target(x_s, noise, *levels, kind, rates, epsilon)
    return scaled / per_sample(spread, scaled)


def transition_weight(alpha_ts: Level, alpha_t: Level, sigma_t: Level) -> Tensor:
    r"""What the difference of two velocities counts in the reverse KL divergence at level s.

    .. math:: w = \frac{\alpha_t \alpha_{ts}}{\alpha_t \sigma_t + \sigma_t^2}

    The gradient with respect to x_s is w times the teacher's minus the generator's velocity.

    Args:
        alpha_ts: of `transition`, ``(N,)`` or one number.
        alpha_t: at t, of flow matching, ``(N,)`` or one number.
        sigma_t: at t, ``(N,)`` or one number, above 0.

    Returns:
        Weights ``(N,)`` or ``()`` in float64.

    Example:
        >>> transition_weight(0.5, 0.5, 0.5).item()
        0.5

    Source: Phased DMD, arXiv 2510.27684.
    """
    kept, a, s = (torch.as_tensor(one, dtype=torch.float64) for one in (alpha_ts, alpha_t, sigma_t))
    return a * kept / (a * s + s.square())


@loss(
    "transition",
    "Squared error of a denoiser whose clean samples are unknown, from samples of a lower level",
    student="denoiser outputs",
    labels=("partly noised samples",),
    source="arXiv 2510.27684",
)
def transition_loss(
    prediction: Tensor,
    x_s: Tensor,
    noise: Tensor,
    alpha_s: Level,
    sigma_s: Level,
    alpha_t: Level,
    sigma_t: Level,
    *,
    kind: Prediction = "flow",
    rates: Rates | None = None,
    most: float = 10.0,
    epsilon: float = 1e-8,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Squared error of a prediction against `transition_target`, tame where t comes near s.

    .. math:: \min(\sigma_{ts}^{-2}, m) \, \| \sigma_{ts} F(x_t) - \sigma_{ts} u \|^2

    averaged over the entries of a sample; the product with the target u is written without a
    division.

    Args:
        prediction: F of the network at x_t, ``(N, ...)``.
        x_s: samples at level s, same shape, without gradient.
        noise: which took them to t by `transition`, same shape.
        alpha_s: at s, as the following in `transition`.
        sigma_s: at s.
        alpha_t: at t.
        sigma_t: at t.
        kind: of the prediction.
        rates: of ``"flow"`` at t, as in `prediction_target`.
        most: m, above 0.
        epsilon: as in `transition`.
        reduction: ``"mean"`` over samples, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider. Where the weight is not cut it
        is the plain squared error.

    Raises:
        ArgumentError: as `transition_target`, `x_s` requires grad, `most` is not above 0, or a
            prediction on the CPU is NaN.

    Example:
        >>> x_s, noise, said = torch.tensor([[[1.0]], [[3.0]], [[1.0]]])
        >>> transition_loss(said, x_s, noise, 1.0, 0.0, 0.5, 0.5).item()
        1.0

    Source: Phased DMD, arXiv 2510.27684.
    """
    check_same_shape(prediction, x_s, ("prediction", "x_s"))
    check_no_grad(x_s, "x_s")
    if not most > 0:
        raise ArgumentError(f"most is {most}, expected a number above 0")
    wide = widened(prediction)
    levels = alpha_s, sigma_s, alpha_t, sigma_t
    known = x_s.to(wide.dtype), noise.to(wide.dtype)
    scaled, spread = _scaled_target(*known, *levels, kind, rates, epsilon)
    error = sample_mean((per_sample(spread, wide) * wide - scaled).square())
    value = per_sample(spread.pow(-2).clamp(max=most), error) * error
    check_numbers(value, "prediction, x_s or noise")
    return reduce(value, reduction)


def _scaled_target(
    x_s: Tensor,
    noise: Tensor,
    alpha_s: Level,
    sigma_s: Level,
    alpha_t: Level,
    sigma_t: Level,
    kind: Prediction,
    rates: Rates | None,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """sigma_ts times the target, and sigma_ts.

    A target is linear in x0 and e, so the multiples of both give its multiple:
    ``sigma_ts x0 = sigma_ts x_s / a_s - a_t (s_s / a_s)^2 e`` and ``sigma_ts eps = s_t e``.
    """
    check_choice(kind, "kind", get_args(Prediction))
    check_same_shape(x_s, noise, ("x_s", "noise"))
    _, spread = transition(alpha_s, sigma_s, alpha_t, sigma_t, epsilon=epsilon)
    a_s, s_s, a_t, s_t = _levels(alpha_s, sigma_s, alpha_t, sigma_t)
    x_s, noise = widened(x_s), widened(noise)
    of_sample = per_sample(spread / a_s, x_s, "levels")
    of_noise = per_sample(a_t * (s_s / a_s).square(), x_s, "levels")
    x0, eps = of_sample * x_s - of_noise * noise, per_sample(s_t, x_s, "levels") * noise
    return prediction_target(x0, eps, alpha_t, sigma_t, kind, rates=rates), spread


def _levels(*levels: Level) -> tuple[Tensor, ...]:
    """Checked alpha and sigma of s and of t, in float64."""
    a_s, s_s, a_t, s_t = (torch.as_tensor(one, dtype=torch.float64) for one in levels)
    # On an accelerator a look would make the host wait.
    if any(one.device.type != "cpu" for one in (a_s, s_s, a_t, s_t)) or traced(a_s, s_s, a_t, s_t):
        return a_s, s_s, a_t, s_t
    if not bool((a_s > 0).all()):
        raise ArgumentError(
            f"alpha_s is {a_s.min().item():.4g}, expected above 0: nothing can be made of pure "
            "noise but noise; let s be a lower level"
        )
    if bool((s_t * a_s < s_s * a_t).any()):
        raise ArgumentError(
            f"t is less noisy than s: sigma / alpha goes from {_ratios(s_s, a_s)} to "
            f"{_ratios(s_t, a_t)}; are s and t in the right order?"
        )
    return a_s, s_s, a_t, s_t


def _ratios(sigma: Tensor, alpha: Tensor) -> list[float] | float:
    found: list[float] | float = (sigma / alpha).round(decimals=4).tolist()
    return found
