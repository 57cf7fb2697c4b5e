"""Exit policy: how a cascade is told which samples go on, calibrated on arrays of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from limbeck.errors import ArgumentError
from limbeck.functional.divergences import Kind
from limbeck.functional.guards import check_labelled
from limbeck.functional.selective import ENOUGH, Variant
from limbeck.functional.thresholds import Requirement, operating_threshold
from limbeck.functional.uncertainty import SIZED, Score
from limbeck.selection.exit_warnings import (
    about_acceptance,
    about_members,
    about_targets,
    about_traffic,
    warn_of,
)
from limbeck.selection.exits import Exits, Predictions, stages_of
from limbeck.settings import settings

Task = Literal["risk_at_coverage", "coverage_at_risk", "fpr_at_tpr"]
Share = Annotated[float, Field(ge=0, le=1)]
# What each task requires, and the target where none is named.
REQUIRED: dict[Task, tuple[Requirement, float]] = {
    "risk_at_coverage": ("coverage", 0.8),
    "coverage_at_risk": ("risk", 0.05),
    "fpr_at_tpr": ("tpr", 0.95),
}
# Logarithms of probabilities have a log-sum-exp of 0, but for what clipping and rounding leave of
# it; those of a network that is given two samples or more have not.
NORMALISED = 0.01


@settings
class ExitPolicy:
    r"""Send on the samples whose confidence lies around the threshold that a task needs.

    At stage j the threshold :math:`\tau_j` is the confidence at which stage j by itself meets the
    target on validation samples, and the window is :math:`[Q(q - h), Q(q + h)]` with
    :math:`Q(q) = \tau_j`.

    Args:
        score: what confidence is: ``"msp"``, ``"entropy"``, ``"max_logit"`` or ``"energy"``.
        rule: ``"window"``, or ``"threshold"``, the policy of earlier work at equal traffic: the
            least confident go on, as many validation samples as the window would hold.
        task: what the cascade is for: ``"risk_at_coverage"`` and ``"coverage_at_risk"`` of a
            classifier that may decline, ``"fpr_at_tpr"`` of a detector of samples from outside.
        target: coverage, risk or true-positive rate to be met; None takes 0.8, 0.05 and 0.95.
        half_width: h, the share of samples on each side of the threshold; several, one a stage but
            the last. 0 gives the first stage exactly, 1 the whole.
        min_points: fewest answered samples at which ``"coverage_at_risk"`` is looked at, and the
            fewest validation samples; None takes a tenth of them, at most 500.
        variant: ``"attained"`` takes a threshold that meets the target, ``"closest"``, the
            published choice, the one that comes nearest to it.

    Example:
        >>> draw = torch.Generator().manual_seed(0)
        >>> outputs = torch.randn(2, 100, 3, generator=draw)
        >>> target = torch.randint(3, (100,), generator=draw)
        >>> exits = ExitPolicy(half_width=0.1).calibrated(outputs, target)
        >>> exits.route(outputs).reached.sum().item()
        20

    Source: Xia and Bouganis, arXiv 2303.08010.
    """

    score: Score = "msp"
    rule: Literal["window", "threshold"] = "window"
    task: Task = "risk_at_coverage"
    target: Share | None = None
    half_width: Share | tuple[Share, ...] = 0.1
    min_points: Annotated[int, Field(ge=1)] | None = None
    variant: Variant = "attained"

    def calibrated(
        self,
        outputs: Predictions,
        target: Tensor | np.ndarray | Sequence[int],
        *,
        kind: Kind = "logits",
        averaged: bool = True,
    ) -> Exits:
        """Choose windows, and the threshold of acceptance, on validation samples.

        Args:
            outputs: what each of S stages by itself says about all N samples, ``(S, N, C)``.
            target: class indices ``(N,)``; unknown to no member is not enough, no member may have
                been fitted on them.
            kind: ``"logits"`` or ``"probabilities"``.
            averaged: whether a stage says the mean of those so far, as in an ensemble, or itself,
                as an exit of one network.

        Returns:
            What routes samples. Its threshold of acceptance is chosen on what the cascade as a
            whole says about the validation samples.

        Raises:
            ArgumentError: shapes differ, predictions hold NaN, there are too few samples, the
                score reads the size of logits and a stage says log-probabilities, or no threshold
                meets the target (all are right, all are wrong, or none is sure enough).
        """
        said = stages_of(outputs)
        truth = _classes(target).to(said.device)
        check_labelled(said[0], truth, ("the predictions of a member", "target"))
        fewest = self._fewest(len(truth))
        if kind == "logits":
            self._check_sizes(said)
        exits = Exits(
            score=self.score,
            kind=kind,
            averaged=averaged,
            windows=(),
            facts={**self._facts(), "min_points": fewest, "samples": len(truth)},
        )
        confidences = exits.confidences(said)
        for stage, half_width in enumerate(self._half_widths(len(said))):
            right = exits.said(said[: stage + 1]).argmax(-1) == truth
            try:
                threshold = self._threshold(right, confidences[stage], fewest)
            except ArgumentError as error:
                raise ArgumentError(f"stage {stage}: {error}") from None
            exits = exits.with_stage(confidences[stage], threshold, half_width)
        routed = exits.route(said)
        right = routed.outputs.argmax(-1) == truth
        told = [
            *about_members(said),
            *about_targets(said[0], truth),
            *about_traffic(exits, confidences, "validation samples"),
        ]
        if self.required[0] == "risk" and bool(right.all()):
            # Whatever is answered meets any risk.
            acceptance = float(routed.confidence.min())
            told += about_acceptance(right, acceptance)
        else:
            acceptance = self._threshold(right, routed.confidence, fewest)
        warn_of(told)
        return exits.accepting(acceptance)

    @property
    def required(self) -> tuple[Requirement, float]:
        """What is required, and how much of it."""
        requirement, usual = REQUIRED[self.task]
        return requirement, usual if self.target is None else self.target

    def _threshold(self, right: Tensor, confidence: Tensor, fewest: int) -> float:
        requirement, target = self.required
        return operating_threshold(
            # A rate of true positives needs samples from inside alone, right or wrong.
            torch.ones_like(right) if requirement == "tpr" else right,
            confidence,
            requirement,
            target,
            variant=self.variant,
            min_points=fewest if requirement == "risk" else None,
        )

    def _fewest(self, samples: int) -> int:
        fewest = self.min_points or max(1, min(ENOUGH, samples // 10))
        if samples < fewest:
            raise ArgumentError(
                f"there are {samples} validation samples and min_points is {fewest}; give more of "
                "them, or leave min_points out to take a tenth of what there is"
            )
        return fewest

    def _half_widths(self, stages: int) -> tuple[float, ...]:
        given = self.half_width
        if not isinstance(given, tuple):
            return (given,) * (stages - 1)
        if len(given) != stages - 1:
            raise ArgumentError(
                f"half_width has {len(given)} numbers for {stages} stages, expected one number, or "
                f"{stages - 1}: one for each stage but the last"
            )
        return given

    def _check_sizes(self, said: Tensor) -> None:
        """Refuse log-probabilities where the score reads the size of logits."""
        if self.score not in SIZED:
            return
        for place, one in enumerate(said):
            if bool((one.double().logsumexp(-1).abs() < NORMALISED).all()):
                raise sizeless(self.score, f"stage {place}")

    def _facts(self) -> dict[str, Any]:
        requirement, target = self.required
        chosen = {
            "attained": "that meets it (samples of equal confidence are answered together)",
            "closest": "at the point nearest to it",
        }
        return {
            "rule": self.rule,
            "task": self.task,
            "target": target,
            "variant": self.variant,
            "definitions": {
                "threshold": f"the confidence on validation samples {chosen[self.variant]}; the "
                f"{requirement} required is {target:g}",
                "window": "quantiles by linear interpolation, both ends go on",
                "rank": "share of samples below the threshold, those equal to it count half",
                "acceptance": "chosen likewise, on what the whole cascade says",
            },
        }


def sizeless(score: Score, who: str) -> ArgumentError:
    """What is wrong where a score reads the size of logits and somebody says probabilities.

    Args:
        score: which one.
        who: says them.

    Returns:
        The error, to be raised.
    """
    return ArgumentError(
        f"score {score!r} reads the size of logits, and {who} says log-probabilities, which have "
        "lost it: their free energy is rounding around 0; take score 'msp' or 'entropy', or "
        "members that say logits"
    )


def _classes(target: Tensor | np.ndarray | Sequence[int]) -> Tensor:
    try:
        return torch.as_tensor(target)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"target is no array of class indices: {error}; give the place of each sample's class"
        ) from None
