"""Selective prediction: what risk is left when the least confident samples are not answered.

The curve is computed once and everything else is read off it. Two definitions of each figure are
published; `variant=` says which is meant. ``"attained"`` points are those that the rule "answer
where confidence is at least the threshold" meets, so samples of equal confidence are answered
together; ``"closest"`` points are those of the published evaluation of window cascades.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from limbeck.checks import check_choice
from limbeck.errors import ArgumentError
from limbeck.functional.columns import Values, check_fraction, check_lengths, column, flags

Variant = Literal["attained", "closest"]
AreaVariant = Literal["with_origin", "without_origin"]
# Risks of fewer samples than this jump; the published evaluation looks at none.
ENOUGH = 500


class RiskCoverage(NamedTuple):
    """Risk and coverage when the k most confident of N samples are answered, k = 0 to N.

    Args:
        risk: mean cost of the k, ``(N + 1,)``, 0 for none.
        coverage: k / N, ``(N + 1,)``.
        thresholds: confidences in falling order, ``(N,)``.
    """

    risk: Tensor
    coverage: Tensor
    thresholds: Tensor


class OperatingPoint(NamedTuple):
    """A point of the curve; all NaN where no point meets what was asked for.

    Args:
        coverage: share of samples that are answered.
        risk: their mean cost.
        threshold: confidence that goes with it, see the function that found it.
        min_points: fewest answered samples that were considered.
    """

    coverage: float
    risk: float
    threshold: float
    min_points: int = 1


def risk_coverage_curve(
    correct: Values, confidence: Values, *, cost: Values | None = None
) -> RiskCoverage:
    r"""Risk over coverage, the most confident samples first.

    .. math:: r_k = \frac{1}{k} \sum_{i \le k} c_i \, [i \text{ is wrong}]

    Args:
        correct: whether each prediction is right, ``(N,)``.
        confidence: higher is surer, ``(N,)``; of an uncertainty pass the negative. Ties keep the
            order of the samples.
        cost: what each sample costs if it is wrong, ``(N,)``, at least 0; None is 1.

    Returns:
        The curve with its N + 1 points, in float64.

    Raises:
        ArgumentError: lengths differ, there is no sample, `correct` is not 0 or 1, a confidence is
            NaN, or a cost is negative or not finite.

    Example:
        >>> curve = risk_coverage_curve([True, False, True, True], [0.9, 0.5, 0.7, 0.6])
        >>> curve.risk.tolist()
        [0.0, 0.0, 0.0, 0.0, 0.25]

    Source: El-Yaniv and Wiener, JMLR 11, 2010; Geifman and El-Yaniv, arXiv 1705.08500.
    """
    score = column(confidence, "confidence")
    wrong = ~flags(correct, "correct", score, "confidence")
    lost = wrong.double() if cost is None else _costs(cost, score) * wrong
    thresholds, order = torch.sort(score, descending=True, stable=True)
    answered = torch.arange(1, len(score) + 1, dtype=torch.float64, device=score.device)
    risk = lost[order].cumsum(0) / answered
    none = risk.new_zeros(1)
    return RiskCoverage(
        torch.cat([none, risk]), torch.cat([none, answered / len(score)]), thresholds
    )


def aurc(curve: RiskCoverage, *, variant: AreaVariant = "with_origin") -> float:
    """Area under the risk-coverage curve by the trapezium rule; lower is better.

    Args:
        curve: of N samples.
        variant: ``"with_origin"`` takes all N + 1 points from (0, 0); ``"without_origin"`` the N
            points from coverage 1/N, and divides by their width 1 - 1/N.

    Returns:
        The area; NaN for one sample without the origin.

    Raises:
        ArgumentError: `variant` is unknown.

    Example:
        >>> curve = risk_coverage_curve([False, False], [0.9, 0.5])
        >>> aurc(curve), aurc(curve, variant="without_origin")
        (0.75, 1.0)

    Source: Geifman, Uziel and El-Yaniv, arXiv 1805.08206; with the origin the code of
    arXiv 2303.08010, without it torch-uncertainty.
    """
    check_choice(variant, "variant", ("with_origin", "without_origin"))
    samples = len(curve.thresholds)
    if variant == "with_origin":
        return float(torch.trapezoid(curve.risk, curve.coverage))
    if samples == 1:
        return math.nan
    return float(torch.trapezoid(curve.risk[1:], curve.coverage[1:])) / (1 - 1 / samples)


def coverage_at_risk(
    curve: RiskCoverage,
    risk: float,
    *,
    variant: Variant = "attained",
    min_points: int | None = None,
) -> OperatingPoint:
    """How many samples can be answered at a given risk.

    Args:
        curve: of N samples.
        risk: target, a fraction.
        variant: ``"attained"`` is the largest coverage whose risk is at most the target, with the
            lowest confidence that is answered as its threshold, and NaN where there is none;
            ``"closest"`` is the first point whose risk is nearest to the target, above or below,
            short of the last point, with the first confidence that is not answered.
        min_points: fewest answered samples of a point that counts. None is 1 for ``"attained"``
            and for ``"closest"`` a tenth of N up to 500; published figures have 500.

    Returns:
        The point, with the `min_points` that was used.

    Raises:
        ArgumentError: the target is no fraction, or `min_points` is below 1 or above N.

    Example:
        >>> curve = risk_coverage_curve([True, True, False, True], [0.9, 0.8, 0.7, 0.6])
        >>> coverage_at_risk(curve, 0.3)
        OperatingPoint(coverage=1.0, risk=0.25, threshold=0.6, min_points=1)
        >>> coverage_at_risk(curve, 0.3, variant="closest").coverage
        0.75

    Source: ``"closest"`` is the code of arXiv 2303.08010, ``"attained"`` that of torch-uncertainty
    where no confidences tie.
    """
    check_choice(variant, "variant", ("attained", "closest"))
    check_fraction(risk, "risk")
    samples = len(curve.thresholds)
    if min_points is None:
        min_points = 1 if variant == "attained" else max(1, min(ENOUGH, samples // 10))
    if not 1 <= min_points <= samples:
        raise ArgumentError(
            f"min_points is {min_points} and there are {samples} samples, expected 1 to {samples}; "
            f"leave it out to consider what {samples} samples allow"
        )
    if variant == "closest":
        gap = (curve.risk[min_points:] - risk).abs()
        return _point(curve, min(min_points + int(gap.argmin()), samples - 1), 0, min_points)
    met = _whole_ties(curve) & (curve.risk <= risk)
    found = met[min_points:].nonzero()[:, 0]
    if not len(found):
        return OperatingPoint(math.nan, math.nan, math.nan, min_points)
    return _point(curve, min_points + int(found[-1]), -1, min_points)


def risk_at_coverage(
    curve: RiskCoverage, coverage: float, *, variant: Variant = "attained"
) -> OperatingPoint:
    """What risk is left when a given share of samples is answered.

    Args:
        curve: of N samples.
        coverage: target, a fraction.
        variant: ``"attained"`` is the smallest coverage of at least the target, with the lowest
            confidence that is answered as its threshold; ``"closest"`` the first point whose
            coverage is nearest, with the first confidence that is not answered (the last one where
            all are). Without ties they differ by one sample at most.

    Returns:
        The point.

    Raises:
        ArgumentError: the target is no fraction, or `variant` is unknown.

    Example:
        >>> curve = risk_coverage_curve([True, True, False, True], [0.9, 0.8, 0.7, 0.6])
        >>> risk_at_coverage(curve, 0.5)
        OperatingPoint(coverage=0.5, risk=0.0, threshold=0.8, min_points=1)
        >>> risk_at_coverage(curve, 0.5, variant="closest").threshold
        0.7

    Source: as `coverage_at_risk`.
    """
    check_choice(variant, "variant", ("attained", "closest"))
    check_fraction(coverage, "coverage")
    if variant == "closest":
        return _point(curve, int((curve.coverage - coverage).abs().argmin()), 0)
    met = _whole_ties(curve) & (curve.coverage >= coverage)
    return _point(curve, int(met.nonzero()[0]), -1)


def scod_curve(
    correct: Values, confidence: Values, ood_confidence: Values, *, ood_cost: float = 1.0
) -> RiskCoverage:
    """Risk-coverage curve where samples from outside the distribution must not be answered.

    Args:
        correct: whether each prediction inside the distribution is right, ``(N,)``.
        confidence: of those, ``(N,)``.
        ood_confidence: of samples from outside, ``(M,)``, each wrong whatever is answered.
        ood_cost: what answering one of them costs; a wrong sample from inside costs 1.

    Returns:
        The joint curve of N + M samples; `aurc` is that of selective classification with
        out-of-distribution data.

    Raises:
        ArgumentError: as `risk_coverage_curve`, or the cost is negative or not finite.

    Example:
        >>> aurc(scod_curve([True], [0.9], [0.5], ood_cost=2.0))
        0.25

    Source: Xia and Bouganis, arXiv 2207.07517.
    """
    if not 0 <= ood_cost < math.inf:
        raise ArgumentError(f"ood_cost is {ood_cost}, expected a finite number of at least 0")
    inside = column(confidence, "confidence")
    right = flags(correct, "correct", inside, "confidence")
    outside = column(ood_confidence, "ood_confidence").to(inside.device)
    return risk_coverage_curve(
        torch.cat([right, torch.zeros_like(outside, dtype=torch.bool)]),
        torch.cat([inside, outside]),
        cost=torch.cat([torch.ones_like(inside), torch.full_like(outside, ood_cost)]),
    )


def scod_risk_at_coverage(
    curve: RiskCoverage, joint: RiskCoverage, coverage: float, *, variant: Variant = "attained"
) -> OperatingPoint:
    """Risk with samples from outside, at a coverage of those from inside the distribution.

    Args:
        curve: of the samples from inside alone, on which the threshold is found.
        joint: `scod_curve` of the same samples and those from outside.
        coverage: target for the samples from inside, a fraction.
        variant: as `risk_at_coverage`.

    Returns:
        The point of the joint curve at that threshold; its coverage counts all samples.

    Raises:
        ArgumentError: as `risk_at_coverage`.

    Example:
        >>> correct, confidence = [True, True], [0.9, 0.5]
        >>> curve = risk_coverage_curve(correct, confidence)
        >>> scod_risk_at_coverage(curve, scod_curve(correct, confidence, [0.7]), 0.5).risk
        0.0
        >>> round(scod_risk_at_coverage(curve, scod_curve(correct, confidence, [0.7]), 1.0).risk, 4)
        0.3333

    Source: the code of arXiv 2303.08010.
    """
    threshold = risk_at_coverage(curve, coverage, variant=variant).threshold
    if variant == "closest":
        return _point(joint, int((joint.thresholds > threshold).sum()), 0)
    answered = int((joint.thresholds >= threshold).sum())
    return _point(joint, answered, 0)._replace(threshold=threshold)


def _costs(cost: Values, score: Tensor) -> Tensor:
    read = column(cost, "cost").to(score.device)
    check_lengths(read, "cost", score, "confidence")
    if not bool(((read >= 0) & (read < math.inf)).all()):
        raise ArgumentError(
            f"cost holds values from {float(read.min()):.4g} to {float(read.max()):.4g}, expected "
            "finite numbers of at least 0"
        )
    return read


def _whole_ties(curve: RiskCoverage) -> Tensor:
    """Which of the N + 1 points answer all or none of the samples of any one confidence."""
    yes = torch.ones(1, dtype=torch.bool, device=curve.thresholds.device)
    parted = curve.thresholds[1:] != curve.thresholds[:-1]
    # Nothing answered has no threshold, so that the point of origin is never attained.
    return torch.cat([~yes, parted, yes])


def _point(curve: RiskCoverage, answered: int, beside: int, min_points: int = 1) -> OperatingPoint:
    """A point of the curve; its threshold is the confidence of rank `answered + beside`."""
    rank = min(answered + beside, len(curve.thresholds) - 1)
    return OperatingPoint(
        float(curve.coverage[answered]),
        float(curve.risk[answered]),
        float(curve.thresholds[rank]),
        min_points,
    )
