"""Selective quality: how good a model is that may decline, and that meets samples from outside."""

from __future__ import annotations

import math

from torch import Tensor

from limbeck.functional.detection import auroc, fpr_at_tpr
from limbeck.functional.selective import (
    aurc,
    coverage_at_risk,
    risk_at_coverage,
    risk_coverage_curve,
)

RISK, COVERAGE, TPR = 0.05, 0.8, 0.95
# Said wherever these figures are shown.
DEFINITIONS = (
    "cov@5: the largest share that can be answered with at most 5 % of the answers wrong, 0 where "
    "none can; risk@80: share of wrong answers when 80 % are answered; AURC: area under the "
    "risk-coverage curve from (0, 0), by trapezia; FPR@95: share of samples from outside accepted "
    "with 95 % of those from inside"
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
        ``coverage_at_5``, ``risk_at_80``, ``aurc``; with samples from outside ``ood_auroc`` and
        ``fpr_at_95``. Definitions as `limbeck.functional` has them where no variant is named;
        a coverage that no sample reaches is 0.

    Example:
        >>> import torch
        >>> figures = selective_quality(torch.tensor([True, False]), torch.tensor([0.9, 0.4]))
        >>> figures["coverage_at_5"], figures["risk_at_80"]
        (0.5, 0.5)
    """
    curve = risk_coverage_curve(correct, confidence)
    covered = coverage_at_risk(curve, RISK).coverage
    figures = {
        "coverage_at_5": 0.0 if math.isnan(covered) else covered,
        "risk_at_80": risk_at_coverage(curve, COVERAGE).risk,
        "aurc": aurc(curve),
    }
    if ood_confidence is not None:
        figures["ood_auroc"] = auroc(confidence, ood_confidence)
        figures["fpr_at_95"] = fpr_at_tpr(confidence, ood_confidence, TPR)
    return figures
