"""Pair-wise ranking losses: what counts is which of two candidates scores higher, and how much."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.catalogue import loss
from limbeck.checks import check_choice, check_temperature
from limbeck.errors import ArgumentError
from limbeck.functional.gains import Gain, relative_gains
from limbeck.functional.guards import lists, reduce_counted
from limbeck.functional.pairs import ordered_pairs, sum_over_pairs
from limbeck.functional.reductions import Reduction

Average = Literal["pairs", "lists"]
TeacherKind = Literal["scores", "ranks"]
LambdaWeighting = Literal["none", "lambdarank", "ndcg_loss2", "ndcg_loss2pp"]


@loss(
    "ranknet",
    "Logistic loss of every pair that the teacher orders",
    student="scores",
    teacher=("scores", "logits"),
    source="ICML 2005, Burges et al.",
    tasks=("classification",),
)
@loss(
    "ranknet-ranks",
    "Logistic loss of every pair that the teacher's ranks order, 1 being the best",
    student="scores",
    teacher=("ranks",),
    source="arXiv 2405.07920",
    options={"teacher_is": "ranks"},
)
def ranknet_loss(
    student_scores: Tensor,
    teacher_scores: Tensor,
    *,
    teacher_is: TeacherKind = "scores",
    sigma: float = 1.0,
    mask: Tensor | None = None,
    average: Average = "pairs",
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Logistic loss of every pair that the teacher orders (RankNet).

    .. math:: \frac{1}{|P|} \sum_{(i, j) \in P} \log\big(1 + e^{-\sigma (s_i - s_j)}\big),
        \qquad P = \{(i, j) : t_i > t_j\}

    Pairs that tie for the teacher do not count. All pairs weigh alike.

    Args:
        student_scores: ``(N, L)``, L candidates for each of N queries.
        teacher_scores: ``(N, L)``, without gradient.
        teacher_is: ``"scores"``, higher is better, or ``"ranks"``, 1 is best. The wrong one
            turns the ranking round without any error.
        sigma: steepness above 0.
        mask: True for real candidates ``(N, L)``; None if all are.
        average: over what ``"mean"`` runs: ``"pairs"`` of the batch, or ``"lists"``, where each
            list counts as much whatever its length.
        reduction: ``"mean"``, ``"sum"`` over pairs, or ``"none"`` for the mean of each list.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider; 0 without gradient where
        there is no pair.

    Raises:
        ArgumentError: shapes differ, the teacher requires grad, a real candidate's score is NaN
            or infinite, or an option is outside its range.

    Example:
        >>> student, teacher = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[3.0, 1.0, 1.0]])
        >>> round(ranknet_loss(student, teacher).item(), 4)
        0.6931

    Source: Burges et al., ICML 2005; with a language model's ranks as teacher Schlatt et al.,
    arXiv 2405.07920.
    """
    student, teacher, real = lists(student_scores, teacher_scores, mask)
    check_choice(teacher_is, "teacher_is", ("scores", "ranks"))
    _check_sigma(sigma)
    relevance = -teacher if teacher_is == "ranks" else teacher

    def term(difference: Tensor, relevance: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        return F.softplus(-sigma * difference), ordered_pairs(relevance, real)

    return _reduce_pairs(*sum_over_pairs(student, term, relevance, real), average, reduction)


@loss(
    "hinge",
    "Hinge loss of every pair that the labels order",
    student="scores",
    labels=("relevance grades", "ordered pairs"),
    source="KDD 2002, Joachims",
)
def pairwise_hinge_loss(
    student_scores: Tensor,
    target: Tensor,
    *,
    margin: float = 1.0,
    mask: Tensor | None = None,
    average: Average = "pairs",
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Hinge loss of every pair that the labels order.

    .. math:: \frac{1}{|P|} \sum_{(i, j) \in P} \max(0,\ m - s_i + s_j),
        \qquad P = \{(i, j) : y_i > y_j\}

    Args:
        student_scores: ``(N, L)``; triples are lists of two, a positive and a negative.
        target: relevance ``(N, L)``, higher is better; ``[1, 0]`` for a triple.
        margin: m, by how much the better of two must lead.
        mask: True for real candidates ``(N, L)``; None if all are.
        average: over what ``"mean"`` runs: ``"pairs"`` of the batch or ``"lists"``.
        reduction: ``"mean"``, ``"sum"`` over pairs, or ``"none"`` for the mean of each list.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider; 0 without gradient where
        there is no pair.

    Raises:
        ArgumentError: shapes differ, a real candidate's score is NaN or infinite, or an option
            is unknown.

    Example:
        >>> scores = torch.tensor([[0.25, 0.0]])
        >>> pairwise_hinge_loss(scores, torch.tensor([[1, 0]])).item()
        0.75

    Source: Joachims, KDD 2002 (ranking SVM).
    """
    student, relevance, real = lists(student_scores, target, mask, "target")

    def term(difference: Tensor, relevance: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        return F.relu(margin - difference), ordered_pairs(relevance, real)

    return _reduce_pairs(*sum_over_pairs(student, term, relevance, real), average, reduction)


@loss(
    "lambda",
    "Logistic loss of every ordered pair, weighted by what a swap does to NDCG",
    student="scores",
    labels=("relevance grades",),
    source="CIKM 2018, Wang et al.",
)
def lambda_loss(
    student_scores: Tensor,
    target: Tensor,
    *,
    weighting: LambdaWeighting = "ndcg_loss2pp",
    top: int | None = None,
    sigma: float = 1.0,
    mu: float = 10.0,
    gain: Gain = "exponential",
    log_base: float = 2.0,
    mask: Tensor | None = None,
    average: Average = "pairs",
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Logistic loss of every ordered pair, weighted by what a swap does to NDCG (LambdaLoss).

    .. math:: -\frac{1}{|P|} \sum_{(i, j) \in P} w_{ij} \log_b \mathrm{sigmoid}(\sigma (s_i - s_j))

    With :math:`P = \{(i, j) : y_i > y_j\}`, the student's ranks :math:`r` (1 is best),
    gains :math:`G = (2^y - 1) / \mathrm{maxDCG}` and discounts :math:`D(r) = \log_2(1 + r)`:

    - ``"none"``: :math:`w_{ij} = 1`, which is `ranknet_loss` on labels in another base
    - ``"lambdarank"``: :math:`|1/D(r_i) - 1/D(r_j)| \, |G_i - G_j|`
    - ``"ndcg_loss2"``: :math:`|1/D(m) - 1/D(m + 1)| \, |G_i - G_j|` with :math:`m = |r_i - r_j|`
    - ``"ndcg_loss2pp"``: :math:`\mu` times ``"ndcg_loss2"`` plus ``"lambdarank"``

    Weights are constants: no gradient runs through ranks.

    Args:
        student_scores: ``(N, L)``, L candidates for each of N queries.
        target: graded relevance ``(N, L)``, higher is better.
        weighting: see above.
        top: only pairs with a candidate among the student's `top` first count, and maxDCG is
            taken over as many; None for all.
        sigma: steepness above 0.
        mu: factor of ``"ndcg_loss2"`` within ``"ndcg_loss2pp"``.
        gain: ``"exponential"``, :math:`2^y - 1`, or ``"linear"``, y itself.
        log_base: b, above 1.
        mask: True for real candidates ``(N, L)``; None if all are.
        average: over what ``"mean"`` runs: ``"pairs"`` of the batch or ``"lists"``.
        reduction: ``"mean"``, ``"sum"`` over pairs, or ``"none"`` for the mean of each list.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider; 0 without gradient where
        there is no pair.

    Raises:
        ArgumentError: shapes differ, a real candidate's score is NaN or infinite, a gain
            overflows, or an option is outside its range.

    Example:
        >>> scores, relevance = torch.tensor([[0.0, 0.0]]), torch.tensor([[1, 0]])
        >>> lambda_loss(scores, relevance, weighting="none").item()
        1.0

    Source: Wang et al., CIKM 2018; ``"lambdarank"`` Burges et al., NIPS 2006.
    """
    student, relevance, real = lists(student_scores, target, mask, "target")
    check_choice(weighting, "weighting", ("none", "lambdarank", "ndcg_loss2", "ndcg_loss2pp"))
    _check_sigma(sigma)
    if top is not None and top < 1:
        raise ArgumentError(f"top is {top}, expected at least 1, or None for all candidates")
    if not log_base > 1:
        raise ArgumentError(f"log_base is {log_base}, expected a number above 1")
    rank = rank_positions(student.detach().masked_fill(~real, -torch.inf))
    gains = relative_gains(relevance, real, gain, top)
    scale = 1 / math.log(log_base)

    def term(
        difference: Tensor, relevance: Tensor, real: Tensor, rank: Tensor, gains: Tensor
    ) -> tuple[Tensor, Tensor]:
        counted = ordered_pairs(relevance, real)
        if top is not None:
            inside = rank <= top
            counted = counted & (inside[:, :, None] | inside[:, None, :])
        value = F.softplus(-sigma * difference)
        if weighting != "none":
            value = value * _swap_weights(rank, gains, weighting, mu)
        return value * scale, counted

    sums = sum_over_pairs(student, term, relevance, real, rank, gains)
    return _reduce_pairs(*sums, average, reduction)


@loss(
    "margin-mse",
    "Squared difference of the margins of a positive over its negatives",
    student="scores",
    teacher=("scores",),
    labels=("ordered pairs",),
    source="arXiv 2010.02666",
)
def margin_mse_loss(
    student_scores: Tensor,
    teacher_scores: Tensor,
    *,
    temperature: float = 1.0,
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Squared difference between the student's and the teacher's margins (MarginMSE).

    .. math:: \frac{1}{T^2} \big( (s_0 - s_j) - (t_0 - t_j) \big)^2, \qquad j \ge 1

    Candidate 0 of each list is the positive one, as in triples ``(positive, negative)``. The
    teacher's raw scores are wanted: scores squashed to 0..1 leave margins too small to learn from.

    Args:
        student_scores: ``(N, L)``, the positive candidate first.
        teacher_scores: ``(N, L)``, in the same order, without gradient.
        temperature: T above 0, divides all scores.
        mask: True for real candidates ``(N, L)``; None if all are.
        reduction: ``"mean"`` over all margins, ``"sum"``, or ``"none"`` for ``(N, L - 1)``.

    Returns:
        A scalar, or ``(N, L - 1)`` with ``"none"``, in float32 or wider; 0 where there is no
        margin.

    Raises:
        ArgumentError: shapes differ, the teacher requires grad, a real candidate's score is NaN
            or infinite, or the temperature is not above 0.

    Example:
        >>> student, teacher = torch.tensor([[2.0, 1.0]]), torch.tensor([[5.0, 2.0]])
        >>> margin_mse_loss(student, teacher).item()
        4.0

    Source: Hofstätter et al., arXiv 2010.02666.
    """
    student, teacher, real = lists(student_scores, teacher_scores, mask)
    check_temperature(temperature)
    gap = (student - teacher) / temperature
    value = (gap[:, :1] - gap[:, 1:]).square()
    return reduce_counted(value, real[:, :1] & real[:, 1:], reduction)


def rank_positions(scores: Tensor) -> Tensor:
    """Ranks ``(N, L)`` of scores, 1 is highest; among equal scores the earlier one is better."""
    order = scores.argsort(dim=-1, descending=True, stable=True)
    places = torch.arange(1, scores.shape[-1] + 1, device=scores.device).expand_as(order)
    return torch.zeros_like(order).scatter(-1, order, places)


def _swap_weights(rank: Tensor, gains: Tensor, weighting: LambdaWeighting, mu: float) -> Tensor:
    """What swapping two candidates is taken to cost, ``(n, L, L)``."""
    discount = 1 / torch.log2(1 + rank)
    swap = (discount[:, :, None] - discount[:, None, :]).abs()
    if weighting != "lambdarank":
        # A candidate has no distance to itself; 1 keeps the logarithm finite, no pair reads it.
        apart = (rank[:, :, None] - rank[:, None, :]).abs().clamp(min=1)
        step = 1 / torch.log2(1 + apart) - 1 / torch.log2(2 + apart)
        swap = step if weighting == "ndcg_loss2" else mu * step + swap
    return swap * (gains[:, :, None] - gains[:, None, :]).abs()


def _reduce_pairs(sums: Tensor, counts: Tensor, average: Average, reduction: Reduction) -> Tensor:
    """Reduce the sums of pairs ``(N, L)`` over first members."""
    check_choice(average, "average", ("pairs", "lists"))
    total, count = sums.sum(-1), counts.sum(-1)
    if average == "pairs" and reduction == "mean":
        return total.sum() / count.sum().clamp(min=1)
    if reduction == "sum":
        return total.sum()
    return reduce_counted(total / count.clamp(min=1), count > 0, reduction)


def _check_sigma(sigma: float) -> None:
    if not 0 < sigma < math.inf:
        raise ArgumentError(f"sigma is {sigma}, expected a finite number above 0")
