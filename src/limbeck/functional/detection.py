"""Two kinds of samples told apart by a score: right and wrong, inside the distribution and outside.

All figures are read off one sweep of the threshold over the distinct scores, so samples of equal
score are accepted together and the order of samples does not matter.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from limbeck.checks import check_choice
from limbeck.functional.columns import Values, check_fraction, column, flags
from limbeck.functional.selective import Variant

Positive = Literal["in_distribution", "out_of_distribution"]


class Sweep(NamedTuple):
    """How many samples score at least each distinct score.

    Args:
        thresholds: distinct scores in falling order, ``(U,)``.
        positives: positive samples at or above each, ``(U,)``, float64.
        negatives: negative samples at or above each, ``(U,)``, float64.
    """

    thresholds: Tensor
    positives: Tensor
    negatives: Tensor


def threshold_sweep(positive: Values, score: Values) -> Sweep:
    """Accepted positives and negatives as the threshold falls over the scores.

    Args:
        positive: whether a sample is of the positive class, ``(N,)``.
        score: higher speaks for the positive class, ``(N,)``.

    Returns:
        The sweep; its last entries count all samples. Divided by these the counts are the
        coordinates of a ROC curve.

    Raises:
        ArgumentError: lengths differ, there is no sample, `positive` is not 0 or 1, or a score is
            NaN.

    Example:
        >>> found = threshold_sweep([1, 0, 1], [0.9, 0.5, 0.5])
        >>> found.positives.tolist(), found.negatives.tolist()
        ([1.0, 2.0], [0.0, 1.0])
    """
    read = column(score, "score")
    marked = flags(positive, "positive", read, "score")
    falling, order = torch.sort(read, descending=True)
    accepted = marked[order].double().cumsum(0)
    thresholds, counts = torch.unique_consecutive(falling, return_counts=True)
    last = counts.cumsum(0)
    positives = accepted[last - 1]
    return Sweep(thresholds, positives, last - positives)


def auroc(confidence: Values, ood_confidence: Values) -> float:
    r"""Chance that a sample from inside is more confident than one from outside; ties count half.

    It is the area under the ROC curve, the same with either class as the positive one. For the
    detection of errors pass the confidences of right and of wrong predictions.

    Args:
        confidence: of samples from inside the distribution, ``(N,)``.
        ood_confidence: of samples from outside, ``(M,)``.

    Returns:
        0.5 for chance, 1 for full separation; NaN if one of them has no sample.

    Raises:
        ArgumentError: a confidence is NaN.

    Example:
        >>> auroc([0.9, 0.8], [0.8, 0.1])
        0.875
    """
    if not len(confidence) or not len(ood_confidence):
        return math.nan
    _, inside, outside = _two_kinds(confidence, ood_confidence)
    origin = inside.new_zeros(1)
    area = torch.trapezoid(torch.cat([origin, inside]), torch.cat([origin, outside]))
    return float(area / (inside[-1] * outside[-1]))


def fpr_at_tpr(
    confidence: Values,
    ood_confidence: Values,
    tpr: float = 0.95,
    *,
    positive: Positive = "in_distribution",
    variant: Variant = "attained",
) -> float:
    """Share of the negative class that is accepted where a given share of the positive one is.

    The two choices of `positive` are two different figures, and both are published as FPR95.

    Args:
        confidence: of samples from inside the distribution, ``(N,)``.
        ood_confidence: of samples from outside, ``(M,)``.
        tpr: the true-positive rate, a fraction.
        positive: ``"in_distribution"``: how many outsiders are accepted with 95 % of the insiders.
            ``"out_of_distribution"``: how many insiders are flagged with 95 % of the outsiders.
        variant: ``"attained"`` takes the highest threshold with at least that rate; ``"closest"``,
            which is published, the point whose rate is nearest to it, of several the lowest.

    Returns:
        A fraction, 0 is best.

    Raises:
        ArgumentError: a class has no sample, a confidence is NaN, `tpr` is no fraction, or an
            option is unknown.

    Example:
        >>> fpr_at_tpr([0.9, 0.8, 0.3], [0.5, 0.1], 1.0)
        0.5
        >>> round(fpr_at_tpr([0.9, 0.8, 0.3], [0.5, 0.1], 1.0, positive="out_of_distribution"), 4)
        0.3333

    Source: the code of arXiv 2303.08010 (inside positive) and torch-uncertainty (outside positive).
    """
    check_choice(positive, "positive", ("in_distribution", "out_of_distribution"))
    check_choice(variant, "variant", ("attained", "closest"))
    check_fraction(tpr, "tpr")
    inside, outside = column(confidence, "confidence"), column(ood_confidence, "ood_confidence")
    kinds = (inside, outside) if positive == "in_distribution" else (-outside, -inside)
    _, accepted, wrongly = _two_kinds(*kinds)
    rate = accepted / accepted[-1]
    if variant == "attained":
        point = int((rate >= tpr).nonzero()[0])
    else:
        # The last of equal gaps, which is the lowest threshold.
        point = len(rate) - 1 - int((rate - tpr).abs().flip(0).argmin())
    return float(wrongly[point] / wrongly[-1])


def aurr(correct: Values, confidence: Values) -> float:
    r"""Area under the risk over the recall of right predictions; lower is better.

    .. math:: \sum_k (R_k - R_{k-1}) \, r_k

    over the distinct confidences in falling order, with :math:`R_k` the share of all right
    predictions that is answered and :math:`r_k` the share of answered ones that is wrong.

    Args:
        correct: whether each prediction is right, ``(N,)``.
        confidence: higher is surer, ``(N,)``.

    Returns:
        The area; NaN if no prediction is right.

    Raises:
        ArgumentError: as `threshold_sweep`.

    Example:
        >>> aurr([True, False, True], [0.9, 0.5, 0.4])
        0.16666666666666666

    Source: the code of arXiv 2303.08010.
    """
    recall, risk = _risk_over_recall(correct, confidence)
    return float((recall.diff() * risk[1:]).sum())


def risk_at_recall(correct: Values, confidence: Values, recall: float = 0.95) -> float:
    """Risk of the answered predictions where a given share of the right ones is answered.

    Args:
        correct: whether each prediction is right, ``(N,)``.
        confidence: higher is surer, ``(N,)``.
        recall: share of all right predictions, a fraction; the point nearest to it counts, of
            several the one with the fewest answered.

    Returns:
        A fraction; NaN if no prediction is right.

    Raises:
        ArgumentError: as `threshold_sweep`, or `recall` is no fraction.

    Example:
        >>> risk_at_recall([True, False, True, True], [0.9, 0.5, 0.4, 0.3], 0.6)
        0.3333333333333333

    Source: the code of arXiv 2303.08010.
    """
    check_fraction(recall, "recall")
    reached, risk = _risk_over_recall(correct, confidence)
    if bool(reached.isnan().any()):
        return math.nan
    return float(risk[(reached - recall).abs().argmin()])


def _risk_over_recall(correct: Values, confidence: Values) -> tuple[Tensor, Tensor]:
    """Recall and risk ``(U + 1,)``, from the point where nothing is answered."""
    score = column(confidence, "confidence")
    right = flags(correct, "correct", score, "confidence")
    _, positives, negatives = threshold_sweep(right, score)
    origin = positives.new_zeros(1)
    total = positives[-1] if positives[-1] > 0 else positives.new_tensor(math.nan)
    return (
        torch.cat([origin, positives / total]),
        torch.cat([origin, negatives / (positives + negatives)]),
    )


def _two_kinds(positives: Values, negatives: Values) -> Sweep:
    first = column(positives, "confidence")
    second = column(negatives, "ood_confidence").to(first.device)
    marked = torch.cat([torch.ones_like(first), torch.zeros_like(second)])
    return threshold_sweep(marked, torch.cat([first, second]))
