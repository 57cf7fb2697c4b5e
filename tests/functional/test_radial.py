"""Radial functions of atomic graphs."""

import math

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import cosine_cutoff, exp_normal, exp_normal_basis


def test_the_cutoff_and_its_slope_end_together():
    distance = torch.tensor([0.0, 2.0, 5.0, 7.0], dtype=torch.float64, requires_grad=True)
    value = cosine_cutoff(distance, cutoff=5.0)
    expected = 0.5 * (math.cos(0.4 * math.pi) + 1)
    assert value.tolist() == pytest.approx([1.0, expected, 0.0, 0.0])
    assert value[2:].tolist() == [0.0, 0.0]
    (slope,) = torch.autograd.grad(value.sum(), distance)
    expected = -0.1 * math.pi * math.sin(0.4 * math.pi)
    assert slope.tolist() == pytest.approx([0.0, expected, 0.0, 0.0])


def test_the_basis_is_differentiable_twice_by_everything():
    distance = torch.tensor([0.9, 2.7, 4.9], dtype=torch.float64, requires_grad=True)
    means, betas = (one.double().requires_grad_() for one in exp_normal_basis(4, cutoff=5.0))
    given = (distance, means, betas)
    assert torch.autograd.gradgradcheck(lambda *one: exp_normal(*one, cutoff=5.0), given)
    known = cosine_cutoff(distance, cutoff=5.0)
    torch.testing.assert_close(
        exp_normal(*given, cutoff=5.0, weight=known), exp_normal(*given, cutoff=5.0)
    )


def test_means_are_spread_over_what_distances_become():
    means, betas = exp_normal_basis(3, cutoff=4.0)
    start = math.exp(-4.0)
    assert means.tolist() == pytest.approx([start, (1 + start) / 2, 1.0])
    assert betas.tolist() == pytest.approx([(2 / 3 * (1 - start)) ** -2] * 3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: cosine_cutoff(torch.ones(2), cutoff=0.0), "cutoff is 0.0"),
        (lambda: cosine_cutoff(torch.ones(2).long(), cutoff=1.0), "floating-point"),
        (lambda: exp_normal_basis(0, cutoff=5.0), "count is 0"),
        (lambda: exp_normal_basis(2, cutoff=math.inf), "cutoff is inf"),
        (
            lambda: exp_normal(torch.ones(2, 1), torch.ones(3), torch.ones(3), cutoff=5.0),
            r"expected \(E,\)",
        ),
        (
            lambda: exp_normal(torch.ones(2), torch.ones(3), torch.ones(2), cutoff=5.0),
            r"expected \(K,\)",
        ),
    ],
)
def test_refusals(call, said):
    with pytest.raises(ArgumentError, match=said):
        call()
