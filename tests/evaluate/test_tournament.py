"""Means, paired differences and ranks of entries are SciPy's, and gaps in the table are honest."""

import numpy as np
import pytest
from scipy import stats

from limbeck.errors import ArgumentError
from limbeck.evaluate.figures import main_figure
from limbeck.evaluate.tournament import compared, holm, spread, standing


def rows(**values):
    return [
        {"entry": entry, "seed": seed, "quality": {"accuracy": value}, "cost": {"steps": 10}}
        for entry, column in values.items()
        for seed, value in enumerate(column)
        if value is not None
    ]


TABLE = rows(a=[0.5, 0.6, 0.7, 0.65], b=[0.55, 0.72, 0.71, 0.7], c=[0.4, 0.61, 0.5, 0.52])


def test_the_interval_is_scipys():
    values = [0.5, 0.6, 0.7, 0.65]
    found = spread(values)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert found["std"] == pytest.approx(np.std(values, ddof=1))


def test_a_single_seed_has_no_spread():
    assert spread([0.5]) == {"mean": 0.5, "std": None, "low": None, "high": None, "seeds": 1}
    (pair,) = compared(rows(a=[0.5], b=[0.75]), ["a", "b"])["paired"]
    assert (pair["mean"], pair["p"], pair["p_holm"]) == (0.25, None, None)


def test_pairs_are_scipys_paired_t_test():
    tests = compared(TABLE, ["a", "b", "c"])
    pair = tests["paired"][0]
    assert (pair["first"], pair["second"], pair["seeds"]) == ("b", "a", 4)
    expected = stats.ttest_rel([0.5, 0.6, 0.7, 0.65], [0.55, 0.72, 0.71, 0.7]).pvalue
    assert pair["p"] == pytest.approx(expected)
    assert pair["mean"] == pytest.approx(0.0575)
    assert pair["p_holm"] >= pair["p"]
    assert len(tests["paired"]) == 3


def test_differences_without_spread_have_a_p_value():
    same, shifted = (
        compared(rows(a=[0.5, 0.75], b=column), ["a", "b"])["paired"][0]["p"]
        for column in ([0.5, 0.75], [0.25, 0.5])
    )
    assert (same, shifted) == (1.0, 0.0)


def test_ranks_are_the_friedman_test_of_the_seeds_that_all_finished():
    with_gap = [row for row in TABLE if (row["entry"], row["seed"]) != ("c", 0)]
    ranks = compared(with_gap, ["a", "b", "c"])["ranks"]
    assert ranks["seeds"] == [1, 2, 3]
    expected = stats.friedmanchisquare([0.6, 0.7, 0.65], [0.72, 0.71, 0.7], [0.61, 0.5, 0.52])
    assert ranks["friedman"]["p"] == pytest.approx(expected.pvalue)
    assert ranks["mean_ranks"]["b"] == 1.0
    pair = compared(with_gap, ["a", "b", "c"])["paired"][1]
    assert (pair["first"], pair["seeds"]) == ("c", 3)


def test_an_entry_that_never_finished_does_not_spoil_the_others():
    tests = compared(TABLE, ["gone", "a", "b", "c"])
    assert tests["ranks"]["entries"] == ["a", "b", "c"]
    assert "gone" not in standing(TABLE, ["gone", "a"])


def test_ranks_need_three_entries_and_two_seeds():
    assert compared(rows(a=[0.5, 0.6], b=[0.5, 0.7]), ["a", "b"])["ranks"] is None
    assert compared(rows(a=[0.5], b=[0.5], c=[0.6]), ["a", "b", "c"])["ranks"] is None


def test_errors_are_better_when_lower():
    table = [
        {"entry": entry, "seed": seed, "quality": {"rmse": value + seed}, "cost": {}}
        for entry, value in (("a", 3.0), ("b", 1.0), ("c", 2.0))
        for seed in (0, 1)
    ]
    tests = compared(table, ["a", "b", "c"])
    assert (tests["figure"], tests["higher_is_better"]) == ("rmse", False)
    assert tests["ranks"]["mean_ranks"] == {"a": 3.0, "b": 1.0, "c": 2.0}


def test_figures_that_no_entry_is_ranked_by_are_refused():
    with pytest.raises(ArgumentError, match="none of auc, accuracy"):
        main_figure([{"quality": {"speed": 1.0}}])


def test_holm_orders_and_caps():
    assert holm([0.5, 0.4, 0.9]) == [1.0, 1.0, 1.0]
    assert holm([]) == []
    found = holm([0.001, 0.2, 0.01])
    assert found == pytest.approx([0.003, 0.2, 0.02])
