"""Losses of retrievers and re-rankers against labels, and the candidates they are taken over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.catalogue import loss
from limbeck.checks import check_dimensions, check_temperature, check_unit_interval
from limbeck.errors import ArgumentError
from limbeck.functional.guards import check_labelled, lists, reduce_counted
from limbeck.functional.reductions import Reduction

Candidate = TypeVar("Candidate")


@loss(
    "info-nce",
    "Negative log of the probability that falls on the positive candidates",
    student="scores",
    labels=("marked positives", "ordered pairs"),
    source="arXiv 1807.03748",
)
def info_nce_loss(
    student_scores: Tensor,
    target: Tensor,
    *,
    temperature: float = 1.0,
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Negative log of the probability that falls on the positive candidates (InfoNCE).

    .. math:: L = \log \sum_j e^{s_j / T} - \log \sum_{j \in P} e^{s_j / T}

    With one positive candidate it is the cross-entropy of the list. With several it asks for
    their total probability, not for an even share each.

    Args:
        student_scores: ``(N, L)``, L candidates for each of N queries.
        target: P: the index of the positive candidate ``(N,)``, or 1 (True) for positive and 0
            for other candidates ``(N, L)``.
        temperature: T above 0.
        mask: True for real candidates ``(N, L)``; None if all are.
        reduction: ``"mean"`` over lists with a positive, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider; 0 without gradient for a
        list without a positive.

    Raises:
        ArgumentError: shapes do not fit, a target is no index or neither 0 nor 1, or a real
            candidate's score is NaN or infinite.

    Example:
        >>> scores = torch.zeros(1, 4)
        >>> round(info_nce_loss(scores, torch.tensor([2])).item(), 4)
        1.3863
        >>> round(info_nce_loss(scores, torch.tensor([[1, 0, 1, 0]])).item(), 4)
        0.6931

    Source: van den Oord et al., arXiv 1807.03748; several positives: the likelihood of
    any of them, Miech et al., arXiv 1912.06430 (MIL-NCE).
    """
    check_dimensions(student_scores, "student_scores", 2, "(N, L): a row of candidates a query")
    if target.ndim == 1:
        check_labelled(student_scores, target, ("student_scores", "target"))
        columns = torch.arange(student_scores.shape[1], device=target.device)
        target = (columns == target[:, None]).long()
    student, positive, real = lists(student_scores, target, mask, "target")
    check_temperature(temperature)
    found = _positives(positive) & real
    some = found.any(-1)
    # Lists without a positive get one, so that no infinity arises; they are not counted.
    found, real = found | ~some[:, None], real | ~some[:, None]
    scores = student / temperature
    every = torch.where(real, scores, -torch.inf).logsumexp(-1)
    return reduce_counted(
        every - torch.where(found, scores, -torch.inf).logsumexp(-1), some, reduction
    )


@loss(
    "pointwise",
    "Binary cross-entropy of every candidate by itself",
    student="scores",
    labels=("marked positives", "ordered pairs"),
    source="standard",
)
def pointwise_loss(
    student_scores: Tensor,
    target: Tensor,
    *,
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Binary cross-entropy of every candidate by itself.

    .. math:: L = \log(1 + e^{s}) - y s

    It fixes the scale of scores, which list-wise and pair-wise losses leave open.

    Args:
        student_scores: ``(N, L)``; pairs are lists of two.
        target: 1 for relevant and 0 for other candidates ``(N, L)``, or a probability.
        mask: True for real candidates ``(N, L)``; None if all are.
        reduction: ``"mean"`` over candidates, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N, L)`` with ``"none"``, in float32 or wider.

    Raises:
        ArgumentError: shapes differ, a target lies outside 0 to 1, or a real candidate's score
            is NaN or infinite.

    Example:
        >>> round(pointwise_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1, 0]])).item(), 4)
        0.6931
    """
    student, label, real = lists(student_scores, target, mask, "target")
    check_unit_interval(label)
    value = F.binary_cross_entropy_with_logits(student, label, reduction="none")
    return reduce_counted(value, real, reduction)


def candidate_scores(query: Tensor, documents: Tensor, *, in_batch: bool = False) -> Tensor:
    """Dot products of queries with their candidates.

    Args:
        query: query vectors ``(N, D)``.
        documents: ``(N * n, D)``, the n candidates of the first query, then the second's ...
        in_batch: score every query against the documents of all queries.

    Returns:
        ``(N, n)``, or ``(N, N * n)`` with `in_batch`.

    Raises:
        ArgumentError: widths differ, or documents are not the same number for each query.

    Example:
        >>> candidate_scores(torch.ones(1, 2), torch.tensor([[1.0, 2.0], [0.0, 0.0]])).tolist()
        [[3.0, 0.0]]
    """
    check_dimensions(query, "query", 2, "(N, D)")
    check_dimensions(documents, "documents", 2, "(N * n, D)")
    queries, width = query.shape
    if documents.shape[1] != width or queries == 0 or documents.shape[0] % queries:
        raise ArgumentError(
            f"query has shape {tuple(query.shape)} and documents {tuple(documents.shape)}, "
            f"expected documents (n * {queries}, {width}): equally many for each query"
        )
    if in_batch:
        return query @ documents.T
    return torch.einsum("nd,nkd->nk", query, documents.unflatten(0, (queries, -1)))


def in_batch_negatives(
    queries: int, candidates: int, *, device: torch.device | str | None = None
) -> tuple[Tensor, Tensor]:
    """Which documents of a batch a query is compared with: its positive and everyone's negatives.

    The first candidate of each query is its positive. Positives of other queries are left out.

    Args:
        queries: N.
        candidates: n, documents for each query.
        device: where the results live.

    Returns:
        The index of each query's positive ``(N,)`` and the mask ``(N, N * n)``, the target and
        mask of `info_nce_loss` on ``candidate_scores(..., in_batch=True)``.

    Raises:
        ArgumentError: there is no query or no candidate.

    Example:
        >>> positive, mask = in_batch_negatives(2, 2)
        >>> positive.tolist(), mask.int().tolist()
        ([0, 2], [[1, 1, 0, 1], [0, 1, 1, 1]])
    """
    if queries < 1 or candidates < 1:
        raise ArgumentError(f"got {queries} queries and {candidates} candidates, expected >= 1")
    documents = torch.arange(queries * candidates, device=device)
    positive = documents[::candidates]
    return positive, (documents % candidates != 0) | (documents == positive[:, None])


def strided_groups(candidates: Sequence[Candidate], size: int) -> list[list[Candidate]]:
    """Cut a ranked list into groups that each reach from its top to its end.

    Of m candidates every group takes one in m // size, so that each has hard and easy ones; what
    is left over at the end of the list is dropped.

    Args:
        candidates: best first.
        size: of a group.

    Returns:
        ``m // size`` groups, each best first.

    Raises:
        ArgumentError: the size is below 1 or above the number of candidates.

    Example:
        >>> strided_groups("abcdefg", 2)
        [['a', 'd'], ['b', 'e'], ['c', 'f']]

    Source: zhichao-aws/opensearch-sparse-model-tuning-sample.
    """
    if not 1 <= size <= len(candidates):
        raise ArgumentError(
            f"size is {size}, expected from 1 to the {len(candidates)} candidates there are"
        )
    step = len(candidates) // size
    return [list(candidates[first : step * size : step]) for first in range(step)]


def _positives(target: Tensor) -> Tensor:
    """Zeros and ones as booleans."""
    check_unit_interval(target, whole=True)
    return target > 0.5
