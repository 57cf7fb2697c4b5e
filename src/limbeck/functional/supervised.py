"""Losses against labels, one a task, with the same order of arguments as every other loss."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from limbeck.catalogue import loss
from limbeck.checks import (
    check_class_indices,
    check_dimensions,
    check_floating,
    check_no_grad,
    check_same_shape,
    check_unit_interval,
)
from limbeck.errors import ArgumentError
from limbeck.functional.guards import check_numbers, widened
from limbeck.functional.reductions import Reduction, reduce


@loss(
    "cross-entropy",
    "Cross-entropy of class labels",
    student="logits",
    labels=("class labels",),
    source="standard",
    tasks=("classification",),
)
def cross_entropy(
    student: Tensor,
    target: Tensor,
    *,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Cross-entropy of class indices, :math:`-\\log \\mathrm{softmax}(z)_y`.

    Args:
        student: logits ``(N, C)``.
        target: class indices ``(N,)``.
        label_smoothing: share of the label spread over all classes, 0 to 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider.

    Raises:
        ArgumentError: shapes do not fit, a label is no class, `label_smoothing` is outside its
            range, or a logit on the CPU is NaN or plus infinity.

    Example:
        >>> import torch
        >>> round(cross_entropy(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
        0.6931
    """
    check_dimensions(student, "student", 2, "(N, C)")
    if target.shape != student.shape[:1]:
        raise ArgumentError(
            f"target has shape {tuple(target.shape)} and student {tuple(student.shape)}, expected "
            f"target ({student.shape[0]},)"
        )
    check_floating(student, "student")
    check_class_indices(target, student.shape[1])
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"label_smoothing is {label_smoothing}, expected from 0 to 1")
    value = F.cross_entropy(
        widened(student), target.long(), label_smoothing=label_smoothing, reduction="none"
    )
    check_numbers(value, "logits of student")
    return reduce(value, reduction)


@loss(
    "binary-cross-entropy",
    "Cross-entropy of labels that may each be there or not",
    student="logits",
    labels=("label sets",),
    source="standard",
    tasks=("multilabel",),
)
def binary_cross_entropy(
    student: Tensor, target: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy of labels that may each be there or not.

    Args:
        student: logits ``(N, C)``, one a label.
        target: 0 or 1 ``(N, C)``, or a probability.
        reduction: ``"mean"`` over samples and labels, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N, C)`` with ``"none"``, in float32 or wider.

    Raises:
        ArgumentError: shapes differ, a target requires grad or lies outside 0 to 1, or a logit on
            the CPU is NaN or infinite.

    Example:
        >>> import torch
        >>> round(binary_cross_entropy(torch.zeros(1, 2), torch.ones(1, 2)).item(), 4)
        0.6931
    """
    check_same_shape(student, target, ("student", "target"))
    check_floating(student, "student")
    check_no_grad(target, "target")
    check_unit_interval(target)
    student = widened(student)
    value = F.binary_cross_entropy_with_logits(student, target.to(student.dtype), reduction="none")
    check_numbers(value, "logits of student", "entries")
    return reduce(value, reduction)


@loss(
    "mse",
    "Squared difference of the outputs: logits, or the numbers of a regression",
    student="logits",
    teacher=("logits", "numbers"),
    source="arXiv 1312.6184",
    tasks=("classification", "multilabel", "regression"),
)
@loss(
    "squared-error",
    "Squared difference from labels that are numbers",
    student="numbers",
    labels=("target numbers",),
    source="standard",
    tasks=("regression",),
)
def squared_error(student: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Squared difference; a column ``(N, 1)`` and ``(N,)`` are the same numbers.

    Args:
        student: predictions ``(N,)``, ``(N, 1)`` or ``(N, M)``.
        target: numbers, or a teacher's predictions, of the same shape, without gradient.
        reduction: ``"mean"`` over all entries, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or the shape of `student` with ``"none"``, in float32 or wider.

    Raises:
        ArgumentError: shapes differ, the target requires grad, or an entry on the CPU is NaN.

    Example:
        >>> import torch
        >>> squared_error(torch.tensor([[3.0]]), torch.tensor([1.0])).item()
        4.0
    """
    if student.ndim == target.ndim + 1 and student.shape[-1] == 1:
        target = target[..., None]
    elif target.ndim == student.ndim + 1 and target.shape[-1] == 1:
        target = target[..., 0]
    check_same_shape(student, target, ("student", "target"))
    check_floating(student, "student")
    check_no_grad(target, "target")
    student = widened(student)
    value = (student - target.to(student.dtype)).square()
    check_numbers(value, "student or target", "entries")
    return reduce(value, reduction)


LABEL_LOSSES: dict[str, Callable[..., Tensor]] = {
    "classification": cross_entropy,
    "multilabel": binary_cross_entropy,
    "regression": squared_error,
}
