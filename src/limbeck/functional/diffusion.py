"""What diffusion and flow models say of a noised sample, and how it becomes a less noisy one.

A noised sample is ``x_t = alpha x0 + sigma e`` with unit normal ``e``; a larger t is noisier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from limbeck.checks import check_choice, check_floating, check_same_shape
from limbeck.errors import ArgumentError
from limbeck.functional.guards import widened

Prediction = Literal["x0", "eps", "v", "flow", "score"]
Rescale = Literal["none", "per_axis", "total"]
Level = Tensor | float
Rates = tuple[Level, Level]
# Divisors are kept this far from 0: alpha is 0 at pure noise, and sigma at the clean end.
LEAST = 1e-6


def per_sample(values: Level | Sequence[float], like: Tensor, name: str = "values") -> Tensor:
    """Numbers of each sample with the axes, the dtype and the device of what they multiply.

    Args:
        values: ``(N,)``, or one number for all samples.
        like: ``(N, ...)``.
        name: what to call `values` in an error.

    Returns:
        ``(N, 1, ...)`` with as many axes as `like`, or ``()``.

    Raises:
        ArgumentError: there is neither one number nor one a sample.

    Example:
        >>> per_sample(torch.tensor([1.0, 2.0]), torch.zeros(2, 3, 4)).shape
        torch.Size([2, 1, 1])
    """
    numbers = torch.as_tensor(values, dtype=like.dtype, device=like.device)
    if numbers.ndim == 0:
        return numbers
    if like.ndim == 0 or numbers.shape != like.shape[:1]:
        raise ArgumentError(
            f"{name} has shape {tuple(numbers.shape)} for samples {tuple(like.shape)}, expected "
            f"one number or {tuple(like.shape[:1])}: one a sample"
        )
    return numbers.reshape(-1, *[1] * (like.ndim - 1))


def add_noise(x0: Tensor, noise: Tensor, alpha: Level, sigma: Level) -> Tensor:
    r"""A sample at a noise level, :math:`x_t = \alpha x_0 + \sigma e`.

    Args:
        x0: clean samples ``(N, ...)``.
        noise: unit normal, of the same shape.
        alpha: scale of the sample, ``(N,)`` or one number.
        sigma: scale of the noise, ``(N,)`` or one number.

    Returns:
        Noised samples of the shape and the dtype of `x0`.

    Raises:
        ArgumentError: shapes differ, or there is neither one number nor one a sample.

    Example:
        >>> add_noise(torch.ones(2, 1), torch.ones(2, 1), torch.tensor([1.0, 0.5]), 0.25).tolist()
        [[1.25], [0.75]]

    Source: Ho et al., arXiv 2006.11239, equation 4.
    """
    check_floating(x0, "x0")
    check_same_shape(x0, noise, ("x0", "noise"))
    wide = widened(x0)
    noised = per_sample(alpha, wide, "alpha") * wide + per_sample(sigma, wide, "sigma") * noise
    return noised.to(x0.dtype)


def guided(
    conditional: Tensor, unconditional: Tensor, scale: float, *, rescale: Rescale = "none"
) -> Tensor:
    r"""Classifier-free guidance: away from what is said without a condition.

    .. math:: g = u + w (c - u)

    Args:
        conditional: c, predictions under the condition, ``(N, ...)``.
        unconditional: u, under the null condition, same shape.
        scale: w; 1 gives c and 0 gives u.
        rescale: ``"none"``; ``"per_axis"`` gives g the length of c along the last axis;
            ``"total"`` shrinks g to the length of c, both over the whole batch, never stretches.

    Returns:
        g, of the shape of `conditional`.

    Raises:
        ArgumentError: shapes differ, or `rescale` is unknown.

    Example:
        >>> guided(torch.tensor([[1.0]]), torch.tensor([[0.5]]), 3.0).tolist()
        [[2.0]]

    Source: Ho and Salimans, arXiv 2207.12598.
    """
    check_same_shape(conditional, unconditional, ("conditional", "unconditional"))
    check_choice(rescale, "rescale", get_args(Rescale))
    found = unconditional + scale * (conditional - unconditional)
    if rescale == "none":
        return found
    if rescale == "per_axis":
        length, wanted = (one.norm(dim=-1, keepdim=True) for one in (found, conditional))
        return found * (wanted / torch.where(length > 0, length, 1.0))
    length, wanted = found.norm(), conditional.norm()
    return found * (wanted / torch.where(length > 0, length, 1.0)).clamp(max=1.0)


def prediction_target(
    x0: Tensor,
    noise: Tensor,
    alpha: Level,
    sigma: Level,
    kind: Prediction,
    *,
    rates: Rates | None = None,
) -> Tensor:
    r"""What a network of some kind of prediction says when it knows sample and noise.

    - ``"x0"``: :math:`x_0`
    - ``"eps"``: :math:`e`
    - ``"v"``: :math:`\alpha e - \sigma x_0`
    - ``"flow"``: :math:`\alpha' x_0 + \sigma' e`, the velocity of x_t along t
    - ``"score"``: :math:`-e / \sigma`

    Args:
        x0: clean samples ``(N, ...)``.
        noise: e, of the same shape.
        alpha: ``(N,)`` or one number.
        sigma: ``(N,)`` or one number.
        kind: of the prediction.
        rates: for ``"flow"``, the derivatives of alpha and sigma, ``(N,)`` or one number each;
            None is flow matching, (-1, 1). Noise levels of EDM have (0, 1).

    Returns:
        The target, of the shape and the dtype of `x0`.

    Raises:
        ArgumentError: the kind is unknown or shapes differ.

    Example:
        >>> x0, noise = torch.tensor([[1.0]]), torch.tensor([[3.0]])
        >>> prediction_target(x0, noise, 0.5, 0.5, "flow").item()
        2.0

    Source: Salimans and Ho, arXiv 2202.00512, appendix D; Lipman et al., arXiv 2210.02747.
    """
    check_choice(kind, "kind", get_args(Prediction))
    check_same_shape(x0, noise, ("x0", "noise"))
    if kind == "x0":
        return x0
    if kind == "eps":
        return noise
    if kind == "score":
        return -noise / _divisor(per_sample(sigma, noise, "sigma"))
    of_sample, of_noise = _slopes(kind, alpha, sigma, rates, x0)
    return of_sample * x0 + of_noise * noise


def convert_prediction(
    output: Tensor,
    x_t: Tensor,
    alpha: Level,
    sigma: Level,
    source: Prediction,
    target: Prediction,
    *,
    rates: Rates | None = None,
) -> Tensor:
    r"""Say the same prediction in another kind.

    Every kind is one linear equation beside :math:`x_t = \alpha x_0 + \sigma e`; both are solved
    for x_0 and e, from which `prediction_target` makes the other kind. Computed in float64, with
    divisors of at least 1e-6.

    Args:
        output: of the network, ``(N, ...)``.
        x_t: what the network saw, same shape.
        alpha: ``(N,)`` or one number.
        sigma: ``(N,)`` or one number.
        source: kind of `output`.
        target: kind to return.
        rates: as in `prediction_target`.

    Returns:
        The prediction, of the shape and the dtype of `output`.

    Raises:
        ArgumentError: a kind is unknown or shapes differ.

    Example:
        >>> x_t, flow = torch.tensor([[2.0]]), torch.tensor([[4.0]])
        >>> convert_prediction(flow, x_t, 0.75, 0.25, "flow", "x0").item()
        1.0

    Source: Karras et al., arXiv 2206.00364, and Salimans and Ho, arXiv 2202.00512, appendix D.
    """
    check_choice(source, "source", get_args(Prediction))
    check_choice(target, "target", get_args(Prediction))
    check_floating(output, "output")
    check_same_shape(output, x_t, ("output", "x_t"))
    if source == target:
        return output
    known, noised = output.double(), x_t.double()
    x0, noise = _solved(known, noised, alpha, sigma, source, rates)
    return prediction_target(x0, noise, alpha, sigma, target, rates=rates).to(output.dtype)


def velocity_step(x: Tensor, velocity: Tensor, level: Level, next_level: Level) -> Tensor:
    r"""A straight step along the velocity, :math:`x + (t' - t) u`.

    Args:
        x: samples at `level`, ``(N, ...)``.
        velocity: u, of the same shape.
        level: t, ``(N,)`` or one number.
        next_level: t', ``(N,)`` or one number.

    Returns:
        Samples at `next_level`, of the shape and the dtype of `x`.

    Raises:
        ArgumentError: shapes differ.

    Example:
        >>> velocity_step(torch.tensor([[1.0]]), torch.tensor([[2.0]]), 1.0, 0.5).item()
        0.0

    Source: Lipman et al., arXiv 2210.02747, solved by Euler's method.
    """
    check_same_shape(x, velocity, ("x", "velocity"))
    wide = widened(x)
    length = per_sample(next_level, wide, "next_level") - per_sample(level, wide, "level")
    return (wide + length * velocity).to(x.dtype)


def deterministic_step(
    x_t: Tensor, x0: Tensor, alpha: Level, sigma: Level, next_alpha: Level, next_sigma: Level
) -> Tensor:
    r"""Noise the predicted sample again, with the noise that it leaves in x_t.

    .. math:: x_{t'} = \alpha' x_0 + \sigma' (x_t - \alpha x_0) / \sigma

    Args:
        x_t: noised samples ``(N, ...)``.
        x0: predicted clean samples, same shape.
        alpha: at t, ``(N,)`` or one number.
        sigma: at t, ``(N,)`` or one number.
        next_alpha: at t', ``(N,)`` or one number.
        next_sigma: at t', ``(N,)`` or one number.

    Returns:
        Samples at t', of the shape and the dtype of `x0`.

    Raises:
        ArgumentError: shapes differ.

    Example:
        >>> x_t, x0 = torch.tensor([[2.0]]), torch.tensor([[1.0]])
        >>> deterministic_step(x_t, x0, 0.5, 0.5, 1.0, 0.0).item()
        1.0

    Source: Song et al., arXiv 2010.02502, equation 12 without noise.
    """
    noise = convert_prediction(x0, x_t, alpha, sigma, "x0", "eps")
    return add_noise(x0, noise, next_alpha, next_sigma)


def _solved(
    known: Tensor,
    x_t: Tensor,
    alpha: Level,
    sigma: Level,
    source: Prediction,
    rates: Rates | None,
) -> tuple[Tensor, Tensor]:
    """Sample and noise from x_t and a prediction."""
    a, s = per_sample(alpha, x_t, "alpha"), per_sample(sigma, x_t, "sigma")
    if source == "x0":
        return known, (x_t - a * known) / _divisor(s)
    if source in ("eps", "score"):
        noise = known if source == "eps" else -s * known
        return (x_t - s * noise) / _divisor(a), noise
    of_sample, of_noise = _slopes(source, alpha, sigma, rates, x_t)
    determinant = _divisor(a * of_noise - s * of_sample)
    return (
        (of_noise * x_t - s * known) / determinant,
        (a * known - of_sample * x_t) / determinant,
    )


def _slopes(
    kind: Prediction, alpha: Level, sigma: Level, rates: Rates | None, like: Tensor
) -> tuple[Tensor, Tensor]:
    """What sample and noise are multiplied by in a prediction of kind v or flow."""
    if kind == "v":
        return -per_sample(sigma, like, "sigma"), per_sample(alpha, like, "alpha")
    of_sample, of_noise = (-1.0, 1.0) if rates is None else rates
    return per_sample(of_sample, like, "rates"), per_sample(of_noise, like, "rates")


def _divisor(value: Tensor) -> Tensor:
    """`value` at least `LEAST` away from 0, on its own side."""
    return torch.where(value.abs() < LEAST, torch.where(value < 0, -LEAST, LEAST), value)
