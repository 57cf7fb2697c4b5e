"""Exits: what was calibrated of a cascade; it tells which stage answers which sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import ArgumentError
from limbeck.functional.cascades import (
    EVERYTHING,
    NOTHING,
    ExitWindow,
    cascade_outputs,
    exit_window,
    in_window,
    stages_reached,
    threshold_window,
)
from limbeck.functional.columns import Values, column
from limbeck.functional.divergences import Kind
from limbeck.functional.guards import refuse_nan
from limbeck.functional.pools import mean_probabilities
from limbeck.functional.uncertainty import Score, confidence_scores
from limbeck.selection.exit_warnings import about_traffic, warn_of

Predictions = Tensor | np.ndarray | Sequence[Tensor | np.ndarray]


class Routed(NamedTuple):
    """What a cascade says.

    Args:
        outputs: of the last stage that each sample reaches, ``(N, C)``.
        confidence: of that stage, ``(N,)``, float64.
        reached: which stage that is, from 0, ``(N,)``.
    """

    outputs: Tensor
    confidence: Tensor
    reached: Tensor


@dataclass(frozen=True)
class Exits:
    """Windows of a cascade with how they were chosen. Made by `ExitPolicy.calibrated`.

    Args:
        score: what confidence is.
        kind: what stages say: ``"logits"`` or ``"probabilities"``.
        averaged: whether a stage says the mean of those so far; its confidence is then the mean of
            their scores.
        windows: which confidences go on, one a stage but the last.
        thresholds: that the windows stand around.
        half_widths: of the windows.
        acceptance: the confidence of the cascade's own outputs from which on they are accepted.
        facts: of the calibration, plain values.
    """

    score: Score
    kind: Kind
    averaged: bool
    windows: tuple[ExitWindow, ...]
    thresholds: tuple[float, ...] = ()
    half_widths: tuple[float, ...] = ()
    acceptance: float = math.nan
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stages(self) -> int:
        """S."""
        return len(self.windows) + 1

    def said(self, told: Tensor) -> Tensor:
        """What a stage says, given what it and those before it said by themselves.

        Args:
            told: ``(S', N, C)``, the stage last.

        Returns:
            ``(N, C)``, of the kind of `told`: of an ensemble the mean of the probabilities.
        """
        if not self.averaged or len(told) == 1:
            return told[-1]
        return mean_probabilities(told) if self.kind == "logits" else told.mean(0)

    def scores(self, said: Tensor) -> Tensor:
        """Scores of what one or several stages by themselves say, in float64.

        Args:
            said: ``(N, C)`` or ``(S', N, C)``.

        Returns:
            ``(N,)`` or ``(S', N)``.
        """
        return confidence_scores(said, self.score, kind=self.kind)

    def confidence(self, scores: Tensor) -> Tensor:
        """Confidence of a stage, given the scores of it and those before it.

        Args:
            scores: ``(S', N)``, the stage last.

        Returns:
            ``(N,)``: of an ensemble the mean of the scores.
        """
        return scores.mean(0) if self.averaged and len(scores) > 1 else scores[-1]

    def confidences(self, told: Tensor) -> Tensor:
        """Confidence of each stage, given what it and those before it said by themselves.

        Args:
            told: ``(S', N, C)``.

        Returns:
            ``(S', N)``.
        """
        scores = self.scores(told)
        return torch.stack([self.confidence(scores[:end]) for end in range(1, len(told) + 1)])

    def goes_on(self, stage: int, confidence: Tensor) -> Tensor:
        """Which samples go on from a stage but the last, ``(N,)``."""
        low, high = self.windows[stage]
        return (confidence >= low) & (confidence <= high)

    def route(self, outputs: Predictions) -> Routed:
        """Read off what the cascade says where all stages were asked about all samples.

        Args:
            outputs: ``(S, N, C)``, what each stage by itself says.

        Returns:
            The answer for every sample.

        Raises:
            ArgumentError: there are other stages than were calibrated, or a prediction is NaN.
        """
        told = stages_of(outputs)
        if len(told) != self.stages:
            raise ArgumentError(
                f"outputs has {len(told)} stages, and {self.stages} were calibrated; give each "
                "stage's predictions in the same order"
            )
        confidences = self.confidences(told)
        reached = torch.zeros(told.shape[1], dtype=torch.int64, device=told.device)
        if self.windows:
            reached = stages_reached(confidences[:-1], self.windows)
        said = torch.stack([self.said(told[:end]) for end in range(1, len(told) + 1)])
        return Routed(
            cascade_outputs(said, reached), cascade_outputs(confidences, reached), reached
        )

    def shifted(self, confidences: Sequence[Values] | Tensor | np.ndarray) -> Exits:
        """Windows around the same thresholds that hold as many samples of another pool.

        Args:
            confidences: of every stage but the last on unlabelled samples, ``(S - 1, N)``, such as
                a whole batch of new ones, of which some may come from elsewhere.

        Returns:
            The exits for that pool.

        Raises:
            ArgumentError: there are other stages than windows, the windows were not calibrated, or
                the pool is a single sample.
        """
        if len(confidences) != len(self.windows):
            raise ArgumentError(
                f"confidences are of {len(confidences)} stages, expected {len(self.windows)}: one "
                "column for each stage but the last"
            )
        if len(self.thresholds) != len(self.windows):
            raise ArgumentError(
                f"there are {len(self.windows)} windows and no thresholds that they stand around: "
                "they send on everything and were not calibrated. Shift what was calibrated, not "
                "the whole of it"
            )
        found = replace(self, windows=(), thresholds=(), half_widths=())
        for one, *placed in zip(confidences, self.thresholds, self.half_widths, strict=True):
            found = found.with_stage(column(one, "confidences"), *placed)
        warn_of(about_traffic(found, confidences, "samples of the pool"))
        pool = len(confidences[0]) if len(confidences) else 0
        return replace(found, facts={**self.facts, "shifted_on": pool})

    def with_stage(self, confidence: Tensor, threshold: float, half_width: float) -> Exits:
        """The exits with a window for a further stage.

        Args:
            confidence: of that stage on the samples that place the window, ``(N,)``.
            threshold: that it stands around.
            half_width: the share of them on each side.

        Raises:
            ArgumentError: there is one sample, or as `exit_window`.
        """
        if len(confidence) < 2:
            raise ArgumentError(
                f"there is {len(confidence)} sample to place a window on, whose quantiles need two "
                "at the least; give some hundreds"
            )
        window = exit_window(confidence, threshold, half_width=half_width)
        if self.facts.get("rule") == "threshold":
            # Equal traffic is that of the window, which holds less near the ends of the range.
            held = in_window(confidence, window)
            window = threshold_window(confidence, float(held.double().mean()))
        return replace(
            self,
            windows=(*self.windows, window),
            thresholds=(*self.thresholds, threshold),
            half_widths=(*self.half_widths, half_width),
        )

    def accepting(self, acceptance: float) -> Exits:
        """The exits with another threshold of acceptance."""
        return replace(self, acceptance=acceptance)

    def to_facts(self) -> dict[str, Any]:
        """Plain values that any reader of JSON takes: None for an end at infinity.

        Example:
            >>> exits = Exits("msp", "logits", True, (NOTHING, EVERYTHING), (0.5, 0.5), (0.0, 1.0))
            >>> exits.to_facts()["windows"]
            [None, [None, None]]
        """
        return {
            "score": self.score,
            "kind": self.kind,
            "averaged": self.averaged,
            "windows": [
                None if one == NOTHING else [end if math.isfinite(end) else None for end in one]
                for one in self.windows
            ],
            "thresholds": list(self.thresholds),
            "half_widths": list(self.half_widths),
            "acceptance": self.acceptance if math.isfinite(self.acceptance) else None,
            "calibration": dict(self.facts),
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Exits:
        """Read what `to_facts` gave.

        Example:
            >>> exits = Exits("msp", "logits", True, (NOTHING, EVERYTHING), (0.5, 0.5), (0.0, 1.0))
            >>> Exits.of_facts(exits.to_facts()).windows == exits.windows
            True
        """
        ends = [NOTHING if one is None else one for one in facts["windows"]]
        windows = tuple(
            ExitWindow(
                *(far if end is None else end for end, far in zip(one, EVERYTHING, strict=True))
            )
            for one in ends
        )
        acceptance = facts["acceptance"]
        return cls(
            score=facts["score"],
            kind=facts["kind"],
            averaged=facts["averaged"],
            windows=windows,
            thresholds=tuple(facts["thresholds"]),
            half_widths=tuple(facts["half_widths"]),
            acceptance=math.nan if acceptance is None else acceptance,
            facts=facts["calibration"],
        )


def stages_of(outputs: Predictions) -> Tensor:
    """Predictions of S stages as one tensor ``(S, N, C)``.

    Args:
        outputs: such a tensor or array, or a list of S with shape ``(N, C)`` each.

    Returns:
        A tensor without gradient.

    Raises:
        ArgumentError: there is no stage, shapes differ, or a prediction is NaN.

    Example:
        >>> stages_of([np.zeros((2, 3)), np.ones((2, 3))]).shape
        torch.Size([2, 2, 3])
    """
    try:
        parts = [torch.as_tensor(one).detach() for one in outputs]
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"outputs is no array of numbers (S, N, C), nor a list of S arrays: {error}"
        ) from None
    shapes = [tuple(one.shape) for one in parts]
    if not parts or len(shapes[0]) != 2 or 0 in shapes[0]:
        raise ArgumentError(
            f"outputs has {len(parts)} stages, the first of shape {shapes[0] if shapes else ()}, "
            "expected (S, N, C): for each stage a row of classes a sample, at least one of each"
        )
    if len(set(shapes)) > 1:
        told = ", ".join(f"stage {place} {shape}" for place, shape in enumerate(shapes))
        raise ArgumentError(
            f"the stages say things of different shapes: {told}; all must know the same classes in "
            "one order and be asked about the same samples"
        )
    for place, one in enumerate(parts):
        refuse_nan(one, f"predictions of stage {place}", "places")
    return torch.stack([one.double() if not one.is_floating_point() else one for one in parts])
