"""What few-step generators are trained by: value, gradient, and the edges where a loss breaks."""

import math

import pytest
import torch

from limbeck.errors import ArgumentError, NotFiniteError
from limbeck.functional import (
    add_noise,
    convert_prediction,
    denoising_loss,
    distribution_matching_loss,
    matching_direction,
    mean_variance_divergence,
    prediction_target,
    surrogate_loss,
    transition_loss,
)
from limbeck.functional.f_divergences import f_divergence_weight

KINDS = ("x0", "eps", "v", "flow", "score")


def randn(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 1, 3, 3)])
def test_the_gradient_is_the_direction_over_the_number_of_entries(shape):
    x, direction = randn(*shape).requires_grad_(), randn(*shape, seed=1)
    loss = surrogate_loss(x, direction)
    loss.backward()
    torch.testing.assert_close(loss.detach(), 0.5 * direction.square().mean())
    torch.testing.assert_close(x.grad, direction / direction.numel())
    each = surrogate_loss(x, direction, reduction="none")
    assert each.shape == (4,)
    torch.testing.assert_close(each.mean(), loss)
    torch.testing.assert_close(surrogate_loss(x, direction, reduction="sum"), each.sum())


def test_a_small_direction_is_not_rounded_away():
    x = torch.full((1, 2), 1000.0, requires_grad=True)
    direction = torch.full((1, 2), 1e-6)
    surrogate_loss(x, direction, reduction="sum").backward()
    torch.testing.assert_close(x.grad, direction / 2, rtol=1e-6, atol=0)


def test_half_precision_is_matched_in_float32():
    x, real, fake = (randn(3, 4, seed=k, dtype=torch.bfloat16) for k in range(3))
    found = matching_direction(x, real, fake)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, matching_direction(x.float(), real.float(), fake.float()))


def test_the_direction_is_that_of_the_scores():
    """g is sigma²/(alpha n) times the fake minus the real score."""
    alpha, sigma = torch.tensor([0.9, 0.4]).double(), torch.tensor([0.1, 0.6]).double()
    x, real, fake = (randn(2, 3, seed=k) for k in range(3))
    x_t = add_noise(x, randn(2, 3, seed=3), alpha, sigma)
    scores = [convert_prediction(one, x_t, alpha, sigma, "x0", "score") for one in (real, fake)]
    expected = (sigma.square() / alpha)[:, None] * (scores[1] - scores[0])
    torch.testing.assert_close(matching_direction(x, real, fake, normaliser="none"), expected)
    size = (x - real).abs().mean(1, keepdim=True)
    torch.testing.assert_close(matching_direction(x, real, fake, epsilon=0.0), expected / size)
    clamped = matching_direction(x, real, fake, least=100.0)
    torch.testing.assert_close(clamped, expected / 100)


def test_weights_are_those_of_samples():
    x, real, fake = (randn(2, 3, seed=k) for k in range(3))
    weight = torch.tensor([2.0, 0.0]).double()
    plain = matching_direction(x, real, fake)
    torch.testing.assert_close(
        matching_direction(x, real, fake, weight=weight), torch.stack([2 * plain[0], 0 * plain[1]])
    )


@pytest.mark.parametrize("options", [{}, {"epsilon": 0.0}, {"least": 1e-4}, {"least": 0.0}])
def test_where_all_agree_nothing_is_done_and_nothing_is_nan(options):
    x = randn(2, 3).requires_grad_()
    same = x.detach().clone()
    loss = distribution_matching_loss(x, same, same, **options)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(x.grad, torch.zeros_like(same))


def test_a_real_prediction_that_is_the_sample_gives_no_infinite_step():
    x = randn(2, 3)
    found = matching_direction(x, x.clone(), randn(2, 3, seed=1), epsilon=0.0)
    assert torch.equal(found, torch.zeros_like(x))


def test_only_the_samples_get_a_gradient():
    x = randn(2, 3).requires_grad_()
    direction = matching_direction(x, randn(2, 3, seed=1), randn(2, 3, seed=2))
    assert not direction.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_a_denoiser_that_knows_loses_nothing(kind):
    x0, noise = randn(4, 3), randn(4, 3, seed=1)
    alpha, sigma = torch.tensor([0.9, 0.7, 0.3, 0.1]).double(), torch.full((4,), 0.5).double()
    known = prediction_target(x0, noise, alpha, sigma, kind)
    assert denoising_loss(known, x0, noise, alpha, sigma, kind=kind).item() == 0
    off = denoising_loss(known + 2, x0, noise, alpha, sigma, kind=kind, reduction="none")
    torch.testing.assert_close(off, torch.full((4,), 4.0).double())
    weight = torch.tensor([1.0, 0.0, 0.0, 3.0]).double()
    weighed = denoising_loss(known + 2, x0, noise, alpha, sigma, kind=kind, weight=weight)
    torch.testing.assert_close(weighed, torch.tensor(4.0).double())


def test_a_flow_of_noise_levels_is_the_noise():
    x0, noise = randn(2, 3), randn(2, 3, seed=1)
    rates = (0.0, 1.0)
    assert denoising_loss(noise, x0, noise, 1.0, 7.0, kind="flow", rates=rates).item() == 0


def test_mean_and_variance_are_those_of_a_normal():
    x = 2 * randn(5, 4, 4) + 1
    rows = x.flatten(1)
    own = torch.distributions.Normal(rows.mean(1), rows.var(1, correction=0).sqrt())
    given = torch.distributions.Normal(torch.tensor(0.3).double(), math.sqrt(0.8))
    expected = torch.distributions.kl_divergence(own, given)
    found = mean_variance_divergence(x, 0.3, 0.8, reduction="none")
    torch.testing.assert_close(found, expected)


def test_a_constant_sample_has_a_finite_divergence():
    x = torch.ones(2, 3, requires_grad=True)
    loss = mean_variance_divergence(x, 0.0, 1.0)
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(x.grad.isfinite().all())


@pytest.mark.parametrize(
    ("divergence", "f"),
    [
        ("reverse_kl", lambda r: -r.log()),
        ("softened_reverse_kl", lambda r: (r + 1) * (1 / (2 * r) + 0.5).log()),
        ("kl", lambda r: r * r.log()),
        ("js", lambda r: r * r.log() - (r + 1) * ((r + 1) / 2).log()),
        ("jeffreys", lambda r: (r - 1) * r.log()),
        ("neyman", lambda r: (1 - r).square() / r / 2),
        ("squared_hellinger", lambda r: 4 * (1 - r.sqrt())),
    ],
)
def test_weights_of_divergences_are_the_curvature_times_the_squared_ratio(divergence, f):
    ratio = torch.tensor([0.2, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(f(ratio).sum(), ratio, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), ratio)
    expected = (curvature * ratio.square()).detach()
    torch.testing.assert_close(f_divergence_weight(ratio.detach(), divergence), expected)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda x: surrogate_loss(x, x[:1]), "direction has shape"),
        (lambda x: surrogate_loss(x, x.clone().requires_grad_()), "direction requires grad"),
        (lambda x: matching_direction(x, x[:1], x), "real has shape"),
        (lambda x: matching_direction(x, x, x.clone().requires_grad_()), "fake requires grad"),
        (lambda x: matching_direction(x, x, x, normaliser="l1"), "normaliser is 'l1'"),
        (lambda x: matching_direction(x, x, x, epsilon=-1.0), "epsilon is -1.0"),
        (lambda x: matching_direction(x, x, x, least=math.nan), "least is nan"),
        (lambda x: matching_direction(x, x, x, weight=x[0]), r"weight has shape \(4,\)"),
        (lambda x: denoising_loss(x, x, x, 1.0, 0.0, kind="noise"), "kind is 'noise'"),
        (lambda x: denoising_loss(x, x[:1], x[:1], 1.0, 0.0, kind="x0"), "x0 has shape"),
        (lambda x: mean_variance_divergence(x[:, 0], 0.0, 1.0), r"x has shape \(2,\)"),
        (lambda x: mean_variance_divergence(x, 0.0, 0.0), "variance is 0.0"),
        (lambda x: f_divergence_weight(x[0], "fisher"), "divergence is 'fisher'"),
        (lambda x: f_divergence_weight(torch.tensor([1.0, -1.0]), "kl"), "ratio holds -1"),
    ],
)
def test_what_does_not_fit_is_named(wrong, said):
    with pytest.raises(ArgumentError, match=said):
        wrong(randn(2, 4))


@pytest.mark.parametrize("role", ["real", "fake"])
def test_a_role_that_diverged_is_named(role):
    given = {"real": randn(2, 3), "fake": randn(2, 3)}
    given[role][1, 2] = math.nan
    with pytest.raises(NotFiniteError, match=f"predictions of {role} hold NaN"):
        matching_direction(randn(2, 3), **given)


def test_a_step_of_generator_and_denoiser_compiles_to_one_graph():
    def step(x, real, fake, noise, level):
        predicted = convert_prediction(fake, x, 1 - level, level, "flow", "x0")
        return (
            distribution_matching_loss(x, real, predicted),
            denoising_loss(fake, real, noise, 1 - level, level, kind="flow"),
            transition_loss(fake, real, noise, 0.5, 0.5, 1 - level, level),
        )

    given = [randn(2, 3, seed=k) for k in range(4)]
    given.append(torch.tensor([0.6, 0.9], dtype=torch.float64))
    compiled = torch.compile(step, fullgraph=True, backend="eager")
    for found, expected in zip(compiled(*given), step(*given), strict=True):
        torch.testing.assert_close(found, expected)
