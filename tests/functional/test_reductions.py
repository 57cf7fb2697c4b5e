"""The reduction of losses per sample."""

from __future__ import annotations

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional.reductions import reduce


def test_mean_and_sum_run_over_all_entries():
    value = torch.arange(6.0).reshape(2, 3)
    assert reduce(value).item() == 2.5
    assert reduce(value, "mean").item() == 2.5
    assert reduce(value, "sum").item() == 15
    assert reduce(torch.tensor(3.0)).item() == 3


def test_none_gives_the_value_itself():
    value = torch.arange(6.0).reshape(2, 3)
    assert reduce(value, "none") is value


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_nothing_reduces_to_zero_with_a_gradient(reduction):
    value = torch.zeros(0, 3, requires_grad=True)
    total = reduce(value, reduction)
    assert total.item() == 0
    assert torch.autograd.grad(total, value)[0].shape == (0, 3)


def test_gradients_and_dtype():
    value = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    for reduction in ("mean", "sum", "none"):
        assert reduce(value, reduction).dtype == torch.float64
        assert torch.autograd.gradcheck(lambda x, how=reduction: reduce(x, how), value)


def test_each_mapped_sample_is_reduced_by_its_own_size():
    value = torch.arange(6.0).reshape(2, 3)
    assert torch.func.vmap(reduce)(value).tolist() == [1.0, 4.0]


def test_unknown_reduction_is_named():
    with pytest.raises(ArgumentError, match="reduction is 'batchmean', expected one of 'mean'"):
        reduce(torch.zeros(2), "batchmean")
