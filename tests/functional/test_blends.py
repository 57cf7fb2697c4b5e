"""Weights over members: convex, greedy, and how unequal they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ArgumentError
from limbeck.functional import blend, greedy_weights, inverse_error_weights, weight_gini


def members(seed, count=5, rows=60):
    draw = np.random.default_rng(seed)
    target = draw.standard_normal(rows)
    return target[:, None] + draw.uniform(0.1, 1, count) * draw.standard_normal(
        (rows, count)
    ), target


def rmse(prediction, target):
    return np.sqrt(np.mean((prediction - target) ** 2))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_blend_is_at_most_the_mean_error(seed):
    table, target = members(seed)
    weights = inverse_error_weights(table, target)
    assert weights.sum() == pytest.approx(1)
    each = [rmse(column, target) for column in table.T]
    assert rmse(blend(table, weights), target) <= np.mean(each) + 1e-12
    np.testing.assert_array_equal(np.argsort(weights), np.argsort(each)[::-1])


def test_perfect_members_share_the_weight():
    target = np.arange(4.0)
    table = np.column_stack([target, target + 1, target])
    assert inverse_error_weights(table, target).tolist() == [0.5, 0.0, 0.5]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_greedy_is_never_behind_the_best_member(seed):
    table, target = members(seed)
    weights = greedy_weights(table, target)
    best = min(rmse(column, target) for column in table.T)
    assert rmse(table @ weights, target) <= best + 1e-12
    assert weights.sum() == pytest.approx(1)


def test_greedy_is_the_search_written_out():
    table, target = members(3)
    chosen = []
    for _ in range(6):
        errors = [rmse(table[:, [*chosen, k]].mean(1), target) for k in range(5)]
        if chosen and min(errors) >= rmse(table[:, chosen].mean(1), target):
            break
        chosen.append(int(np.argmin(errors)))
    expected = np.bincount(chosen, minlength=5) / len(chosen)
    np.testing.assert_allclose(greedy_weights(table, target, rounds=6), expected)


def test_greedy_with_a_perfect_member_stops():
    target = np.arange(4.0)
    assert greedy_weights(np.column_stack([target, -target]), target).tolist() == [1.0, 0.0]


def test_gini_of_equal_and_of_single_weights():
    assert weight_gini(np.ones(7)) == pytest.approx(0)
    assert weight_gini([0, 0, -3, 0]) == pytest.approx(0.75)
    assert weight_gini(np.zeros(3)) == 0.0


def test_bad_weights_are_refused():
    with pytest.raises(ArgumentError, match=r"\(2,\): one number for each column"):
        blend([[1.0, 2.0]], [1.0])
    with pytest.raises(ArgumentError, match="rounds is 0"):
        greedy_weights([[1.0]], [1.0], rounds=0)
    with pytest.raises(ArgumentError, match="weights is empty"):
        weight_gini([])
