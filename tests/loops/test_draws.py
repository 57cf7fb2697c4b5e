"""Draws: the batch does not depend on how many processes share it."""

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.loops.draws import Draws

CPU = torch.device("cpu")


def drawn(draws):
    torch.manual_seed(3)
    return [
        draws.normal(2),
        draws.uniform(0.2, 0.4),
        draws.one_of(torch.arange(50)),
        torch.tensor(draws.number(1000)),
    ]


def test_processes_take_their_rows_of_one_batch():
    whole = drawn(Draws(6, CPU))
    parts = [drawn(Draws(6, CPU, rank, 2)) for rank in range(2)]
    for one, first, second in zip(whole[:3], parts[0], parts[1], strict=False):
        assert torch.equal(one[0::2], first)
        assert torch.equal(one[1::2], second)
    assert whole[3] == parts[0][3] == parts[1][3]


def test_uniform_numbers_lie_between_ends_that_may_differ_by_sample():
    high = torch.linspace(0.3, 0.9, 200)
    found = Draws(200, CPU).uniform(0.2, high)
    assert bool(((found >= 0.2) & (found <= high)).all())


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ArgumentError, match="multiple of 2"):
        Draws(5, CPU, 0, 2)
