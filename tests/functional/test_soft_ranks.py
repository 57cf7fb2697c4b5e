"""Softened ranks and the losses on them: exact limits, ties, discounts."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from limbeck.errors import ArgumentError
from limbeck.functional.soft_ranks import (
    approximate_ndcg_loss,
    approximate_ranks,
    average_ranks,
    rank_mse_loss,
)

rows = st.lists(st.integers(-5, 5), min_size=1, max_size=8)


@settings(deadline=None, max_examples=25)
@given(rows)
def test_ranks_are_those_of_scipy_and_the_limit_of_softened_ones(values):
    scores = torch.tensor([values], dtype=torch.float64)
    expected = rankdata(-scores.numpy(), axis=1)
    assert average_ranks(scores).tolist() == expected.tolist()
    sharp = approximate_ranks(scores, temperature=1e-3)
    torch.testing.assert_close(sharp, torch.from_numpy(expected))


@settings(deadline=None, max_examples=25)
@given(rows, st.floats(0.05, 20), st.floats(-30, 30))
def test_softened_ranks_keep_their_sum_and_ignore_shifts(values, temperature, shift):
    scores = torch.tensor([values], dtype=torch.float64)
    ranks = approximate_ranks(scores, temperature=temperature)
    count = len(values)
    assert float(ranks.sum()) == pytest.approx(count * (count + 1) / 2)
    moved = approximate_ranks(scores + shift, temperature=temperature)
    torch.testing.assert_close(moved, ranks)


def test_a_high_temperature_makes_everyone_middling():
    ranks = approximate_ranks(torch.tensor([[5.0, -2.0, 0.0]]), temperature=1e9)
    torch.testing.assert_close(ranks, torch.full((1, 3), 2.0))


def test_masked_candidates_take_no_rank():
    mask = torch.tensor([[True, False, True]])
    scores = torch.tensor([[1.0, math.nan, 2.0]])
    assert average_ranks(scores, mask=mask).tolist() == [[2.0, 0.0, 1.0]]
    soft = approximate_ranks(scores, temperature=0.01, mask=mask)
    torch.testing.assert_close(soft, torch.tensor([[2.0, 0.0, 1.0]]))


def test_rank_mse_vanishes_where_the_order_is_the_teachers():
    teacher = torch.tensor([[3.0, 1.0, 2.0], [2.0, 2.0, 0.0]])
    value = rank_mse_loss(teacher, teacher, temperature=1e-3)
    assert float(value) == pytest.approx(0, abs=1e-6)
    assert float(rank_mse_loss(-teacher, teacher, temperature=1e-3)) > 1


@pytest.mark.parametrize(
    ("discount", "weights"),
    [("log2", [1.0, 1 / math.log2(3)]), ("reciprocal", [1.0, 0.5]), (None, [1.0, 1.0])],
)
def test_discounts_weigh_by_the_teachers_rank(discount, weights):
    student, teacher = torch.zeros(1, 2), torch.tensor([[7.0, 1.0]])  # softened ranks are 1.5
    value = rank_mse_loss(student, teacher, discount=discount)
    assert float(value) == pytest.approx(0.25 * sum(weights) / 2)


def test_averages_over_candidates_and_over_lists_differ():
    student = torch.zeros(2, 3)
    teacher = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 0.0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    single = rank_mse_loss(student, teacher, mask=mask, reduction="none")
    pooled = rank_mse_loss(student, teacher, mask=mask)
    assert float(pooled) == pytest.approx(float(3 * single[0] + 2 * single[1]) / 5)
    lists = rank_mse_loss(student, teacher, mask=mask, average="lists")
    assert float(lists) == pytest.approx(float(single.mean()))
    total = rank_mse_loss(student, teacher, mask=mask, reduction="sum")
    assert float(total) == pytest.approx(float(3 * single[0] + 2 * single[1]))


def test_ndcg_loss_is_exact_for_sharp_ranks():
    relevance = torch.tensor([[2, 0, 1]])
    scores = torch.tensor([[1.0, 3.0, 2.0]])
    ideal = 3 + 1 / math.log2(3)
    found = 1 / math.log2(3) + 3 / math.log2(4)
    value = approximate_ndcg_loss(scores, relevance, temperature=1e-3)
    assert float(value) == pytest.approx(1 - found / ideal, abs=1e-6)
    linear = approximate_ndcg_loss(scores, relevance, temperature=1e-3, gain="linear")
    expected = (1 / math.log2(3) + 2 / math.log2(4)) / (2 + 1 / math.log2(3))
    assert float(linear) == pytest.approx(1 - expected, abs=1e-6)


def test_ndcg_loss_skips_lists_with_nothing_relevant():
    scores, relevance = torch.randn(2, 3), torch.tensor([[0, 0, 0], [0, 1, 0]])
    torch.testing.assert_close(
        approximate_ndcg_loss(scores, relevance), approximate_ndcg_loss(scores[1:], relevance[1:])
    )


def test_options_are_checked():
    scores = torch.zeros(1, 2)
    with pytest.raises(ArgumentError, match="temperature is -1"):
        approximate_ranks(scores, temperature=-1)
    with pytest.raises(ArgumentError, match="discount is 'log'"):
        rank_mse_loss(scores, scores, discount="log")
    with pytest.raises(ArgumentError, match="'exponential', 'linear'"):
        approximate_ndcg_loss(scores, scores, gain="square")
