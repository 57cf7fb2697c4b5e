"""Numbers by table and by sorting are the same."""

import numpy as np
import pytest

from limbeck.functional import numbering
from limbeck.functional.numbering import by_first, compacted


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [3, 10_000_000])
def test_numbers_are_ranks_whichever_way(seed, spread, monkeypatch):
    keys = np.random.default_rng(seed).integers(-spread, spread, 200)
    expected = np.unique(keys, return_inverse=True)
    for room in (0, numbering.ROOM, 10**6):
        monkeypatch.setattr(numbering, "ROOM", room)
        monkeypatch.setattr(numbering, "SPARE", 0)
        numbers, count = compacted(keys)
        assert np.array_equal(numbers, expected[1])
        assert count == len(expected[0])


def test_no_keys_have_no_numbers():
    assert compacted(np.empty(0, np.int64))[1] == 0


@pytest.mark.parametrize("seed", range(5))
def test_numbers_by_first_occurrence(seed):
    keys = np.random.default_rng(seed).integers(0, 9, 40)
    numbers, count = compacted(keys)
    again, first = by_first(numbers, count)
    order = list(dict.fromkeys(keys.tolist()))
    assert again.tolist() == [order.index(key) for key in keys.tolist()]
    assert first.tolist() == [keys.tolist().index(key) for key in order]
