"""Pair potentials: forces are slopes, and a lattice has the energy that is known."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import (
    cso_dispersion,
    damped_coulomb,
    shifted_coulomb,
    shifted_coulomb_self,
)
from limbeck.functional.units import COULOMB

DISTANCES = torch.linspace(0.4, 9.9, 60, dtype=torch.float64)


def dispersion(distance, **options):
    return cso_dispersion(
        distance, torch.full_like(distance, 300.0), torch.full_like(distance, 2.3), **options
    )


@pytest.mark.parametrize(
    "potential",
    [
        damped_coulomb,
        partial(damped_coulomb, splitting=0.3),
        partial(damped_coulomb, sharpness=4.0, radius=1.5),
        partial(shifted_coulomb, cutoff=10.0),
        partial(shifted_coulomb, cutoff=6.0, splitting=0.35),
        dispersion,
    ],
)
def test_forces_are_minus_the_slopes(potential):
    distance = DISTANCES.clone().requires_grad_()
    energy, force = potential(distance)
    (slope,) = torch.autograd.grad(energy.sum(), distance)
    torch.testing.assert_close(force, -slope, rtol=1e-10, atol=1e-10)


def test_damping_is_gone_where_atoms_do_not_touch_and_flat_where_they_do():
    near, far = damped_coulomb(torch.tensor([0.1, 6.0], dtype=torch.float64)).energy
    assert near.item() == pytest.approx(COULOMB / 2.2, rel=1e-6)
    assert far.item() == pytest.approx(COULOMB / 6.0, rel=1e-12)


def test_the_shifted_sum_ends_smoothly():
    at = torch.tensor([10.0 - 1e-6, 10.0, 11.0], dtype=torch.float64)
    energy, force = shifted_coulomb(at, cutoff=10.0)
    assert abs(energy[0].item()) < 1e-9
    assert abs(force[0].item()) < 1e-4
    assert energy[1:].tolist() == force[1:].tolist() == [0.0, 0.0]


def test_itself_is_half_of_what_the_interaction_has_beyond_a_point_charge():
    distance = torch.tensor([1e-5], dtype=torch.float64)
    options = {"cutoff": 9.0, "splitting": 0.25}
    energy = shifted_coulomb(distance, radius=1e-7, **options).energy - COULOMB / distance
    assert shifted_coulomb_self(**options) == pytest.approx(energy.item() / 2, rel=1e-5)


def test_rock_salt_has_its_madelung_constant():
    """A lattice of unit charges one Angstrom apart, each ion seeing all within the cutoff."""
    cutoff, reach = 12.0, np.arange(-12, 13)
    places = np.stack(np.meshgrid(reach, reach, reach), -1).reshape(-1, 3)
    places = places[np.abs(places).sum(1) > 0]
    distance = torch.tensor(np.linalg.norm(places, axis=1))
    charges = torch.tensor((-1.0) ** places.sum(1))
    options = {"cutoff": cutoff, "splitting": 0.3}
    seen = (charges * shifted_coulomb(distance, radius=0.1, **options).energy).sum() / 2
    energy = (seen.item() + shifted_coulomb_self(**options)) / COULOMB
    assert 2 * energy == pytest.approx(-1.747565, rel=2e-4)


def test_dispersion_far_away_is_that_of_its_coefficient():
    distance = torch.tensor([40.0], dtype=torch.float64)
    energy = dispersion(distance, cutoff=1e6).energy.item()
    assert energy == pytest.approx(-0.85 * 300.0 / 40.0**6, rel=1e-4)
    assert math.isclose(dispersion(torch.tensor([10.0])).energy.item(), 300e-6 * 0.15, rel_tol=0.05)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda d: damped_coulomb(d.long()), "floating-point"),
        (lambda d: damped_coulomb(d, sharpness=0), "sharpness is 0"),
        (lambda d: damped_coulomb(d, radius=-1), "radius is -1"),
        (lambda d: damped_coulomb(d, splitting=0.0), "splitting is 0"),
        (lambda d: shifted_coulomb(d, cutoff=3.0), "at least twice the radius"),
        (lambda d: shifted_coulomb_self(cutoff=-1.0), "cutoff is -1"),
        (lambda d: cso_dispersion(d, d, d[:3]), "one number a pair"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(ArgumentError, match=said):
        call(DISTANCES)
