"""Scores of several retrievers over the same candidates, brought to one scale and averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from limbeck.checks import check_choice, check_same_shape
from limbeck.errors import ArgumentError
from limbeck.functional.guards import check_finite, widened
from limbeck.functional.pools import mean_logits

Normalisation = Literal["min-max", "z-score", "none"]
# Added to what scores are divided by, so that candidates that all tie get 0.
LEAST_SPREAD = 1e-6


def normalised_scores(scores: Tensor, method: Normalisation = "min-max") -> Tensor:
    r"""Scores of one retriever on a scale of its own for every query.

    - ``"min-max"``: :math:`(s - \min s) / (\max s - \min s + 10^{-6})`, 0 to 1
    - ``"z-score"``: :math:`(s - \bar s) / (\sigma_s + 10^{-6})`
    - ``"none"``: s

    What comes out depends on which candidates a query has: keep raw scores, and normalise where
    they are used.

    Args:
        scores: s ``(N, L)``, L candidates for each of N queries, or any shape with the candidates
            on the last axis.
        method: which.

    Returns:
        Scores of the same shape in float32 or wider; 0 where all candidates of a query tie.

    Raises:
        ArgumentError: the method is unknown, there is no candidate, or a score is NaN or infinite.

    Example:
        >>> scores = torch.tensor([[10.0, 30.0, 20.0], [7.0, 7.0, 7.0]])
        >>> [[round(s, 2) for s in row] for row in normalised_scores(scores).tolist()]
        [[0.0, 1.0, 0.5], [0.0, 0.0, 0.0]]

    Source: arXiv 2411.04403 (``"min-max"``).
    """
    check_choice(method, "method", ("min-max", "z-score", "none"))
    if scores.ndim == 0 or scores.shape[-1] == 0:
        raise ArgumentError(
            f"scores has shape {tuple(scores.shape)}, expected (N, L) with a candidate at least"
        )
    check_finite(scores, "scores")
    scores = widened(scores)
    if method == "none":
        return scores
    # From the lowest score: the mean of ties is off by a rounding that the division would blow up.
    above = scores - scores.amin(-1, keepdim=True)
    if method == "min-max":
        return above / (above.amax(-1, keepdim=True) + LEAST_SPREAD)
    spread = above.std(-1, correction=0, keepdim=True)
    return (above - above.mean(-1, keepdim=True)) / (spread + LEAST_SPREAD)


def heterogeneous_scores(
    scores: Sequence[Tensor],
    *,
    normalise: Normalisation = "min-max",
    weights: Tensor | None = None,
    scale: float = 30.0,
) -> Tensor:
    r"""One teacher made of retrievers of different kinds: normalised, averaged and scaled.

    .. math:: s = c \sum_m w_m \, \mathrm{normalised}(s_m)

    Args:
        scores: of each of K retrievers ``(N, L)``, over the same candidates.
        normalise: ``"min-max"``, ``"z-score"``, or ``"none"``, with which the retriever of the
            largest scores has the say.
        weights: w ``(K,)`` or ``(K, N)``, at least 0; they are divided by their sum over K. None
            weighs all retrievers alike.
        scale: c, by which a softmax over the result is as sharp as one over usual scores.

    Returns:
        Scores ``(N, L)`` in float32 or wider.

    Raises:
        ArgumentError: there is no retriever, shapes differ, or a score is NaN or infinite.

    Example:
        >>> dense, sparse = torch.tensor([[0.1, 0.3]]), torch.tensor([[20.0, 10.0]])
        >>> [round(s, 3) for s in heterogeneous_scores([dense, sparse])[0].tolist()]
        [15.0, 15.0]

    Source: arXiv 2411.04403.
    """
    if not len(scores):
        raise ArgumentError("scores is empty, expected those of one retriever at least")
    for number, one in enumerate(scores[1:], 1):
        check_same_shape(scores[0], one, ("scores[0]", f"scores[{number}]"))
    own = torch.stack([normalised_scores(one, normalise) for one in scores])
    return scale * mean_logits(own, weights)
