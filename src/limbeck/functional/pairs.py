"""All pairs of a list: sums over a matrix (L, L) that is never held for a whole batch.

Lists are taken in blocks, and a block's intermediate results are computed again in the backward
pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from limbeck.functional.guards import traced

# Called with the differences s_i - s_j (n, L, L) and facts (n, L): value of each pair, and
# whether it counts.
PairTerm = Callable[..., tuple[Tensor, Tensor]]

# Pairs held at once: a few intermediate results of this size take some megabytes.
BLOCK = 2**17


def sum_over_pairs(scores: Tensor, term: PairTerm, *facts: Tensor) -> tuple[Tensor, Tensor]:
    """Sum a term of score differences over the second member of every pair of a list.

    Args:
        scores: ``(N, L)``.
        term: called with the differences :math:`s_i - s_j` ``(n, L, L)`` of some lists and
            their facts; returns each pair's value and whether it counts.
        facts: constants ``(N, L)`` that `term` reads.

    Returns:
        Sums and numbers of counted pairs, two tensors ``(N, L)``.

    Example:
        >>> def ahead(difference):
        ...     return torch.ones_like(difference), difference > 0
        >>> sum_over_pairs(torch.tensor([[3.0, 1.0, 2.0]]), ahead)[1].tolist()
        [[2, 0, 1]]
    """
    if traced(scores, *facts) or _lists_in_block(scores) >= scores.shape[0]:
        return _sum_block(term, scores, *facts)
    sums, counts = _InBlocks.apply(term, scores, *facts)
    return sums, counts


class _InBlocks(torch.autograd.Function):
    """`_sum_block` for some lists after the other, computed again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, term: PairTerm, scores: Tensor, *facts: Tensor) -> tuple[Tensor, Tensor]:
        ctx.term = term
        ctx.save_for_backward(scores, *facts)
        sums, counts = torch.empty_like(scores), torch.empty_like(scores, dtype=torch.long)
        for rows in _blocks(scores):
            sums[rows], counts[rows] = _sum_block(term, scores[rows], *(x[rows] for x in facts))
        ctx.mark_non_differentiable(counts)
        return sums, counts

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        scores, *facts = ctx.saved_tensors
        nothing = [None] * len(facts)
        if torch.is_grad_enabled():  # a second derivative is wanted
            sums, _ = _sum_block(ctx.term, scores, *facts)
            return None, *torch.autograd.grad(sums, scores, upstream, create_graph=True), *nothing
        slope = torch.empty_like(scores)
        for rows in _blocks(scores):
            with torch.enable_grad():
                leaf = scores[rows].detach().requires_grad_()
                sums, _ = _sum_block(ctx.term, leaf, *(x[rows] for x in facts))
                total = (sums * upstream[rows]).sum()
            slope[rows] = torch.autograd.grad(total, leaf)[0]
        return None, slope, *nothing


def _lists_in_block(scores: Tensor) -> int:
    return max(1, BLOCK // scores.shape[1] ** 2)


def _blocks(scores: Tensor) -> Iterator[slice]:
    """Some lists at a time."""
    count = _lists_in_block(scores)
    return (slice(start, start + count) for start in range(0, len(scores), count))


def ordered_pairs(relevance: Tensor, real: Tensor) -> Tensor:
    """Which pairs ``(N, L, L)`` of real candidates have a first member of higher relevance."""
    both = real[:, :, None] & real[:, None, :]
    return both & (relevance[:, :, None] > relevance[:, None, :])


def _sum_block(term: PairTerm, scores: Tensor, *facts: Tensor) -> tuple[Tensor, Tensor]:
    value, counted = term(scores[:, :, None] - scores[:, None, :], *facts)
    return torch.where(counted, value, 0.0).sum(-1), counted.sum(-1)
