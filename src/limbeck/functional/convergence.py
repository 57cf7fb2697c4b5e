"""What repeated distillation is predicted to do, and the rate and floor that a chain shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limbeck import keyed
from limbeck.checks import check_choice, check_weights
from limbeck.errors import ArgumentError
from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.recursion import (
    Mixture,
    contraction_bound,
    contraction_rate,
    generations_above,
    total_variation,
)

SETTLED = 0.05


@dataclass(frozen=True)
class RatePrediction:
    r"""What the theory says of a chain.

    Args:
        distance: which distance `bound` holds for: total variation of the linear family, where it
            is met exactly by students without error, or KL(base || student) of the geometric one.
        bound: upper bound after each generation, the start first.
        floor: :math:`\varepsilon / \alpha` of the last anchor, where total variation ends at most;
            of the geometric family near the base only. Infinite without an anchor.
        tv_rate: :math:`1 - \alpha` of the last anchor.
        kl_rate: upper bound of the step of KL, the same number.
        late_kl_rate: :math:`(1 - \alpha)^2`, to which the step of KL tends near the base.
        converges: whether the chain, going on with its last anchor, reaches the base up to the
            floor.
    """

    distance: str
    bound: tuple[float, ...]
    floor: float
    tv_rate: float
    kl_rate: float
    late_kl_rate: float
    converges: bool


def predict_rate(
    anchors: Sequence[float],
    mixture: Mixture = "linear",
    error: float = 0.0,
    *,
    start: float = 1.0,
) -> RatePrediction:
    r"""Bound curve, floor and rates of anchored recursion.

    Args:
        anchors: :math:`\alpha_k` of each of G generations, 0 to 1; the last one goes on for ever.
        mixture: family of the mixture, ``"linear"`` or ``"geometric"``.
        error: :math:`\varepsilon`, total variation by which each student misses its teacher. For
            the bound of the geometric family it must be 0: KL has no triangle inequality.
        start: distance of the first student.

    Returns:
        The prediction.

    Raises:
        ArgumentError: there are no anchors, or an argument is outside its range.

    Example:
        >>> expected = predict_rate([0.5] * 3, error=0.01, start=0.8)
        >>> [round(value, 4) for value in expected.bound], expected.floor
        ([0.8, 0.41, 0.215, 0.1175], 0.02)
        >>> predict_rate([0.0], error=0.01).floor
        inf

    Source: arXiv 2601.13100, contraction; the floor is reconstructed.
    """
    check_choice(mixture, "mixture", ("linear", "geometric"))
    if not anchors:
        raise ArgumentError("anchors is empty, expected one number a generation")
    linear = mixture == "linear"
    bound = contraction_bound(start, anchors, error=error if linear else 0.0)
    last = anchors[-1]
    floor = error / last if last else (math.inf if error else bound[-1])
    return RatePrediction(
        distance="total variation" if linear else "KL(base || student)",
        bound=tuple(bound),
        floor=floor,
        tv_rate=1 - last,
        kl_rate=1 - last,
        late_kl_rate=(1 - last) ** 2,
        converges=last > 0,
    )


def chain_distances(base: Tensor, students: Tensor) -> dict[str, Tensor]:
    """Distances of every generation from the base teachers' pool, per sample.

    Args:
        base: B, probabilities ``(N, C)``.
        students: probabilities of all generations, the first student first, ``(G + 1, N, C)``.

    Returns:
        ``"tv"`` total variation, ``"kl"`` KL(B || S), ``"reverse_kl"`` KL(S || B) and ``"js"``
        Jensen-Shannon divergence, each ``(G + 1, N)``.

    Raises:
        ArgumentError: shapes do not fit, or rows do not sum to one.

    Example:
        >>> base = torch.tensor([[0.5, 0.5]])
        >>> found = chain_distances(base, torch.tensor([[[1.0, 0.0]], [[0.5, 0.5]]]))
        >>> found["tv"][:, 0].tolist(), round(found["js"][0, 0].item(), 4)
        ([0.5, 0.0], 0.2158)
    """
    if students.shape[1:] != base.shape or not len(students):
        raise ArgumentError(
            f"students has shape {tuple(students.shape)} and base {tuple(base.shape)}, expected "
            f"students (G + 1, {', '.join(map(str, base.shape))})"
        )
    wide = base.expand_as(students)
    found = {"tv": total_variation(wide, students)}
    for name, divergence in (("kl", "kl"), ("reverse_kl", "reverse_kl"), ("js", "js")):
        found[name] = soft_target_loss(
            students,
            wide,
            divergence=divergence,  # type: ignore[arg-type]
            student_is="probabilities",
            teacher_is="probabilities",
            reduction="none",
        ).clamp(min=0)
    return found


def estimate_floor(distances: Sequence[float]) -> float:
    r"""Where a falling distance would stop.

    Where the last two generations are within a twentieth of each other it is their mean. Before
    that it is where the line through the pairs :math:`(d_k, d_{k+1})` meets the diagonal, which is
    the end of :math:`d_{k+1} = \rho \, d_k + c`, and at most the last distance.

    Args:
        distances: :math:`d_k` of the generations 0, 1 and so on, at least 0.

    Returns:
        The floor; 0 with fewer than four generations that have not settled.

    Example:
        >>> falling = [0.05 + 0.3 * 0.5**k for k in range(4)]
        >>> round(estimate_floor(falling), 4)
        0.05
        >>> round(estimate_floor([0.3, 0.1, 0.051, 0.049]), 4)
        0.05
    """
    values = [float(value) for value in distances]
    if len(values) > 1 and abs(values[-1] - values[-2]) <= SETTLED * values[-2]:
        return (values[-1] + values[-2]) / 2
    if len(values) < 4:
        return 0.0
    before, after = np.array(values[:-1]), np.array(values[1:])
    slope, constant = np.polyfit(before, after, 1)
    if not 0 <= slope < 1:
        return 0.0
    return float(np.clip(constant / (1 - slope), 0.0, values[-1]))


@dataclass(frozen=True)
class RateFit:
    """A rate with its interval.

    Args:
        rate: factor a generation, NaN where it cannot be fitted.
        low: lower end of the 95 % interval over samples.
        high: upper end.
        read: generations that the fit reads, counted from the first student.
        floor: the floor that it kept clear of.
    """

    rate: float
    low: float
    high: float
    read: int
    floor: float


def fit_rate(
    distances: Tensor, *, floor: float | None = None, resamples: int = 1000, seed: int = 0
) -> RateFit:
    r"""Rate of the mean distance above its floor, with a bootstrap interval over samples.

    .. math:: \log \bar d_k \approx a + k \log \rho

    Args:
        distances: per generation and sample ``(G + 1, N)``, at least 0; means over samples are
            fitted.
        floor: generations up to the first below three times of it are read; None estimates it.
        resamples: of the samples, for the interval.
        seed: of the resampling.

    Returns:
        The fit; all NaN with fewer than three generations above the floor.

    Raises:
        ArgumentError: there are no samples, or a distance is negative or not finite.

    Example:
        >>> decaying = 0.4 * 0.7 ** torch.arange(6.0)
        >>> round(fit_rate(decaying[:, None].expand(6, 5)).rate, 4)
        0.7
    """
    if distances.ndim != 2 or not distances.shape[1]:
        raise ArgumentError(
            f"distances has shape {tuple(distances.shape)}, expected (generations, N), N above 0"
        )
    values = distances.double().cpu()
    means = values.mean(1).tolist()
    floor = estimate_floor(means) if floor is None else floor
    rate, read = contraction_rate(means, floor=floor), generations_above(means, floor)
    if math.isnan(rate):
        return RateFit(math.nan, math.nan, math.nan, read, floor)
    draw = np.random.Generator(np.random.Philox(key=keyed.key(seed, "bootstrap")))
    count = values.shape[1]
    counts = torch.from_numpy(draw.multinomial(count, np.full(count, 1 / count), size=resamples))
    resampled = (values[:read] @ counts.double().T / count).T
    whole = resampled[(resampled > 0).all(1)]
    steps = torch.arange(read, dtype=torch.float64)
    steps = steps - steps.mean()
    rates = ((whole.log() * steps).sum(1) / steps.square().sum()).exp()
    low, high = torch.quantile(rates, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return RateFit(rate, low, high, read, floor)


def pooled_variance(
    variances: Sequence[float], weights: Sequence[float] | None = None, *, correlation: float = 0.0
) -> float:
    r"""Variance of a linear pool of unbiased teachers whose errors are correlated alike.

    .. math:: \sum_k w_k^2 s_k^2 + \rho \sum_{j \neq k} w_j w_k s_j s_k

    With equal weights and variances it is :math:`s^2 (\rho + (1 - \rho) / K)`: what teachers share
    does not average out.

    Args:
        variances: :math:`s_k^2` of each of K teachers, at least 0.
        weights: one a teacher, at least 0, divided by their sum; None weighs all alike.
        correlation: :math:`\rho` of any two teachers' errors, from -1/(K - 1), below which no K
            errors can be, to 1.

    Returns:
        The variance.

    Raises:
        ArgumentError: lengths differ or a number is outside its range.

    Example:
        >>> pooled_variance([1.0, 1.0]), pooled_variance([1.0, 1.0], correlation=1.0)
        (0.5, 1.0)

    Source: arXiv 2601.09165, variance reduction (reconstructed).
    """
    count = len(variances)
    weights = [1.0] * count if weights is None else weights
    if not count or min(variances) < 0 or len(weights) != count:
        raise ArgumentError(
            f"variances is {list(variances)} and weights {list(weights)}, expected as many numbers "
            "of at least 0"
        )
    least = -1 / max(count - 1, 1)
    if not least <= correlation <= 1:
        raise ArgumentError(
            f"correlation is {correlation}, expected from {least:.4g} to 1 for {count} teachers: "
            "more cannot all be at odds with each other"
        )
    given = torch.tensor(weights, dtype=torch.float64)
    check_weights(given)
    parts = given / given.sum() * torch.tensor(variances, dtype=torch.float64).sqrt()
    own = parts.square().sum()
    return max(0.0, float(own + correlation * (parts.sum().square() - own)))
