"""Selective quality: how good a model is that may decline, and that meets samples from outside."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck import keyed
from limbeck.functional.detection import auroc, fpr_at_tpr
from limbeck.functional.selective import (
    RiskCoverage,
    aurc,
    coverage_at_risk,
    risk_at_coverage,
    risk_coverage_curve,
    scod_curve,
    scod_risk_at_coverage,
)

RISKS, COVERAGES, TPR = (0.05, 0.1), (0.5, 0.8), 0.95
# Of the coverages that at which samples from outside are counted too.
COVERAGE = 0.8
# Said wherever these figures are shown.
DEFINITIONS = (
    "cov@5 and cov@10: the largest share that can be answered with at most 5 % and 10 % of the "
    "answers wrong, 0 where none can; risk@50 and risk@80: share of wrong answers when 50 % and "
    "80 % are answered; AURC: area under the risk-coverage curve from (0, 0), by trapezia; FPR@95: "
    "share of samples from outside accepted with 95 % of those from inside; SCOD: the same risk "
    "and area on as many samples from outside as from inside, where every answer to one from "
    "outside is wrong and 80 % are of those from inside"
)


def selective_quality(
    correct: Tensor, confidence: Tensor, ood_confidence: Tensor | None = None
) -> dict[str, float]:
    """Figures of selective prediction, and of detection where there are samples from outside.

    Args:
        correct: whether each prediction is right, ``(N,)``.
        confidence: of each, ``(N,)``.
        ood_confidence: of samples from outside the distribution, ``(M,)``.

    Returns:
        ``coverage_at_5``, ``coverage_at_10``, ``risk_at_50``, ``risk_at_80``, ``aurc``; with
        samples from outside ``ood_auroc``, ``fpr_at_95``, ``scod_risk_at_80`` and ``scod_aurc``.
        Definitions as `limbeck.functional` has them where no variant is named; a coverage that no
        sample reaches is 0. Of the larger side of SCOD as many samples are drawn as the other has.

    Example:
        >>> figures = selective_quality(torch.tensor([True, False]), torch.tensor([0.9, 0.4]))
        >>> figures["coverage_at_5"], figures["risk_at_80"]
        (0.5, 0.5)
    """
    curve = risk_coverage_curve(correct, confidence)
    figures = {f"coverage_at_{100 * risk:.0f}": _covered(curve, risk) for risk in RISKS}
    figures |= {
        f"risk_at_{100 * coverage:.0f}": risk_at_coverage(curve, coverage).risk
        for coverage in COVERAGES
    }
    figures["aurc"] = aurc(curve)
    if ood_confidence is not None:
        figures["ood_auroc"] = auroc(confidence, ood_confidence)
        figures["fpr_at_95"] = fpr_at_tpr(confidence, ood_confidence, TPR)
        count = min(len(confidence), len(ood_confidence))
        inside, outside = (_drawn(len(one), count) for one in (confidence, ood_confidence))
        joint = scod_curve(correct[inside], confidence[inside], ood_confidence[outside])
        figures["scod_risk_at_80"] = scod_risk_at_coverage(curve, joint, COVERAGE).risk
        figures["scod_aurc"] = aurc(joint)
    return figures


def _covered(curve: RiskCoverage, risk: float) -> float:
    covered = coverage_at_risk(curve, risk).coverage
    return 0.0 if math.isnan(covered) else covered


def _drawn(samples: int, count: int) -> Tensor:
    """Places of so many of the samples, the same ones for every model."""
    return torch.from_numpy(keyed.permutation(keyed.key("mixture", samples), samples)[:count])
