"""Charges of frames and what they do to each other."""

import pytest
import torch

from limbeck.functional.electrostatics import (
    balanced_charges,
    charge_interaction,
    coulomb_of_pairs,
)
from limbeck.functional.graph_sums import sum_to
from limbeck.functional.pair_potentials import (
    PairPotential,
    damped_coulomb,
    shifted_coulomb,
    shifted_coulomb_self,
)

LIMITS = {"cutoff": 9.0, "splitting": 0.2}


def randn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_charges_are_shifted_alike():
    frame, total = torch.tensor([0, 0, 0, 1]), torch.tensor([-1.0, 2.0], dtype=torch.float64)
    free = randn(4)
    found = balanced_charges(free, frame, total)
    torch.testing.assert_close(sum_to(found, frame, 2), total)
    shift = (found - free)[:3]
    torch.testing.assert_close(shift, shift[:1].expand(3))


@pytest.mark.parametrize("periodic", [[False] * 3, [True] * 3, [True, False, True]])
def test_pairs_of_clusters_and_of_periodic_frames(periodic):
    distance, inside = torch.tensor([2.0, 5.0, 12.0]), torch.tensor(periodic)
    found = coulomb_of_pairs(distance, inside, **LIMITS)
    both = zip(shifted_coulomb(distance, **LIMITS), damped_coulomb(distance), strict=True)
    for one, (shifted, damped) in zip(found, both, strict=True):
        assert torch.equal(one, torch.where(inside, shifted, damped))


def test_potentials_are_derivatives_of_the_energy():
    charges = randn(3).requires_grad_()
    pairs = torch.tensor([[0, 0, 2], [1, 2, 2]])  # atom 2 and its own image
    unit = PairPotential(randn(3), randn(3))
    periodic = torch.tensor([True, True, True])
    found = charge_interaction(charges, pairs, unit, periodic, **LIMITS)
    (slope,) = torch.autograd.grad(found.energy.sum(), charges)
    torch.testing.assert_close(found.potential, slope)
    q = charges.detach()
    expected = (q[pairs[0]] * q[pairs[1]] * unit.energy).sum()
    expected += shifted_coulomb_self(**LIMITS) * q.square().sum()
    torch.testing.assert_close(found.energy.sum().detach(), expected)
    torch.testing.assert_close(found.push.detach(), q[pairs[0]] * q[pairs[1]] * unit.force)
