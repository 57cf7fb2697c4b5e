"""Losses between features of student and teacher: values, directions, channel correlations."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_axis, check_choice, check_no_grad
from limbeck.errors import ArgumentError
from limbeck.functional.guards import check_finite, reduce_counted, widened
from limbeck.functional.reductions import Reduction, reduce

Total = Literal["mean", "sum"]
# A vector shorter than this has no direction.
SHORTEST = 1e-12


@loss(
    "feature-mse",
    "Squared difference of features of one width (FitNet, hidden states)",
    student="features",
    teacher=("features",),
    source="arXiv 1412.6550",
)
@loss(
    "patient-kd",
    "Squared difference of the directions of features",
    student="features",
    teacher=("features",),
    source="arXiv 1908.09355",
    options={"normalize": True},
)
def feature_mse_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    mask: Tensor | None = None,
    normalize: bool = False,
    over_features: Total = "mean",
    axis: int = -1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Squared difference of the features at each position (FitNet, hidden MSE, patient KD).

    .. math:: \ell = \frac{1}{D} \sum_d (s_d - t_d)^2

    or, with ``normalize=True``, the same of :math:`s / \|s\|` and :math:`t / \|t\|`, which looks at
    directions only: summed over features it is twice `cosine_loss`.

    Args:
        student: ``(N, D)``, ``(N, T, D)`` or any shape with features on `axis`.
        teacher: same shape, without gradient.
        mask: True for real positions, the shape of `student` without `axis`; None if all are.
        normalize: scale each vector to length 1 first; a zero vector stays zero.
        over_features: ``"mean"`` or ``"sum"`` over the D features of a position.
        axis: the axis of the features.
        reduction: ``"mean"`` over real positions, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or with ``"none"`` the shape of `student` without `axis`; in float32 or wider.

    Raises:
        ArgumentError: shapes differ, the teacher requires grad, a real entry is NaN or infinite,
            or an option is unknown.

    Example:
        >>> feature_mse_loss(torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 0.0]])).item()
        8.0

    Source: Romero et al., arXiv 1412.6550; normalised, Sun et al., arXiv 1908.09355
    (patient KD).
    """
    check_choice(over_features, "over_features", ("mean", "sum"))
    student, teacher = _prepared(student, teacher, mask, axis)
    if normalize:
        student, teacher = unit_vectors(student, axis), unit_vectors(teacher, axis)
    error = (student - teacher).square()
    value = error.mean(axis) if over_features == "mean" else error.sum(axis)
    return _reduced(value, mask, reduction)


@loss(
    "cosine",
    "One minus the cosine between features of one width",
    student="features",
    teacher=("features",),
    source="arXiv 1910.01108",
)
def cosine_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    mask: Tensor | None = None,
    axis: int = -1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus the cosine between the features at each position, from 0 to 2.

    .. math:: \ell = 1 - \frac{\langle s, t \rangle}{\|s\| \, \|t\|}

    Args:
        student: ``(N, D)``, ``(N, T, D)`` or any shape with features on `axis`. A zero vector
            has cosine 0 and no gradient.
        teacher: same shape, without gradient.
        mask: True for real positions, the shape of `student` without `axis`; None if all are.
        axis: the axis of the features.
        reduction: ``"mean"`` over real positions, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or with ``"none"`` the shape of `student` without `axis`; in float32 or wider.

    Raises:
        ArgumentError: as `feature_mse_loss`.

    Example:
        >>> cosine_loss(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])).item()
        1.0

    Source: Sanh et al., arXiv 1910.01108 (DistilBERT).
    """
    student, teacher = _prepared(student, teacher, mask, axis)
    value = 1 - (unit_vectors(student, axis) * unit_vectors(teacher, axis)).sum(axis)
    return _reduced(value, mask, reduction)


@loss(
    "gram",
    "Squared difference of the correlations between channels of a feature map",
    student="features",
    teacher=("features",),
    source="arXiv 1508.06576",
)
def gram_loss(student: Tensor, teacher: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    r"""Squared difference of the correlations between channels (style, Gram matrices).

    With :math:`G = F F^\top / P` of a feature map :math:`F` of D channels and P positions:

    .. math:: \ell = \frac{1}{D^2} \sum_{ij} (G^s_{ij} - G^t_{ij})^2

    Positions may differ, channels may not.

    Args:
        student: ``(N, D, H, W)``, or ``(N, D, P)``.
        teacher: same samples and channels, without gradient.
        reduction: ``"mean"`` over samples, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``; in float32 or wider.

    Raises:
        ArgumentError: as `fsp_loss`.

    Example:
        >>> gram_loss(torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 4, 4)).item()
        1.0

    Source: Gatys, Ecker and Bethge, arXiv 1508.06576 (this is four times that).
    """
    return fsp_loss((student, student), (teacher, teacher), reduction=reduction)


@loss(
    "fsp",
    "Squared difference of the flow between two layers",
    student="features",
    teacher=("features",),
    source="CVPR 2017, Yim et al.",
)
def fsp_loss(
    student: tuple[Tensor, Tensor],
    teacher: tuple[Tensor, Tensor],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Squared difference of the flow between two layers (flow of solution procedure).

    .. math:: \ell = \frac{1}{D_1 D_2} \sum_{ij} (G^s_{ij} - G^t_{ij})^2

    with G the `flow_matrix` of the two layers.

    Args:
        student: two feature maps, ``(N, D1, H, W)`` and ``(N, D2, H, W)``.
        teacher: two feature maps of the same channels, without gradient; their H and W may
            differ from the student's.
        reduction: ``"mean"`` over samples, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``; in float32 or wider.

    Raises:
        ArgumentError: samples or channels differ, a teacher's map requires grad, or a feature is
            NaN or infinite.

    Example:
        >>> first, second = torch.ones(1, 2, 3, 3), torch.ones(1, 4, 3, 3)
        >>> fsp_loss((first, second), (first, 3 * second)).item()
        4.0

    Source: Yim et al., CVPR 2017.
    """
    for maps, name in ((student, "student"), (teacher, "teacher")):
        if isinstance(maps, Tensor) or len(maps) != 2:
            raise ArgumentError(
                f"{name} is one tensor or not two, expected the feature maps of two layers: "
                "(first, second)"
            )
    for features in teacher:
        check_no_grad(features, "teacher")
    flows = _flow(*student, "student"), _flow(*teacher, "teacher")
    if flows[0].shape != flows[1].shape:
        raise ArgumentError(
            f"student has maps of shape {_shapes(student)} and teacher of {_shapes(teacher)}, "
            "expected the same samples and channels; use a projector, such as a 1x1 convolution, "
            "to the teacher's channels"
        )
    return reduce((flows[0] - flows[1]).square().mean((1, 2)), reduction)


def flow_matrix(first: Tensor, second: Tensor) -> Tensor:
    r"""Mean over positions of the products of two layers' channels, :math:`F_1 F_2^\top / P`.

    Args:
        first: ``(N, D1, H, W)`` or ``(N, D1, P)``.
        second: ``(N, D2, H, W)`` or ``(N, D2, P)``, with the same positions.

    Returns:
        ``(N, D1, D2)``, in float32 or wider.

    Raises:
        ArgumentError: samples or positions differ, there are none, or a feature is NaN or
            infinite.

    Example:
        >>> flow_matrix(torch.ones(1, 2, 3, 3), torch.ones(1, 2, 3, 3)).tolist()
        [[[1.0, 1.0], [1.0, 1.0]]]

    Source: Yim et al., CVPR 2017.
    """
    return _flow(first, second, "the pair of layers")


def unit_vectors(value: Tensor, axis: int = -1) -> Tensor:
    """Scale vectors to length 1; safe for very long ones and for zero.

    Args:
        value: any shape with vectors on `axis`, in float32 or wider.
        axis: the axis of the vectors.

    Returns:
        The shape of `value`. A vector whose entries are all within 1e-12 of 0 has no direction:
        it gives zeros and no gradient.

    Example:
        >>> unit_vectors(torch.tensor([[0.0, 4e30], [0.0, 0.0]])).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    largest = value.detach().abs().amax(axis, keepdim=True)
    none = largest <= SHORTEST
    # Zeros are replaced before the norm, whose second derivative is NaN at them.
    scaled = torch.where(none, 1.0, value / torch.where(none, 1.0, largest))
    length = torch.linalg.vector_norm(scaled, dim=axis, keepdim=True)
    return torch.where(none, 0.0, scaled / length)


def check_features(student: Tensor, teacher: Tensor, axis: int = -1) -> None:
    """Raise `ArgumentError` unless shapes agree, there are features and the teacher is constant.

    Args:
        student: features of the student.
        teacher: features of the teacher.
        axis: the axis of the features, which an adapter can change.
    """
    check_no_grad(teacher, "teacher")
    check_axis(student, axis, "student")
    if student.shape[axis] == 0:
        raise ArgumentError(f"student has shape {tuple(student.shape)}, expected some features")
    if student.shape == teacher.shape:
        return
    hint = ""
    if student.ndim == teacher.ndim and student.shape[axis] != teacher.shape[axis]:
        widths = f"{student.shape[axis]} to {teacher.shape[axis]}"
        hint = f"; the widths on axis {axis} differ: use a projector from {widths} features"
    raise ArgumentError(
        f"student has shape {tuple(student.shape)} and teacher has shape {tuple(teacher.shape)}, "
        f"expected equal shapes{hint}"
    )


def check_mask(mask: Tensor, shape: torch.Size) -> None:
    """Raise `ArgumentError` unless a mask is boolean and has one entry for each position.

    Args:
        mask: True for real positions.
        shape: that of the positions, such as ``(N, T)``.
    """
    if mask.shape != shape or mask.dtype != torch.bool:
        raise ArgumentError(
            f"mask has shape {tuple(mask.shape)} and dtype {mask.dtype}, expected "
            f"{tuple(shape)} and torch.bool, True for real positions; use mask.bool()"
        )


def _prepared(
    student: Tensor, teacher: Tensor, mask: Tensor | None, axis: int
) -> tuple[Tensor, Tensor]:
    """Checked features in float32 or wider, 0 where the mask is False."""
    check_features(student, teacher, axis)
    student, teacher = widened(student), widened(teacher)
    if mask is not None:
        check_mask(mask, student.movedim(axis, -1).shape[:-1])
        real = mask.unsqueeze(axis)
        student, teacher = torch.where(real, student, 0.0), torch.where(real, teacher, 0.0)
    check_finite(student, "student")
    check_finite(teacher, "teacher")
    return student, teacher


def _flow(first: Tensor, second: Tensor, name: str) -> Tensor:
    same = first.shape[:1] + first.shape[2:] == second.shape[:1] + second.shape[2:]
    if first.ndim < 3 or not same or first.shape[2:].numel() == 0:
        raise ArgumentError(
            f"{name} has feature maps of shape {_shapes((first, second))}, expected (N, D1, H, W) "
            "and (N, D2, H, W) with the same samples and positions; pool the larger map first"
        )
    for features in (first, second):
        check_finite(features, name)
    dtype = torch.promote_types(widened(first).dtype, second.dtype)
    maps = [features.to(dtype).flatten(2) for features in (first, second)]
    return maps[0] @ maps[1].mT / maps[0].shape[2]


def _reduced(value: Tensor, mask: Tensor | None, reduction: Reduction) -> Tensor:
    return reduce(value, reduction) if mask is None else reduce_counted(value, mask, reduction)


def _shapes(values: tuple[Tensor, ...]) -> str:
    return " and ".join(str(tuple(value.shape)) for value in values)
