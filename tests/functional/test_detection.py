"""ROC figures against scikit-learn and plain loops; either class as the positive one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from limbeck.errors import ArgumentError
from limbeck.functional.detection import (
    auroc,
    aurr,
    fpr_at_tpr,
    risk_at_recall,
    threshold_sweep,
)

NAN = math.nan


def kinds(inside=40, outside=30, seed=0, levels=None):
    draw = np.random.default_rng(seed)
    found = draw.normal(1, 1, inside), draw.normal(0, 1, outside)
    return found if levels is None else tuple(np.round(one * levels) / levels for one in found)


@pytest.mark.parametrize("levels", [None, 2])
def test_sweep_is_the_roc_curve_of_scikit_learn(levels):
    inside, outside = kinds(levels=levels)
    labels = np.r_[np.ones(40), np.zeros(30)]
    scores = np.r_[inside, outside]
    fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    found = threshold_sweep(labels, scores)
    assert found.thresholds.tolist() == thresholds[1:].tolist()
    assert (found.positives / 40).tolist() == pytest.approx(tpr[1:].tolist())
    assert (found.negatives / 30).tolist() == pytest.approx(fpr[1:].tolist())


@pytest.mark.parametrize("levels", [None, 2])
def test_auroc_is_that_of_scikit_learn_with_either_class_positive(levels):
    inside, outside = kinds(levels=levels)
    labels = np.r_[np.ones(40), np.zeros(30)]
    expected = roc_auc_score(labels, np.r_[inside, outside])
    assert auroc(inside, outside) == pytest.approx(expected)
    assert auroc(-outside, -inside) == pytest.approx(expected)
    assert auroc(outside, inside) == pytest.approx(1 - expected)


@pytest.mark.parametrize("positive", ["in_distribution", "out_of_distribution"])
@pytest.mark.parametrize("tpr", [0.5, 0.8, 0.95, 1.0])
def test_false_positives_at_an_attained_rate_are_those_of_a_plain_loop(positive, tpr):
    inside, outside = kinds(levels=4)
    high, low = (inside, outside) if positive == "in_distribution" else (-outside, -inside)
    expected = min(
        float((low >= threshold).mean()) for threshold in high if (high >= threshold).mean() >= tpr
    )
    assert fpr_at_tpr(inside, outside, tpr, positive=positive) == pytest.approx(expected)


def test_the_two_positive_classes_give_two_figures():
    inside, outside = [0.9, 0.8, 0.7, 0.1], [0.2, 0.0]
    assert fpr_at_tpr(inside, outside, 1.0) == 0.5
    assert fpr_at_tpr(inside, outside, 1.0, positive="out_of_distribution") == 0.25


def test_closest_takes_the_lowest_of_equal_thresholds():
    inside, outside = [0.9, 0.8, 0.3], [0.5, 0.1]
    assert fpr_at_tpr(inside, outside, 1.0, variant="closest") == 1.0
    assert fpr_at_tpr(inside, outside, 1.0) == 0.5
    # Two of three is nearest to 0.7, at the thresholds 0.8 and 0.5, and does not attain it.
    assert fpr_at_tpr(inside, outside, 0.7, variant="closest") == 0.5
    assert fpr_at_tpr([0.9, 0.8, 0.1], [0.0], 0.7, variant="closest") == 0


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=20),
    st.lists(st.integers(-5, 5), min_size=1, max_size=20),
    st.floats(0, 1),
)
def test_properties_of_detection(inside, outside, tpr):
    value = auroc(inside, outside)
    pairs = [(a > b) + (a == b) / 2 for a in inside for b in outside]
    assert value == pytest.approx(sum(pairs) / len(pairs))
    assert auroc(np.exp(inside), np.exp(outside)) == pytest.approx(value)
    at, more = (fpr_at_tpr(inside, outside, one) for one in (tpr, min(1.0, tpr + 0.2)))
    assert 0 <= at <= more <= 1


def test_full_separation_and_chance():
    assert auroc([2.0, 3.0], [1.0, 0.0]) == 1
    assert fpr_at_tpr([2.0, 3.0], [1.0, 0.0], 1.0) == 0
    assert auroc([1.0] * 3, [1.0] * 5) == 0.5
    assert fpr_at_tpr([1.0] * 3, [1.0] * 5) == 1


def test_one_kind_alone_has_no_area():
    confidence, correct = np.array([0.9, 0.4]), np.array([True, True])
    assert math.isnan(auroc(confidence[correct], confidence[~correct]))
    assert math.isnan(auroc(torch.zeros(0), confidence))


# Risk over recall


def recall_by_loop(correct, confidence):
    points = [(0.0, 0.0)]
    for threshold in sorted(set(confidence), reverse=True):
        kept = [c for c, s in zip(correct, confidence, strict=True) if s >= threshold]
        points.append((sum(kept) / sum(correct), 1 - sum(kept) / len(kept)))
    return points


@pytest.mark.parametrize("levels", [None, 2])
def test_area_and_risk_over_recall_are_those_of_a_plain_loop(levels):
    inside, outside = kinds(levels=levels)
    correct, confidence = np.r_[np.ones(40), np.zeros(30)], np.r_[inside, outside]
    points = recall_by_loop(correct.tolist(), confidence.tolist())
    area = sum((points[k][0] - points[k - 1][0]) * points[k][1] for k in range(1, len(points)))
    assert aurr(correct, confidence) == pytest.approx(area)
    for target in (0.5, 0.95, 1.0):
        nearest = min(points, key=lambda point: abs(point[0] - target))
        assert risk_at_recall(correct, confidence, target) == pytest.approx(nearest[1])


def test_all_right_has_no_risk_and_all_wrong_no_recall():
    confidence = [0.9, 0.5, 0.5]
    assert aurr([1, 1, 1], confidence) == risk_at_recall([1, 1, 1], confidence) == 0
    assert math.isnan(aurr([0, 0, 0], confidence))
    assert math.isnan(risk_at_recall([0, 0, 0], confidence))
    assert aurr([1], [0.5]) == 0


# Errors


def test_arguments_that_do_not_fit_are_named():
    with pytest.raises(ArgumentError, match="positive has 1 samples and score 2"):
        threshold_sweep([1], [0.1, 0.2])
    with pytest.raises(ArgumentError, match="entries of ood_confidence hold NaN"):
        auroc([0.5], [NAN])
    with pytest.raises(ArgumentError, match="ood_confidence is empty"):
        fpr_at_tpr([0.5], [])
    with pytest.raises(ArgumentError, match="tpr is 95, expected a fraction"):
        fpr_at_tpr([0.5], [0.4], 95)
    with pytest.raises(ArgumentError, match="positive is 'ood', expected one of"):
        fpr_at_tpr([0.5], [0.4], positive="ood")
    with pytest.raises(ArgumentError, match="variant is 'first', expected one of"):
        fpr_at_tpr([0.5], [0.4], variant="first")
    with pytest.raises(ArgumentError, match="correct has 1 samples and confidence 2"):
        aurr([1], [0.1, 0.2])
    with pytest.raises(ArgumentError, match="recall is -1, expected a fraction"):
        risk_at_recall([1], [0.1], -1)
