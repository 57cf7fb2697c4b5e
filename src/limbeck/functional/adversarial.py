"""A discriminator between student and teacher outputs, with or against the student."""

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
