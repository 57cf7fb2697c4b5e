"""Columns of a stack: statistics of each row, log-odds, and a row a class."""

import numpy as np
import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import row_statistics
from limbeck.functional.stack_columns import (
    LEAST_PROBABILITY,
    class_rows,
    log_odds,
    log_probabilities,
)


def table(members, rows=50):
    return np.random.default_rng(0).normal(size=(rows, members)) * [10.0**n for n in range(members)]


def shares(classes, rows=40, members=3):
    return np.random.default_rng(1).dirichlet(np.ones(classes), size=(rows, members))


@pytest.mark.parametrize("members", [1, 2, 5, 6])
@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("interactions", [True, False])
def test_statistics_are_those_of_numpy(members, statistics, interactions):
    given = table(members)
    mean, deviation, spread = given.mean(1), given.std(1), np.ptp(given, axis=1)
    expected = [given]
    if statistics:
        expected += [mean, deviation, np.median(given, axis=1), spread]
    if interactions:
        expected += [mean * deviation, spread * deviation]
    found = row_statistics(given, statistics=statistics, interactions=interactions)
    np.testing.assert_allclose(found, np.column_stack(expected), rtol=1e-12, atol=1e-12)


def test_tables_come_as_they_like():
    given = table(3)
    frozen = given.copy()
    frozen.flags.writeable = False
    for one in (torch.from_numpy(given), frozen, np.asfortranarray(given), given.tolist()):
        np.testing.assert_array_equal(row_statistics(one), row_statistics(given))
    with pytest.raises(ArgumentError, match="does not hold numbers"):
        row_statistics([["a"]])


def test_one_member_has_no_spread():
    assert row_statistics([[2.0]]).tolist() == [[2.0, 2.0, 0.0, 2.0, 0.0, 0.0, 0.0]]


def test_two_classes_are_one_log_odds_a_member():
    given = shares(2)
    found = log_odds(torch.from_numpy(given)).numpy()
    np.testing.assert_allclose(found, np.log(given[..., 1] / given[..., 0]))


def test_more_classes_are_centred_logarithms():
    given = shares(4)
    found = log_odds(torch.from_numpy(given)).numpy().reshape(40, 3, 4)
    np.testing.assert_allclose(found.sum(2), 0, atol=1e-12)
    np.testing.assert_allclose(np.diff(found, axis=2), np.diff(np.log(given), axis=2))


def test_what_never_happened_counts_as_a_millionth_everywhere():
    certain = np.array([[[0.0, 1.0]]])
    least = np.log(LEAST_PROBABILITY)
    assert log_probabilities(certain)[0, 0, 0] == least
    assert log_odds(torch.from_numpy(certain)).item() == -least


def test_a_row_a_class_keeps_members_apart():
    given, target = shares(3), np.arange(40) % 3
    rows, hot = class_rows(given, target)
    assert rows.shape == (120, 3)
    np.testing.assert_array_equal(rows[3 * 7 + 2], given[7, :, 2])
    np.testing.assert_array_equal(hot.reshape(40, 3).argmax(1), target)
