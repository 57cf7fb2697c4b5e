"""From one noise level to a noisier one: the kernel, and targets that need no clean sample."""

import pytest
import torch

from limbeck.errors import ArgumentError, NotFiniteError
from limbeck.functional import (
    add_noise,
    beta_schedule,
    convert_prediction,
    denoising_loss,
    prediction_target,
    transition,
    transition_loss,
    transition_target,
    transition_weight,
    vp_alpha_sigma,
)

KINDS = ("x0", "eps", "v", "flow", "score")
VP = [one[torch.tensor([100, 400])] for one in vp_alpha_sigma(beta_schedule("linear"))]
# alpha and sigma at s, then at t; the rates of alpha and sigma at t.
LEVELS = {
    "flow": ((0.5, 0.5, 0.2, 0.8), (-1.0, 1.0)),
    "vp": ((VP[0][0], VP[1][0], VP[0][1], VP[1][1]), (-0.3, 0.5)),
    "edm": ((1.0, 0.5, 1.0, 20.0), (0.0, 1.0)),
}


def randn(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def off(prediction, target):
    return (prediction - target).square().mean(1)


# The kernel


@pytest.mark.parametrize("name", LEVELS)
def test_what_was_noised_to_s_has_the_noise_of_t(name):
    (a_s, s_s, a_t, s_t), _ = LEVELS[name]
    alpha, sigma = transition(a_s, s_s, a_t, s_t)
    torch.testing.assert_close(alpha * a_s, torch.as_tensor(a_t, dtype=torch.float64))
    variance = (alpha * s_s).square() + sigma.square()
    torch.testing.assert_close(variance, torch.as_tensor(s_t, dtype=torch.float64).square())


def test_two_transitions_are_one():
    s, r, t = (torch.tensor(one, dtype=torch.float64) for one in (0.2, 0.5, 0.9))
    first, second = transition(1 - s, s, 1 - r, r), transition(1 - r, r, 1 - t, t)
    whole = transition(1 - s, s, 1 - t, t)
    torch.testing.assert_close(first[0] * second[0], whole[0])
    together = (second[0] * first[1]).square() + second[1].square()
    torch.testing.assert_close(together, whole[1].square())


def test_from_clean_samples_it_is_the_forward_process():
    alpha, sigma = transition(1.0, 0.0, 0.3, 0.7)
    assert (alpha.item(), round(sigma.item(), 12)) == (0.3, 0.7)


def test_equal_levels_have_the_least_noise():
    alpha, sigma = transition(0.5, 0.5, 0.5, 0.5)
    assert (alpha.item(), round(sigma.item(), 12)) == (1.0, 1e-4)


# Targets


@pytest.mark.parametrize("name", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_target_is_the_score_converted(name, kind):
    levels, rates = LEVELS[name]
    x_s, noise = randn(3, 4), randn(3, 4, seed=1)
    alpha, sigma = transition(*levels)
    x_t = add_noise(x_s, noise, alpha, sigma)
    at_t = levels[2:]
    expected = convert_prediction(-noise / sigma, x_t, *at_t, "score", kind, rates=rates)
    found = transition_target(x_s, noise, *levels, kind=kind, rates=rates)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_from_clean_samples_it_is_the_ordinary_target(kind):
    x0, noise = randn(3, 4), randn(3, 4, seed=1)
    found = transition_target(x0, noise, 1.0, 0.0, 0.4, 0.6, kind=kind)
    torch.testing.assert_close(found, prediction_target(x0, noise, 0.4, 0.6, kind))
    prediction = randn(3, 4, seed=2)
    ordinary = denoising_loss(prediction, x0, noise, 0.4, 0.6, kind=kind)
    loss = transition_loss(prediction, x0, noise, 1.0, 0.0, 0.4, 0.6, kind=kind)
    torch.testing.assert_close(loss, ordinary)


MODES = torch.tensor([-1.0, 0.0, 1.0, 2.0], dtype=torch.float64)


def exact_velocity(x_t, level):
    """The mean velocity at x_t of a mixture of four points."""
    likelihood = -(x_t[:, None] - (1 - level) * MODES).square() / (2 * level**2)
    x0 = likelihood.softmax(1) @ MODES
    return (x_t - (1 - level) * x0) / level - x0


@pytest.mark.parametrize("level", [0.6, 0.75, 0.95])
def test_the_target_is_unbiased_where_clean_samples_are_unknown(level):
    """Binned over x_t, the target is off the exact velocity by chance only; e - x_s is biased."""
    count, s = 200_000, 0.5
    x0 = MODES[torch.randint(4, (count,), generator=torch.Generator().manual_seed(0))]
    x_s = add_noise(x0, randn(count, seed=1), 1 - s, s)
    noise = randn(count, seed=2)
    levels = 1 - s, s, 1 - level, level
    x_t = add_noise(x_s, noise, *transition(*levels))
    exact = exact_velocity(x_t, level)
    bins = ((x_t - x_t.mean()) / x_t.std()).clamp(-2, 2).div(0.5).round().long() + 4
    found = {}
    for name, target in (
        ("ours", transition_target(x_s, noise, *levels)),
        ("naive", noise - x_s),
    ):
        gap = target - exact
        ways = [gap[bins == one] for one in range(9)]
        # The standard error of a bin's mean, and how many of these it is off.
        found[name] = max(float(one.mean().abs() / (one.std() / len(one) ** 0.5)) for one in ways)
    assert found["ours"] < 4
    assert found["naive"] > 20


# The loss


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_weighted_squared_error(kind):
    x_s, noise, prediction = (randn(2, 5, seed=k) for k in range(3))
    s, t = torch.tensor([0.5, 0.5]).double(), torch.tensor([0.51, 0.9]).double()
    levels = 1 - s, s, 1 - t, t
    _, spread = transition(*levels)
    target = transition_target(x_s, noise, *levels, kind=kind)
    each = transition_loss(prediction, x_s, noise, *levels, kind=kind, reduction="none")
    weight = spread.square() * spread.pow(-2).clamp(max=10)
    torch.testing.assert_close(each, weight * off(prediction, target))
    # The noisier level is not cut: there it is the plain squared error.
    torch.testing.assert_close(each[1], off(prediction, target)[1])
    assert each[0] < off(prediction, target)[0]


def test_the_loss_is_finite_where_t_comes_to_s_and_at_pure_noise():
    x_s, noise = randn(2, 3, dtype=torch.float32), randn(2, 3, seed=1, dtype=torch.float32)
    prediction = torch.zeros(2, 3, requires_grad=True)
    t = torch.tensor([0.5, 1.0])
    loss = transition_loss(prediction, x_s, noise, 0.5, 0.5, 1 - t, t)
    loss.backward()
    assert 0 < loss.item() < 100
    assert bool(prediction.grad.isfinite().all())


def test_the_weight_turns_velocities_into_scores_at_s():
    """alpha_ts (q_fake - q_teacher) = w (u_teacher - u_fake) for any x_t."""
    level = torch.tensor([0.6, 0.9]).double()
    alpha_ts, _ = transition(0.5, 0.5, 1 - level, level)
    x_t, teacher, fake = (randn(2, 3, seed=k) for k in range(3))
    scores = [
        convert_prediction(one, x_t, 1 - level, level, "flow", "score") for one in (teacher, fake)
    ]
    weight = transition_weight(alpha_ts, 1 - level, level)[:, None]
    torch.testing.assert_close(
        weight * (teacher - fake), alpha_ts[:, None] * (scores[1] - scores[0])
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda x: transition(0.5, 0.5, 0.6, 0.4), "t is less noisy than s"),
        (lambda x: transition(0.0, 1.0, 0.0, 1.0), "alpha_s is 0"),
        (lambda x: transition(0.5, 0.5, 0.4, 0.6, epsilon=0.0), "epsilon is 0.0"),
        (lambda x: transition_target(x, x[:1], 0.5, 0.5, 0.4, 0.6), "noise has shape"),
        (lambda x: transition_target(x, x, 0.5, 0.5, 0.4, 0.6, kind="u"), "kind is 'u'"),
        (
            lambda x: transition_target(x, x, 0.5, 0.5, torch.full((3,), 0.4), 0.6),
            r"levels has shape \(3,\)",
        ),
        (lambda x: transition_loss(x, x[:1], x[:1], 0.5, 0.5, 0.4, 0.6), "x_s has shape"),
        (lambda x: transition_loss(x, x, x, 0.5, 0.5, 0.4, 0.6, most=0.0), "most is 0.0"),
    ],
)
def test_what_does_not_fit_is_named(wrong, said):
    with pytest.raises(ArgumentError, match=said):
        wrong(randn(2, 4))


def test_a_denoiser_that_diverged_is_named():
    x = randn(2, 3)
    with pytest.raises(NotFiniteError, match="prediction, x_s or noise hold NaN"):
        transition_loss(x / 0 * 0, x, x, 0.5, 0.5, 0.4, 0.6)
