"""Losses between attention: where feature maps are strong, and how tokens relate to each other."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_axis, check_choice, check_dimensions, check_no_grad
from limbeck.errors import ArgumentError
from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.features import SHORTEST, Total
from limbeck.functional.guards import check_finite, reduce_counted, widened
from limbeck.functional.reductions import Reduction, reduce

Norm = Literal["l1", "l2", "none"]
Comparison = Literal["scores", "probabilities", "kl", "cross_entropy"]


@loss(
    "attention-transfer",
    "Squared difference of where feature maps are strong",
    student="features",
    teacher=("features",),
    source="arXiv 1612.03928",
)
def attention_transfer_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    power: float = 2.0,
    norm: Norm = "l2",
    over_positions: Total = "mean",
    axis: int = 1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Squared difference of the `spatial_attention` of student and teacher.

    .. math:: \ell = \frac{1}{P} \sum_p (a^s_p - a^t_p)^2

    Channels may differ, positions may not.

    Args:
        student: ``(N, D, H, W)``, or any shape with channels on `axis`.
        teacher: same shape except on `axis`, without gradient.
        power: as in `spatial_attention`.
        norm: as in `spatial_attention`.
        over_positions: ``"mean"`` as the authors' code has it, or ``"sum"``.
        axis: the axis of the channels.
        reduction: ``"mean"`` over samples, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``; in float32 or wider.

    Raises:
        ArgumentError: positions or samples differ, the teacher requires grad, a feature is NaN
            or infinite, or an option is outside its range.

    Example:
        >>> student, teacher = torch.ones(1, 2, 2, 2), torch.ones(1, 8, 2, 2)
        >>> attention_transfer_loss(student, teacher).item()
        0.0

    Source: Zagoruyko and Komodakis, arXiv 1612.03928.
    """
    check_no_grad(teacher, "teacher")
    check_choice(over_positions, "over_positions", ("mean", "sum"))
    check_axis(student, axis, "student")
    check_axis(teacher, axis, "teacher")
    shapes = [(*x.shape[:axis], *x.shape[axis:][1:]) for x in (student, teacher)]
    if shapes[0] != shapes[1]:
        raise ArgumentError(
            f"student has shape {tuple(student.shape)} and teacher {tuple(teacher.shape)}, "
            f"expected the same samples and positions; only axis {axis} may differ. Resize the "
            "larger map first, e.g. by torch.nn.functional.adaptive_avg_pool2d"
        )
    own = _attention(student, "student", power, norm, axis)
    error = (own - _attention(teacher, "teacher", power, norm, axis)).square()
    return reduce(error.mean(1) if over_positions == "mean" else error.sum(1), reduction)


def spatial_attention(
    features: Tensor, *, power: float = 2.0, norm: Norm = "l2", axis: int = 1
) -> Tensor:
    r"""Where a feature map is strong: :math:`a_p = \sum_d |f_{dp}|^k`, scaled to norm 1.

    Args:
        features: ``(N, D, H, W)``, or any shape with channels on `axis`.
        power: k, at least 1.
        norm: ``"l2"``, ``"l1"`` or ``"none"``; a norm below 1e-12 counts as 1e-12, so that a map
            of zeros stays one.
        axis: the axis of the channels.

    Returns:
        ``(N, P)`` with P the number of positions, in float32 or wider.

    Raises:
        ArgumentError: there is no axis for positions, `power` is below 1, or a feature is NaN
            or infinite.

    Example:
        >>> spatial_attention(torch.tensor([[[3.0, 0.0], [0.0, 2.0]]]), norm="none").tolist()
        [[9.0, 4.0]]

    Source: Zagoruyko and Komodakis, arXiv 1612.03928; power 4, Sajedi et al.,
    arXiv 2310.00093 (DataDAM).
    """
    return _attention(features, "features", power, norm, axis)


@loss(
    "relation",
    "Squared difference of the relations between tokens (AutoDistil)",
    student="attention",
    teacher=("attention",),
    source="arXiv 2201.12507",
)
@loss(
    "minilm",
    "KL divergence of the attention of each token, and of its relations",
    student="attention",
    teacher=("attention",),
    source="arXiv 2002.10957",
    options={"compare": "kl"},
)
def relation_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    mask: Tensor | None = None,
    compare: Comparison = "scores",
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Difference of the relations between tokens: attention maps, or `relation_scores`.

    - ``"scores"``: :math:`(r^s_{ij} - r^t_{ij})^2` of each pair of tokens
    - ``"probabilities"``: the same of the softmax of each row
    - ``"kl"``, ``"cross_entropy"``: of the softmax of each row, as `soft_target_loss` has it

    Args:
        student: scores ``(N, H, T, T)`` of H heads, or ``(N, T, T)``: a row for each token that
            attends. Attention that is softmaxed already is compared as ``"scores"``; for the
            others give its logarithm.
        teacher: same shape, without gradient. Widths may differ, the number of heads may not.
        mask: True for real tokens ``(N, T)``, or for pairs of tokens that count, of as many axes
            as `student`; None if all do. Both tokens of a pair must be real.
        compare: ``"scores"``, ``"probabilities"``, ``"kl"`` or ``"cross_entropy"``.
        reduction: ``"mean"`` over pairs of real tokens, or over rows for ``"kl"`` and
            ``"cross_entropy"``; ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or with ``"none"`` the shape of `student`, for ``"kl"`` and ``"cross_entropy"``
        without its last axis; 0 where nothing counts; in float32 or wider.

    Raises:
        ArgumentError: shapes differ, the teacher requires grad, a real pair is NaN or infinite,
            or an option is unknown.

    Example:
        >>> student, teacher = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
        >>> relation_loss(student, teacher).item()
        1.0
        >>> relation_loss(student, teacher, compare="kl").item()
        0.0

    Source: Wang et al., arXiv 2002.10957 (MiniLM), with ``"kl"``; Xu et al., arXiv
    2201.12507 (AutoDistil), with the squared differences.
    """
    check_choice(compare, "compare", ("scores", "probabilities", "kl", "cross_entropy"))
    check_no_grad(teacher, "teacher")
    if student.shape != teacher.shape or student.ndim < 3:
        raise ArgumentError(
            f"student has shape {tuple(student.shape)} and teacher has shape "
            f"{tuple(teacher.shape)}, expected two of (N, H, T, T); where models differ in heads, "
            "give relation_scores the same number of heads for both"
        )
    student, teacher = widened(student), widened(teacher)
    pairs = None if mask is None else _pairs(mask, student)
    if pairs is not None:
        student, teacher = torch.where(pairs, student, 0.0), torch.where(pairs, teacher, 0.0)
    check_finite(student, "student")
    check_finite(teacher, "teacher")
    if pairs is not None and compare != "scores":
        out = ~pairs & pairs.any(-1, keepdim=True)
        student, teacher = (x.masked_fill(out, -torch.inf) for x in (student, teacher))
    if compare == "scores":
        value = (student - teacher).square()
    elif compare == "probabilities":
        value = (student.softmax(-1) - teacher.softmax(-1)).square()
    else:
        value = soft_target_loss(student, teacher, divergence=compare, reduction="none")
        pairs = None if pairs is None else pairs.any(-1)
    return reduce(value, reduction) if pairs is None else reduce_counted(value, pairs, reduction)


def relation_scores(states: Tensor, *, heads: int, bias: Tensor | None = None) -> Tensor:
    r"""Scaled products of each token's state with every other's: query-query, key-key, value-value.

    The width is cut to a multiple of the number of relation heads H and split among them:

    .. math:: R = X X^\top / \sqrt{d_h} + \mathrm{bias}, \quad d_h = \lfloor D / H \rfloor

    so that models of different widths and attention heads give relations of one shape.

    Args:
        states: queries, keys or values with the heads side by side, ``(N, T, D)``.
        heads: H, from 1 to D.
        bias: added to the scores, such as a model's own attention mask; any shape that
            broadcasts to ``(N, H, T, T)``.

    Returns:
        ``(N, H, T, T)``, in float32 or wider, without a softmax.

    Raises:
        ArgumentError: a shape does not fit, or `heads` is outside its range.

    Example:
        >>> relation_scores(torch.ones(1, 3, 8), heads=2).shape
        torch.Size([1, 2, 3, 3])

    Source: Wang et al., arXiv 2012.15828 (MiniLMv2).
    """
    check_dimensions(states, "states", 3, "(N, T, D): samples, tokens, features")
    width = states.shape[-1]
    if not 1 <= heads <= width:
        raise ArgumentError(f"heads is {heads}, expected from 1 to the width of states, {width}")
    size = width // heads
    split = widened(states)[..., : size * heads].unflatten(-1, (heads, size)).transpose(1, 2)
    scores = split @ split.mT / size**0.5
    if bias is None:
        return scores
    if not _broadcasts(bias.shape, scores.shape):
        raise ArgumentError(
            f"bias has shape {tuple(bias.shape)}, expected one that broadcasts to (N, H, T, T), "
            f"{tuple(scores.shape)}"
        )
    return scores + bias


def _attention(features: Tensor, name: str, power: float, norm: Norm, axis: int) -> Tensor:
    check_choice(norm, "norm", ("l1", "l2", "none"))
    if features.ndim < 3 or features.shape[1:].numel() == 0:
        raise ArgumentError(
            f"{name} has shape {tuple(features.shape)}, expected (N, D, H, W) or another shape "
            "with samples, channels and positions"
        )
    check_axis(features, axis, name)
    if not 1 <= power < torch.inf:
        raise ArgumentError(f"power is {power}, expected a finite number of at least 1")
    check_finite(features, name)
    size = widened(features).abs()
    if norm != "none":
        # Powers of large features overflow; the scaled map is the same whatever their unit.
        others = tuple(range(1, size.ndim))
        size = size / size.detach().amax(others, keepdim=True).clamp(min=1)
    total = size.pow(power).sum(axis).flatten(1)
    if norm == "none":
        return total
    length = torch.linalg.vector_norm(total, 2 if norm == "l2" else 1, dim=1, keepdim=True)
    return total / length.clamp(min=SHORTEST)


def _pairs(mask: Tensor, scores: Tensor) -> Tensor:
    """True for the pairs of tokens that count, in the shape of the scores."""
    samples, tokens = scores.shape[0], scores.shape[-1]
    if mask.dtype == torch.bool:
        if mask.shape == (samples, tokens) and scores.shape[-2] == tokens:
            keys = mask.reshape(samples, *[1] * (scores.ndim - 2), tokens)
            return (keys & keys.mT).expand(scores.shape)
        if mask.ndim == scores.ndim and _broadcasts(mask.shape, scores.shape):
            return mask.expand(scores.shape)
    raise ArgumentError(
        f"mask has shape {tuple(mask.shape)} and dtype {mask.dtype}, expected "
        f"({samples}, {tokens}) and torch.bool, True for real tokens, or one of {scores.ndim} "
        f"axes for pairs; scores have shape {tuple(scores.shape)}"
    )


def _broadcasts(shape: torch.Size, full: torch.Size) -> bool:
    ends = zip(reversed(shape), reversed(full), strict=False)
    return len(shape) <= len(full) and all(size in (1, whole) for size, whole in ends)
