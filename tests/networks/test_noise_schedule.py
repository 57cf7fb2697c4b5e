"""Levels mean what diffusers says they mean, at both ends and between."""

import math
import pickle

import pytest
import torch

from limbeck.errors import ArgumentError, SettingsError
from limbeck.functional.noise_levels import karras_sigmas
from limbeck.networks import NoiseSchedule
from limbeck.plain import to_plain

diffusers = pytest.importorskip("diffusers")

SCHEDULES = [
    NoiseSchedule(),
    NoiseSchedule(shift=3.0, units="steps"),
    NoiseSchedule("vp"),
    NoiseSchedule("vp", betas="squaredcos_cap_v2", units="steps"),
    NoiseSchedule("edm"),
]
T = torch.linspace(0, 1, 41, dtype=torch.float64)
BETWEEN = T[1:-1]


@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_steps_of_vp_are_those_of_diffusers(betas):
    known = diffusers.DDPMScheduler(beta_schedule=betas).alphas_cumprod.double()
    schedule = NoiseSchedule("vp", betas=betas)
    t = (torch.arange(1000, dtype=torch.float64) + 1) / 1000
    alpha, sigma = schedule.alpha_sigma(t)
    torch.testing.assert_close(alpha.square(), known, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(alpha.square() + sigma.square(), torch.ones_like(t))
    assert schedule.time(t, "steps").round().tolist() == list(range(1000))


def test_shifted_levels_are_those_of_diffusers():
    known = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    schedule = NoiseSchedule(shift=3.0, units="steps")
    t = torch.arange(1000, 0, -1) / 1000
    torch.testing.assert_close(schedule.alpha_sigma(t)[1].float(), known.sigmas)
    torch.testing.assert_close(schedule.time(t).float(), known.timesteps)


def test_levels_of_edm_are_those_of_karras():
    schedule = NoiseSchedule("edm")
    alpha, sigma = schedule.alpha_sigma(torch.linspace(0, 1, 20, dtype=torch.float64))
    torch.testing.assert_close(sigma, karras_sigmas(20))
    assert (alpha == 1).all()
    torch.testing.assert_close(schedule.time(1.0).item(), math.log(80) / 4)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_noise_grows_with_the_level(schedule):
    alpha, sigma = schedule.alpha_sigma(T)
    assert (sigma.diff() > 0).all()
    assert (alpha.diff() <= 0).all()
    clean = schedule.alpha_sigma(0.0)
    assert clean[0] == 1
    assert clean[1].item() == pytest.approx(0 if schedule.kind != "edm" else 0.002)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("units", ["unit", "steps"])
def test_time_is_read_back(schedule, units):
    torch.testing.assert_close(schedule.level_at(schedule.time(T, units), units), T)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("other", SCHEDULES)
def test_levels_with_as_much_noise_are_found(schedule, other):
    level = schedule.level_of(other, BETWEEN)
    (alpha, sigma), (known_alpha, known_sigma) = (
        schedule.alpha_sigma(level),
        other.alpha_sigma(BETWEEN),
    )
    inside = (level > 0) & (level < 1)
    assert inside.sum() > 10
    found, known = sigma / alpha, known_sigma / known_alpha
    torch.testing.assert_close(found[inside], known[inside])
    # Where a schedule does not reach, its end is nearest.
    assert (known[level == 0] <= found[level == 0]).all()
    assert (known[level == 1] >= found[level == 1]).all()
    if other == schedule:
        torch.testing.assert_close(level, BETWEEN)


def test_ends_without_noise_or_signal_are_found():
    assert NoiseSchedule("vp").level_of(NoiseSchedule(), torch.tensor([0.0, 1.0])).tolist() == [
        0,
        1,
    ]
    assert NoiseSchedule(shift=5.0).level_of(NoiseSchedule(), 1.0) == 1


def test_velocities_follow_the_schedule():
    assert [one.tolist() for one in NoiseSchedule(shift=3.0).rates(T[:2])] == [[-1, -1], [1, 1]]
    assert [one.item() for one in NoiseSchedule("edm").rates(0.3)] == [0, 1]
    with pytest.raises(ArgumentError, match="the schedule is vp, which has no velocity"):
        NoiseSchedule("vp").rates(0.3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "ve"}, "kind is 've'"),
        ({"shift": 0.0}, "shift is 0.0"),
        ({"shift": math.nan}, "shift is nan"),
        ({"beta_start": 0.1}, "beta_end is 0.02, expected at least the beta_start of 0.1"),
        ({"sigma_min": 90.0}, "sigma_min is 90.0, expected below the sigma_max of 80.0"),
        ({"steps": 1}, "steps is 1"),
        ({"betas": "cosine"}, "betas is 'cosine'"),
    ],
)
def test_values_outside_their_range_are_refused(values, words):
    with pytest.raises(SettingsError, match=words):
        NoiseSchedule(**values)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_are_plain_values(schedule):
    assert NoiseSchedule(**to_plain(schedule)) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == schedule
