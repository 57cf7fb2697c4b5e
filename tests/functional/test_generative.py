"""Distances between generated and real samples."""

import math

import numpy as np
import pytest
import torch

from limbeck import keyed
from limbeck.errors import ArgumentError, NotFiniteError
from limbeck.functional import (
    frechet_distance,
    gaussian_mmd,
    kernel_distance,
    sliced_wasserstein,
    unit_projections,
)


def randn(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("shape", [(50, 3), (10, 40), (2, 1)])
def test_equal_sets_have_no_frechet_distance(shape):
    """With fewer rows than columns the covariance is singular."""
    x = 5 * randn(*shape) + 3
    assert frechet_distance(x, x) < 1e-9
    shifted = x + 2
    assert frechet_distance(x, shifted) == pytest.approx(4 * shape[1], rel=1e-9)


def test_of_one_column_it_is_the_distance_of_two_normals():
    x, y = randn(40, 1), 3 * randn(60, 1, seed=1) + 1
    spreads = (x.std() - y.std()).square() + (x.mean() - y.mean()).square()
    assert frechet_distance(x, y) == pytest.approx(spreads.item(), rel=1e-9)


def test_frechet_distance_does_not_care_for_order_sides_or_rotation():
    x, y = randn(30, 3), 2 * randn(50, 3, seed=1) + 1
    turn = torch.linalg.qr(randn(3, 3, seed=2)).Q
    found = frechet_distance(x, y)
    assert frechet_distance(y, x) == pytest.approx(found, rel=1e-9)
    assert frechet_distance(x.flip(0) @ turn, y @ turn) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("score", [kernel_distance, gaussian_mmd])
def test_chunks_change_nothing(score):
    x, y = randn(37, 2), randn(53, 2, seed=1) + 0.3
    whole = score(x, y, chunk=1000)
    for chunk in (1, 7, 37):
        assert score(x, y, chunk=chunk) == pytest.approx(whole, rel=1e-9)


def test_discrepancies_are_those_of_the_formula():
    x, y = randn(12, 2), randn(15, 2, seed=1) + 0.5

    def expected(kernel):
        def others(one):
            values = [kernel(a, b) for i, a in enumerate(one) for j, b in enumerate(one) if i != j]
            return sum(values) / len(values)

        across = [kernel(a, b) for a in y for b in x]
        return float(others(x) + others(y) - 2 * sum(across) / len(across))

    def gauss(a, b):
        return sum(math.exp(-float((a - b).square().sum()) / (2 * h * h)) for h in (0.5, 1.0))

    assert gaussian_mmd(x, y, (0.5, 1.0)) == pytest.approx(expected(gauss))
    found = kernel_distance(x, y, degree=2, gamma=0.3, coefficient=2.0)
    assert found == pytest.approx(expected(lambda a, b: float(0.3 * (a @ b) + 2) ** 2))


def test_two_draws_of_one_distribution_have_no_discrepancy_in_the_mean():
    found = [
        gaussian_mmd(randn(50, 2, seed=2 * k), randn(50, 2, seed=2 * k + 1)) for k in range(40)
    ]
    error = np.std(found) / len(found) ** 0.5
    assert abs(np.mean(found)) < 3 * error
    assert min(found) < 0


def test_a_translation_is_a_distance():
    """Along all directions of the plane the mean squared projection of a shift is half of it."""
    x = randn(200, 2)
    shift = torch.tensor([3.0, -4.0])
    ways = unit_projections(2, 4, keyed.key(0))
    expected = (shift.double() @ ways).square().mean().sqrt().item()
    assert sliced_wasserstein(x, x + shift, ways) == pytest.approx(expected)
    assert sliced_wasserstein(x, x.flip(0), ways) == 0
    many = unit_projections(2, 4000, keyed.key(1))
    assert sliced_wasserstein(x, x + shift, many) == pytest.approx(5 / 2**0.5, rel=0.03)


def test_directions_have_length_one_and_a_key():
    ways = unit_projections(5, 30, keyed.key(3, "directions"))
    assert ways.shape == (5, 30)
    torch.testing.assert_close(ways.norm(dim=0), torch.ones(30).double())
    assert torch.equal(ways, unit_projections(5, 30, keyed.key(3, "directions")))
    assert not torch.equal(ways, unit_projections(5, 30, keyed.key(4, "directions")))


@pytest.mark.parametrize("score", [frechet_distance, kernel_distance, gaussian_mmd])
def test_what_has_a_gradient_or_few_bits_is_taken_as_it_is(score):
    x, y = randn(20, 3, dtype=torch.float32).requires_grad_(), randn(20, 3, seed=1)
    assert score(x, y) == score(x.detach().double(), y)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda x: frechet_distance(x[:1], x), r"x has shape \(1, 3\), expected at least 2 rows"),
        (lambda x: frechet_distance(x, x[:, :2]), "expected rows of one width"),
        (lambda x: kernel_distance(x, x[0]), r"y has shape \(3,\), expected rows"),
        (lambda x: kernel_distance(x, x, chunk=0), "chunk is 0"),
        (lambda x: gaussian_mmd(x, x, ()), "bandwidths are"),
        (lambda x: gaussian_mmd(x, x, (1.0, 0.0)), "bandwidths are"),
        (lambda x: sliced_wasserstein(x, x[:4], torch.eye(3)), "x has 6 rows and y 4"),
        (lambda x: sliced_wasserstein(x, x, torch.eye(2)), r"projections has shape \(2, 2\)"),
        (lambda x: sliced_wasserstein(x, x, torch.eye(3), power=0.5), "power is 0.5"),
        (lambda x: unit_projections(0, 3, 0), "dimensions is 0 and count is 3"),
    ],
)
def test_what_does_not_fit_is_named(wrong, said):
    with pytest.raises(ArgumentError, match=said):
        wrong(randn(6, 3))


def test_a_sample_that_is_no_number_is_found():
    x = randn(6, 3)
    x[2, 1] = math.nan
    with pytest.raises(NotFiniteError, match=r"y holds NaN or infinity at 1 of 18 places"):
        frechet_distance(randn(6, 3), x)
