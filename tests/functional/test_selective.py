"""Risk-coverage figures against plain loops, their two definitions, ties and edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ArgumentError
from limbeck.functional.selective import (
    RiskCoverage,
    aurc,
    coverage_at_risk,
    risk_at_coverage,
    risk_coverage_curve,
    scod_curve,
    scod_risk_at_coverage,
)

NAN = math.nan


def validation(samples=60, seed=0, levels=None):
    """Correctness and confidences that go with it; few `levels` make ties."""
    draw = np.random.default_rng(seed)
    confidence = draw.random(samples)
    correct = draw.random(samples) < 0.4 + 0.6 * confidence
    return correct, confidence if levels is None else np.round(confidence * levels) / levels


def by_loop(correct, confidence):
    """Risk of the k most confident, ties in the order of the samples."""
    order = sorted(range(len(correct)), key=lambda i: -confidence[i])
    return [0.0] + [sum(not correct[i] for i in order[:k]) / k for k in range(1, len(correct) + 1)]


# Values


@pytest.mark.parametrize("levels", [None, 5])
def test_curve_is_that_of_a_plain_loop(levels):
    correct, confidence = validation(levels=levels)
    curve = risk_coverage_curve(correct, confidence)
    assert curve.risk.tolist() == pytest.approx(by_loop(correct, confidence))
    assert curve.coverage.tolist() == pytest.approx([k / 60 for k in range(61)])
    assert curve.thresholds.tolist() == sorted(confidence, reverse=True)


def test_both_areas_are_those_of_numpy():
    correct, confidence = validation()
    risk = np.array(by_loop(correct, confidence))
    curve = risk_coverage_curve(correct, confidence)
    assert aurc(curve) == pytest.approx(np.trapezoid(risk, dx=1 / 60))
    without = np.trapezoid(risk[1:], dx=1 / 60) / (1 - 1 / 60)
    assert aurc(curve, variant="without_origin") == pytest.approx(without)


@pytest.mark.parametrize("convert", [list, np.asarray, torch.as_tensor])
def test_lists_arrays_and_tensors_give_the_same(convert):
    correct, confidence = validation(8)
    curve = risk_coverage_curve(convert(correct.tolist()), convert(confidence.tolist()))
    expected = risk_coverage_curve(correct, confidence)
    for one, other in zip(curve, expected, strict=True):
        assert one.dtype == torch.float64
        torch.testing.assert_close(one, other, rtol=0, atol=1e-7)


def test_arrays_of_any_layout_and_type_are_read():
    correct, confidence = validation(8)
    turned = confidence[::-1].astype(np.float32)
    turned.flags.writeable = False
    expected = risk_coverage_curve(correct, confidence.astype(np.float32)).risk
    found = risk_coverage_curve(correct[::-1].astype(np.uint16), turned).risk
    assert found.tolist() == expected.tolist()
    half = torch.tensor([0.5, 0.25], dtype=torch.bfloat16, requires_grad=True)
    assert not risk_coverage_curve([1, 0], half).risk.requires_grad


def test_costs_weigh_the_wrong_samples_but_not_the_count():
    curve = risk_coverage_curve([0, 1, 0], [0.9, 0.8, 0.7], cost=[2.0, 100.0, 4.0])
    assert curve.risk.tolist() == [0, 2, 1, 2]
    assert aurc(curve) == pytest.approx((1 + 1.5 + 1.5) / 3)


def test_attained_coverage_is_the_largest_that_meets_the_risk():
    curve = risk_coverage_curve([1, 0, 1, 1, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    found = coverage_at_risk(curve, 0.25)
    assert (found.coverage, found.risk, found.threshold) == (5 / 6, 0.2, 0.5)
    closest = coverage_at_risk(curve, 0.26, variant="closest", min_points=1)
    assert (closest.coverage, closest.risk, closest.threshold) == (4 / 6, 0.25, 0.5)


def test_the_two_definitions_part_where_the_target_lies_between_points():
    curve = risk_coverage_curve([1, 1, 1, 0], [0.9, 0.8, 0.7, 0.6])
    assert coverage_at_risk(curve, 0.2).coverage == 0.75
    assert risk_at_coverage(curve, 0.6).coverage == 0.75
    assert risk_at_coverage(curve, 0.6, variant="closest").coverage == 0.5


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=30),
    st.sampled_from([0.0, 0.05, 0.25, 0.5, 0.8, 1.0]),
    st.randoms(use_true_random=False),
)
def test_attained_points_are_what_the_threshold_gives_in_any_order(samples, target, random):
    """Answering where confidence is at least the threshold has that coverage and that risk."""
    shuffled = random.sample(samples, len(samples))
    for find in (coverage_at_risk, risk_at_coverage):
        found = find(risk_coverage_curve(*zip(*samples, strict=True)), target)
        again = find(risk_coverage_curve(*zip(*shuffled, strict=True)), target)
        assert again == pytest.approx(found, nan_ok=True)
        if math.isnan(found.threshold):
            assert find is coverage_at_risk
            continue
        kept = [right for right, confidence in samples if confidence >= found.threshold]
        assert found.coverage == len(kept) / len(samples)
        assert found.risk == pytest.approx(kept.count(False) / len(kept))
        met = found.risk <= target if find is coverage_at_risk else found.coverage >= target
        assert met


def test_more_risk_allows_more_coverage_and_more_coverage_is_asked_for_more():
    curve = risk_coverage_curve(*validation(300))
    targets = [k / 20 for k in range(21)]
    at_risk = [coverage_at_risk(curve, one).coverage for one in targets]
    real = [one for one in at_risk if not math.isnan(one)]
    assert real == sorted(real)
    assert at_risk[-1] == 1
    for variant in ("attained", "closest"):
        at = [risk_at_coverage(curve, one, variant=variant).coverage for one in targets]
        assert at == sorted(at)
        assert at == pytest.approx(targets, abs=1 / 300)


def test_a_better_order_has_a_smaller_area():
    correct, _ = validation()
    best, worst = correct.astype(float), 1 - correct.astype(float)
    areas = [aurc(risk_coverage_curve(correct, one)) for one in (best, worst)]
    chance = aurc(risk_coverage_curve(correct, validation()[1]))
    assert areas[0] < chance < areas[1]


# Samples from outside the distribution


def test_without_outsiders_that_cost_anything_risk_only_thins_out():
    correct, confidence = validation(40)
    joint = scod_curve(correct, confidence, np.full(10, -1.0), ood_cost=0.0)
    alone = risk_coverage_curve(correct, confidence)
    torch.testing.assert_close(joint.risk[:41], alone.risk)
    assert joint.risk[-1].item() == pytest.approx(alone.risk[-1].item() * 40 / 50)


@pytest.mark.parametrize("variant", ["attained", "closest"])
def test_joint_risk_is_at_the_threshold_of_the_samples_inside(variant):
    correct, confidence = validation(50)
    outside = np.random.default_rng(3).random(50)
    curve = risk_coverage_curve(correct, confidence)
    joint = scod_curve(correct, confidence, outside, ood_cost=0.5)
    found = scod_risk_at_coverage(curve, joint, 0.8, variant=variant)
    point = risk_at_coverage(curve, 0.8, variant=variant)
    assert found.threshold == point.threshold
    kept, strangers = confidence >= point.threshold, outside >= point.threshold
    if variant == "closest":  # the sample at the threshold is not answered
        kept = confidence > point.threshold
    wrong = (kept & ~correct).sum() + 0.5 * strangers.sum()
    assert found.risk == pytest.approx(wrong / (kept.sum() + strangers.sum()))
    assert found.coverage == (kept.sum() + strangers.sum()) / 100


# Edges


def test_one_sample():
    for right, risk in ((True, 0.0), (False, 1.0)):
        curve = risk_coverage_curve([right], [0.4])
        assert curve.risk.tolist() == [0.0, risk]
        assert aurc(curve) == risk / 2
        assert math.isnan(aurc(curve, variant="without_origin"))
        assert risk_at_coverage(curve, 0.5) == (1.0, risk, 0.4, 1)
    assert coverage_at_risk(risk_coverage_curve([True], [0.4]), 0.05).coverage == 1


def test_all_right_answers_everything_and_all_wrong_nothing():
    confidence = validation()[1]
    right = risk_coverage_curve(np.ones(60), confidence)
    assert aurc(right) == aurc(right, variant="without_origin") == 0
    assert coverage_at_risk(right, 0.0).coverage == 1
    wrong = risk_coverage_curve(np.zeros(60), confidence)
    assert aurc(wrong) == pytest.approx(1 - 1 / 120)
    assert aurc(wrong, variant="without_origin") == pytest.approx(1)
    found = coverage_at_risk(wrong, 0.5)
    assert [*map(math.isnan, found[:3])] == [True] * 3
    assert coverage_at_risk(wrong, 0.5, variant="closest").risk == 1


def test_equal_confidences_are_answered_together():
    curve = risk_coverage_curve([1, 1, 0, 1], [0.5] * 4)
    assert coverage_at_risk(curve, 0.25).coverage == 1
    assert math.isnan(coverage_at_risk(curve, 0.1).coverage)
    assert risk_at_coverage(curve, 0.1).coverage == 1
    # The published points part them, in the order of the samples.
    assert curve.risk.tolist() == pytest.approx([0, 0, 0, 1 / 3, 1 / 4])
    assert risk_at_coverage(curve, 0.5, variant="closest").risk == 0


def test_infinite_confidences_only_order_samples():
    curve = risk_coverage_curve([1, 0, 1], [math.inf, 0.0, -math.inf])
    assert curve.risk.tolist() == pytest.approx([0, 0, 1 / 2, 1 / 3])
    assert risk_at_coverage(curve, 1.0).threshold == -math.inf


def test_few_samples_lower_the_number_of_points_and_say_so():
    found = coverage_at_risk(risk_coverage_curve(*validation(60)), 0.1, variant="closest")
    assert found.min_points == 6
    assert found.coverage >= 0.1
    many = coverage_at_risk(risk_coverage_curve(*validation(6000)), 0.1, variant="closest")
    assert many.min_points == 500
    assert coverage_at_risk(risk_coverage_curve([1], [0.5]), 0.1, variant="closest")[0] == 0


def test_points_of_few_samples_can_be_left_out():
    curve = risk_coverage_curve([1, 0, 0, 0], [0.9, 0.8, 0.7, 0.6])
    assert coverage_at_risk(curve, 0.1).coverage == 0.25
    assert math.isnan(coverage_at_risk(curve, 0.1, min_points=2).coverage)


# Errors


@pytest.mark.parametrize(
    ("correct", "confidence", "message"),
    [
        ([1, 0], [0.5], "correct has 2 samples and confidence 1, .* in the same order"),
        ([], [], "confidence is empty, expected at least one sample"),
        ([1, 2], [0.5, 0.4], r"correct holds values from 1 to 2, expected 0 or 1.*argmax"),
        ([1, 0], [0.5, NAN], r"entries of confidence hold NaN .* 1 of 2.*index \(1,\)"),
        ([NAN, 0], [0.5, 0.1], "entries of correct hold NaN"),
        ([[1, 0]], [[0.5, 0.1]], r"confidence has shape \(1, 2\), expected \(N,\)"),
        ([1, 0], ["high", "low"], "confidence is no array of numbers: could not convert"),
        ([1, 0], [[0.5], [0.1, 0.2]], "confidence is no array of numbers"),
    ],
)
def test_samples_that_cannot_be_read_are_named(correct, confidence, message):
    with pytest.raises(ArgumentError, match=message):
        risk_coverage_curve(correct, confidence)


def test_options_outside_their_range_are_named():
    curve = risk_coverage_curve(*validation(20))
    with pytest.raises(ArgumentError, match="risk is 5, expected a fraction.*divide a percentage"):
        coverage_at_risk(curve, 5)
    with pytest.raises(ArgumentError, match="coverage is nan, expected a fraction"):
        risk_at_coverage(curve, NAN)
    with pytest.raises(ArgumentError, match="min_points is 500 and there are 20 samples"):
        coverage_at_risk(curve, 0.1, variant="closest", min_points=500)
    with pytest.raises(ArgumentError, match="min_points is 0"):
        coverage_at_risk(curve, 0.1, min_points=0)
    for call in (aurc, lambda c, variant: risk_at_coverage(c, 0.5, variant=variant)):
        with pytest.raises(ArgumentError, match="variant is 'best', expected one of"):
            call(curve, variant="best")
    with pytest.raises(ArgumentError, match="cost holds values from -1 to 1"):
        risk_coverage_curve([0, 0], [0.1, 0.2], cost=[-1.0, 1.0])
    with pytest.raises(ArgumentError, match="cost has 1 samples and confidence 2"):
        risk_coverage_curve([0, 0], [0.1, 0.2], cost=[1.0])
    with pytest.raises(ArgumentError, match="ood_cost is inf, expected a finite number"):
        scod_curve([1], [0.5], [0.4], ood_cost=math.inf)


def test_curve_unpacks():
    assert RiskCoverage._fields == ("risk", "coverage", "thresholds")
    risk, coverage, thresholds = risk_coverage_curve([1], [0.5])
    assert (len(risk), len(coverage), len(thresholds)) == (2, 2, 1)
