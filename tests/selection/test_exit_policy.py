"""Windows are chosen as published, on arrays alone, and odd validation sets are told of."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from limbeck.errors import ArgumentError, NotFiniteError, SettingsError, UnusualUseWarning
from limbeck.functional import (
    confidence_scores,
    exit_window,
    mean_probabilities,
    operating_threshold,
    threshold_window,
)
from limbeck.selection import ExitPolicy

N, C = 400, 4


@pytest.fixture(scope="module")
def table():
    """Predictions of three stages, each right about two times in three."""
    draw = torch.Generator().manual_seed(0)
    target = torch.randint(C, (N,), generator=draw)
    outputs = torch.randn(3, N, C, generator=draw)
    outputs[:, torch.arange(N), target] += 1.5
    return outputs, target


def test_the_window_stands_around_the_threshold_of_the_first_stage(table):
    outputs, target = table
    exits = ExitPolicy(target=0.7, half_width=0.15).calibrated(outputs[:2], target)
    confidence = confidence_scores(outputs[0])
    right = outputs[0].argmax(1) == target
    tau = operating_threshold(right, confidence, "coverage", 0.7)
    assert exits.thresholds == (tau,)
    assert exits.windows == (exit_window(confidence, tau, half_width=0.15),)
    reached = exits.route(outputs[:2]).reached
    assert abs(float(reached.double().mean()) - 0.3) < 0.01


def test_the_single_threshold_sends_on_the_least_sure(table):
    outputs, target = table
    exits = ExitPolicy(rule="threshold", half_width=0.1).calibrated(outputs[:2], target)
    assert exits.windows == (threshold_window(confidence_scores(outputs[0]), 0.2),)


@pytest.mark.parametrize("score", ["msp", "entropy", "max_logit", "energy"])
def test_no_width_is_the_first_stage_and_full_width_the_ensemble(table, score):
    outputs, target = table
    for half_width, told in ((0.0, outputs[:1]), (1.0, outputs)):
        exits = ExitPolicy(score=score, half_width=half_width).calibrated(outputs, target)
        routed = exits.route(outputs)
        assert torch.equal(routed.outputs, mean_probabilities(told))
        assert torch.equal(routed.confidence, confidence_scores(told, score).mean(0))
        assert bool((routed.reached == len(told) - 1).all())


def test_exits_of_one_network_are_not_averaged(table):
    outputs, target = table
    exits = ExitPolicy(half_width=1.0).calibrated(outputs, target, averaged=False)
    assert torch.equal(exits.route(outputs).outputs, outputs[-1])


def test_each_stage_has_a_width_of_its_own(table):
    outputs, target = table
    exits = ExitPolicy(half_width=(0.3, 0.1)).calibrated(outputs, target, averaged=False)
    assert exits.half_widths == (0.3, 0.1)
    second = confidence_scores(outputs[1])
    assert exits.windows[1] == exit_window(second, exits.thresholds[1], half_width=0.1)
    with pytest.raises(ArgumentError, match="1 numbers for 3 stages"):
        ExitPolicy(half_width=(0.3,)).calibrated(outputs, target)


def test_probabilities_do_as_well_as_logits(table):
    outputs, target = table
    policy = ExitPolicy()
    logits = policy.calibrated(outputs.double(), target)
    shares = policy.calibrated(outputs.double().softmax(-1).numpy(), target, kind="probabilities")
    np.testing.assert_allclose(shares.windows, logits.windows)
    routed, other = logits.route(outputs.double()), shares.route(outputs.double().softmax(-1))
    assert torch.equal(routed.reached, other.reached)
    torch.testing.assert_close(routed.outputs.softmax(-1), other.outputs)


def test_the_rate_of_true_positives_asks_for_no_label_to_be_right(table):
    outputs, target = table
    policy = ExitPolicy(task="fpr_at_tpr", target=0.9)
    found = policy.calibrated(outputs[:2], target)
    other = policy.calibrated(outputs[:2], target.roll(1))
    assert found.windows == other.windows
    confidence = confidence_scores(outputs[0])
    assert abs(float((confidence >= found.thresholds[0]).double().mean()) - 0.9) < 0.01


def test_acceptance_is_chosen_on_what_the_cascade_says(table):
    outputs, target = table
    exits = ExitPolicy(target=0.6).calibrated(outputs[:2], target)
    routed = exits.route(outputs[:2])
    assert abs(float((routed.confidence >= exits.acceptance).double().mean()) - 0.6) < 0.01
    assert exits.acceptance != exits.thresholds[0]


def test_the_published_choice_is_the_nearest_point(table):
    outputs, target = table
    policy = ExitPolicy(task="coverage_at_risk", target=0.2, variant="closest", min_points=100)
    exits = policy.calibrated(outputs[:2], target)
    right, confidence = outputs[0].argmax(1) == target, confidence_scores(outputs[0])
    expected = operating_threshold(
        right, confidence, "risk", 0.2, variant="closest", min_points=100
    )
    assert exits.thresholds == (expected,)
    assert exits.facts["min_points"] == 100
    usual = dataclasses.replace(policy, min_points=None)
    assert usual.calibrated(outputs[:2], target).facts["min_points"] == N // 10


def test_another_pool_keeps_the_traffic_and_the_threshold(table):
    outputs, target = table
    exits = ExitPolicy().calibrated(outputs[:2], target)
    pool = outputs[:2].clone()
    pool[:, : N // 2] *= 0.1
    there = exits.shifted(exits.scores(pool[:1]))
    assert there.thresholds == exits.thresholds
    shares = [float(one.route(pool).reached.double().mean()) for one in (exits, there)]
    assert abs(shares[1] - 0.2) < abs(shares[0] - 0.2)
    assert there.facts["shifted_on"] == N
    with pytest.raises(ArgumentError, match="expected 1: one column"):
        exits.shifted(pool[:, :, 0])


def test_what_was_calibrated_survives_plain_values(table):
    outputs, target = table
    for policy in (ExitPolicy(), ExitPolicy(rule="threshold"), ExitPolicy(half_width=0)):
        exits = policy.calibrated(outputs, target)
        assert type(exits).of_facts(exits.to_facts()) == exits


def test_one_stage_is_that_model(table):
    outputs, target = table
    exits = ExitPolicy().calibrated(outputs[:1], target)
    assert torch.equal(exits.route(outputs[:1]).outputs, outputs[0])
    assert exits.windows == ()
    assert math.isfinite(exits.acceptance)


def test_validation_sets_that_say_little_are_told_of(table):
    outputs, target = table
    policy = ExitPolicy()
    with pytest.warns(UnusualUseWarning, match=r"of class 2: windows were chosen on it alone"):
        policy.calibrated(outputs, torch.full((N,), 2))
    with pytest.warns(UnusualUseWarning, match="were members fitted on these samples"):
        policy.calibrated(outputs, outputs[0].argmax(1))
    twice = torch.stack([outputs[0], outputs[1], outputs[0]])
    with pytest.warns(UnusualUseWarning, match="stages 0 and 2 say the same .* leave it out"):
        policy.calibrated(twice, target)
    flat = torch.stack([outputs[0], outputs[1, :1].expand(N, C)])
    with pytest.warns(UnusualUseWarning, match="stage 1 says the same about all 400"):
        policy.calibrated(flat, target)


def test_what_cannot_be_calibrated_is_refused(table):
    outputs, target = table
    policy = ExitPolicy()
    with pytest.raises(ArgumentError, match=r"stage 1 \(400, 3\); all must know the same classes"):
        policy.calibrated([outputs[0], outputs[1][:, :3]], target)
    with pytest.raises(ArgumentError, match="target has shape"):
        policy.calibrated(outputs, target[:-1])
    with pytest.raises(ArgumentError, match="class indices from 0 to 9"):
        policy.calibrated(outputs, target.clone().fill_(0).index_fill_(0, torch.tensor([3]), 9))
    holed = outputs.clone()
    holed[1, 7, 0] = math.nan
    with pytest.raises(NotFiniteError, match="predictions of stage 1"):
        policy.calibrated(holed, target)
    with pytest.raises(ArgumentError, match="400 validation samples and min_points is 500"):
        ExitPolicy(min_points=500).calibrated(outputs, target)
    with (
        pytest.warns(UnusualUseWarning, match="is right about all"),
        pytest.raises(ArgumentError, match="all 400 predictions are right"),
    ):
        ExitPolicy(task="coverage_at_risk").calibrated(outputs, outputs[0].argmax(1))
    with pytest.raises(ArgumentError, match="no threshold has a risk"):
        ExitPolicy(task="coverage_at_risk", target=0.0).calibrated(outputs, target)
    exits = policy.calibrated(outputs, target)
    with pytest.raises(ArgumentError, match="2 stages, and 3 were calibrated"):
        exits.route(outputs[:2])
    with pytest.raises(ArgumentError, match="probabilities"):
        policy.calibrated(outputs, target, kind="probabilities")
    with pytest.raises(SettingsError, match="half_width"):
        ExitPolicy(half_width=10)
