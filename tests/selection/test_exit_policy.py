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


def test_all_right_says_what_was_done(table):
    """No window is chosen by a risk that no sample has, and then none is said to be."""
    outputs, _ = table
    policy = ExitPolicy(task="coverage_at_risk", target=0.5)
    with pytest.raises(ArgumentError, match="stage 0: all 400 predictions are right"):
        policy.calibrated(outputs, outputs[0].argmax(1))
    target = outputs[1].argmax(1)
    with pytest.raises(ArgumentError, match="stage 1: all 400 predictions are right"):
        policy.calibrated(outputs, target, averaged=False)
    whole = dataclasses.replace(policy, half_width=1.0)
    with pytest.warns(UnusualUseWarning, match="the cascade as a whole is right about all 400"):
        exits = whole.calibrated(outputs[:2], target, averaged=False)
    assert exits.acceptance == float(exits.route(outputs[:2]).confidence.min())


def test_log_probabilities_have_no_size(table):
    outputs, target = table
    logs = torch.stack([outputs[0].double(), outputs[1].double().log_softmax(-1)])
    # As estimators say them: clipped, so that they sum to a little more than one.
    clipped = outputs[0].double().softmax(-1).clip(1e-6).log()
    for score in ("energy", "max_logit"):
        policy = ExitPolicy(score=score)
        with pytest.raises(ArgumentError, match="stage 1 says log-probabilities"):
            policy.calibrated(logs, target)
        with pytest.raises(ArgumentError, match="stage 0 says log-probabilities"):
            policy.calibrated([clipped, outputs[0]], target)
        policy.calibrated(outputs, target)
    ExitPolicy(score="entropy").calibrated(logs, target)


def test_ties_send_nothing_on_without_a_word(table):
    outputs, target = table
    tied = torch.zeros(2, N, C)
    tied[:, :, 0] = torch.where(torch.arange(N) % 5 < 3, 1.0, 3.0)
    sure = 60 * torch.nn.functional.one_hot(target, C) + outputs[:2].double()
    sure[:, ::7] = sure[:, ::7].flip(-1)
    for said in (tied, sure):
        for rule in ("window", "threshold"):
            policy = ExitPolicy(rule=rule)
            with pytest.warns(UnusualUseWarning) as told:
                exits = policy.calibrated([said[0], said[1] + outputs[2]], target)
            texts = [str(one.message) for one in told if "in the window of stage 0" in str(one)]
            share = float(
                (exits.route([said[0], said[1] + outputs[2]]).reached > 0).double().mean()
            )
            assert share > 0.3
            assert len(texts) == 1
            assert texts[0].startswith(f"{share:.0%} of the validation samples")
            assert "20% were wanted" in texts[0]
            assert "'entropy'" in texts[0]
    # The fix that is named: the entropy of sure predictions differs where their maximum is 1.
    exits = ExitPolicy(score="entropy").calibrated([sure[0], sure[1] + outputs[2]], target)
    assert abs(float((exits.route(sure).reached > 0).double().mean()) - 0.2) < 0.05
    exits = ExitPolicy().calibrated(outputs[:2], target)
    with pytest.warns(UnusualUseWarning, match="of the samples of the pool lie in the window"):
        exits.shifted(exits.confidences(tied)[:1])


@pytest.mark.parametrize("target", [0.02, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("half_width", [0.0, 0.1, 0.3, 1.0])
def test_both_rules_send_on_as_many_at_the_ends_too(table, target, half_width):
    outputs, truth = table
    policy = ExitPolicy(target=target, half_width=half_width)
    single = dataclasses.replace(policy, rule="threshold")
    two = [one.calibrated(outputs[:2], truth) for one in (policy, single)]
    pool = two[0].confidences(outputs[2:])
    for window, threshold in (two, [one.shifted(pool) for one in two]):
        seen = outputs[2:] if "shifted_on" in window.facts else outputs[:1]
        confidence = window.confidences(seen)[0]
        assert int(window.goes_on(0, confidence).sum()) == int(
            threshold.goes_on(0, confidence).sum()
        )


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
    with pytest.raises(ArgumentError, match="no threshold has a risk"):
        ExitPolicy(task="coverage_at_risk", target=0.0).calibrated(outputs, target)
    exits = policy.calibrated(outputs, target)
    with pytest.raises(ArgumentError, match="2 stages, and 3 were calibrated"):
        exits.route(outputs[:2])
    with pytest.raises(ArgumentError, match=r"50 stages, the first of shape \(10,\)"):
        policy.calibrated(torch.zeros(50, 10), target)
    with pytest.raises(ArgumentError, match="no array of numbers"):
        policy.calibrated(None, target)
    with pytest.raises(ArgumentError, match="target is no array of class indices"):
        policy.calibrated(outputs, ["a"] * N)
    with pytest.raises(ArgumentError, match="there is 1 sample to place a window on"):
        policy.calibrated(outputs[:, :1], target[:1])
    with pytest.raises(ArgumentError, match="there is 1 sample to place a window on"):
        exits.shifted(exits.confidences(outputs[:2, :1]))
    with pytest.raises(ArgumentError, match="probabilities"):
        policy.calibrated(outputs, target, kind="probabilities")
    with pytest.raises(SettingsError, match="half_width"):
        ExitPolicy(half_width=10)
