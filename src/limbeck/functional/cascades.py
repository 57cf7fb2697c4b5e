"""Cascades: which samples a later stage sees, what comes out, and what it costs on average.

A stage hands on the samples whose confidence lies in a closed window; those outside stop there.
The single threshold of earlier work is the window from minus infinity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from limbeck.checks import check_same_shape
from limbeck.errors import ArgumentError
from limbeck.functional.columns import Values, check_fraction, check_lengths, column
from limbeck.functional.guards import check_finite
from limbeck.functional.reductions import Reduction, reduce


class ExitWindow(NamedTuple):
    """Confidences that go on to the next stage, both ends included.

    Args:
        low: lower end.
        high: upper end; below `low` nothing goes on.
    """

    low: float
    high: float


NOTHING = ExitWindow(math.inf, -math.inf)
EVERYTHING = ExitWindow(-math.inf, math.inf)


def percentile_rank(confidence: Values, threshold: float) -> float:
    """Share of samples below a threshold, where those equal to it count half.

    Args:
        confidence: ``(N,)``.
        threshold: any number.

    Returns:
        From 0 to 1. Where some are equal half a sample is added, which makes it the
        ``percentileofscore`` of SciPy of kind ``"rank"``, over 100.

    Raises:
        ArgumentError: there is no sample, or a number is NaN.

    Example:
        >>> percentile_rank([0.1, 0.2, 0.3, 0.4], 0.3)
        0.75
        >>> percentile_rank([0.1, 0.2, 0.3, 0.4], 0.25)
        0.5
    """
    score = column(confidence, "confidence")
    if math.isnan(threshold):
        raise ArgumentError(
            "threshold is NaN, expected a confidence; did no point meet the target it comes from?"
        )
    below, upto = int((score < threshold).sum()), int((score <= threshold).sum())
    return (below + upto + (upto > below)) / (2 * len(score))


def exit_window(confidence: Values, threshold: float, *, half_width: float = 0.1) -> ExitWindow:
    r"""Window that holds a share of the samples around a decision threshold.

    .. math:: [Q(q - h), Q(q + h)] \quad \text{with } Q(q) = \tau

    with quantiles :math:`Q` of the confidences, interpolated linearly, and levels kept within 0
    and 1.

    Args:
        confidence: of the first stage on validation samples, ``(N,)``. For the robust window under
            shift pass the pooled unlabelled test samples and the same threshold.
        threshold: :math:`\tau`, from `operating_threshold`.
        half_width: h, the share of samples on each side. 0 gives the window that holds nothing and
            1 the one that holds everything, so that a cascade is its first stage or the whole.

    Returns:
        The window.

    Raises:
        ArgumentError: `half_width` is no fraction, the threshold is NaN, or a confidence is not
            finite.

    Example:
        >>> exit_window([0.0, 0.25, 0.5, 0.75, 1.0], 0.5, half_width=0.1)
        ExitWindow(low=0.5, high=0.7)

    Source: Xia and Bouganis, arXiv 2303.08010.
    """
    levels = window_levels(confidence, threshold, half_width=half_width)
    if half_width in (0, 1):
        return EVERYTHING if half_width else NOTHING
    return ExitWindow(*_quantiles(confidence, *levels))


def window_levels(
    confidence: Values, threshold: float, *, half_width: float = 0.1
) -> tuple[float, float]:
    """Levels of the quantiles that are the ends of `exit_window`.

    Args:
        confidence: of the first stage on validation samples, ``(N,)``.
        threshold: that the window stands around.
        half_width: the share of samples on each side; of 1 the levels are 0 and 1.

    Returns:
        Low and high, from 0 to 1. Their difference is the share of samples that shall lie between:
        twice the half width, less where the threshold is near an end.

    Raises:
        ArgumentError: `half_width` is no fraction, or the threshold is NaN.

    Example:
        >>> window_levels([0.1, 0.2, 0.3, 0.4], 0.1, half_width=0.5)
        (0.0, 0.75)
    """
    check_fraction(half_width, "half_width")
    rank = percentile_rank(confidence, threshold)
    return max(0.0, rank - half_width), min(1.0, rank + half_width)


def threshold_window(confidence: Values, share: float = 0.2) -> ExitWindow:
    """Window of the single-threshold policy: the least confident samples go on.

    Args:
        confidence: of the first stage on validation samples, ``(N,)``.
        share: of samples that go on; 0 and 1 as in `exit_window`. That of the samples which a
            window holds is equal traffic: twice its half width, less near the ends.

    Returns:
        The window from minus infinity to the quantile; a sample exits if it is above.

    Raises:
        ArgumentError: `share` is no fraction, or a confidence is not finite.

    Example:
        >>> threshold_window([0.0, 0.25, 0.5, 0.75, 1.0], 0.5)
        ExitWindow(low=-inf, high=0.5)

    Source: Wang et al., arXiv 2012.01988, as arXiv 2303.08010 compares with it.
    """
    check_fraction(share, "share")
    if share in (0, 1):
        return EVERYTHING if share else NOTHING
    return ExitWindow(-math.inf, *_quantiles(confidence, share))


def in_window(confidence: Values, window: tuple[float, float]) -> Tensor:
    """Which samples go on to the next stage.

    Args:
        confidence: ``(N,)``, in the unit of the window: of an uncertainty pass the negative.
        window: (low, high), both included.

    Returns:
        Booleans ``(N,)``; none for no sample.

    Raises:
        ArgumentError: a confidence is NaN, or the window is NaN or upside down.

    Example:
        >>> in_window([0.2, 0.5, 0.8, 0.9], (0.5, 0.8)).tolist()
        [False, True, True, False]
    """
    low, high = window
    if not low <= high and (low, high) != NOTHING:
        raise ArgumentError(
            f"window is ({low}, {high}), expected its low end first; for a window that holds "
            "nothing use half_width=0"
        )
    score = column(confidence, "confidence", empty=True)
    return (score >= low) & (score <= high)


def stages_reached(
    confidences: Sequence[Values] | Tensor | np.ndarray, windows: Sequence[tuple[float, float]]
) -> Tensor:
    """The last of S stages that each sample reaches.

    Args:
        confidences: of every stage but the last, ``(S - 1, N)``; what a stage says of samples that
            do not reach it plays no part.
        windows: of those stages, in the same order.

    Returns:
        Stages counted from 0, ``(N,)``, int64.

    Raises:
        ArgumentError: there is no window, there are more or fewer than stages, lengths differ, or
            as `in_window`.

    Example:
        >>> first, second = [0.1, 0.5, 0.6], [0.9, 0.9, 0.6]
        >>> stages_reached([first, second], [(0.4, 0.7), (0.5, 0.7)]).tolist()
        [0, 1, 2]
    """
    if not len(windows) or len(confidences) != len(windows):
        raise ArgumentError(
            f"there are {len(windows)} windows and confidences of {len(confidences)} stages, "
            "expected one window for each stage but the last, and at least one"
        )
    going = [in_window(one, window) for one, window in zip(confidences, windows, strict=True)]
    for number, one in enumerate(going):
        check_lengths(one, f"confidences[{number}]", going[0], "confidences[0]")
    return torch.stack(going).long().cumprod(0).sum(0)


def cascade_outputs(
    outputs: Sequence[Tensor | np.ndarray] | Tensor | np.ndarray, reached: Tensor
) -> Tensor:
    """What each sample's last stage says.

    Args:
        outputs: of each of S stages for all samples, ``(S, N)`` or ``(S, N, ...)``: logits,
            probabilities, scores or labels. In a cascade of an ensemble a stage says the mean of
            the members so far.
        reached: from `stages_reached`, ``(N,)``.

    Returns:
        ``(N, ...)`` in the dtype of the outputs.

    Raises:
        ArgumentError: shapes differ, or a sample reaches a stage that there is not.

    Example:
        >>> cascade_outputs([[0.0, 0.0], [1.0, 1.0]], torch.tensor([0, 1])).tolist()
        [0.0, 1.0]
    """
    if not len(outputs):
        raise ArgumentError("outputs is empty, expected those of at least one stage")
    stages = [one if isinstance(one, Tensor) else torch.tensor(np.array(one)) for one in outputs]
    for number, one in enumerate(stages):
        check_same_shape(stages[0], one, ("outputs[0]", f"outputs[{number}]"))
    if stages[0].shape[:1] != reached.shape:
        raise ArgumentError(
            f"reached has shape {tuple(reached.shape)} and the outputs of a stage "
            f"{tuple(stages[0].shape)}, expected one stage for each sample"
        )
    _check_reached(reached, len(stages))
    return torch.stack(stages)[reached.long(), torch.arange(len(reached), device=reached.device)]


def cascade_cost(reached: Tensor, costs: Values, *, reduction: Reduction = "mean") -> Tensor:
    r"""Cost of a cascade, :math:`\sum_{s \le r} c_s` for a sample that reaches stage r.

    Args:
        reached: from `stages_reached`, ``(N,)``.
        costs: of each of S stages by itself, ``(S,)``: MACs or seconds a sample.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar in float64, or ``(N,)`` with ``"none"``; 0 without samples.

    Raises:
        ArgumentError: a cost is negative or not finite, or a sample reaches a stage without one.

    Example:
        >>> cascade_cost(torch.tensor([0, 0, 0, 1]), [4.0, 4.0]).item()
        5.0

    Source: Xia and Bouganis, arXiv 2303.08010.
    """
    each = column(costs, "costs").to(reached.device)
    check_finite(each, "costs")
    if bool((each < 0).any()):
        raise ArgumentError(f"costs is {each.tolist()}, expected numbers of at least 0")
    _check_reached(reached, len(each))
    return reduce(each.cumsum(0)[reached.long()], reduction)


def _check_reached(reached: Tensor, stages: int) -> None:
    low, high = (int(reached.min()), int(reached.max())) if len(reached) else (0, 0)
    if low < 0 or high >= stages:
        raise ArgumentError(
            f"reached counts stages from {low} to {high} and there are entries for {stages}, "
            f"expected 0 to {stages - 1}; give one for every stage, first and last included"
        )


def _quantiles(confidence: Values, *levels: float) -> list[float]:
    score = column(confidence, "confidence")
    check_finite(score, "confidence")
    # torch.quantile refuses more than 16 million samples.
    return [float(value) for value in np.quantile(score.cpu().numpy(), levels)]
