"""What each class pulls a classifier towards: gradients of its last layer, and their comparison."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.catalogue import loss
from limbeck.checks import check_dimensions, check_no_grad
from limbeck.errors import ArgumentError
from limbeck.functional.features import unit_vectors
from limbeck.functional.guards import check_finite, check_labelled, widened

# A row of a correlation matrix that is not longer than this has no direction.
SHORTEST_ROW = 1e-12


def class_gradient(features: Tensor, logits: Tensor, target: Tensor) -> Tensor:
    r"""Gradient of the mean cross-entropy with respect to the weights of a last linear layer.

    .. math:: g = \frac{1}{N} \sum_n (\mathrm{softmax}(z_n) - e_{y_n}) \, f_n^\top

    It needs no backward pass: whatever gave the features stays outside.

    Args:
        features: what the layer reads, ``(N, D)``.
        logits: what it gives, ``(N, C)``.
        target: class indices ``(N,)``.

    Returns:
        ``(C, D)``, a row a class, in float32 or wider, with gradient to features and logits.

    Raises:
        ArgumentError: shapes do not fit, a class index is outside the classes, or a number is NaN
            or infinite.

    Example:
        >>> class_gradient(torch.tensor([[2.0]]), torch.zeros(1, 2), torch.tensor([1])).tolist()
        [[1.0], [-1.0]]

    Source: lilujunai/DisWOT-CVPR2023; of the weighting of channels by class, Selvaraju et al.,
    arXiv 1610.02391.
    """
    check_dimensions(features, "features", 2, "(N, D): what the last linear layer reads")
    check_dimensions(logits, "logits", 2, "(N, C)")
    check_labelled(logits, target, ("logits", "target"))
    if len(features) != len(logits):
        raise ArgumentError(
            f"features has shape {tuple(features.shape)} and logits has shape "
            f"{tuple(logits.shape)}, expected as many rows: the same samples"
        )
    check_finite(features, "features")
    check_finite(logits, "logits")
    logits = widened(logits)
    error = logits.softmax(1) - F.one_hot(target.long(), logits.shape[1]).to(logits.dtype)
    return error.T @ features.to(logits.dtype) / max(len(logits), 1)


def semantic_distance(student_gradient: Tensor, teacher_gradient: Tensor) -> Tensor:
    r"""Difference of two classifiers' correlations of channels, class by class.

    With :math:`G_c = g_c g_c^\top` and each row of it scaled to length 1:

    .. math:: \frac{1}{C D} \sum_c \| \hat G^s_c - \hat G^t_c \|_F^2

    A row of :math:`\hat G_c` is :math:`\mathrm{sign}(g_{ci}) \, g_c / \|g_c\|`, so that with the
    cosine :math:`\cos_c` of the two gradients and :math:`a = \mathrm{sign}(g^s)`,
    :math:`b = \mathrm{sign}(g^t)` the sum is
    :math:`\sum_c \sum_i a_{ci}^2 + b_{ci}^2 - 2 \cos_c a_{ci} b_{ci}`: no matrix of D x D numbers
    is made.

    Args:
        student_gradient: ``(C, D)`` of `class_gradient`.
        teacher_gradient: same shape, without gradient.

    Returns:
        A scalar from 0 to 4, in float32 or wider. Rows of G that are not longer than 1e-12 count
        as that long, so that classes without a gradient give rows of zeros.

    Raises:
        ArgumentError: shapes differ, the teacher requires grad, or a number is NaN or infinite.

    Example:
        >>> one = torch.tensor([[1.0, 2.0]])
        >>> round(semantic_distance(3 * one, one).item(), 6)
        0.0
        >>> semantic_distance(torch.zeros(1, 2), one).item()
        1.0

    Source: Dong, Li and Wei, arXiv 2303.15678, in the form of its released code.
    """
    check_no_grad(teacher_gradient, "teacher_gradient")
    for value, name in (
        (student_gradient, "student_gradient"),
        (teacher_gradient, "teacher_gradient"),
    ):
        check_dimensions(value, name, 2, "(C, D): a row for each class")
        check_finite(value, name)
    _check_equal(student_gradient, teacher_gradient)
    dtype = torch.promote_types(widened(student_gradient).dtype, teacher_gradient.dtype)
    student, teacher = student_gradient.to(dtype), teacher_gradient.to(dtype)
    if student.numel() == 0:
        return student.sum()
    cosine = (unit_vectors(student) * unit_vectors(teacher)).sum(1)
    left, right = _signs(student), _signs(teacher)
    squares = left.square().sum() + right.square().sum()
    return (squares - 2 * (cosine * (left * right).sum(1)).sum()) / student.numel()


def _signs(gradient: Tensor) -> Tensor:
    """Length with sign of each row of the normalised correlations: 1, or less for tiny rows."""
    # Constant almost everywhere, as is the normalised row in the number that scales it.
    gradient = gradient.detach()
    row = gradient * torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    return row / row.abs().clamp(min=SHORTEST_ROW)


def _check_equal(student: Tensor, teacher: Tensor) -> None:
    if student.shape == teacher.shape:
        return
    fix = "do both know the same classes?"
    if student.shape[0] == teacher.shape[0]:
        fix = (
            "channels can be compared only where both last layers read as many; compare classes "
            "instead, with similarity_preserving_loss of the two gradients, or choose a teacher "
            "of the student's width"
        )
    raise ArgumentError(
        f"student_gradient has shape {tuple(student.shape)} and teacher_gradient has shape "
        f"{tuple(teacher.shape)}, expected equal shapes (C, D); {fix}"
    )


@loss(
    "semantic",
    "Difference of the correlations of channels that the classes' gradients have",
    student="features",
    teacher=("features",),
    labels=("class labels",),
    source="arXiv 2303.15678",
)
def semantic_loss(
    student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], target: Tensor
) -> Tensor:
    r"""`semantic_distance` of the gradients that a batch gives two last linear layers.

    .. math:: \frac{1}{C D} \sum_c \| \hat G^s_c - \hat G^t_c \|_F^2, \qquad
        G_c = g_c g_c^\top, \quad g = \frac{1}{N} (\mathrm{softmax}(z) - e_y)^\top f

    Args:
        student: logits ``(N, C)`` and what its last linear layer reads ``(N, D)``; further axes
            of the latter are flattened.
        teacher: the same of the teacher, without gradient.
        target: class indices ``(N,)``.

    Returns:
        A scalar, in float32 or wider.

    Raises:
        ArgumentError: as `class_gradient` and `semantic_distance`.

    Example:
        >>> said = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 2.0]])
        >>> round(semantic_loss(said, said, torch.tensor([0])).item(), 6)
        0.0

    Source: Dong, Li and Wei, arXiv 2303.15678, its distances as losses.
    """
    gradients = []
    for logits, features in (student, teacher):
        gradients.append(class_gradient(features.flatten(1), logits, target))
    return semantic_distance(gradients[0], gradients[1])
