"""List-wise ranking losses: the student is to reproduce an order, or a distribution over a list."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import (
    check_choice,
    check_floating,
    check_no_grad,
    check_same_shape,
    check_temperature,
)
from limbeck.errors import ArgumentError
from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.guards import (
    check_finite,
    check_labelled,
    lists,
    reduce_counted,
    traced,
    widened,
)
from limbeck.functional.plackett_luce import plackett_luce
from limbeck.functional.reductions import Reduction, reduce

Weighting = Literal["teacher", "uniform", "position", "ones"]
# How far below the real candidates of a list a padded one is put: exp(-100) is lost in rounding.
PADDING = 100.0
FAR = 1e6


@loss(
    "pld",
    "Likelihood of 'the true class first, then the teacher's order', weighted by the teacher",
    student="logits",
    teacher=("logits",),
    labels=("class labels",),
    source="arXiv 2506.12542",
    tasks=("classification",),
)
def plackett_luce_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    target: Tensor,
    *,
    temperature: float = 1.0,
    weights: Weighting | Tensor = "teacher",
    min_first_weight: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Weighted likelihood of the ranking "true class first, then the teacher's order" (PLD).

    With :math:`\pi` the ranking, :math:`\pi_1 = y` and the other classes by descending teacher
    logit, and :math:`\alpha_k = \mathrm{softmax}(z_t / T)_{\pi_k}`:

    .. math:: L = \sum_k \alpha_k \Big( \log \sum_{l \ge k} e^{s_{\pi_l}} - s_{\pi_k} \Big)

    It replaces cross-entropy and the mixing weight of a distillation term by one loss. It is
    convex in the student's logits, and a constant added to a row of either logits changes
    nothing. The temperature touches the weights only. Among equal teacher logits the larger
    class index ranks higher.

    The first weight is the teacher's probability of the true class: where the teacher is wrong
    and sure, hardly anything asks for the label. `min_first_weight` is the way out.

    Args:
        student_logits: ``(N, C)``, or any shape with classes on the last axis.
        teacher_logits: same shape, without gradient.
        target: true classes ``(N,)``.
        temperature: T above 0, of the weights ``"teacher"``.
        weights: ``"teacher"``, the paper's; ``"uniform"``, :math:`1/C`; ``"position"``,
            :math:`2^{C-k} - 1` divided by its sum; ``"ones"``; or a tensor ``(C,)`` or of the
            logits' shape, at least 0, for the ranks from best to worst.
        min_first_weight: least weight of the first rank, 0 to 1; the others shrink so that the
            sum stays 1. At 1 the loss is cross-entropy.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider; 0 for a single class.

    Raises:
        ArgumentError: shapes or class counts differ, a label is no class, the teacher requires
            grad, a logit is NaN or infinite, or an option is outside its range.

    Example:
        >>> student = torch.tensor([[2.0, 1.0, 0.0]])
        >>> teacher = torch.tensor([[3.0, 2.0, 1.0]])
        >>> round(plackett_luce_loss(student, teacher, torch.tensor([0])).item(), 4)
        0.3478
        >>> round(plackett_luce_loss(student, teacher, torch.tensor([2])).item(), 4)
        0.4252

    Source: arXiv 2506.12542 (PLD), eq. 7 and appendix C; ``"position"`` after Lan et al.,
    UAI 2014 (p-ListMLE).
    """
    order = _worst_first(student_logits, teacher_logits, target)
    check_temperature(temperature)
    check_finite(student_logits, "student_logits")
    wide = torch.promote_types(widened(student_logits).dtype, teacher_logits.dtype)
    ranks = _rank_weights(weights, teacher_logits.to(wide) / temperature, order, None)
    if not 0 <= min_first_weight <= 1:
        raise ArgumentError(f"min_first_weight is {min_first_weight}, expected from 0 to 1")
    if min_first_weight > 0:
        if isinstance(weights, Tensor) or weights == "ones":
            raise ArgumentError(
                "min_first_weight needs weights that sum to 1: 'teacher', 'uniform' or 'position'; "
                "put the least first weight into your own weights"
            )
        ranks = _with_first(ranks, min_first_weight)
    return reduce(plackett_luce(student_logits, order, ranks), reduction)


def label_first_ranking(teacher_logits: Tensor, target: Tensor) -> Tensor:
    """Rank classes: the true one first, then the others by descending teacher logit.

    Args:
        teacher_logits: ``(N, C)``, or any shape with classes on the last axis.
        target: true classes ``(N,)``.

    Returns:
        Class indices from best to worst, of the shape of the logits. Among equal logits the
        larger class index ranks higher.

    Raises:
        ArgumentError: shapes do not fit, a label is no class, or a logit is NaN or infinite.

    Example:
        >>> label_first_ranking(torch.tensor([[0.1, 0.7, 0.2]]), torch.tensor([0])).tolist()
        [[0, 1, 2]]
    """
    teacher_logits = teacher_logits.detach()
    return _worst_first(teacher_logits, teacher_logits, target).flip(-1)


@loss(
    "list-mle",
    "Likelihood of the teacher's order of a list",
    student="scores",
    teacher=("scores", "logits", "top-k"),
    source="ICML 2008, Xia et al.",
    tasks=("classification",),
)
def list_mle_loss(
    student_scores: Tensor,
    teacher_scores: Tensor,
    *,
    weights: Weighting | Tensor = "ones",
    temperature: float = 1.0,
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Negative log-likelihood of the teacher's order of a list under the student (ListMLE).

    With :math:`\pi` the candidates by descending teacher score:

    .. math:: L = \sum_k w_k \Big( \log \sum_{l \ge k} e^{s_{\pi_l}} - s_{\pi_k} \Big)

    Args:
        student_scores: ``(N, L)``, L candidates for each of N queries.
        teacher_scores: ``(N, L)``, higher is better, without gradient. Among equal scores the
            later candidate ranks higher.
        weights: ``"ones"``, the likelihood itself; ``"uniform"``, :math:`1/L`; ``"position"``,
            :math:`2^{L-k} - 1` divided by its sum; ``"teacher"``, :math:`\mathrm{softmax}(t/T)`;
            or a tensor ``(L,)`` or ``(N, L)``, at least 0, for the ranks from best to worst.
        temperature: T above 0, of the weights ``"teacher"``.
        mask: True for real candidates ``(N, L)``; None if all are.
        reduction: ``"mean"`` over lists with a real candidate, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider; 0 for a list of one or none.

    Raises:
        ArgumentError: shapes differ, the teacher requires grad, a real candidate's score is NaN
            or infinite, or an option is outside its range.

    Example:
        >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 1.0]])
        >>> round(list_mle_loss(student, teacher).item(), 4)
        0.6931

    Source: Xia et al., ICML 2008; ``"position"`` after Lan et al., UAI 2014 (p-ListMLE).
    """
    student, teacher, real = lists(student_scores, teacher_scores, mask)
    check_temperature(temperature)
    order = teacher.masked_fill(~real, -torch.inf).argsort(dim=-1, stable=True)
    if mask is not None:
        student = _padded(student, real)
    tempered = (teacher / temperature).masked_fill(~real, torch.finfo(teacher.dtype).min)
    ranks = _rank_weights(weights, tempered, order, real.gather(-1, order))
    return reduce_counted(plackett_luce(student, order, ranks), real.any(-1), reduction)


@loss(
    "list-net",
    "Cross-entropy between the distributions 'which candidate comes first'",
    student="scores",
    teacher=("scores", "logits", "top-k"),
    source="ICML 2007, Cao et al.",
    tasks=("classification",),
    softens=True,
)
@loss(
    "list-kl",
    "KL divergence of 'which candidate comes first' from the teacher's",
    student="scores",
    teacher=("scores", "logits", "top-k"),
    source="ICML 2007, Cao et al.",
    tasks=("classification",),
    softens=True,
    options={"divergence": "kl"},
)
def list_net_loss(
    student_scores: Tensor,
    teacher_scores: Tensor,
    *,
    divergence: Literal["cross_entropy", "kl"] = "cross_entropy",
    temperature: float = 1.0,
    temperature_squared: bool = False,
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Cross-entropy between the distributions "which candidate comes first" (ListNet, top one).

    .. math:: L = -\sum_i \mathrm{softmax}(t/T)_i \log \mathrm{softmax}(s/T)_i

    It is `soft_target_loss` without T², for lists that may be padded.

    Args:
        student_scores: ``(N, L)``, L candidates for each of N queries.
        teacher_scores: ``(N, L)``, higher is better, without gradient.
        divergence: ``"cross_entropy"``, or ``"kl"``: the same gradient, and 0 where both agree.
        temperature: T above 0.
        temperature_squared: multiply by T², as sentence-transformers does.
        mask: True for real candidates ``(N, L)``; None if all are.
        reduction: ``"mean"`` over lists with a real candidate, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider; 0 for a list without a
        candidate.

    Raises:
        ArgumentError: shapes differ, the teacher requires grad, or a real candidate's score is
            NaN or infinite.

    Example:
        >>> zeros = torch.zeros(1, 2)
        >>> round(list_net_loss(zeros, zeros).item(), 4)
        0.6931

    Source: Cao et al., ICML 2007.
    """
    check_choice(divergence, "divergence", ("cross_entropy", "kl"))
    student, teacher, real = lists(student_scores, teacher_scores, mask)
    some = real.any(-1)
    out = ~real & some[:, None]
    value = soft_target_loss(
        student.masked_fill(out, -torch.inf),
        teacher.masked_fill(out, -torch.inf),
        divergence=divergence,
        temperature=temperature,
        temperature_squared=temperature_squared,
        reduction="none",
    )
    return reduce_counted(value, some, reduction)


def _padded(scores: Tensor, real: Tensor) -> Tensor:
    """Scores of lists with those of padded candidates far below the real ones."""
    fixed = scores.detach()
    lowest = torch.where(real, fixed, torch.inf).amin(-1, keepdim=True).nan_to_num(posinf=0.0)
    highest = torch.where(real, fixed, -torch.inf).amax(-1, keepdim=True)
    # Far from 0 a step of PADDING is lost in rounding; what the best candidate has is of no effect.
    far = lowest.abs() > FAR
    origin = torch.where(far, highest, 0.0)
    scores, lowest = scores - origin, lowest - origin
    step = PADDING + torch.where(far, 4 * torch.finfo(scores.dtype).eps * lowest.abs(), 0.0)
    return torch.where(real, scores, lowest - step)


def _worst_first(student_logits: Tensor, teacher_logits: Tensor, target: Tensor) -> Tensor:
    """Checks, then class indices by ascending teacher logit with the true class at the end."""
    check_same_shape(student_logits, teacher_logits, ("student_logits", "teacher_logits"))
    check_no_grad(teacher_logits, "teacher_logits")
    check_floating(student_logits, "student_logits")
    check_floating(teacher_logits, "teacher_logits")
    check_labelled(student_logits, target)
    check_finite(teacher_logits, "teacher_logits")
    first = target[..., None].long()
    return teacher_logits.scatter(-1, first, torch.inf).argsort(dim=-1, stable=True)


def _rank_weights(
    weights: Weighting | Tensor, tempered: Tensor, order: Tensor, real: Tensor | None
) -> Tensor:
    """Weights of the ranks from worst to best; `real` marks the ranks that are no padding."""
    classes = order.shape[-1]
    if isinstance(weights, Tensor):
        check_no_grad(weights, "weights")
        if weights.shape not in ((classes,), order.shape):
            raise ArgumentError(
                f"weights has shape {tuple(weights.shape)}, expected ({classes},) or "
                f"{tuple(order.shape)}, from the best rank to the worst"
            )
        if not traced(weights) and not bool(((weights >= 0) & weights.isfinite()).all()):
            raise ArgumentError("weights must be finite and at least 0")
        ranks = weights.to(tempered).flip(-1).expand(order.shape)
        return ranks if real is None else torch.where(real, ranks, 0.0)
    check_choice(weights, "weights", ("teacher", "uniform", "position", "ones"))
    if weights == "teacher":
        ranks = tempered.softmax(-1).gather(-1, order)
        return ranks if real is None else torch.where(real, ranks, 0.0)
    ranks = torch.ones_like(tempered)
    if weights == "position":
        # 2^(C-k) - 1 divided by 2^C, which does not overflow for many classes.
        place = torch.arange(classes, 0, -1, device=order.device, dtype=tempered.dtype)
        count = classes if real is None else real.sum(-1, keepdim=True)
        ranks = torch.exp2(-place).expand_as(ranks) - torch.exp2(-torch.ones_like(ranks) * count)
    if real is not None:
        ranks = torch.where(real, ranks, 0.0)
    if weights == "ones":
        return ranks
    tiny = torch.finfo(ranks.dtype).tiny
    return ranks / ranks.sum(-1, keepdim=True).clamp(min=tiny)


def _with_first(ranks: Tensor, least: float) -> Tensor:
    """Raise the best rank's weight to `least` and shrink the others to keep a sum of 1."""
    first = ranks[..., -1:]
    raised = first.clamp(min=least)
    others = ranks[..., :-1] * ((1 - raised) / (1 - first).clamp(min=torch.finfo(ranks.dtype).eps))
    return torch.cat([others, raised], -1)
