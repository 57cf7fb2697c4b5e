"""Thresholds and windows: shares of traffic, what stops where, costs, and what cannot be chosen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import percentileofscore

from limbeck.errors import ArgumentError
from limbeck.functional.cascades import (
    EVERYTHING,
    NOTHING,
    cascade_cost,
    cascade_outputs,
    exit_window,
    in_window,
    percentile_rank,
    stages_reached,
    threshold_window,
)
from limbeck.functional.selective import risk_at_coverage, risk_coverage_curve
from limbeck.functional.thresholds import operating_threshold

NAN, INF = math.nan, math.inf


def validation(samples=400, seed=0):
    draw = np.random.default_rng(seed)
    confidence = draw.random(samples)
    return draw.random(samples) < 0.5 + 0.5 * confidence, confidence


# Operating thresholds


def test_threshold_meets_what_it_was_chosen_for():
    correct, confidence = validation()
    coverage = operating_threshold(correct, confidence, "coverage", 0.8)
    assert (confidence >= coverage).mean() == 0.8
    risk = operating_threshold(correct, confidence, "risk", 0.15)
    assert 1 - correct[confidence >= risk].mean() <= 0.15
    tpr = operating_threshold(correct, confidence, "tpr", 0.95)
    assert (confidence[correct] >= tpr).mean() == pytest.approx(0.95, abs=0.004)
    assert (confidence[correct] >= tpr).mean() >= 0.95
    fpr = operating_threshold(correct, confidence, "fpr", 0.2)
    assert 0 < (confidence[~correct] >= fpr).mean() <= 0.2


@pytest.mark.parametrize("variant", ["attained", "closest"])
@pytest.mark.parametrize("requirement", ["coverage", "tpr", "fpr"])
def test_asking_for_more_lowers_the_threshold(requirement, variant):
    low, middle, high = (
        operating_threshold(*validation(), requirement, one, variant=variant)
        for one in (0.1, 0.5, 0.9)
    )
    assert low > middle > high


def test_outsiders_play_no_part_in_a_true_positive_rate():
    inside, outside = validation()[1], validation(seed=1)[1]
    alone = operating_threshold(np.ones(400), inside, "tpr", 0.9)
    labels = np.r_[np.ones(400), np.zeros(400)]
    assert operating_threshold(labels, np.r_[inside, outside], "tpr", 0.9) == alone


def test_closest_threshold_is_the_published_one():
    correct, confidence = validation()
    curve = risk_coverage_curve(correct, confidence)
    found = operating_threshold(correct, confidence, "coverage", 0.8, variant="closest")
    assert found == risk_at_coverage(curve, 0.8, variant="closest").threshold
    assert (confidence > found).mean() == 0.8


@pytest.mark.parametrize(("correct", "kind", "risk"), [(1, "right", 0), (0, "wrong", 1)])
@pytest.mark.parametrize("variant", ["attained", "closest"])
def test_no_threshold_can_be_chosen_by_a_risk_that_does_not_change(correct, kind, risk, variant):
    labels, confidence = np.full(400, correct), validation()[1]
    message = f"all 400 predictions are {kind}: the risk is {risk} at every threshold.*no member"
    with pytest.raises(ArgumentError, match=message):
        operating_threshold(labels, confidence, "risk", 0.05, variant=variant)
    assert operating_threshold(labels, confidence, "coverage", 0.8) > 0


def test_requirement_out_of_reach_is_named():
    with pytest.raises(ArgumentError, match="none of 2 samples is positive, so that no tpr"):
        operating_threshold([0, 0], [0.1, 0.2], "tpr", 0.9)
    with pytest.raises(ArgumentError, match="none of 2 samples is negative, so that no fpr"):
        operating_threshold([1, 1], [0.1, 0.2], "fpr", 0.1)
    with pytest.raises(ArgumentError, match="no threshold has an fpr of at most 0.1.*is 0.5"):
        operating_threshold([0, 1, 0], [0.9, 0.8, 0.7], "fpr", 0.1)
    with pytest.raises(ArgumentError, match="no threshold has a risk of at most 0.1.*is 0.5"):
        operating_threshold([0, 1, 0], [0.9, 0.8, 0.7], "risk", 0.1)
    closest = operating_threshold([0, 1, 0], [0.9, 0.8, 0.7], "risk", 0.1, variant="closest")
    assert closest == 0.7
    with pytest.raises(ArgumentError, match="min_points is 500 and there are 3 samples"):
        operating_threshold([0, 1, 0], [0.9, 0.8, 0.7], "risk", 0.1, min_points=500)
    with pytest.raises(ArgumentError, match="min_points is 5 and the requirement 'tpr'"):
        operating_threshold([0, 1], [0.9, 0.8], "tpr", 0.1, min_points=5)
    with pytest.raises(ArgumentError, match="requirement is 'recall', expected one of"):
        operating_threshold([0, 1], [0.9, 0.8], "recall", 0.1)
    with pytest.raises(ArgumentError, match="tpr is 95, expected a fraction"):
        operating_threshold([0, 1], [0.9, 0.8], "tpr", 95)
    with pytest.raises(ArgumentError, match="positive has 1 samples and confidence 2"):
        operating_threshold([1], [0.9, 0.8], "coverage", 0.5)
    with pytest.raises(ArgumentError, match="entries of confidence hold NaN"):
        operating_threshold([1, 0], [0.9, NAN], "coverage", 0.5)


# Windows


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=25), st.floats(-5, 5))
def test_rank_is_that_of_scipy(confidence, threshold):
    for one in (threshold, float(round(threshold))):
        expected = percentileofscore(confidence, one, kind="rank") / 100
        assert percentile_rank(confidence, one) == pytest.approx(expected)


@pytest.mark.parametrize("half_width", [0.05, 0.1, 0.25])
def test_window_holds_twice_its_half_width_and_follows_a_shift(half_width):
    _, confidence = validation(20_000)
    fresh = validation(20_000, seed=1)[1]
    window = exit_window(confidence, 0.6, half_width=half_width)
    assert window.low < 0.6 < window.high
    assert in_window(fresh, window).double().mean().item() == pytest.approx(
        2 * half_width, abs=0.02
    )
    shifted = fresh**1.5
    stale = in_window(shifted, window).double().mean().item()
    pooled = exit_window(shifted, 0.6, half_width=half_width)
    robust = in_window(shifted, pooled).double().mean().item()
    assert robust == pytest.approx(2 * half_width, abs=0.02)
    assert abs(robust - 2 * half_width) < abs(stale - 2 * half_width)


def test_window_is_cut_off_at_the_ends():
    confidence = np.linspace(0, 1, 101)
    assert exit_window(confidence, 2.0) == pytest.approx((0.9, 1.0))
    assert exit_window(confidence, -2.0) == pytest.approx((0.0, 0.1))
    assert exit_window([0.5], 0.5) == (0.5, 0.5)


def test_widths_of_nothing_and_everything_are_exact():
    """A cascade is then the first stage or the whole, also for confidences never seen before."""
    confidence = validation()[1]
    seen = np.r_[confidence, -INF, -1.0, 2.0, INF]
    assert exit_window(confidence, confidence[0], half_width=0) == NOTHING
    assert threshold_window(confidence, 0) == NOTHING
    assert not in_window(seen, NOTHING).any()
    assert exit_window(confidence, 0.5, half_width=1) == EVERYTHING
    assert threshold_window(confidence, 1) == EVERYTHING
    assert in_window(seen, EVERYTHING).all()


def test_single_threshold_hands_on_its_share_from_below():
    _, confidence = validation()
    window = threshold_window(confidence, 0.2)
    assert in_window(confidence, window).double().mean() == pytest.approx(0.2, abs=0.005)
    assert in_window([-INF, window.high, np.nextafter(window.high, 1)], window).tolist() == [
        True,
        True,
        False,
    ]


def test_wider_windows_hold_narrower_ones():
    _, confidence = validation()
    held = [
        in_window(confidence, exit_window(confidence, 0.7, half_width=h)) for h in (0.1, 0.2, 0.4)
    ]
    assert (held[0] <= held[1]).all()
    assert (held[1] <= held[2]).all()


# Cascades


def cascade_by_loop(confidences, windows, costs):
    reached, spent = [], []
    for sample in zip(*confidences, strict=True):
        stage = 0
        while stage < len(windows) and windows[stage][0] <= sample[stage] <= windows[stage][1]:
            stage += 1
        reached.append(stage)
        spent.append(sum(costs[: stage + 1]))
    return reached, spent


def test_stages_outputs_and_costs_are_those_of_a_plain_loop():
    confidences = np.stack([validation(seed=s)[1] for s in (0, 1, 2)])
    windows, costs = [(0.2, 0.9), (0.1, 0.6), (0.3, 0.4)], [1.0, 2.0, 4.0, 8.0]
    reached = stages_reached(confidences, windows)
    expected, spent = cascade_by_loop(confidences, windows, costs)
    assert reached.tolist() == expected
    assert set(expected) == {0, 1, 2, 3}
    assert cascade_cost(reached, costs, reduction="none").tolist() == spent
    assert cascade_cost(reached, costs).item() == pytest.approx(np.mean(spent))
    outputs = np.arange(4 * 400 * 3).reshape(4, 400, 3)
    found = cascade_outputs(outputs, reached)
    assert found.dtype == torch.int64
    assert found.tolist() == [outputs[s, i].tolist() for i, s in enumerate(expected)]


def test_later_confidences_of_samples_that_stopped_play_no_part():
    window = (0.4, 0.6)
    for second in (0.5, INF, -INF):
        assert stages_reached([[0.9], [second]], [window, window]).tolist() == [0]


def test_labels_and_logits_of_stages_come_out_as_they_are():
    reached = torch.tensor([1, 0])
    labels = cascade_outputs([torch.tensor([3, 4]), torch.tensor([5, 6])], reached)
    assert labels.tolist() == [5, 4]
    logits = torch.randn(2, 2, 3)
    assert cascade_outputs([logits[0], logits[1]], reached).equal(logits[[1, 0], [0, 1]])
    assert cascade_outputs(logits[:1], torch.tensor([0, 0])).equal(logits[0])


def test_cost_is_that_of_the_first_stage_and_the_share_of_the_second():
    _, confidence = validation()
    window = exit_window(confidence, 0.6)
    reached = stages_reached([confidence], [window])
    share = in_window(confidence, window).double().mean().item()
    assert cascade_cost(reached, [4.0, 6.0]).item() == pytest.approx(4 + 6 * share)
    for window, cost in ((NOTHING, 4), (EVERYTHING, 10)):
        assert cascade_cost(stages_reached([confidence], [window]), [4.0, 6.0]) == cost


def test_batch_of_zero():
    reached = stages_reached([[]], [(0.0, 1.0)])
    assert reached.shape == (0,)
    assert cascade_cost(reached, [1.0, 1.0]).item() == 0
    assert cascade_outputs(torch.zeros(2, 0, 3), reached).shape == (0, 3)


# Errors


def test_windows_that_cannot_be_built_are_named():
    with pytest.raises(ArgumentError, match="threshold is NaN.*did no point meet the target"):
        exit_window([0.1, 0.2], NAN)
    with pytest.raises(ArgumentError, match="half_width is 10, expected a fraction"):
        exit_window([0.1, 0.2], 0.1, half_width=10)
    with pytest.raises(ArgumentError, match="share is -0.1, expected a fraction"):
        threshold_window([0.1], -0.1)
    with pytest.raises(ArgumentError, match="confidence holds NaN or infinity at 1 of 2"):
        exit_window([0.1, INF], 0.1)
    with pytest.raises(ArgumentError, match="confidence is empty"):
        exit_window([], 0.1)
    for window in ((0.8, 0.2), (NAN, 0.2)):
        with pytest.raises(ArgumentError, match="window is .*expected its low end first"):
            in_window([0.1], window)
    with pytest.raises(ArgumentError, match="entries of confidence hold NaN"):
        in_window([NAN], (0.0, 1.0))


def test_stages_that_do_not_fit_are_named():
    with pytest.raises(ArgumentError, match="0 windows and confidences of 0 stages"):
        stages_reached([], [])
    with pytest.raises(ArgumentError, match="1 windows and confidences of 2 stages"):
        stages_reached([[0.1], [0.2]], [(0.0, 1.0)])
    with pytest.raises(ArgumentError, match=r"confidences\[1\] has 2 samples .*\[0\] 1"):
        stages_reached([[0.1], [0.2, 0.3]], [(0.0, 1.0)] * 2)
    one = torch.tensor([1])
    with pytest.raises(ArgumentError, match=r"outputs\[0\] has shape \(1, 3\) .*same classes"):
        cascade_outputs([torch.zeros(1, 3), torch.zeros(1, 4)], one)
    with pytest.raises(
        ArgumentError, match="reached counts stages from 1 to 1 and there .* 1, expected 0 to 0"
    ):
        cascade_outputs([torch.zeros(1, 3)], one)
    with pytest.raises(ArgumentError, match=r"reached has shape \(1,\) .*one stage for each"):
        cascade_outputs(torch.zeros(2, 2), one)
    with pytest.raises(ArgumentError, match="outputs is empty"):
        cascade_outputs([], one)
    with pytest.raises(ArgumentError, match="costs is .*expected numbers of at least 0"):
        cascade_cost(one, [1.0, -1.0])
    with pytest.raises(
        ArgumentError, match="reached counts stages from 1 to 1 and there .* 1, expected 0 to 0"
    ):
        cascade_cost(one, [1.0])
