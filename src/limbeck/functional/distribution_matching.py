"""Distribution matching: a generator follows the difference of two score models."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_choice, check_no_grad, check_same_shape
from limbeck.errors import ArgumentError
from limbeck.functional.diffusion import Level, Prediction, Rates, per_sample, prediction_target
from limbeck.functional.guards import check_numbers, widened
from limbeck.functional.reductions import Reduction, reduce

Normaliser = Literal["error", "none"]
# A sample whose entries are all equal has no variance, of which the divergence takes a logarithm.
LEAST_VARIANCE = 1e-8


def surrogate_loss(x: Tensor, direction: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    r"""A loss whose gradient with respect to `x` is the given direction.

    .. math:: \tfrac12 \| x - \mathrm{stopgrad}(x - g) \|^2

    averaged over the entries of a sample.

    Args:
        x: samples of the generator ``(N, ...)``, with gradient.
        direction: g, of the same shape, without gradient; a step goes against it.
        reduction: ``"mean"`` over samples, whose gradient is g over the number of entries;
            ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider.

    Raises:
        ArgumentError: shapes differ, or the direction requires grad.

    Example:
        >>> x = torch.tensor([[1.0, 2.0]], requires_grad=True)
        >>> surrogate_loss(x, torch.tensor([[4.0, 0.0]])).backward()
        >>> x.grad.tolist()
        [[2.0, 0.0]]

    Source: Yin et al., arXiv 2311.18828 (DMD).
    """
    check_same_shape(x, direction, ("x", "direction"))
    check_no_grad(direction, "direction")
    wide = widened(x)
    # What is taken off is x itself, so that nothing of a small direction is rounded away.
    return reduce(sample_mean(0.5 * (wide - wide.detach() + direction).square()), reduction)


def error_scale(
    x: Tensor, real: Tensor, *, epsilon: float = 1e-6, least: float | None = None
) -> Tensor:
    r"""How far samples are from clean predictions, :math:`\mathrm{mean}|x - r| + \epsilon`.

    Args:
        x: samples ``(N, ...)``; no gradient flows.
        real: r, clean predictions, same shape.
        epsilon: what is added.
        least: the lower bound that takes the place of adding `epsilon`; None adds.

    Returns:
        ``(N, 1, ...)`` with as many axes as `x`, in float32 or wider.

    Raises:
        ArgumentError: shapes differ, or `epsilon` or `least` is negative.

    Example:
        >>> error_scale(torch.zeros(1, 2), torch.tensor([[1.0, -3.0]]), epsilon=0.0).item()
        2.0

    Source: Yin et al., arXiv 2311.18828 (DMD), equation 8; `least` as ModelTC/LightX2V.
    """
    check_same_shape(x, real, ("x", "real"))
    for number, name in ((epsilon, "epsilon"), (least, "least")):
        if number is not None and not 0 <= number < math.inf:
            raise ArgumentError(f"{name} is {number}, expected a finite number of at least 0")
    wide = widened(x.detach())
    size = per_sample(sample_mean((wide - real.detach()).abs()), wide)
    return size + epsilon if least is None else size.clamp(min=least)


def matching_direction(
    x: Tensor,
    real: Tensor,
    fake: Tensor,
    *,
    normaliser: Normaliser = "error",
    epsilon: float = 1e-6,
    least: float | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    r"""Where samples leave the data, from what two models make of their noised copies.

    .. math:: g = w \frac{f - r}{n}, \quad n = \mathrm{mean} |x - r| + \epsilon

    with the mean over the entries of a sample. It is the gradient of the reverse KL divergence up
    to a positive factor for each sample.

    Args:
        x: samples of the generator ``(N, ...)``.
        real: r, the clean samples that the frozen model of the data predicts, same shape, without
            gradient.
        fake: f, those of the model of the generator, same shape, without gradient.
        normaliser: ``"error"``, or ``"none"`` for n = 1.
        epsilon: added to the mean.
        least: n is the mean but at least this, and `epsilon` is not added; None adds it.
        weight: w of each sample ``(N,)``; None weighs all alike.

    Returns:
        g, of the shape of `x`, in float32 or wider, without gradient; 0 where n is 0.

    Raises:
        ArgumentError: shapes differ, `real` or `fake` requires grad or holds NaN on the CPU, or an
            option is outside its range.

    Example:
        >>> x, real, fake = torch.tensor([[[0.0, 0.0]], [[2.0, 4.0]], [[2.0, 3.0]]])
        >>> matching_direction(x, real, fake, epsilon=0.0)
        tensor([[ 0.0000, -0.3333]])

    Source: Yin et al., arXiv 2311.18828 (DMD), equations 7 and 8; `least` as ModelTC/LightX2V.
    """
    check_choice(normaliser, "normaliser", get_args(Normaliser))
    for value, name in ((real, "real"), (fake, "fake")):
        check_same_shape(x, value, ("x", name))
        check_no_grad(value, name)
        check_numbers(value, f"predictions of {name}", "entries")
    difference = widened(fake) - widened(real)
    if normaliser == "error":
        size = error_scale(x, real, epsilon=epsilon, least=least)
        none = size <= 0
        difference = torch.where(none, 0.0, difference / torch.where(none, 1.0, size))
    return difference if weight is None else per_sample(weight, difference, "weight") * difference


@loss(
    "dmd",
    "Samples of a generator against the difference of two denoisers, the teacher and a model of "
    "the generator",
    student="samples",
    teacher=("denoised samples",),
    source="arXiv 2311.18828",
)
def distribution_matching_loss(
    x: Tensor,
    real: Tensor,
    fake: Tensor,
    *,
    normaliser: Normaliser = "error",
    epsilon: float = 1e-6,
    least: float | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """`surrogate_loss` of the `matching_direction`: what a generator is trained by.

    Args:
        x: samples of the generator ``(N, ...)``, with gradient.
        real: what the frozen model of the data predicts, as the following in
            `matching_direction`; guided where guidance is to be distilled.
        fake: what the model of the generator predicts, never guided.
        normaliser: ``"error"`` or ``"none"``.
        epsilon: added to the normaliser.
        least: of the normaliser.
        weight: of each sample ``(N,)``.
        reduction: ``"mean"`` over samples, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider. Its value says how far the
        models differ, not how good the generator is.

    Raises:
        ArgumentError: as `matching_direction`.

    Example:
        >>> x = torch.zeros(2, 3, requires_grad=True)
        >>> distribution_matching_loss(x, torch.ones(2, 3), torch.ones(2, 3)).item()
        0.0

    Source: Yin et al., arXiv 2311.18828 (DMD) and 2405.14867 (DMD2).
    """
    direction = matching_direction(
        x, real, fake, normaliser=normaliser, epsilon=epsilon, least=least, weight=weight
    )
    return surrogate_loss(x, direction, reduction=reduction)


@loss(
    "denoising",
    "Squared error of what a denoiser says of noised samples, in its own kind of prediction",
    student="denoiser outputs",
    labels=("clean samples",),
    source="arXiv 2006.11239",
)
def denoising_loss(
    prediction: Tensor,
    x0: Tensor,
    noise: Tensor,
    alpha: Level,
    sigma: Level,
    *,
    kind: Prediction,
    rates: Rates | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Squared error of a prediction in its own kind, averaged over the entries of a sample.

    Args:
        prediction: of the network ``(N, ...)``.
        x0: clean samples of the same shape, without gradient.
        noise: that was added to them, same shape.
        alpha: ``(N,)`` or one number.
        sigma: ``(N,)`` or one number.
        kind: of the prediction, as in `prediction_target`.
        rates: of ``"flow"``, as in `prediction_target`.
        weight: of each sample ``(N,)``; None weighs all alike.
        reduction: ``"mean"`` over samples, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider.

    Raises:
        ArgumentError: shapes differ, `x0` requires grad, the kind is unknown, or a prediction on
            the CPU is NaN.

    Example:
        >>> x0, noise = torch.ones(1, 2), torch.zeros(1, 2)
        >>> denoising_loss(torch.zeros(1, 2), x0, noise, 0.5, 0.5, kind="flow").item()
        1.0

    Source: Ho et al., arXiv 2006.11239, equation 14.
    """
    check_same_shape(prediction, x0, ("prediction", "x0"))
    check_no_grad(x0, "x0")
    wide = widened(prediction)
    known = x0.to(wide.dtype), noise.to(wide.dtype)
    target = prediction_target(*known, alpha, sigma, kind, rates=rates)
    value = sample_mean((wide - target).square())
    check_numbers(value, "prediction, x0 or noise")
    return reduce(
        value if weight is None else per_sample(weight, value, "weight") * value, reduction
    )


def match_delta(real: Tensor, fake: Tensor) -> Tensor:
    """The pull of distribution matching, ``real - fake``: what the theory prescribes.

    With `augmentation_delta` it sums to the guided real prediction minus the fake one.

    Args:
        real: predictions of the model of the data under the condition, ``(N, ...)``.
        fake: of the model of the generator, same shape.

    Returns:
        The difference, same shape; a generator goes along it.

    Raises:
        ArgumentError: shapes differ.

    Example:
        >>> match_delta(torch.tensor([3.0]), torch.tensor([1.0])).item()
        2.0

    Source: Decoupled DMD, arXiv 2511.22677, the term DM.
    """
    check_same_shape(real, fake, ("real", "fake"))
    return real - fake


def augmentation_delta(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """The push of guidance, ``(w - 1) (c - u)``, in which the generator has no part.

    Args:
        conditional: c, predictions of the model of the data under the condition, ``(N, ...)``.
        unconditional: u, under the null condition, same shape.
        scale: w; 1 gives 0.

    Returns:
        The push, same shape; a generator goes along it.

    Raises:
        ArgumentError: shapes differ.

    Example:
        >>> augmentation_delta(torch.tensor([3.0]), torch.tensor([1.0]), 2.0).item()
        2.0

    Source: Decoupled DMD, arXiv 2511.22677, the term CA.
    """
    check_same_shape(conditional, unconditional, ("conditional", "unconditional"))
    return (scale - 1) * (conditional - unconditional)


def mean_variance_divergence(
    x: Tensor, mean: float, variance: float, *, reduction: Reduction = "mean"
) -> Tensor:
    r"""KL divergence of each sample's mean and variance from given ones, as of two normals.

    .. math:: \tfrac12 \Big( \frac{v_i + (m_i - m)^2}{v} - 1 - \ln \frac{v_i}{v} \Big)

    with the mean and the biased variance over all entries of a sample, the latter at least 1e-8.

    Args:
        x: samples ``(N, ...)``, of at least two axes.
        mean: m.
        variance: v, above 0.
        reduction: ``"mean"`` over samples, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider.

    Raises:
        ArgumentError: `x` has no entries in a sample, or the variance is not above 0.

    Example:
        >>> mean_variance_divergence(torch.tensor([[-1.0, 1.0]]), 0.0, 1.0).item()
        0.0

    Source: Decoupled DMD, arXiv 2511.22677.
    """
    if x.ndim < 2 or x.shape[1:].numel() == 0:
        raise ArgumentError(f"x has shape {tuple(x.shape)}, expected (N, ...): entries in a sample")
    if not 0 < variance < math.inf:
        raise ArgumentError(f"variance is {variance}, expected a finite number above 0")
    rows = widened(x).flatten(1)
    own = rows.mean(1)
    spread = (rows - own[:, None]).square().mean(1).clamp(min=LEAST_VARIANCE)
    value = 0.5 * ((spread + (own - mean).square()) / variance - 1 - (spread / variance).log())
    check_numbers(value, "entries of x")
    return reduce(value, reduction)


def sample_mean(value: Tensor) -> Tensor:
    """Mean over the entries of each sample.

    Args:
        value: ``(N, ...)``.

    Returns:
        ``(N,)``.

    Example:
        >>> sample_mean(torch.tensor([[1.0, 3.0]])).tolist()
        [2.0]
    """
    return value.mean(tuple(range(1, value.ndim))) if value.ndim > 1 else value
