"""Near-duplicates go, conditioning never gets worse."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ArgumentError, NotFiniteError
from limbeck.functional import correlation_condition, redundancy_projection


def ensemble(seed=0, rows=200, members=8, noise=0.3):
    draw = np.random.default_rng(seed)
    target = draw.standard_normal(rows)
    spread = noise * (1 + np.arange(members)) / members
    return target[:, None] + spread * draw.standard_normal((rows, members)), target


def with_twins():
    table, target = ensemble()
    return np.column_stack([table, table[:, 2], table[:, 5] + 1e-4 * table[:, 0]]), target


def test_a_duplicate_goes_and_the_better_one_is_named():
    table, target = with_twins()
    found = redundancy_projection(table, target, squared_difference=1e-4)
    near, twin = sorted(found.removed, key=lambda one: one.member)
    # Of equal errors the earlier column stays.
    assert (twin.member, twin.kept, twin.squared_difference) == (8, 2, 0.0)
    assert {near.member, near.kept} == {5, 9}
    assert near.reason == "duplicate"
    assert near.kept_error <= near.error
    assert near.correlation > 0.999
    assert found.condition_before > 1e9 * found.condition_after


def test_exact_duplicates_go_at_threshold_zero():
    table, target = with_twins()
    found = redundancy_projection(
        table * 1e6, target * 1e6, correlation=1.0, squared_difference=0.0
    )
    assert [one.member for one in found.removed] == [8]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 1.0), st.floats(0.0, 0.5))
def test_conditioning_never_gets_worse(seed, correlation, difference):
    table, target = ensemble(seed, rows=30, members=6)
    found = redundancy_projection(
        table, target, correlation=correlation, squared_difference=difference
    )
    assert found.condition_after <= found.condition_before * (1 + 1e-9)
    assert len(found.kept) + len(found.removed) == 6
    assert found.errors.argmin() in found.kept


def test_a_higher_difference_removes_at_least_as_many():
    for seed in range(5):
        table, target = ensemble(seed, members=12)
        counts = [
            len(redundancy_projection(table, target, squared_difference=one).removed)
            for one in (0.0, 0.01, 0.02, 0.05, 0.1, 1.0)
        ]
        assert counts == sorted(counts)
        assert counts[0] < counts[-1]


def test_members_that_run_against_each_other_both_stay():
    table, target = ensemble(members=1)
    both = np.column_stack([table, -table])
    assert redundancy_projection(both, target, squared_difference=100.0).kept.tolist() == [0, 1]


def test_constant_members_go_first_and_low_variance_last():
    table, target = ensemble(members=3)
    odd = np.column_stack([table, np.full(len(target), 0.1), 0.05 * table[:, 0]])
    found = redundancy_projection(odd, target, squared_difference=0.0)
    assert [(one.member, one.reason) for one in found.removed] == [
        (3, "constant"),
        (4, "low variance"),
    ]
    assert np.isfinite(found.condition_before)
    # The best member stays, whatever the threshold.
    assert len(redundancy_projection(table, target, variance=1e9).kept) == 1
    with pytest.raises(ArgumentError, match="each is constant"):
        redundancy_projection(np.ones((5, 2)), np.arange(5.0))


def test_a_far_away_zero_makes_no_member_constant():
    table, target = ensemble(members=3)
    near = redundancy_projection(table, target, squared_difference=0.0)
    far = redundancy_projection(table + 1e11, target + 1e11, squared_difference=0.0)
    assert far.kept.tolist() == near.kept.tolist() == [0, 1, 2]
    assert far.condition_after == pytest.approx(near.condition_after, rel=1e-3)


def test_relative_thresholds_do_not_depend_on_the_unit():
    table, target = with_twins()
    options = {"squared_difference": 0.05, "relative": True}
    small, large = (redundancy_projection(s * table, s * target, **options) for s in (1e-3, 1e3))
    assert small.kept.tolist() == large.kept.tolist()
    assert len(small.removed) > 2


def test_weights_are_repeated_rows():
    table, target = with_twins()
    weights = np.random.default_rng(0).integers(0, 4, len(target))
    weighted = redundancy_projection(table, target, weights=weights)
    repeated = redundancy_projection(table.repeat(weights, 0), target.repeat(weights))
    assert weighted.kept.tolist() == repeated.kept.tolist()
    np.testing.assert_allclose(weighted.errors, repeated.errors)
    np.testing.assert_allclose(weighted.condition_after, repeated.condition_after)


def test_products_agree_with_pairs_taken_one_by_one():
    table, target = ensemble(members=10)
    found = redundancy_projection(table, target, squared_difference=0.03, correlation=0.9)
    for one in found.removed:
        pair = table[:, [one.member, one.kept]]
        assert one.correlation == pytest.approx(np.corrcoef(pair.T)[0, 1])
        assert one.squared_difference == pytest.approx(np.mean(np.diff(pair) ** 2))
    assert found.condition_before == pytest.approx(np.linalg.cond(np.corrcoef(table.T)))


def test_tables_come_as_they_like():
    table, target = ensemble()
    expected = redundancy_projection(table, target).errors
    for kind in (torch.from_numpy, pd.DataFrame, np.asfortranarray):
        found = redundancy_projection(kind(table), torch.from_numpy(target)).errors
        np.testing.assert_allclose(found, expected)


def test_one_member_is_well_conditioned():
    assert correlation_condition([[1.0], [2.0]]) == 1.0


def test_bad_tables_are_refused_by_name():
    table, target = ensemble()
    table[3, 4] = np.nan
    with pytest.raises(NotFiniteError, match=r"in 1 of 8 columns, the first is column 4 \(1 of"):
        redundancy_projection(table, target)
    with pytest.raises(ArgumentError, match=r"target has shape \(5,\), expected \(200,\)"):
        redundancy_projection(ensemble()[0], target[:5])
    with pytest.raises(ArgumentError, match="correlation is 2"):
        redundancy_projection(*ensemble(), correlation=2)
    with pytest.raises(ArgumentError, match="squared_difference is -1"):
        redundancy_projection(*ensemble(), squared_difference=-1)
    with pytest.raises(ArgumentError, match="not all 0"):
        redundancy_projection(*ensemble(), weights=np.zeros(200))
    with pytest.raises(ArgumentError, match="constant columns, the first is column 1"):
        correlation_condition([[1.0, 3.0], [2.0, 3.0]])
