"""A discriminator between student and teacher outputs; a critic of generated samples."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_choice
from limbeck.errors import ArgumentError
from limbeck.functional.guards import check_finite, widened
from limbeck.functional.reductions import Reduction, reduce
from limbeck.functional.supervised import binary_cross_entropy

Mode = Literal["cooperative", "adversarial", "off"]


@loss(
    "discriminator",
    "What a discriminator of student and teacher outputs loses",
    student="discriminator outputs",
    teacher=("discriminator outputs",),
    source="arXiv 2009.08453",
)
def discriminator_loss(
    student: Tensor, teacher: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    r"""Binary cross-entropy of a discriminator that tells student rows from teacher rows.

    With two outputs a row the target is (1, 0) for the student's and (0, 1) for the teacher's;
    with one output it is 0 and 1. Written for two outputs :math:`u_0, u_1`:

    .. math:: \ell_{student} = -\tfrac12 \log \sigma(u_0) - \tfrac12 \log \sigma(-u_1), \quad
        \ell_{teacher} = -\tfrac12 \log \sigma(-u_0) - \tfrac12 \log \sigma(u_1)

    What the student gets of the gradient is decided by `discriminator_input`, before the
    discriminator.

    Args:
        student: what the discriminator says of the student's rows, logits ``(N, 2)``, ``(N, 1)``
            or ``(N,)``.
        teacher: the same of the teacher's rows ``(M, 2)``, ``(M, 1)`` or ``(M,)``; it has a
            gradient, because the discriminator learns from it.
        reduction: ``"mean"`` over rows of both, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N + M,)`` with ``"none"``, the student's rows first; in float32 or wider.
        It is never below log 2 where both sides are the same rows.

    Raises:
        ArgumentError: shapes do not fit, or an output is NaN or infinite.

    Example:
        >>> zeros = torch.zeros(3, 2)
        >>> round(discriminator_loss(zeros, zeros).item(), 4)
        0.6931

    Source: Shen and Savvides, arXiv 2009.08453 (MEAL V2), and szq0214/MEAL-V2.
    """
    fits = student.ndim in (1, 2) and student.ndim == teacher.ndim
    outputs = student.shape[1:].numel()
    if not fits or student.shape[1:] != teacher.shape[1:] or outputs not in (1, 2):
        raise ArgumentError(
            f"student has shape {tuple(student.shape)} and teacher has shape "
            f"{tuple(teacher.shape)}, expected discriminator outputs (N, 2) and (M, 2), or one "
            "output a row for both"
        )
    check_finite(student, "student")
    check_finite(teacher, "teacher")
    rows = torch.cat([widened(x).reshape(len(x), outputs) for x in (student, teacher)])
    is_teacher = (torch.arange(len(rows), device=rows.device) >= len(student)).to(rows.dtype)
    columns = [1 - is_teacher, is_teacher] if outputs == 2 else [is_teacher]
    target = torch.stack(columns, 1)
    return reduce(binary_cross_entropy(rows, target, reduction="none").mean(1), reduction)


def discriminator_input(
    student: Tensor, *, mode: Mode = "cooperative", strength: float = 1.0
) -> Tensor:
    """Connect the student to a discriminator; the values stay, the gradient is chosen.

    Args:
        student: the student's logits or features, any shape.
        mode: ``"cooperative"`` lets the gradient through, so that the student makes the
            discriminator's job easier, as the authors' code does; ``"adversarial"`` reverses it
            (gradient reversal), so that the student learns to look like the teacher; ``"off"``
            cuts it, so that the discriminator only reports how far they can be told apart.
        strength: the gradient is multiplied by it, at least 0.

    Returns:
        `student`, to put into the discriminator.

    Raises:
        ArgumentError: `mode` is unknown, or `strength` is outside its range.

    Example:
        >>> student = torch.ones(2, requires_grad=True)
        >>> discriminator_input(student, mode="adversarial").sum().backward()
        >>> student.grad.tolist()
        [-1.0, -1.0]

    Source: szq0214/MEAL-V2 (``"cooperative"``); Ganin and Lempitsky, arXiv 1409.7495
    (``"adversarial"``).
    """
    check_choice(mode, "mode", ("cooperative", "adversarial", "off"))
    if not 0 <= strength < math.inf:
        raise ArgumentError(f"strength is {strength}, expected a finite number of at least 0")
    if mode == "off":
        return student.detach()
    connected: Tensor = _ScaleGradient.apply(
        student, strength if mode == "cooperative" else -strength
    )
    return connected


def generator_loss(generated: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    r"""What a generator loses to a critic that is to take its samples for real ones.

    .. math:: \mathrm{softplus}(-D(\hat x))

    Args:
        generated: what the critic says of generated samples, logits ``(N, ...)``; high is real.
        reduction: ``"mean"`` over all entries, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or the shape of `generated` with ``"none"``, in float32 or wider.

    Raises:
        ArgumentError: a logit on the CPU is NaN or infinite.

    Example:
        >>> round(generator_loss(torch.zeros(2, 1)).item(), 4)
        0.6931

    Source: Goodfellow et al., arXiv 1406.2661, the loss that does not saturate.
    """
    return binary_cross_entropy(generated, torch.ones_like(generated), reduction=reduction)


def critic_loss(generated: Tensor, real: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    r"""What a critic loses that is to tell generated samples from real ones.

    .. math:: \mathrm{softplus}(D(\hat x)) + \mathrm{softplus}(-D(x))

    Each side has a mean of its own, so this is twice `discriminator_loss` where both are as many.

    Args:
        generated: what the critic says of generated samples, logits ``(N, ...)``; high is real.
        real: what it says of real ones, ``(M, ...)``.
        reduction: ``"mean"`` over the entries of a side, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N + M, ...)`` with ``"none"``, generated ones first; float32 or wider.

    Raises:
        ArgumentError: a logit on the CPU is NaN or infinite.

    Example:
        >>> round(critic_loss(torch.zeros(2, 1), torch.zeros(3, 1)).item(), 4)
        1.3863

    Source: Goodfellow et al., arXiv 1406.2661.
    """
    sides = (
        binary_cross_entropy(generated, torch.zeros_like(generated), reduction=reduction),
        generator_loss(real, reduction=reduction),
    )
    return torch.cat(sides) if reduction == "none" else sides[0] + sides[1]


class _ScaleGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, factor: float) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return upstream * ctx.factor, None
