"""Sampling over a handful of levels."""

import pytest
import torch

from limbeck import keyed
from limbeck.errors import ArgumentError, SettingsError
from limbeck.samplers import FewStep, advance, evaluations, sample, steps, unit_noise


class Point:
    """The exact denoiser of data that are one point a class."""

    conditional = True
    points = torch.tensor([[1.0, -2.0], [0.5, 3.0]])

    def __init__(self):
        self.asked = []

    def alpha_sigma(self, level):
        level = torch.as_tensor(level, dtype=torch.float64)
        return 1 - level, level

    def predict(self, x, level, condition, guidance=1.0):
        self.asked.append((level, guidance))
        return self.points[condition].to(x)


class Shrinking(Point):
    """A denoiser that halves what it is given."""

    conditional = False

    def predict(self, x, level, condition, guidance=1.0):
        return x / 2


def test_samples_are_what_the_network_says_at_the_last_level():
    denoiser, condition = Point(), torch.tensor([0, 1, 1])
    made = sample(denoiser, torch.randn(3, 2), condition, FewStep(guidance=2.0), 0)
    assert torch.equal(made, Point.points[condition])
    assert denoiser.asked == [(1.0, 2.0), (0.75, 2.0), (0.5, 2.0), (0.25, 2.0)]


def test_one_step_is_one_prediction():
    noise = torch.randn(5, 2)
    assert torch.equal(sample(Shrinking(), noise, None, steps(1), 0), noise / 2)


def test_start_is_noise_as_wide_as_the_first_level():
    noise, trace = torch.randn(5, 2), []
    sample(Shrinking(), noise, None, FewStep(levels=(0.8, 0.4)), 0, trace=trace)
    torch.testing.assert_close(trace[0][1], 0.8 * noise)


def test_a_trace_holds_every_step():
    noise, trace = torch.randn(4, 2), []
    made = sample(Shrinking(), noise, None, FewStep(), 3, trace=trace)
    assert [level for level, _, _ in trace] == [1.0, 0.75, 0.5, 0.25]
    assert torch.equal(trace[-1][2], made)
    level, x, x0 = trace[1]
    fresh = unit_noise(keyed.key(3, "step", 1), range(4), (2,))
    torch.testing.assert_close(trace[2][1], advance(Shrinking(), x, x0, level, 0.5, fresh))


def test_implied_noise_keeps_the_path_straight():
    """Along the way of one sample the noise that is implied is the noise it began with."""
    noise, trace = torch.randn(4, 2), []
    sample(Point(), noise, torch.zeros(4).long(), steps(4), 0, trace=trace)
    for level, x, x0 in trace:
        torch.testing.assert_close(x, (1 - level) * x0 + level * noise)


def test_fresh_noise_depends_on_the_key_and_implied_noise_does_not():
    noise = torch.randn(4, 2)

    def made(kind, key):
        return sample(Shrinking(), noise, None, FewStep(kind=kind), key)

    assert not torch.equal(made("sde", 0), made("sde", 1))
    assert torch.equal(made("sde", 0), made("sde", 0))
    assert torch.equal(made("ode", 0), made("ode", 1))


def test_a_sample_does_not_depend_on_its_batch():
    noise, ids = torch.randn(6, 2), torch.arange(6).numpy()
    whole = sample(Shrinking(), noise, None, FewStep(), 0)
    part = sample(Shrinking(), noise[4:], None, FewStep(), 0, ids=ids[4:])
    assert torch.equal(whole[4:], part)


def test_samples_have_no_gradient():
    noise = torch.randn(2, 2, requires_grad=True)
    assert not sample(Shrinking(), noise, None, FewStep(), 0).requires_grad


def test_noise_is_unit_normal():
    drawn = unit_noise(keyed.key("noise"), range(20_000), (2,))
    assert abs(float(drawn.mean())) < 0.02
    assert abs(float(drawn.std()) - 1) < 0.02
    assert bool(torch.isfinite(drawn).all())
    assert abs(float((drawn[:, 0] * drawn[:, 1]).mean())) < 0.02


@pytest.mark.parametrize(
    ("plan", "conditional", "count"),
    [
        (steps(4), True, 4.0),
        (steps(4, guidance=2.0), True, 8.0),
        (steps(4, guidance=2.0), False, 4.0),
        (FewStep(levels=(1.0,)), True, 1.0),
    ],
)
def test_guided_steps_count_twice(plan, conditional, count):
    assert evaluations(plan, conditional) == count


@pytest.mark.parametrize("levels", [(), (0.5, 0.5), (0.5, 1.0), (1.5, 0.5), (1.0, 0.0)])
def test_levels_must_fall_from_one_and_stay_above_zero(levels):
    with pytest.raises(SettingsError, match="expected numbers that fall"):
        FewStep(levels=levels)


def test_zero_steps_make_nothing():
    with pytest.raises(ArgumentError, match="count is 0"):
        steps(0)
