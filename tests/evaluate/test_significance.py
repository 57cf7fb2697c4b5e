"""Friedman and Nemenyi tests: SciPy's values, published critical differences, tiers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from limbeck.errors import ArgumentError
from limbeck.evaluate.significance import friedman_test, nemenyi_critical_difference, tiers


@pytest.mark.parametrize("decimals", [8, 0])
def test_statistic_and_p_value_are_scipys_with_and_without_ties(decimals):
    table = np.random.default_rng(0).normal(size=(12, 4)).round(decimals)
    result = friedman_test(table)
    expected = friedmanchisquare(*table.T)
    assert result.statistic == pytest.approx(expected.statistic)
    assert result.p_value == pytest.approx(expected.pvalue)
    assert sum(result.mean_ranks) == pytest.approx(10)


def test_lower_may_be_better():
    errors = [[0.1, 0.2, 0.3], [0.2, 0.3, 0.4]]
    assert friedman_test(errors, higher_is_better=False).mean_ranks == [1.0, 2.0, 3.0]


def test_a_table_of_ties_shows_nothing():
    result = friedman_test(np.ones((4, 3)))
    assert (result.statistic, result.p_value) == (0.0, 1.0)
    assert result.mean_ranks == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(("methods", "settings", "published"), [(6, 54, 1.03), (9, 36, 2.00)])
def test_critical_differences_are_the_published_ones(methods, settings, published):
    assert nemenyi_critical_difference(methods, settings) == pytest.approx(published, abs=0.005)


def test_tiers_of_a_table_of_settings_by_objectives():
    random = np.random.default_rng(0)
    strength = np.array([0.0, 1.5, 0.1, -1.5, 1.6, 0.0])
    table = strength + 0.3 * random.normal(size=(54, 6))
    result = friedman_test(table)
    found = tiers(result.mean_ranks, nemenyi_critical_difference(6, 54))
    assert result.p_value < 1e-6
    assert [sorted(group) for group in found] == [[1, 4], [0, 2, 5], [3]]


def test_tiers_may_overlap():
    assert tiers([1.0, 1.8, 2.6], 1.0) == [[0, 1], [1, 2]]
    assert tiers([1.0, 2.0, 3.0], 0.0) == [[0], [1], [2]]
    assert tiers([], 1.0) == []


def test_arguments_are_checked():
    with pytest.raises(ArgumentError, match=r"\(2, 2\).*three methods"):
        friedman_test(np.ones((2, 2)))
    with pytest.raises(ArgumentError, match="NaN"):
        friedman_test([[1, 2, float("nan")], [1, 2, 3]])
    with pytest.raises(ArgumentError, match="alpha 2"):
        nemenyi_critical_difference(3, 4, alpha=2)
    with pytest.raises(ArgumentError, match="critical_difference is -1"):
        tiers([1.0], -1)
