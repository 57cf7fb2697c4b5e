"""Divergences between the student's and the teacher's class distribution: one kernel, all options.

Published distillation losses that differ only in the factor T², in cross-entropy against KL, or
in logits against probabilities are this function with other keywords.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import (
    check_axis,
    check_choice,
    check_floating,
    check_no_grad,
    check_same_shape,
    check_temperature,
)
from limbeck.errors import ArgumentError
from limbeck.functional.flat import FLAT_ABOVE, flat_divergence
from limbeck.functional.guards import check_numbers, proper, widened
from limbeck.functional.reductions import Reduction, reduce

Divergence = Literal["kl", "cross_entropy", "reverse_kl", "js"]
Kind = Literal["logits", "probabilities"]


@loss(
    "kl",
    "KL divergence of the student's softened distribution from the teacher's",
    student="logits",
    teacher=("logits", "probabilities", "top-k"),
    source="arXiv 1503.02531",
    tasks=("classification",),
    softens=True,
)
@loss(
    "soft-ce",
    "Cross-entropy with the teacher's softened distribution as the target",
    student="logits",
    teacher=("logits", "probabilities", "top-k"),
    source="arXiv 1503.02531",
    tasks=("classification",),
    softens=True,
    options={"divergence": "cross_entropy"},
)
@loss(
    "reverse-kl",
    "KL divergence the other way round: the student keeps to classes the teacher believes in",
    student="logits",
    teacher=("logits", "probabilities"),
    source="arXiv 2306.08543",
    tasks=("classification",),
    softens=True,
    options={"divergence": "reverse_kl"},
)
@loss(
    "js",
    "Jensen-Shannon divergence, between the two directions of KL",
    student="logits",
    teacher=("logits", "probabilities", "top-k"),
    source="arXiv 2306.13649",
    tasks=("classification",),
    softens=True,
    options={"divergence": "js"},
)
def soft_target_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    divergence: Divergence = "kl",
    temperature: float = 1.0,
    temperature_squared: bool = True,
    mixture: float = 0.5,
    student_is: Kind = "logits",
    teacher_is: Kind = "logits",
    axis: int = -1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Divergence of the student's distribution from the teacher's, both softened by a temperature.

    With :math:`p = \mathrm{softmax}(z_t / T)` and :math:`q = \mathrm{softmax}(z_s / T)`, summed
    over classes and times :math:`T^2` if asked for:

    - ``"kl"``: :math:`\sum_c p_c \log (p_c / q_c)`, zero where both agree
    - ``"cross_entropy"``: :math:`-\sum_c p_c \log q_c`, the same gradient without the entropy of p
    - ``"reverse_kl"``: :math:`\sum_c q_c \log (q_c / p_c)`
    - ``"js"``: :math:`\beta\,KL(p \| m) + (1-\beta)\,KL(q \| m)` with
      :math:`m = \beta p + (1-\beta) q`; at :math:`\beta = 0` it is defined as ``"kl"`` and at
      :math:`\beta = 1` as ``"reverse_kl"``, which is where it tends to after division by
      :math:`\beta` and :math:`1-\beta`

    The sum runs over classes and the mean over everything else. Dividing by the number of classes
    too (an element-wise mean) would weaken the term by a factor C and is not offered.

    Args:
        student: student logits or probabilities, ``(N, C)`` or any shape with classes on `axis`.
        teacher: teacher logits or probabilities, same shape, without gradient.
        divergence: ``"kl"``, ``"cross_entropy"``, ``"reverse_kl"`` or ``"js"``.
        temperature: T above 0; probabilities are softened as :math:`p^{1/T} / \sum p^{1/T}`.
        temperature_squared: multiply by T², which keeps the size of the gradient when T changes.
        mixture: :math:`\beta` of ``"js"``, the teacher's share of the mixture, 0 to 1.
        student_is: ``"logits"`` or ``"probabilities"``.
        teacher_is: ``"logits"`` or ``"probabilities"``.
        axis: the axis of the classes.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over all axes but that of the classes.

    Returns:
        A scalar, or with ``"none"`` a tensor of the input's shape without `axis`, in float32 or
        wider.

    Raises:
        ArgumentError: shapes differ, the teacher requires grad, probabilities do not sum to one,
            an input on the CPU is NaN or plus infinity, or an option is outside its range.

    Example:
        >>> student = torch.tensor([[2.0, 0.0, -2.0]])
        >>> teacher = torch.tensor([[1.0, 1.0, -2.0]])
        >>> round(soft_target_loss(student, teacher, temperature=2.0).item(), 4)
        0.4348
        >>> soft_target_loss(teacher, teacher).item()
        0.0

    Source: Hinton, Vinyals and Dean, arXiv 1503.02531, section 2; for ``"js"`` Agarwal et al.,
    arXiv 2306.13649.
    """
    value = divergences(
        student,
        teacher,
        divergence=divergence,
        temperature=temperature,
        temperature_squared=temperature_squared,
        mixture=mixture,
        student_is=student_is,
        teacher_is=teacher_is,
        axis=axis,
    )
    check_numbers(value, "student or teacher")
    return reduce(value, reduction)


def divergences(
    student: Tensor,
    teacher: Tensor,
    *,
    divergence: Divergence = "kl",
    temperature: float = 1.0,
    temperature_squared: bool = True,
    mixture: float = 0.5,
    student_is: Kind = "logits",
    teacher_is: Kind = "logits",
    axis: int = -1,
) -> Tensor:
    """`soft_target_loss` before the reduction, and without a look at what comes out.

    Args:
        student: as `soft_target_loss` has it, like all that follows.
        teacher: teacher.
        divergence: kind.
        temperature: T.
        temperature_squared: multiply by T².
        mixture: of ``"js"``.
        student_is: kind of `student`.
        teacher_is: kind of `teacher`.
        axis: of the classes.

    Returns:
        The shape of `student` without `axis`; NaN where an input is.

    Example:
        >>> divergences(torch.zeros(2, 3), torch.zeros(2, 3)).tolist()
        [0.0, 0.0]
    """
    check_same_shape(student, teacher, ("student", "teacher"))
    check_no_grad(teacher, "teacher")
    check_temperature(temperature)
    check_choice(divergence, "divergence", ("kl", "cross_entropy", "reverse_kl", "js"))
    if divergence == "js" and not 0 <= mixture <= 1:
        raise ArgumentError(f"mixture is {mixture}, expected a number from 0 to 1")
    student = _logits(student, student_is, axis, "student")
    teacher = _logits(teacher, teacher_is, axis, "teacher")
    log_q = _softened(student, student_is, temperature, axis)
    log_p = _softened(teacher, teacher_is, temperature, axis)
    if divergence == "js":
        value = _jensen_shannon(log_q, log_p, mixture, axis)
    elif divergence == "reverse_kl":
        value = _expectation(log_q, log_q - log_p, axis)
    elif divergence == "kl":
        value = _expectation(log_p, log_p - log_q, axis)
    else:
        value = _expectation(log_p, -log_q, axis)
    if temperature > FLAT_ABOVE:
        gap = (student, teacher, temperature), (log_q, log_p)
        near, flat = flat_divergence(*gap, divergence=divergence, mixture=mixture, axis=axis)
        if divergence == "cross_entropy":
            near = near + _expectation(log_p, -log_p, axis)
        value = torch.where(flat, near, value)
    return value * temperature**2 if temperature_squared else value


@loss(
    "multilabel-kl",
    "KL divergence label by label, each a choice between yes and no",
    student="logits",
    teacher=("logits",),
    source="arXiv 1503.02531",
    tasks=("multilabel",),
    softens=True,
)
def soft_multilabel_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    divergence: Divergence = "kl",
    temperature: float = 1.0,
    temperature_squared: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    """`soft_target_loss` label by label, each label being a choice between yes and no.

    Args:
        student: student logits, one a label, ``(N, C)``; yes has probability sigmoid(z).
        teacher: teacher logits ``(N, C)``, without gradient.
        divergence: as in `soft_target_loss`.
        temperature: T above 0.
        temperature_squared: multiply by T².
        reduction: ``"mean"`` over samples and labels, ``"sum"``, or ``"none"`` for ``(N, C)``.

    Returns:
        A scalar, or ``(N, C)`` with ``"none"``.

    Raises:
        ArgumentError: as `soft_target_loss`.

    Example:
        >>> z = torch.tensor([[2.0, -1.0]])
        >>> soft_multilabel_loss(z, z).item()
        0.0
    """
    check_same_shape(student, teacher, ("student", "teacher"))
    return soft_target_loss(
        torch.stack([student, torch.zeros_like(student)], -1),
        torch.stack([teacher, torch.zeros_like(teacher)], -1),
        divergence=divergence,
        temperature=temperature,
        temperature_squared=temperature_squared,
        reduction=reduction,
    )


def log_probabilities(
    value: Tensor, kind: Kind = "logits", temperature: float = 1.0, axis: int = -1, name: str = "x"
) -> Tensor:
    """Logarithm of the softened distribution of logits or probabilities, in float32 or wider.

    Args:
        value: logits or probabilities, ``(N, C)`` or any shape with classes on `axis`.
        kind: ``"logits"`` or ``"probabilities"``.
        temperature: T above 0; probabilities at T = 1 are taken as they are.
        axis: the axis of the classes.
        name: what to call `value` in an error.

    Returns:
        Log-probabilities of the shape of `value`; a probability of 0 gives minus infinity and
        no gradient.

    Raises:
        ArgumentError: `kind` is unknown or probabilities do not sum to one.

    Example:
        >>> log_probabilities(torch.tensor([0.0, 0.0])).exp().tolist()
        [0.5, 0.5]
    """
    return _softened(_logits(value, kind, axis, name), kind, temperature, axis)


def _logits(value: Tensor, kind: Kind, axis: int, name: str) -> Tensor:
    """Logits, or the logarithms of probabilities, in float32 or wider."""
    check_choice(kind, f"{name}_is", ("logits", "probabilities"))
    check_axis(value, axis, name)
    if kind == "logits":
        check_floating(value, name)
        return widened(value)
    value = proper(value.movedim(axis, -1), name).movedim(-1, axis)
    zero = value == 0
    # The logarithm of 0 has an infinite slope, which times a weight of 0 would not be a number.
    return torch.where(zero, 1.0, value).log().masked_fill(zero, -math.inf)


def _softened(logits: Tensor, kind: Kind, temperature: float, axis: int) -> Tensor:
    if kind == "probabilities" and temperature == 1:
        return logits
    return torch.log_softmax(logits / temperature if temperature != 1 else logits, axis)


def entropy(
    value: Tensor, *, kind: Kind = "logits", axis: int = -1, reduction: Reduction = "mean"
) -> Tensor:
    r"""Entropy :math:`-\sum_c p_c \log p_c` of each distribution, in nats.

    Args:
        value: logits or probabilities, ``(N, C)``.
        kind: ``"logits"`` or ``"probabilities"``.
        axis: the axis of the classes.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``.

    Raises:
        ArgumentError: probabilities do not sum to one, or an entry on the CPU is NaN.

    Example:
        >>> round(entropy(torch.zeros(1, 2)).item(), 4)
        0.6931
    """
    log_p = log_probabilities(value, kind, axis=axis, name="value")
    found = _expectation(log_p, -log_p, axis)
    check_numbers(found, "entries of value")
    return reduce(found, reduction)


def _expectation(log_weight: Tensor, value: Tensor, axis: int) -> Tensor:
    """Sum of weight * value where a weight of 0 contributes 0, whatever the value."""
    weight = log_weight.exp()
    return (weight * torch.where(weight > 0, value, 0.0)).sum(axis)


def _jensen_shannon(log_q: Tensor, log_p: Tensor, mixture: float, axis: int) -> Tensor:
    if mixture == 0:
        return _expectation(log_p, log_p - log_q, axis)
    if mixture == 1:
        return _expectation(log_q, log_q - log_p, axis)
    # A class that neither has would give logaddexp a gradient that is not a number.
    finite_log_p = log_p.clamp(min=torch.finfo(log_p.dtype).min)
    log_m = torch.logaddexp(finite_log_p + math.log(mixture), log_q + math.log(1 - mixture))
    return mixture * _expectation(log_p, log_p - log_m, axis) + (1 - mixture) * _expectation(
        log_q, log_q - log_m, axis
    )
