"""Against scipy, ties included."""

import numpy as np
import pytest
from scipy import stats

from limbeck.errors import ArgumentError
from limbeck.functional import rank_agreement


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
@pytest.mark.parametrize("values", [1000, 5])
def test_equals_scipy(values, scale):
    draw = np.random.default_rng(values)
    first, second = draw.integers(values, size=(2, 700)) * scale
    second = second + first
    found = rank_agreement(first, second)
    assert found.kendall == pytest.approx(stats.kendalltau(first, second).statistic, abs=1e-9)
    assert found.spearman == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-6)
    assert found.pearson == pytest.approx(stats.pearsonr(first, second).statistic, abs=1e-6)


def test_a_constant_list_has_no_order():
    assert rank_agreement([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ([1.0], [2.0], "two or more"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "equal shapes"),
        ([1.0, float("nan")], [1.0, 2.0], "NaN"),
    ],
)
def test_bad_lists_are_refused(first, second, said):
    with pytest.raises(ArgumentError, match=said):
        rank_agreement(first, second)
