"""Quality of predicted class distributions: accuracy, likelihood, calibration, agreement."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.checks import check_class_indices, check_dimensions, check_same_shape
from limbeck.errors import ArgumentError
from limbeck.functional.divergences import log_probabilities
from limbeck.functional.guards import check_numbers
from limbeck.functional.reductions import Reduction, reduce


def top_k_accuracy(logits: Tensor, target: Tensor, *, k: int = 1) -> Tensor:
    """Share of samples whose label is among the k largest logits.

    Args:
        logits: ``(N, C)``.
        target: class indices ``(N,)``.
        k: how many guesses count, at least 1; more than C counts all.

    Returns:
        A scalar from 0 to 1, 0 without samples. Ties go to the lower class index, and a logit
        that is not a number beats nothing.

    Raises:
        ArgumentError: `k` is below 1, or shapes that do not fit.

    Example:
        >>> logits = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
        >>> top_k_accuracy(logits, torch.tensor([0, 1]), k=1).item()
        0.5
    """
    target = _checked(logits, target)
    if k < 1:
        raise ArgumentError(f"k is {k}, expected at least 1")
    own = logits.gather(1, target[:, None])
    classes = torch.arange(logits.shape[1], device=logits.device)
    # Counted from below: comparisons with a logit that is not a number are false.
    behind = (own > logits) | ((own == logits) & (classes > target[:, None]))
    return reduce((behind.sum(1) >= logits.shape[1] - k).double())


def negative_log_likelihood(
    logits: Tensor, target: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    """Negative log-probability of the label, in nats.

    Args:
        logits: ``(N, C)``.
        target: class indices ``(N,)``.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``.

    Raises:
        ArgumentError: shapes do not fit, or a logit on the CPU is NaN or plus infinity.

    Example:
        >>> round(negative_log_likelihood(torch.zeros(1, 2), torch.tensor([1])).item(), 4)
        0.6931
    """
    target = _checked(logits, target)
    value = -log_probabilities(logits).gather(1, target[:, None])[:, 0]
    check_numbers(value, "rows of logits")
    return reduce(value, reduction)


def brier_score(logits: Tensor, target: Tensor) -> Tensor:
    r"""Mean over samples of :math:`\sum_c (p_c - [c = y])^2`, from 0 (best) to 2.

    Args:
        logits: ``(N, C)``.
        target: class indices ``(N,)``.

    Returns:
        A scalar, 0 without samples.

    Raises:
        ArgumentError: as `negative_log_likelihood`.

    Example:
        >>> brier_score(torch.zeros(1, 2), torch.tensor([1])).item()
        0.5

    Source: Brier, Monthly Weather Review 78, 1950 (the form summed over classes).
    """
    target = _checked(logits, target)
    error = log_probabilities(logits).exp()
    error = error.scatter_add(1, target[:, None], -torch.ones_like(error[:, :1]))
    value = error.square().sum(1)
    check_numbers(value, "rows of logits")
    return reduce(value)


def expected_calibration_error(logits: Tensor, target: Tensor, *, bins: int = 15) -> Tensor:
    r"""Mean gap between confidence and accuracy, :math:`\sum_b \frac{n_b}{N} |acc_b - conf_b|`.

    Args:
        logits: ``(N, C)``.
        target: class indices ``(N,)``.
        bins: number of equal-width confidence bins, each open below and closed above.

    Returns:
        A scalar from 0 to 1, 0 without samples.

    Raises:
        ArgumentError: fewer than one bin, or as `negative_log_likelihood`.

    Example:
        >>> logits = torch.tensor([[0.0, 20.0], [0.0, 20.0]])
        >>> round(expected_calibration_error(logits, torch.tensor([1, 0])).item(), 3)
        0.5

    Source: Guo et al., arXiv 1706.04599.
    """
    count, confidence, accuracy = reliability(logits, target, bins=bins)
    return (count / count.sum().clamp(min=1) * (accuracy - confidence).abs()).sum()


def reliability(logits: Tensor, target: Tensor, *, bins: int = 15) -> tuple[Tensor, Tensor, Tensor]:
    """What a reliability diagram shows, per confidence bin.

    Args:
        logits: ``(N, C)``.
        target: class indices ``(N,)``.
        bins: number of equal-width bins B.

    Returns:
        Samples, mean confidence and accuracy of each bin, three tensors ``(B,)``; 0 where a bin
        is empty.

    Raises:
        ArgumentError: as `expected_calibration_error`.

    Example:
        >>> count, _, _ = reliability(torch.zeros(3, 2), torch.tensor([0, 1, 0]), bins=2)
        >>> count.tolist()
        [3.0, 0.0]
    """
    target = _checked(logits, target)
    if bins < 1:
        raise ArgumentError(f"bins is {bins}, expected at least 1")
    confidence, guess = logits.double().softmax(-1).max(-1)
    check_numbers(confidence, "rows of logits")
    index = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    zeros = confidence.new_zeros(bins)
    count = zeros.index_add(0, index, torch.ones_like(confidence))
    safe = count.clamp(min=1)
    right = (guess == target).double()
    return (
        count,
        zeros.index_add(0, index, confidence) / safe,
        zeros.index_add(0, index, right) / safe,
    )


def agreement(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Share of samples on which both name the same class.

    Args:
        student_logits: ``(N, C)``.
        teacher_logits: ``(N, C)``.

    Returns:
        A scalar from 0 to 1, 0 without samples. With a logit that is not a number a sample names
        no class.

    Raises:
        ArgumentError: shapes differ, or a logit on the CPU is NaN.

    Example:
        >>> agreement(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 1.0]])).item()
        1.0
    """
    check_same_shape(student_logits, teacher_logits, ("student_logits", "teacher_logits"))
    check_numbers(student_logits, "entries of student_logits", "places")
    check_numbers(teacher_logits, "entries of teacher_logits", "places")
    same = student_logits.argmax(-1) == teacher_logits.argmax(-1)
    named = ~(student_logits.isnan() | teacher_logits.isnan()).any(-1)
    return reduce((same & named).double())


def _checked(logits: Tensor, target: Tensor) -> Tensor:
    """The target as the int64 that indexing asks for, once it fits the logits."""
    check_dimensions(logits, "logits", 2, "(N, C)")
    if target.shape != logits.shape[:1]:
        raise ArgumentError(
            f"target has shape {tuple(target.shape)} and logits {tuple(logits.shape)}, "
            f"expected target ({logits.shape[0]},)"
        )
    check_class_indices(target, logits.shape[1])
    return target.long()
