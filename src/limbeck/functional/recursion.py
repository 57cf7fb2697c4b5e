"""Distillation repeated over generations: operators on distributions and what they contract to.

All functions take and give probabilities on the last axis. A generation's teacher is mixed from
the student before it and from base teachers; the share of the latter decides whether the chain
converges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from limbeck.checks import (
    check_choice,
    check_same_shape,
    check_temperature,
    check_weights,
)
from limbeck.errors import ArgumentError
from limbeck.functional.divergences import log_probabilities
from limbeck.functional.guards import proper, traced

Mixture = Literal["linear", "geometric"]
Family = Literal["power", "uniform"]
# Below it the logarithm of a power mean divides a rounded number close to 0 by the exponent.
SMALL_EXPONENT = 0.1


def soften(probabilities: Tensor, *, temperature: float = 1.0, family: Family = "power") -> Tensor:
    r"""Soften a distribution without knowing its logits.

    - ``"power"``: :math:`p_i^{1/T} / \sum_j p_j^{1/T}`, which is softmax(z / T) for
      p = softmax(z)
    - ``"uniform"``: :math:`p / T + (1 - 1/T) / C`, defined for T of 1 and more

    Both keep the ranking, leave p as it is at T = 1 and tend to 1/C for large T.

    Args:
        probabilities: p ``(N, C)``, or any shape with classes on the last axis.
        temperature: T above 0.
        family: ``"power"`` or ``"uniform"``.

    Returns:
        Probabilities of the same shape, in float32 or wider.

    Raises:
        ArgumentError: rows do not sum to one, or the temperature is outside its range.

    Example:
        >>> p = torch.tensor([0.9, 0.1])
        >>> [round(x, 4) for x in soften(p, temperature=2.0).tolist()]
        [0.75, 0.25]
        >>> [round(x, 4) for x in soften(p, temperature=2.0, family="uniform").tolist()]
        [0.7, 0.3]
    """
    check_choice(family, "family", ("power", "uniform"))
    check_temperature(temperature)
    if family == "power":
        return log_probabilities(probabilities, "probabilities", temperature).exp()
    if temperature < 1:
        raise ArgumentError(
            f"temperature is {temperature}: family 'uniform' needs at least 1, use 'power'"
        )
    probabilities = proper(probabilities, "probabilities")
    return probabilities / temperature + (1 - 1 / temperature) / probabilities.shape[-1]


def power_pool(members: Tensor, weights: Tensor | None = None, *, exponent: float = 1.0) -> Tensor:
    r"""Weighted power mean of distributions, divided by its sum.

    .. math:: p_c = \frac{1}{Z} \Big( \sum_k w_k \, p_{k,c}^q \Big)^{1/q}

    At q = 1 it is the linear pool and as q tends to 0 the geometric one, which q = 0 stands for;
    `mean_probabilities` and `mean_logits` are these two on logits.

    Args:
        members: probabilities ``(K, N, C)``, members first and classes last.
        weights: ``(K,)``, at least 0; divided by their sum. None weighs all members alike.
        exponent: q, -1 to 1. At 0 and below, a class that a weighted member rules out is ruled
            out in the pool.

    Returns:
        Probabilities ``(N, C)`` in float32 or wider.

    Raises:
        ArgumentError: rows do not sum to one, weights do not fit, the exponent is outside its
            range, or at `exponent` 0 and below members rule out every class together.

    Example:
        >>> members = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
        >>> [round(x, 4) for x in power_pool(members, torch.tensor([3.0, 1.0])).tolist()]
        [0.7, 0.3]
        >>> [round(x, 4) for x in power_pool(members, exponent=0.0).tolist()]
        [0.5, 0.5]
    """
    if members.ndim < 2 or members.shape[0] == 0:
        raise ArgumentError(f"members has shape {tuple(members.shape)}, expected (K, N, C), K > 0")
    if not -1 <= exponent <= 1:
        raise ArgumentError(f"exponent is {exponent}, expected from -1 to 1")
    log_p = log_probabilities(members, "probabilities", name="members")
    count = members.shape[0]
    if weights is None:
        weights = log_p.new_ones(count)
    if weights.shape != (count,):
        raise ArgumentError(f"weights has shape {tuple(weights.shape)}, expected ({count},)")
    weights = weights.to(log_p)
    check_weights(weights)
    share = (weights / weights.sum()).reshape(-1, *[1] * (members.ndim - 1))
    if count == 1:
        return log_p[0].exp()
    log_p = torch.where(share > 0, log_p, 0.0)
    if exponent == 0:
        return _normalised((share * log_p).sum(0))
    if abs(exponent) < SMALL_EXPONENT:
        return _normalised(_log_power_mean(log_p, share, exponent))
    return _normalised((exponent * log_p + share.log()).logsumexp(0) / exponent)


def _log_power_mean(log_p: Tensor, share: Tensor, exponent: float) -> Tensor:
    r"""Logarithm of the power mean as its distance from the geometric one.

    With :math:`g` the mean of the logarithms it is
    :math:`g + \log(1 + \sum_k w_k (e^{q (\log p_k - g)} - 1)) / q`, in which nothing close to 1
    is divided by a small q. Any g will do, so classes that are ruled out need none.
    """
    centre = (share * log_p.detach().clamp(min=torch.finfo(log_p.dtype).min)).sum(0)
    centre = torch.where(log_p.detach().isinf().any(0), 0.0, centre)
    excess = (share * (exponent * (log_p - centre)).expm1()).sum(0)
    return centre + excess.log1p() / exponent


def clip_probabilities(probabilities: Tensor, *, least: float = 1e-8) -> tuple[Tensor, Tensor]:
    """Lift every class to a least probability, so that divergences are finite.

    Args:
        probabilities: ``(N, C)``, or any shape with classes on the last axis.
        least: smallest probability before rows are divided by their sum, 0 to 1.

    Returns:
        Probabilities of the same shape in float32 or wider, and the mass that was added to each
        row, which belongs in a report.

    Raises:
        ArgumentError: rows do not sum to one, or `least` is outside its range.

    Example:
        >>> clipped, added = clip_probabilities(torch.tensor([1.0, 0.0]), least=0.25)
        >>> clipped.tolist(), added.item()
        ([0.800000011920929, 0.20000000298023224], 0.25)
    """
    if not 0 <= least < 1:
        raise ArgumentError(f"least is {least}, expected from 0 to below 1")
    probabilities = proper(probabilities, "probabilities")
    lifted = probabilities.clamp(min=least)
    return lifted / lifted.sum(-1, keepdim=True), (lifted - probabilities).sum(-1)


def anchored_teacher(
    student: Tensor, teacher: Tensor, *, anchor: float = 0.3, mixture: Mixture = "linear"
) -> Tensor:
    r"""Teacher of the next generation: the last student, anchored to the base teachers' pool.

    With S the student, B the pool and :math:`\alpha` the anchor:

    - ``"linear"``: :math:`(1 - \alpha) S + \alpha B`
    - ``"geometric"``: :math:`S^{1 - \alpha} B^{\alpha} / Z`

    Both bring the Kullback-Leibler divergence KL(B | S) down by a factor of
    :math:`1 - \alpha` or less, and ``"linear"`` the total variation by exactly that factor.

    Args:
        student: S, probabilities ``(N, C)``, or any shape with classes on the last axis.
        teacher: B, same shape.
        anchor: :math:`\alpha`, 0 to 1; at 0 the student is returned and nothing pulls the chain
            towards the base teachers.
        mixture: ``"linear"`` or ``"geometric"``.

    Returns:
        Probabilities of the same shape, in float32 or wider.

    Raises:
        ArgumentError: shapes differ, rows do not sum to one, the anchor is outside its range,
            or with ``"geometric"`` student and teacher have no class in common.

    Example:
        >>> student, base = torch.tensor([0.5, 0.5]), torch.tensor([0.75, 0.25])
        >>> anchored_teacher(student, base, anchor=0.5).tolist()
        [0.625, 0.375]

    Source: arXiv 2601.13100, anchored recursion.
    """
    check_same_shape(student, teacher, ("student", "teacher"))
    check_choice(mixture, "mixture", ("linear", "geometric"))
    check_anchor(anchor)
    student, teacher = proper(student, "student"), proper(teacher, "teacher")
    if mixture == "linear" or anchor in (0, 1):
        return (1 - anchor) * student + anchor * teacher
    log_s = log_probabilities(student, "probabilities", name="student")
    log_b = log_probabilities(teacher, "probabilities", name="teacher")
    return _normalised((1 - anchor) * log_s + anchor * log_b)


def anchored_recursion(
    student: Tensor,
    teacher: Tensor,
    *,
    anchors: Sequence[float],
    mixture: Mixture = "linear",
) -> Tensor:
    r"""Generations of students that match their anchored teacher exactly.

    .. math:: S_k = \Phi(S_{k-1}, B; \alpha_k)

    with :math:`\Phi` of `anchored_teacher`. It converges to B, whatever the start, if and only if
    the anchors' sum has no limit.

    Args:
        student: :math:`S_0`, probabilities ``(N, C)``, or any shape with classes last.
        teacher: B, same shape.
        anchors: :math:`\alpha_k` of each of G generations, 0 to 1.
        mixture: ``"linear"`` or ``"geometric"``.

    Returns:
        Probabilities ``(G + 1, N, C)``, the start first.

    Raises:
        ArgumentError: as `anchored_teacher`.

    Example:
        >>> start, base = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
        >>> anchored_recursion(start, base, anchors=[0.5, 0.5])[:, 0].tolist()
        [0.0, 0.5, 0.75]
    """
    generations = [proper(student, "student")]
    for anchor in anchors:
        previous = generations[-1]
        generations.append(anchored_teacher(previous, teacher, anchor=anchor, mixture=mixture))
    return torch.stack(generations)


def total_variation(first: Tensor, second: Tensor) -> Tensor:
    r"""Largest difference that two distributions give to any event, :math:`\frac12 \|p - q\|_1`.

    Args:
        first: probabilities ``(N, C)``, or any shape with classes on the last axis.
        second: same shape.

    Returns:
        ``(N,)``, from 0 to 1, in float32 or wider.

    Raises:
        ArgumentError: shapes differ, or rows do not sum to one.

    Example:
        >>> total_variation(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])).item()
        0.5
    """
    check_same_shape(first, second, ("first", "second"))
    return (proper(first, "first") - proper(second, "second")).abs().sum(-1) / 2


def contraction_bound(
    initial: float, anchors: Sequence[float], *, error: float = 0.0
) -> list[float]:
    r"""Upper bound of the distance to the base teachers after each generation.

    .. math:: b_k = (1 - \alpha_k) \, b_{k-1} + \varepsilon

    It holds for total variation with students that miss their teacher by at most
    :math:`\varepsilon`, and for KL(B | S) with :math:`\varepsilon = 0`. With a constant anchor
    it tends to the floor :math:`\varepsilon / \alpha`; without an anchor it grows for ever.

    Args:
        initial: :math:`b_0`, distance of the first student.
        anchors: :math:`\alpha_k` of each of G generations, 0 to 1.
        error: :math:`\varepsilon`, at least 0.

    Returns:
        G + 1 numbers, `initial` first.

    Raises:
        ArgumentError: an argument is outside its range.

    Example:
        >>> contraction_bound(0.8, [0.5, 0.5])
        [0.8, 0.4, 0.2]
    """
    if not 0 <= initial < math.inf or not 0 <= error < math.inf:
        raise ArgumentError(f"initial is {initial} and error is {error}, expected at least 0")
    bounds = [initial]
    for anchor in anchors:
        check_anchor(anchor)
        bounds.append((1 - anchor) * bounds[-1] + error)
    return bounds


def contraction_rate(distances: Sequence[float], *, floor: float = 0.0) -> float:
    r"""Factor by which a distance falls with each generation, by least squares on its logarithm.

    .. math:: \log d_k \approx \log d_0 + k \log \rho

    Only the generations before the first whose distance is at most three times the floor are
    read: a rate fitted on noise means nothing.

    Args:
        distances: :math:`d_k` of the generations 0, 1 and so on, at least 0.
        floor: estimate of where the distance stops falling, such as the mean of the last ones.

    Returns:
        :math:`\rho`, below 1 if the chain contracts; NaN with fewer than three generations above
        the floor.

    Raises:
        ArgumentError: a distance is negative or not finite.

    Example:
        >>> round(contraction_rate([0.8, 0.4, 0.2, 0.1]), 4)
        0.5
    """
    read = generations_above(distances, floor)
    if read < 3:
        return math.nan
    logs = torch.tensor([float(x) for x in distances[:read]], dtype=torch.float64).log()
    steps = torch.arange(read, dtype=torch.float64)
    steps = steps - steps.mean()
    return float(((steps * logs).sum() / steps.square().sum()).exp())


def generations_above(distances: Sequence[float], floor: float) -> int:
    """How many generations come before the first whose distance is at most three floors.

    Raises:
        ArgumentError: a distance is negative or not finite.

    Example:
        >>> generations_above([0.8, 0.4, 0.2, 0.1], 0.05)
        3
    """
    values = [float(value) for value in distances]
    if not all(0 <= value < math.inf for value in values):
        raise ArgumentError(f"distances must be finite and at least 0, got {values}")
    return next((k for k, value in enumerate(values) if value <= 3 * floor), len(values))


def _normalised(log_p: Tensor) -> Tensor:
    """Probabilities of unnormalised logarithms; an error where every class is ruled out."""
    if not traced(log_p) and bool((log_p.detach().amax(-1) == -math.inf).any()):
        raise ArgumentError(
            "the distributions have no class in common, so their geometric mean is 0 everywhere; "
            "use clip_probabilities first"
        )
    return log_p.softmax(-1)


def check_anchor(anchor: float) -> None:
    """Raise `ArgumentError` unless the anchor lies from 0 to 1."""
    if not 0 <= anchor <= 1:
        raise ArgumentError(f"anchor is {anchor}, expected a number from 0 to 1")
