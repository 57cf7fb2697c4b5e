"""What is held out, what it may learn from, and how folds are dealt again."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import KFold, TimeSeriesSplit

from limbeck.bridges.sklearn.folds import inner_groups, make_folds
from limbeck.errors import ArgumentError

ROWS, TARGET = np.zeros((12, 1)), np.zeros(12)


def test_a_number_of_folds_is_shuffled_by_its_seed():
    first, second = (make_folds(3, ROWS, TARGET, seed=7) for _ in range(2))
    assert first.number.tolist() == second.number.tolist()
    assert np.bincount(first.number).tolist() == [4, 4, 4]
    assert first.number.tolist() != make_folds(3, ROWS, TARGET, seed=8).number.tolist()
    labels = np.repeat([0, 1], 6)
    shares = make_folds(3, ROWS, labels, classifier=True).number
    assert np.bincount(shares[:6]).tolist() == [2, 2, 2]


def test_time_series_learn_from_what_was_before():
    folds = make_folds(TimeSeriesSplit(3), ROWS, TARGET)
    assert folds.number.tolist() == [-1] * 3 + [0] * 3 + [1] * 3 + [2] * 3
    assert [folds.before(fold) for fold in range(3)] == [[], [0], [0, 1]]
    # A gap leaves no fold before it whole.
    gapped = make_folds(TimeSeriesSplit(3, gap=1), ROWS, TARGET)
    assert [gapped.before(fold) for fold in range(3)] == [[], [], [0]]
    assert inner_groups(folds, [0, 1], 2) == [([0], [1])]
    assert inner_groups(folds, [0], 3) == []


@pytest.mark.parametrize(
    ("cv", "said"),
    [
        (
            [(range(6), range(6, 20))],
            "split 0 of cv holds out int64 .* from 6 to 19, expected",
        ),
        ([(range(6), [-1])], "holds out .* from -1 to -1, expected numbers of rows from 0 to 11"),
        ([(np.arange(12) < 6, np.arange(12) >= 6)], "trains on bool .* of a mask take np.flatnon"),
        ([([0.0, 1.0], [2, 3])], "trains on float64 of shape"),
        ([([0, 1], [2, 3]), 4], "split 1 of cv is 4, expected a pair"),
        ([([0], [1], [2])], "split 0 of cv is .* expected a pair"),
        ([], "cv holds no split"),
    ],
)
def test_splits_that_do_not_fit_the_rows_are_refused(cv, said):
    with pytest.raises(ArgumentError, match=said):
        make_folds(cv, ROWS, TARGET)


def test_only_rows_that_count_are_left():
    folds = make_folds(KFold(3), ROWS, TARGET)
    weights = np.ones(12)
    weights[[0, *range(4, 8)]] = 0
    left, rows = folds.counted(weights)
    assert rows.sum() == 7
    assert left.number.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert left.before(0) == [1]


def test_splits_that_leak_are_refused():
    with pytest.raises(ArgumentError, match="holds row 1 out more than once"):
        make_folds([([0], [1]), ([0], [1])], ROWS, TARGET)
    with pytest.raises(ArgumentError, match="trains split 0 on rows that it holds out"):
        make_folds([([0, 1], [1]), ([1], [0])], ROWS, TARGET)
