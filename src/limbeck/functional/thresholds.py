"""The confidence at which a classifier meets a requirement, chosen on validation samples."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from limbeck.checks import check_choice
from limbeck.errors import ArgumentError
from limbeck.functional.columns import Values, check_fraction, column, flags
from limbeck.functional.detection import threshold_sweep
from limbeck.functional.selective import (
    Variant,
    coverage_at_risk,
    risk_at_coverage,
    risk_coverage_curve,
)

Requirement = Literal["coverage", "risk", "tpr", "fpr"]
FRESH = "use samples that no member was fitted on"


def operating_threshold(
    positive: Values,
    confidence: Values,
    requirement: Requirement,
    target: float,
    *,
    variant: Variant = "attained",
    min_points: int | None = None,
) -> float:
    """Confidence from which on samples are answered or accepted.

    - ``"coverage"`` and ``"risk"``: the threshold of `risk_at_coverage` and of `coverage_at_risk`
    - ``"tpr"``: the threshold at which a share of the positive samples is accepted
    - ``"fpr"``: the threshold at which a share of the negative samples is accepted

    Args:
        positive: ``(N,)``; for ``"coverage"`` and ``"risk"`` whether the prediction is right, for
            ``"tpr"`` and ``"fpr"`` whether the sample is from inside the distribution. ``"tpr"``
            needs no sample from outside.
        confidence: higher is surer, ``(N,)``.
        requirement: which of the four.
        target: what it shall be, a fraction.
        variant: ``"attained"`` is the threshold at which coverage or tpr is the smallest of at
            least the target, risk or fpr the largest of at most it; ``"closest"`` the published
            choice: the point nearest to the target, of several the one with the fewest accepted.
        min_points: of ``"risk"``, as `coverage_at_risk`.

    Returns:
        The threshold.

    Raises:
        ArgumentError: no threshold can be chosen: all predictions are right or all are wrong
            (``"risk"``), a rate has no sample of its class, or the target is out of reach. Also as
            `risk_coverage_curve` and `coverage_at_risk`.

    Example:
        >>> confidence = [0.9, 0.8, 0.7, 0.6]
        >>> operating_threshold([True, True, False, True], confidence, "coverage", 0.5)
        0.8
        >>> operating_threshold([True] * 4, confidence, "tpr", 0.95)
        0.6

    Source: Xia and Bouganis, arXiv 2303.08010, and its code (``"closest"``).
    """
    check_choice(requirement, "requirement", ("coverage", "risk", "tpr", "fpr"))
    check_choice(variant, "variant", ("attained", "closest"))
    check_fraction(target, requirement)
    if min_points is not None and requirement != "risk":
        raise ArgumentError(
            f"min_points is {min_points} and the requirement {requirement!r}, which reads all "
            "points; leave it out"
        )
    score = column(confidence, "confidence")
    yes = flags(positive, "positive", score, "confidence")
    if requirement == "coverage":
        return risk_at_coverage(risk_coverage_curve(yes, score), target, variant=variant).threshold
    if requirement == "risk":
        return _at_risk(yes, score, target, variant, min_points)
    return _at_rate(yes, score, requirement, target, variant)


def _at_risk(
    right: Tensor, score: Tensor, target: float, variant: Variant, min_points: int | None
) -> float:
    if right.all() or not right.any():
        kind, risk = ("right", 0) if right.all() else ("wrong", 1)
        raise ArgumentError(
            f"all {len(score)} predictions are {kind}: the risk is {risk} at every threshold, and "
            f"none can be chosen by it; {FRESH}, or require a coverage"
        )
    curve = risk_coverage_curve(right, score)
    found = coverage_at_risk(curve, target, variant=variant, min_points=min_points)
    if math.isnan(found.threshold):
        raise ArgumentError(
            f"no threshold has a risk of at most {target} with {found.min_points} samples or more "
            f"answered; the smallest is {float(curve.risk[found.min_points :].min()):.4g}. Allow a "
            "higher risk, or take variant='closest'"
        )
    return found.threshold


def _at_rate(
    inside: Tensor, score: Tensor, requirement: Requirement, target: float, variant: Variant
) -> float:
    sweep = threshold_sweep(inside, score)
    accepted = sweep.positives if requirement == "tpr" else sweep.negatives
    if not accepted[-1]:
        kind = "positive" if requirement == "tpr" else "negative"
        raise ArgumentError(
            f"none of {len(score)} samples is {kind}, so that no {requirement} can be required"
        )
    rate = accepted / accepted[-1]
    if variant == "closest":
        return float(sweep.thresholds[(rate - target).abs().argmin()])
    met = (rate >= target if requirement == "tpr" else rate <= target).nonzero()[:, 0]
    if not len(met):
        raise ArgumentError(
            f"no threshold has an fpr of at most {target}: the most confident sample is negative, "
            f"and the smallest fpr is {float(rate[0]):.4g}. Allow a higher fpr, or take "
            "variant='closest'"
        )
    return float(sweep.thresholds[met[0] if requirement == "tpr" else met[-1]])
