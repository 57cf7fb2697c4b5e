"""Matching up to shift and scale: correlation of predictions, and logits made standard."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import (
    check_axis,
    check_dimensions,
    check_no_grad,
    check_same_shape,
    check_temperature,
)
from limbeck.functional.divergences import Divergence, log_probabilities, soft_target_loss
from limbeck.functional.guards import check_finite, widened
from limbeck.functional.reductions import Reduction

# Of the standard deviation: the divisor is C - 1, and this is added to it.
CORRECTION, EPSILON = 1, 1e-7


def pearson_correlation(first: Tensor, second: Tensor, *, axis: int = -1) -> Tensor:
    r"""Pearson correlation along an axis: the cosine of centred values, -1 to 1.

    .. math:: \rho = \frac{\langle u, v \rangle}{\|u\| \, \|v\| + 10^{-8}},
        \qquad u = x - \bar x,\ v = y - \bar y

    Args:
        first: x, any shape.
        second: y, same shape.
        axis: along which values are compared.

    Returns:
        The shape of the inputs without `axis`, in float32 or wider. Where x or y is constant
        along `axis` up to rounding, the correlation is undefined and given as 0 without gradient.

    Raises:
        ArgumentError: shapes differ, there is no such axis, or a value is NaN or infinite.

    Example:
        >>> x = torch.tensor([1.0, 2.0, 3.0])
        >>> round(pearson_correlation(x, 5 - 2 * x).item(), 4)
        -1.0
    """
    check_same_shape(first, second, ("first", "second"))
    check_axis(first, axis, "first")
    check_finite(first, "first")
    check_finite(second, "second")
    return _correlation(widened(first), widened(second), axis)


def _correlation(first: Tensor, second: Tensor, axis: int) -> Tensor:
    (left, left_norm), (right, right_norm) = _centred(first, axis), _centred(second, axis)
    value = (left * right).sum(axis, keepdim=True) / (left_norm * right_norm + 1e-8)
    return value.squeeze(axis)


@loss(
    "dist",
    "One minus correlation of probabilities, within samples and within classes",
    student="logits",
    teacher=("logits",),
    source="arXiv 2205.10536",
    tasks=("classification",),
    softens=True,
)
def correlation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    inter_weight: float = 1.0,
    intra_weight: float = 1.0,
    temperature: float = 1.0,
    temperature_squared: bool = True,
) -> Tensor:
    r"""One minus correlation of probabilities, within samples and within classes (DIST).

    .. math:: L = T^2 \Big( \beta \big(1 - \tfrac1N \sum_n \rho(p^s_{n\cdot}, p^t_{n\cdot})\big)
        + \gamma \big(1 - \tfrac1C \sum_c \rho(p^s_{\cdot c}, p^t_{\cdot c})\big) \Big)

    with :math:`p = \mathrm{softmax}(z / T)` and :math:`\rho` of `pearson_correlation`. A strong
    teacher need only be followed up to shift and scale. The second term compares samples of the
    batch, so there is no loss for each sample and no choice of reduction, and the batch should
    not be small: with one sample the term is constant.

    Args:
        student_logits: ``(N, C)``.
        teacher_logits: ``(N, C)``, without gradient.
        inter_weight: :math:`\beta`, of the relation among classes within each sample.
        intra_weight: :math:`\gamma`, of the relation among samples within each class.
        temperature: T above 0.
        temperature_squared: multiply by T².

    Returns:
        A scalar in float32 or wider; 0 for an empty batch.

    Raises:
        ArgumentError: shapes or class counts differ, the teacher requires grad, a logit is NaN
            or infinite, or the temperature is not above 0.

    Example:
        >>> logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 5.0]])
        >>> abs(round(correlation_loss(logits, logits).item(), 4))
        0.0

    Source: Huang et al., arXiv 2205.10536 (DIST).
    """
    check_same_shape(student_logits, teacher_logits, ("student_logits", "teacher_logits"))
    check_dimensions(student_logits, "student_logits", 2, "(N, C)")
    check_no_grad(teacher_logits, "teacher_logits")
    check_temperature(temperature)
    check_finite(student_logits, "student_logits")
    check_finite(teacher_logits, "teacher_logits")
    student = log_probabilities(student_logits, temperature=temperature).exp()
    teacher = log_probabilities(teacher_logits, temperature=temperature).exp()
    if student.numel() == 0:
        return student.sum()
    inter = 1 - _correlation(student, teacher, 1).mean()
    intra = 1 - _correlation(student, teacher, 0).mean()
    value = inter_weight * inter + intra_weight * intra
    return value * temperature**2 if temperature_squared else value


def standardise_logits(
    logits: Tensor, *, axis: int = -1, correction: int = CORRECTION, epsilon: float = EPSILON
) -> Tensor:
    r"""Shift and scale logits to mean 0 and standard deviation 1 in each row.

    .. math:: \frac{z - \bar z}{\sigma(z) + \epsilon}

    Applied to both student and teacher before a softened divergence, it frees the student from
    matching the size of the teacher's logits. It hurts losses that use ranks alone.

    Args:
        logits: ``(N, C)``, or any shape with classes on `axis`.
        axis: the axis of the classes.
        correction: 1 divides the variance by C - 1, as the authors' code does; 0 by C.
        epsilon: keeps rows with hardly any spread finite.

    Returns:
        The shape of `logits`, in float32 or wider. A row that is constant up to rounding gives
        zeros without gradient.

    Raises:
        ArgumentError: there is no such axis, or a logit is NaN or infinite.

    Example:
        >>> standardise_logits(torch.tensor([[1.0, 2.0, 3.0]])).round(decimals=4).tolist()
        [[-1.0, 0.0, 1.0]]

    Source: Sun et al., arXiv 2403.01427.
    """
    check_axis(logits, axis, "logits")
    check_finite(logits, "logits")
    return _standardised(widened(logits), axis, correction, epsilon)


def _standardised(logits: Tensor, axis: int, correction: int, epsilon: float) -> Tensor:
    centred, norm = _centred(logits, axis)
    degrees = max(1, logits.shape[axis] - correction)
    return centred / (norm / degrees**0.5 + epsilon)


@loss(
    "standardised-kl",
    "KL divergence of logits that are first given mean 0 and standard deviation 1",
    student="logits",
    teacher=("logits",),
    source="arXiv 2403.01427",
    tasks=("classification",),
    softens=True,
)
def standardised_divergence_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    divergence: Divergence = "kl",
    temperature: float = 2.0,
    temperature_squared: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""`soft_target_loss` of logits made standard: how large they are need not be matched.

    .. math:: L = T^2 D\Big( \mathrm{softmax}\big(\hat z_t / T\big),
        \mathrm{softmax}\big(\hat z_s / T\big) \Big), \qquad
        \hat z = \frac{z - \bar z}{\sigma(z) + \epsilon}

    Args:
        student_logits: ``(N, C)``, or any shape with classes on the last axis.
        teacher_logits: same shape, without gradient.
        divergence: D, as in `soft_target_loss`.
        temperature: T above 0.
        temperature_squared: multiply by T².
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider.

    Raises:
        ArgumentError: as `soft_target_loss`, or a logit is NaN or infinite.

    Example:
        >>> logits = torch.tensor([[2.0, 1.0, 0.0]])
        >>> abs(round(standardised_divergence_loss(7 * logits + 1, logits).item(), 4))
        0.0

    Source: Sun et al., arXiv 2403.01427; its base temperature is 2.
    """
    check_same_shape(student_logits, teacher_logits, ("student_logits", "teacher_logits"))
    check_no_grad(teacher_logits, "teacher_logits")
    check_axis(student_logits, -1, "student_logits")
    check_finite(student_logits, "student_logits")
    check_finite(teacher_logits, "teacher_logits")
    student, teacher = (
        _standardised(widened(logits), -1, CORRECTION, EPSILON)
        for logits in (student_logits, teacher_logits)
    )
    return soft_target_loss(
        student,
        teacher,
        divergence=divergence,
        temperature=temperature,
        temperature_squared=temperature_squared,
        reduction=reduction,
    )


def _centred(value: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Values less their mean, and the norm of that; zeros without gradient if it is rounding."""
    centred = value - value.mean(axis, keepdim=True)
    norm = torch.linalg.vector_norm(centred.detach(), dim=axis, keepdim=True)
    scale = torch.linalg.vector_norm(value.detach(), dim=axis, keepdim=True)
    # Asked this way round, because a comparison with a number that is none is false: NaN stays.
    constant = norm <= 8 * torch.finfo(value.dtype).eps * scale
    centred = torch.where(constant, 0.0, centred)
    return centred, torch.linalg.vector_norm(centred, dim=axis, keepdim=True)
