"""Ranks that have a gradient, and the losses built on them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_choice, check_temperature
from limbeck.functional.gains import Gain, relative_gains
from limbeck.functional.guards import lists, reduce_counted
from limbeck.functional.pairs import sum_over_pairs
from limbeck.functional.pairwise import TeacherKind
from limbeck.functional.reductions import Reduction

Discount = Literal["log2", "reciprocal"]


def approximate_ranks(
    scores: Tensor, *, temperature: float = 1.0, mask: Tensor | None = None
) -> Tensor:
    r"""Rank of each candidate with every comparison softened, 1 is the highest score.

    .. math:: r_i = 1 + \sum_{j \ne i} \mathrm{sigmoid}\big((s_j - s_i) / T\big)

    Args:
        scores: ``(N, L)``, L candidates for each of N queries.
        temperature: T above 0; towards 0 the exact ranks come out, equal scores sharing their
            mean rank, and towards infinity everyone gets :math:`(L + 1) / 2`.
        mask: True for real candidates ``(N, L)``; None if all are.

    Returns:
        ``(N, L)`` in float32 or wider; 0 for masked candidates.

    Raises:
        ArgumentError: shapes do not fit, a real candidate's score is NaN or infinite, or the
            temperature is not above 0.

    Example:
        >>> approximate_ranks(torch.tensor([[9.0, 5.0, 1.0]]), temperature=0.01).tolist()
        [[1.0, 2.0, 3.0]]

    Source: Qin, Liu and Li, Information Retrieval 13, 2010.
    """
    check_temperature(temperature)
    scores, _, real = lists(scores, torch.zeros_like(scores.detach()), mask)

    def term(difference: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sigmoid(-difference / temperature), _others(real)

    return torch.where(real, 1 + sum_over_pairs(scores, term, real)[0], 0.0)


def average_ranks(scores: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Exact rank of each candidate, 1 is the highest score; equal scores share their mean rank.

    Args:
        scores: ``(N, L)``, L candidates for each of N queries. No gradient runs through ranks.
        mask: True for real candidates ``(N, L)``; None if all are.

    Returns:
        ``(N, L)`` in float32 or wider; 0 for masked candidates.

    Raises:
        ArgumentError: shapes do not fit, or a real candidate's score is NaN or infinite.

    Example:
        >>> average_ranks(torch.tensor([[2.0, 7.0, 2.0]])).tolist()
        [[2.5, 1.0, 2.5]]
    """
    scores = scores.detach()
    scores, _, real = lists(scores, torch.zeros_like(scores), mask)

    def term(difference: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        return (difference < 0) + 0.5 * (difference == 0), _others(real)

    ranks = 1 + sum_over_pairs(scores, term, real)[0]
    return torch.where(real, ranks.to(scores.dtype), 0.0)


@loss(
    "adr-mse",
    "Squared error between the student's softened ranks and those of the teacher's scores",
    student="scores",
    teacher=("scores", "logits"),
    source="arXiv 2405.07920",
    tasks=("classification",),
)
@loss(
    "adr-mse-ranks",
    "Squared error between the student's softened ranks and the teacher's, 1 being the best",
    student="scores",
    teacher=("ranks",),
    source="arXiv 2405.07920",
    options={"teacher_is": "ranks"},
)
def rank_mse_loss(
    student_scores: Tensor,
    teacher_scores: Tensor,
    *,
    teacher_is: TeacherKind = "scores",
    temperature: float = 1.0,
    discount: Discount | None = "log2",
    mask: Tensor | None = None,
    average: Literal["candidates", "lists"] = "candidates",
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Squared error between the student's softened ranks and the teacher's ranks (ADR-MSE).

    .. math:: w(r_i) \, (\hat r_i - r_i)^2

    with :math:`\hat r` from `approximate_ranks`, :math:`r` the teacher's ranks, equal scores
    sharing their mean rank, and :math:`w(r) = 1 / \log_2(r + 1)`.

    Args:
        student_scores: ``(N, L)``, L candidates for each of N queries.
        teacher_scores: ``(N, L)``, without gradient.
        teacher_is: ``"scores"``, higher is better, or ``"ranks"``, 1 is best. The wrong one
            turns the ranking round without any error.
        temperature: T of the softened ranks, above 0.
        discount: w: ``"log2"``, ``"reciprocal"`` for :math:`1/r`, or None for 1.
        mask: True for real candidates ``(N, L)``; None if all are.
        average: over what ``"mean"`` runs: ``"candidates"`` of the batch, or ``"lists"``, where
            each list counts as much whatever its length.
        reduction: ``"mean"``, ``"sum"`` over candidates, or ``"none"`` for the mean of each list.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider; 0 for a list without a
        candidate.

    Raises:
        ArgumentError: shapes differ, the teacher requires grad, a real candidate's score is NaN
            or infinite, or an option is outside its range.

    Example:
        >>> scores = torch.tensor([[0.0, 0.0]])
        >>> rank_mse_loss(scores, torch.tensor([[1, 2]]), teacher_is="ranks", discount=None).item()
        0.25

    Source: Schlatt et al., arXiv 2405.07920 (ADR-MSE).
    """
    student, teacher, real = lists(student_scores, teacher_scores, mask)
    check_choice(teacher_is, "teacher_is", ("scores", "ranks"))
    check_choice(average, "average", ("candidates", "lists"))
    check_choice(discount or "none", "discount", ("log2", "reciprocal", "none"))
    ranks = average_ranks(-teacher if teacher_is == "ranks" else teacher, mask=real)
    error = (approximate_ranks(student, temperature=temperature, mask=real) - ranks).square()
    if discount == "log2":
        error = error / torch.log2(ranks + 1).clamp(min=1)
    elif discount == "reciprocal":
        error = error / ranks.clamp(min=1)
    total, count = error.sum(-1), real.sum(-1)
    if average == "candidates" and reduction == "mean":
        return total.sum() / count.sum().clamp(min=1)
    if reduction == "sum":
        return total.sum()
    return reduce_counted(total / count.clamp(min=1), count > 0, reduction)


@loss(
    "approx-ndcg",
    "One minus NDCG with softened ranks",
    student="scores",
    labels=("relevance grades",),
    source="Information Retrieval 13, 2010, Qin et al.",
)
def approximate_ndcg_loss(
    student_scores: Tensor,
    target: Tensor,
    *,
    temperature: float = 1.0,
    gain: Gain = "exponential",
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus NDCG with softened ranks (ApproxNDCG).

    .. math:: 1 - \frac{1}{\mathrm{maxDCG}} \sum_i \frac{2^{y_i} - 1}{\log_2(1 + \hat r_i)}

    with :math:`\hat r` from `approximate_ranks`.

    Args:
        student_scores: ``(N, L)``, L candidates for each of N queries.
        target: graded relevance ``(N, L)``, higher is better; teacher scores may be binned
            into grades.
        temperature: T of the softened ranks, above 0.
        gain: ``"exponential"``, :math:`2^y - 1`, or ``"linear"``, y itself.
        mask: True for real candidates ``(N, L)``; None if all are.
        reduction: ``"mean"`` over lists with something relevant, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider; 0 without gradient for a
        list with nothing relevant.

    Raises:
        ArgumentError: shapes differ, a real candidate's score is NaN or infinite, a gain
            overflows, or an option is outside its range.

    Example:
        >>> scores, relevance = torch.tensor([[9.0, 0.0]]), torch.tensor([[1, 0]])
        >>> round(approximate_ndcg_loss(scores, relevance, temperature=0.1).item(), 4)
        0.0

    Source: Qin, Liu and Li, Information Retrieval 13, 2010; Bruch et al., SIGIR 2019.
    """
    student, relevance, real = lists(student_scores, target, mask, "target")
    gains = relative_gains(relevance, real, gain, None)
    ranks = approximate_ranks(student, temperature=temperature, mask=real)
    value = 1 - (gains / torch.log2(1 + ranks.clamp(min=1))).sum(-1)
    return reduce_counted(value, (gains != 0).any(-1), reduction)


def _others(real: Tensor) -> Tensor:
    """Pairs ``(N, L, L)`` of two different real candidates."""
    same = torch.eye(real.shape[1], dtype=torch.bool, device=real.device)
    return real[:, :, None] & real[:, None, :] & ~same
