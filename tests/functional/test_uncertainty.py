"""Confidence scores: both kinds of input, saturation, masked classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import entropy

from limbeck.errors import ArgumentError
from limbeck.functional.pools import mean_probabilities
from limbeck.functional.uncertainty import confidence_scores

SCORES = ("msp", "entropy", "max_logit", "energy")


def logits(samples=7, classes=5, seed=0):
    return 2 * np.random.default_rng(seed).normal(size=(samples, classes))


def test_scores_are_those_of_scipy():
    z = logits()
    p = np.exp(z - logsumexp(z, axis=1, keepdims=True))
    expected = {
        "msp": p.max(1),
        "entropy": -entropy(p, axis=1),
        "max_logit": z.max(1),
        "energy": logsumexp(z, axis=1),
    }
    for name, value in expected.items():
        assert confidence_scores(z, name).tolist() == pytest.approx(value.tolist())
    for name in ("msp", "entropy"):
        found = confidence_scores(p, name, kind="probabilities")
        assert found.tolist() == pytest.approx(expected[name].tolist())


@pytest.mark.parametrize("score", SCORES)
def test_higher_is_surer(score):
    z = np.outer([0.5, 1.0, 2.0, 8.0], [1.0, 0.0, -1.0])
    found = confidence_scores(z, score)
    assert found.diff().gt(0).all()
    assert found.dtype == torch.float64


def test_float32_logits_are_scored_in_float64():
    """In float32 both of these would be 1."""
    z = torch.tensor([[0.0, 20.0], [0.0, 21.0]])
    first, second = confidence_scores(z).tolist()
    assert first < second < 1


def test_members_are_scored_each_and_one_member_is_itself():
    members = torch.from_numpy(np.stack([logits(seed=s) for s in (0, 1)]))
    each = confidence_scores(members)
    assert each.shape == (2, 7)
    assert each[1].tolist() == confidence_scores(members[1]).tolist()
    pooled = confidence_scores(mean_probabilities(members))
    assert pooled.le(each.mean(0) + 1e-12).all()


@pytest.mark.parametrize("score", SCORES)
def test_masked_class_is_as_if_it_were_not_there(score):
    z = logits()
    masked = np.concatenate([z, np.full((7, 1), -math.inf)], 1)
    assert confidence_scores(masked, score).tolist() == confidence_scores(z, score).tolist()


def test_certain_predictions_have_no_entropy():
    assert confidence_scores([[0.0, 1.0]], "entropy", kind="probabilities").item() == 0
    assert confidence_scores(np.zeros((0, 3)), "entropy").shape == (0,)


def test_gradient_reaches_the_logits():
    z = torch.from_numpy(logits()).requires_grad_()
    for score in SCORES:
        assert torch.autograd.grad(confidence_scores(z, score).sum(), z)[0].isfinite().all()


def test_arguments_that_do_not_fit_are_named():
    with pytest.raises(ArgumentError, match="score is 'margin', expected one of 'msp'"):
        confidence_scores(logits(), "margin")
    with pytest.raises(ArgumentError, match="'energy' needs logits.*use 'msp' or 'entropy'"):
        confidence_scores([[0.5, 0.5]], "energy", kind="probabilities")
    with pytest.raises(ArgumentError, match="value must hold probabilities"):
        confidence_scores(logits(), kind="probabilities")
    with pytest.raises(ArgumentError, match=r"value has shape \(2, 0\), expected \(N, C\)"):
        confidence_scores(np.zeros((2, 0)))
    wrong = logits()
    wrong[3, 1] = math.nan
    for score in SCORES:
        with pytest.raises(ArgumentError, match=r"of value hold NaN.*index \(3,\)"):
            confidence_scores(wrong, score)
