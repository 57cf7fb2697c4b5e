"""Frequent sets are exactly those that a peer finds, and limits cut the end of an order."""

import itertools

import numpy as np
import pytest

from limbeck.errors import ArgumentError
from limbeck.functional import item_sets
from limbeck.functional.item_sets import exclusive_item_sets, frequent_item_sets


def drawn(seed):
    draws = np.random.default_rng(seed)
    table = draws.random((int(draws.integers(1, 90)), int(draws.integers(1, 8)))) < draws.random()
    rows, items = np.nonzero(table)
    return table, rows, 3 * items + 5, int(draws.integers(1, min(6, len(table)) + 1))


def brute(table, least):
    found = {}
    for size in range(1, table.shape[1] + 1):
        for one in itertools.combinations(range(table.shape[1]), size):
            support = int(table[:, one].all(1).sum())
            if support >= least:
                found[tuple(3 * item + 5 for item in one)] = support
    return found


@pytest.mark.parametrize("seed", range(30))
def test_all_sets_are_found_with_their_supports(seed):
    table, rows, items, least = drawn(seed)
    found = frequent_item_sets(rows, items, least)
    assert dict(zip(found.sets, found.supports.tolist(), strict=True)) == brute(table, least)
    assert list(found.sets) == sorted(found.sets, key=lambda one: (len(one), one))
    assert not found.cut
    assert not found.larger


@pytest.mark.parametrize("seed", range(10))
def test_the_peer_finds_the_same(seed):
    peer = pytest.importorskip("mlxtend.frequent_patterns")
    import pandas as pd

    table, rows, items, least = drawn(seed + 100)
    if not len(rows):
        return
    said = peer.fpgrowth(pd.DataFrame(table), min_support=(least - 0.5) / len(table))
    expected = {
        tuple(sorted(3 * item + 5 for item in one)): round(share * len(table))
        for one, share in zip(said["itemsets"], said["support"], strict=True)
    }
    found = frequent_item_sets(rows, items, least)
    assert dict(zip(found.sets, found.supports.tolist(), strict=True)) == expected


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("most", [1, 3, 7])
@pytest.mark.parametrize("words", [2, item_sets.AT_ONCE])
def test_a_limit_keeps_the_first_by_support_then_size(seed, most, words, monkeypatch):
    monkeypatch.setattr(item_sets, "AT_ONCE", words)
    table, rows, items, least = drawn(seed)
    whole = brute(table, least)
    found = frequent_item_sets(rows, items, least, max_sets=most)
    order = sorted(whole, key=lambda one: (-whole[one], len(one), one))
    assert set(found.sets) == set(order[:most])
    assert found.cut == (len(whole) > most)


@pytest.mark.parametrize("seed", range(10))
def test_a_limit_of_size_says_what_it_left_out(seed):
    table, rows, items, least = drawn(seed)
    whole = brute(table, least)
    found = frequent_item_sets(rows, items, least, max_size=2)
    assert set(found.sets) == {one for one in whole if len(one) <= 2}
    assert found.larger == any(len(one) > 2 for one in whole)


@pytest.mark.parametrize("most", [None, 5])
@pytest.mark.parametrize("seed", range(10))
def test_a_lower_count_never_gives_fewer(seed, most):
    _, rows, items, _ = drawn(seed)
    counts = [len(frequent_item_sets(rows, items, least, max_sets=most)) for least in (6, 4, 2, 1)]
    assert counts == sorted(counts)


def test_what_would_explode_is_cut_in_time():
    rows, items = np.nonzero(np.ones((50, 40), bool))
    found = frequent_item_sets(rows, items, 5, max_sets=2000)
    assert len(found) == 2000
    assert found.cut


def test_sets_of_one_class_alone():
    first = frequent_item_sets([0, 0, 1, 1], [1, 2, 1, 2], 2)
    second = frequent_item_sets([0, 1], [2, 2], 2)
    third = frequent_item_sets([0, 1], [9, 9], 2)
    kept, emptied = exclusive_item_sets([first, second, third])
    assert [one.sets for one in kept] == [((1,), (1, 2)), ((2,),), ((9,),)]
    assert emptied == [1]
    assert kept[0].supports.tolist() == [2, 2]


def test_no_occurrence_gives_no_set():
    assert len(frequent_item_sets([], [], 1)) == 0


@pytest.mark.parametrize("options", [{"min_count": 0}, {"max_size": 0}, {"max_sets": 0}])
def test_limits_below_one_are_refused(options):
    with pytest.raises(ArgumentError, match="expected at least 1"):
        frequent_item_sets([0], [0], **{"min_count": 1, **options})


def test_shapes_must_match():
    with pytest.raises(ArgumentError, match=r"\(P,\)"):
        frequent_item_sets([0, 1], [0], 1)
