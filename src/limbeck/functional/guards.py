"""What the losses on logits and on lists of scores check and prepare before the maths begins."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.checks import (
    check_class_indices,
    check_dimensions,
    check_no_grad,
    check_probabilities,
    check_same_shape,
    is_traced,
)
from limbeck.errors import ArgumentError, NotFiniteError
from limbeck.functional.reductions import Reduction, reduce


class Lists(NamedTuple):
    """Scores ready for the maths: float32 or wider, masked candidates set to 0."""

    student: Tensor
    teacher: Tensor
    mask: Tensor


def traced(*values: Tensor) -> bool:
    """Whether a step that reads values on the host would break a compiled or mapped graph.

    Args:
        values: the tensors that the step reads.

    Returns:
        True under ``torch.compile`` and for tensors inside ``torch.func.grad`` or ``vmap``.
    """
    return any(is_traced(value) for value in values)


def widened(value: Tensor) -> Tensor:
    """`value` in float32 or wider, which is where losses are computed."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


def check_finite(value: Tensor, name: str) -> None:
    """Raise `ArgumentError` if `value` holds NaN or infinity; costs one sum."""
    if traced(value) or bool(value.detach().sum().isfinite()):
        return
    bad = ~value.detach().isfinite()
    if bool(bad.any()):
        first = tuple(int(i) for i in bad.nonzero()[0])
        raise NotFiniteError(
            f"{name} holds NaN or infinity at {int(bad.sum())} of {value.numel()} places, first at "
            f"index {first}; did the model diverge, or is a padded entry missing from the mask?"
        )


def check_numbers(value: Tensor, names: str, places: str = "samples", hint: str = "") -> None:
    """Raise `ArgumentError` if what was computed from the tensors called `names` holds NaN.

    Looking at results is cheaper than looking at inputs, of which minus infinity is a fair value.
    On an accelerator it would make the host wait: there NaN comes out as NaN, for loops to see.

    Args:
        value: results, any shape.
        names: the inputs, as the error calls them.
        places: what the entries of `value` are.
        hint: a further guess at the cause.
    """
    if value.device.type == "cpu":
        refuse_nan(value, names, places, hint)


def refuse_nan(value: Tensor, names: str, places: str = "samples", hint: str = "") -> None:
    """`check_numbers` wherever `value` lives."""
    # One sum tells that all is well; infinities of both signs may make NaN of it.
    if traced(value) or not bool(value.detach().sum().isnan()):
        return
    wrong = value.detach().isnan()
    if bool(wrong.any()):
        place = tuple(int(i) for i in wrong.nonzero()[0])
        raise NotFiniteError(
            f"{names} hold NaN or infinity at {int(wrong.sum())} of {value.numel()} {places}, the "
            f"first at index {place}; did a model diverge, as at too high a learning rate{hint}?"
        )


def proper(value: Tensor, name: str) -> Tensor:
    """Checked probabilities along the last axis in float32 or wider.

    Those of half precision are divided by their sum, which rounding has moved off 1.
    """
    check_probabilities(value, name)
    wide = widened(value)
    return wide if wide.dtype == value.dtype else wide / wide.sum(-1, keepdim=True)


def check_labelled(
    student: Tensor, target: Tensor, names: tuple[str, str] = ("student_logits", "target")
) -> None:
    """Raise `ArgumentError` unless `target` holds one class index for each row of `student`."""
    if student.ndim == 0:
        raise ArgumentError(f"{names[0]} is a single number, expected classes on the last axis")
    if target.shape != student.shape[:-1]:
        hint = ""
        if target.shape == student.shape:
            hint = f"; for mixed or one-hot labels pass {names[1]}.argmax(-1)"
        raise ArgumentError(
            f"{names[1]} has shape {tuple(target.shape)} and {names[0]} "
            f"{tuple(student.shape)}, expected {names[1]} {tuple(student.shape[:-1])}{hint}"
        )
    check_class_indices(target, student.shape[-1], names[1])


def lists(
    student: Tensor, teacher: Tensor, mask: Tensor | None, name: str = "teacher_scores"
) -> Lists:
    """Check lists of scores and make them ready for the maths.

    Args:
        student: student scores ``(N, L)``, L candidates for each of N queries.
        teacher: what they are compared with, ``(N, L)``, without gradient.
        mask: True for real candidates ``(N, L)``; None if all are.
        name: what to call `teacher` in an error.

    Returns:
        Student, teacher and mask, where masked candidates score 0 whatever stood there.

    Raises:
        ArgumentError: shapes differ, lists have no candidate, the teacher requires grad, the mask
            is not boolean, or a real candidate's score is NaN or infinite.

    Example:
        >>> padded = torch.tensor([[1.0, float("nan")]])
        >>> lists(padded, torch.zeros(1, 2), torch.tensor([[True, False]])).student.tolist()
        [[1.0, 0.0]]
    """
    check_dimensions(student, "student_scores", 2, "(N, L): a row of candidates for each query")
    if student.shape[1] == 0:
        raise ArgumentError(f"student_scores has shape {tuple(student.shape)}, without a candidate")
    check_same_shape(student, teacher, ("student_scores", name))
    check_no_grad(teacher, name)
    student = widened(student)
    teacher = teacher.to(student.dtype)
    if mask is None:
        mask = torch.ones_like(student, dtype=torch.bool)
    else:
        check_same_shape(student, mask, ("student_scores", "mask"))
        if mask.dtype != torch.bool:
            raise ArgumentError(
                f"mask has dtype {mask.dtype}, expected torch.bool; use mask.bool()"
            )
        student = torch.where(mask, student, 0.0)
        teacher = torch.where(mask, teacher, 0.0)
    check_finite(student, "student_scores")
    check_finite(teacher, name)
    return Lists(student, teacher, mask)


def reduce_counted(value: Tensor, counted: Tensor, reduction: Reduction) -> Tensor:
    """Reduce a loss where some entries do not count, such as lists without a positive.

    Args:
        value: losses, ``(N,)`` or any shape, with any finite number where they do not count.
        counted: True where they do, same shape.
        reduction: ``"mean"`` over those that count (0 if none does), ``"sum"``, or ``"none"``,
            which gives 0 where a loss does not count.

    Returns:
        A scalar, or a tensor of the shape of `value` with ``"none"``.

    Example:
        >>> reduce_counted(torch.tensor([1.0, 5.0]), torch.tensor([True, False]), "mean").item()
        1.0
    """
    value = torch.where(counted, value, 0.0)
    if reduction == "mean":
        return value.sum() / counted.sum().clamp(min=1)
    return reduce(value, reduction)
