"""Noise levels: the schedules of discrete diffusions, EDM and flows."""

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import (
    beta_schedule,
    karras_sigmas,
    precondition,
    shift_levels,
    vp_alpha_sigma,
)

NAMES = ("linear", "scaled_linear", "squaredcos_cap_v2")


@pytest.mark.parametrize("name", NAMES)
def test_a_discrete_schedule_keeps_the_variance_and_gets_noisier(name):
    betas = beta_schedule(name)
    alpha, sigma = vp_alpha_sigma(betas)
    assert betas.dtype == alpha.dtype == torch.float64
    assert len(alpha) == 1000
    torch.testing.assert_close(alpha.square() + sigma.square(), torch.ones_like(alpha))
    assert bool((alpha.diff() < 0).all())
    assert 0 < alpha[-1] < 0.15 < 0.99 < alpha[0] < 1


@pytest.mark.parametrize("name", NAMES)
def test_betas_are_those_of_diffusers(name):
    schedulers = pytest.importorskip("diffusers")
    theirs = schedulers.DDPMScheduler(beta_schedule=name, beta_start=0.001, beta_end=0.03).betas
    ours = beta_schedule(name, start=0.001, end=0.03)
    torch.testing.assert_close(ours.float(), theirs, rtol=1e-4, atol=1e-6)


def test_karras_levels_are_even_in_their_root():
    sigmas = karras_sigmas(9, sigma_min=0.01, sigma_max=50.0, rho=5.0)
    assert sigmas[0].item() == 0.01
    assert sigmas[-1].item() == 50.0
    gaps = sigmas.pow(1 / 5).diff()
    torch.testing.assert_close(gaps, gaps.mean().expand(8))


def test_two_shifts_are_one():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    torch.testing.assert_close(shift_levels(shift_levels(t, 3.0), 2.0), shift_levels(t, 6.0))
    torch.testing.assert_close(shift_levels(shift_levels(t, 4.0), 0.25), t)
    assert shift_levels(0.5, 7.0) == 0.875


def test_preconditioning_gives_unit_inputs_and_targets():
    sigma = torch.tensor([0.002, 0.5, 80.0], dtype=torch.float64)
    skip, out, scale, noise = precondition(sigma, sigma_data=0.7)
    variance = sigma.square() + 0.7**2
    torch.testing.assert_close(scale.square() * variance, torch.ones_like(sigma))
    # What is left of the sample after the skip has the variance of c_out squared.
    left = (1 - skip).square() * 0.7**2 + skip.square() * sigma.square()
    torch.testing.assert_close(left, out.square())
    torch.testing.assert_close(noise, sigma.log() / 4)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: beta_schedule("cosine"), "name is 'cosine', expected one of 'linear'"),
        (lambda: beta_schedule("linear", steps=0), "steps is 0"),
        (lambda: beta_schedule("linear", start=0.1, end=0.01), "start is 0.1 and end is 0.01"),
        (lambda: vp_alpha_sigma(torch.ones(2, 2)), r"betas has shape \(2, 2\)"),
        (lambda: karras_sigmas(1), "count is 1"),
        (lambda: karras_sigmas(4, sigma_min=2.0, sigma_max=1.0), "sigma_min 2.0, sigma_max 1.0"),
        (lambda: shift_levels(0.5, 0.0), "shift is 0.0"),
        (lambda: precondition(torch.ones(1), sigma_data=0.0), "sigma_data is 0.0"),
    ],
)
def test_wrong_options_are_named(wrong, said):
    with pytest.raises(ArgumentError, match=said):
        wrong()
