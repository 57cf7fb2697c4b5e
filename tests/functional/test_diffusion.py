"""Predictions of denoisers: every kind says the same, at every level of every schedule."""

import itertools
from typing import get_args

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import (
    add_noise,
    augmentation_delta,
    beta_schedule,
    convert_prediction,
    deterministic_step,
    guided,
    match_delta,
    per_sample,
    prediction_target,
    velocity_step,
    vp_alpha_sigma,
)
from limbeck.functional.diffusion import Prediction

KINDS = get_args(Prediction)
PAIRS = list(itertools.product(KINDS, KINDS))
FLOW = torch.tensor([0.05, 0.3, 0.6, 0.95], dtype=torch.float64)
SIGMAS = torch.tensor([0.01, 0.5, 3.0, 80.0], dtype=torch.float64)
STEPS = torch.tensor([3, 200, 600, 999])
# Of each schedule: alpha, sigma, and their derivatives along its own time.
SCHEDULES = {
    "flow": (1 - FLOW, FLOW, (-1.0, 1.0)),
    "edm": (torch.ones(4, dtype=torch.float64), SIGMAS, (0.0, 1.0)),
    "vp": (*(one[STEPS] for one in vp_alpha_sigma(beta_schedule("scaled_linear"))), (-0.4, 0.7)),
}


def randn(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_kind_is_made_of_every_other(name, source, target):
    alpha, sigma, rates = SCHEDULES[name]
    x0, noise = randn(4, 3, 2), randn(4, 3, 2, seed=1)
    x_t = add_noise(x0, noise, alpha, sigma)
    told, wanted = (
        prediction_target(x0, noise, alpha, sigma, kind, rates=rates) for kind in (source, target)
    )
    found = convert_prediction(told, x_t, alpha, sigma, source, target, rates=rates)
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_there_and_back_is_where_one_was(name, source, target):
    """Any output, not only one that sample and noise explain."""
    alpha, sigma, rates = SCHEDULES[name]
    output, x_t = randn(4, 5, seed=2), randn(4, 5, seed=3)
    there = convert_prediction(output, x_t, alpha, sigma, source, target, rates=rates)
    back = convert_prediction(there, x_t, alpha, sigma, target, source, rates=rates)
    torch.testing.assert_close(back, output, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("alpha", "sigma"), [(0.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_ends_of_a_schedule_are_finite(alpha, sigma, source, target):
    output, x_t = randn(2, 3, dtype=torch.float32), randn(2, 3, seed=1, dtype=torch.float32)
    assert bool(convert_prediction(output, x_t, alpha, sigma, source, target).isfinite().all())


def test_pure_noise_leaves_the_sample_to_flow_and_v():
    x0, noise = randn(2, 3), randn(2, 3, seed=1)
    for kind in ("flow", "v"):
        told = prediction_target(x0, noise, 0.0, 1.0, kind)
        torch.testing.assert_close(convert_prediction(told, noise, 0.0, 1.0, kind, "x0"), x0)


def test_small_types_are_converted_in_a_large_one():
    x0, noise = randn(4, 8, dtype=torch.float32), randn(4, 8, seed=1, dtype=torch.float32)
    x_t = add_noise(x0, noise, 0.999, 0.001)
    flow = (noise - x0).bfloat16()
    exact = convert_prediction(flow.double(), x_t.double(), 0.999, 0.001, "flow", "x0")
    found = convert_prediction(flow, x_t, 0.999, 0.001, "flow", "x0")
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, exact.bfloat16(), rtol=0, atol=0)
    assert add_noise(x0.bfloat16(), noise.bfloat16(), 0.5, 0.5).dtype == torch.bfloat16


def test_a_gradient_passes_through_a_conversion():
    output, x_t = randn(2, 3).requires_grad_(), randn(2, 3, seed=1)
    convert_prediction(output, x_t, 0.75, 0.25, "flow", "x0").sum().backward()
    torch.testing.assert_close(output.grad, torch.full_like(output, -0.25))


# Steps


def test_a_step_of_a_flow_is_the_same_by_velocity_and_by_noise():
    x_t, velocity = randn(3, 2), randn(3, 2, seed=1)
    level, following = torch.tensor([0.9, 0.5, 0.2]), torch.tensor([0.5, 0.1, 0.0])
    x0 = convert_prediction(velocity, x_t, 1 - level, level, "flow", "x0")
    by_noise = deterministic_step(x_t, x0, 1 - level, level, 1 - following, following)
    by_velocity = velocity_step(x_t, velocity, level, following)
    torch.testing.assert_close(by_noise, by_velocity, rtol=1e-6, atol=1e-6)


def test_a_step_to_the_clean_end_is_the_sample():
    x_t, x0 = randn(3, 2), randn(3, 2, seed=1)
    assert torch.equal(deterministic_step(x_t, x0, 0.3, 0.7, 1.0, 0.0), x0)


# Guidance


@pytest.mark.parametrize("rescale", ["none", "per_axis", "total"])
def test_scale_one_is_the_conditional_prediction(rescale):
    conditional, unconditional = randn(3, 4), randn(3, 4, seed=1)
    found = guided(conditional, unconditional, 1.0, rescale=rescale)
    torch.testing.assert_close(found, conditional)


def test_rescaled_guidance_has_the_length_of_the_conditional_prediction():
    conditional, unconditional = randn(3, 4), randn(3, 4, seed=1)
    rows = guided(conditional, unconditional, 5.0, rescale="per_axis")
    torch.testing.assert_close(rows.norm(dim=-1), conditional.norm(dim=-1))
    whole = guided(conditional, unconditional, 5.0, rescale="total")
    torch.testing.assert_close(whole.norm(), conditional.norm())
    short = guided(conditional, 2 * conditional, 1.5, rescale="total")
    torch.testing.assert_close(short, 0.5 * conditional)
    zeros = torch.zeros(2, 3)
    for way in ("per_axis", "total"):
        assert torch.equal(guided(zeros, zeros, 2.0, rescale=way), zeros)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1.0, 3.0, 7.5])
def test_pull_and_push_make_the_guided_difference_in_every_kind(kind, scale):
    alpha, sigma = (one.float() for one in SCHEDULES["flow"][:2])
    x_t = randn(4, 6, dtype=torch.float32)
    real, null, fake = (
        convert_prediction(randn(4, 6, seed=k, dtype=torch.float32), x_t, alpha, sigma, "x0", kind)
        for k in (1, 2, 3)
    )
    both = match_delta(real, fake) + augmentation_delta(real, null, scale)
    expected = guided(real, null, scale) - fake
    size = max(1.0, *(one.abs().max().item() for one in (real, null, fake)))
    assert float((both - expected).abs().max()) <= 1e-5 * size
    if scale == 1.0:
        assert torch.equal(both, real - fake)


# Errors


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda x: per_sample(torch.ones(3), x), r"values has shape \(3,\) for samples \(2, 4\)"),
        (lambda x: per_sample(torch.ones(2, 1), x), r"expected one number or \(2,\)"),
        (lambda x: add_noise(x, x, torch.ones(3), 0.5), r"alpha has shape \(3,\)"),
        (lambda x: add_noise(x, x[:1], 0.5, 0.5), r"x0 has shape \(2, 4\) and noise has shape"),
        (lambda x: add_noise(x.long(), x.long(), 0.5, 0.5), "x0 has dtype torch.int64"),
        (lambda x: convert_prediction(x, x, 0.5, 0.5, "noise", "x0"), "source is 'noise'"),
        (lambda x: convert_prediction(x, x, 0.5, 0.5, "x0", "noise"), "target is 'noise'"),
        (lambda x: convert_prediction(x, x[:1], 0.5, 0.5, "x0", "v"), "output has shape"),
        (lambda x: prediction_target(x, x, 0.5, 0.5, "sample"), "kind is 'sample'"),
        (lambda x: velocity_step(x, x[:1], 1.0, 0.5), "velocity has shape"),
        (lambda x: guided(x, x, 2.0, rescale="layer"), "rescale is 'layer'"),
        (lambda x: guided(x, x[:1], 2.0), "unconditional has shape"),
    ],
)
def test_what_does_not_fit_is_named(wrong, said):
    with pytest.raises(ArgumentError, match=said):
        wrong(randn(2, 4))
