"""Keyed randomness: a draw depends on its key and ids alone, and looks random all the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from limbeck.keyed import key, permutation, torch_seeded, uniform

properties = settings(deadline=None, max_examples=60, derandomize=True)
parts = st.lists(st.integers(-(2**70), 2**70) | st.text(max_size=4), max_size=4)

# Draws are fixed numbers, so a bound of five standard errors either always holds or never.
COUNT = 100_000
BOUND = 5 / np.sqrt(COUNT)


def correlation(first, second):
    return np.corrcoef(first, second)[0, 1]


# Keys


def test_keys_never_change():
    """Runs that were stored must find their numbers again, on every machine."""
    assert key() == 14368017890445460849
    assert key(0, "student", 1) == 10943581923185946423
    assert key(-1, "büchse") == 2328122007290033948


@properties
@given(parts, parts)
def test_keys_are_equal_where_their_parts_are(first, second):
    assert (key(*first) == key(*second)) == (first == second)
    assert 0 <= key(*first) < 2**64


def test_keys_tell_words_from_numbers_and_where_a_word_ends():
    tuples = [(1,), ("1",), (1, 2), (12,), ("a", "b"), ("ab",), ("a\x1fb",), ("a', 'b",), ()]
    assert len({key(*parts) for parts in tuples}) == len(tuples)


def test_numbers_and_words_of_numpy_are_plain_ones():
    assert key(np.int64(3), np.str_("a")) == key(3, "a")
    assert key(np.uint8(3), torch.tensor(4)) == key(3, 4)


def test_fractions_are_no_keys():
    with pytest.raises(TypeError):
        key(0.5)


def test_bits_of_keys_are_even():
    keys = np.array([key(0, "student", step) for step in range(4000)], dtype=np.uint64)
    bits = (keys[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / np.sqrt(4000)


# Uniform numbers


def test_uniform_numbers_never_change():
    assert uniform(7, np.array([3]), 2).tolist() == [[0.6114022868410689, 0.9604158658392944]]


def test_uniform_numbers_are_those_of_split_mix_in_plain_integers():
    def mix(bits):
        bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        bits = (bits ^ bits >> 27) * 0x94D049BB133111EB % 2**64
        return bits ^ bits >> 31

    golden, ids = 0x9E3779B97F4A7C15, [0, 7, -1, 2**63 - 1]
    for seed_key in (0, 2**64 - 1, key(0)):
        rows = [mix((i * golden + seed_key) % 2**64) for i in ids]
        expected = [
            [(mix((row + j * golden) % 2**64) >> 11) / 2**53 for j in (1, 2, 3)] for row in rows
        ]
        assert uniform(seed_key, np.array(ids), 3).tolist() == expected


@properties
@given(
    st.integers(0, 2**64 - 1),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=8),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_a_sample_has_its_numbers_in_any_batch(seed_key, ids, draws, random):
    whole = uniform(seed_key, np.array(ids, dtype=np.int64), draws)
    assert whole.shape == (len(ids), draws)
    assert whole.dtype == np.float64
    assert ((whole >= 0) & (whole < 1)).all()
    order = [*range(len(ids))]
    random.shuffle(order)
    part = order[: len(order) // 2 + 1]
    shuffled = uniform(seed_key, np.array([ids[i] for i in part], dtype=np.int64), draws)
    assert (shuffled == whole[part]).all()


def test_further_draws_leave_the_first_ones_as_they_are():
    ids = np.arange(5)
    assert (uniform(1, ids, 7)[:, :3] == uniform(1, ids, 3)).all()


def test_ids_of_any_integer_dtype():
    expected = uniform(1, np.arange(5), 2)
    for dtype in (np.int32, np.uint8, np.uint64):
        assert (uniform(1, np.arange(5, dtype=dtype), 2) == expected).all()


@pytest.mark.parametrize("seed_key", [0, 1, 2**64 - 1, key(0, "student", 1)])
@pytest.mark.parametrize("start", [0, -COUNT // 2, 10**12])
def test_numbers_are_uniform(seed_key, start):
    """Mean, variance, 256 bins, and the last bits, for ids that count upwards."""
    values = uniform(seed_key, np.arange(start, start + COUNT), 1)[:, 0]
    assert abs(values.mean() - 1 / 2) < BOUND * np.sqrt(1 / 12)
    assert abs(values.var() - 1 / 12) < BOUND * np.sqrt(1 / 180)
    assert chisquare(np.bincount((values * 256).astype(int), minlength=256)).pvalue > 1e-5
    last = (values * 2.0**53).astype(np.int64) & 255
    assert chisquare(np.bincount(last, minlength=256)).pvalue > 1e-5
    assert len(np.unique(values)) == COUNT


def test_neighbours_are_not_correlated():
    """Not from id to id, from draw to draw, from key to key, nor across the diagonal."""
    ids = np.arange(COUNT)
    for first_key, second_key in ((0, 1), (key(0, "student", 1), key(0, "student", 2))):
        first, second = uniform(first_key, ids, 3), uniform(second_key, ids, 3)
        for step in (1, 2, 64):
            assert abs(correlation(first[:-step, 0], first[step:, 0])) < BOUND
        assert abs(correlation(first[:, 0], first[:, 1])) < BOUND
        assert abs(correlation(first[:, 0], first[:, 2])) < BOUND
        assert abs(correlation(first[:-1, 1], first[1:, 0])) < BOUND
        for shift in (0, 1):
            count = COUNT - shift
            assert abs(correlation(first[:count, 0], second[shift:, 0])) < BOUND


def test_one_id_over_many_keys_is_uniform():
    """What one sample sees from epoch to epoch."""
    values = np.array([uniform(key(0, "view", e), np.array([7]), 2)[0] for e in range(4000)])
    for column in values.T:
        assert chisquare(np.bincount((column * 16).astype(int), minlength=16)).pvalue > 1e-5
        assert abs(correlation(column[:-1], column[1:])) < 5 / np.sqrt(4000)
    assert abs(correlation(*values.T)) < 5 / np.sqrt(4000)


# Permutations


@properties
@given(st.integers(0, 2**64 - 1), st.integers(0, 30))
def test_permutation_holds_each_number_once_and_again_the_same(seed_key, count):
    order = permutation(seed_key, count)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == [*range(count)]
    assert (order == permutation(seed_key, count)).all()


def test_each_number_stands_at_each_place_equally_often():
    orders = np.array([permutation(key(0, "order", epoch), 6) for epoch in range(3000)])
    for place in range(6):
        assert chisquare(np.bincount(orders[:, place], minlength=6)).pvalue > 1e-5
    assert abs(correlation(orders[:-1, 0], orders[1:, 0])) < 5 / np.sqrt(3000)


# Torch's global generator


def test_torch_is_seeded_inside_and_put_back_after():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with torch_seeded(key(0, "a")):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with torch_seeded(key(0, "a")):
        assert torch.equal(torch.rand(3), first)
    with torch_seeded(key(0, "b")):
        assert not torch.equal(torch.rand(3), first)
    with torch_seeded(2**64 - 1):
        assert torch.rand(3).isfinite().all()


def test_torch_is_put_back_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(KeyError), torch_seeded(1):
        {}[torch.rand(3)]
    assert torch.equal(torch.get_rng_state(), state)
