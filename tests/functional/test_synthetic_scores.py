"""Scores of synthetic sets: their ends, what moves them, and percent is refused."""

import math

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional.synthetic_scores import (
    augmentation_robust_score,
    hard_label_recovery,
    improvement_over_random,
    label_robust_score,
)

EVEN = (1 - math.exp(-1)) / (math.e - math.exp(-1))


@pytest.mark.parametrize("score", [label_robust_score, augmentation_robust_score])
def test_equal_sets_give_a_little_above_a_quarter(score):
    assert float(score(0.5, 0.5, 0.5, 0.5)) == pytest.approx(EVEN)
    assert pytest.approx(0.2689, abs=1e-4) == EVEN


def test_scores_reach_from_0_to_1():
    assert float(label_robust_score(1.0, 0.0, 0.0, 1.0)) == pytest.approx(0)
    assert float(label_robust_score(0.0, 1.0, 1.0, 0.0)) == pytest.approx(1)
    assert float(augmentation_robust_score(0, 1, 0, 1)) == pytest.approx(0)
    assert float(augmentation_robust_score(1, 0, 1, 0)) == pytest.approx(1)


def test_weights_choose_what_counts():
    only_gain = label_robust_score(0.9, 0.1, 0.5, 0.5, weight=1)
    only_loss = label_robust_score(0.5, 0.5, 0.9, 0.1, weight=0)
    plain = augmentation_robust_score(0.9, 0.1, 0.5, 0.5, weight=0)
    assert [float(one) for one in (only_gain, only_loss, plain)] == pytest.approx([EVEN] * 3)


def test_tensors_are_scored_entry_by_entry():
    rows = torch.tensor([[0.848, 0.6, 0.66, 0.42], [0.562, 0.1, 0.55, 0.56]])
    whole = label_robust_score(*rows.T)
    assert whole.tolist() == pytest.approx([float(label_robust_score(*row)) for row in rows])
    assert float(hard_label_recovery(0.9, 0.7)) == pytest.approx(0.2)
    assert float(improvement_over_random(0.7, 0.9)) == pytest.approx(-0.2)


@pytest.mark.parametrize("wrong", [84.8, -0.1, float("nan"), torch.tensor([0.5, 66.0])])
@pytest.mark.parametrize("score", [label_robust_score, augmentation_robust_score])
@pytest.mark.parametrize("place", range(4))
def test_percent_is_refused(wrong, score, place):
    values = [0.5] * 4
    values[place] = wrong
    with pytest.raises(ArgumentError, match="expected fractions from 0 to 1; divide percent by"):
        score(*values)


@pytest.mark.parametrize("score", [label_robust_score, augmentation_robust_score])
def test_a_weight_is_a_share(score):
    with pytest.raises(ArgumentError, match=r"weight is 1\.5, expected a share from 0 to 1"):
        score(0.5, 0.5, 0.5, 0.5, weight=1.5)
