"""Learning rates are functions of the step, equal to torch's schedulers; optimisers are torch's."""

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as torch_schedules

from limbeck.errors import SettingsError
from limbeck.loops import Optim

STEPS = 40


def rates(optim, steps=STEPS):
    return [optim.rate(step, steps) for step in range(steps)]


def scheduled(make):
    """Rates of a torch scheduler, step by step."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = make(optimiser)
    found = []
    for _ in range(STEPS):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("optim", "make"),
    [
        (Optim(lr=0.5), lambda o: torch_schedules.ConstantLR(o, factor=1.0)),
        (
            Optim(lr=0.5, schedule="cosine"),
            lambda o: torch_schedules.CosineAnnealingLR(o, T_max=STEPS),
        ),
        (
            Optim(lr=0.5, schedule="linear"),
            lambda o: torch_schedules.PolynomialLR(o, total_iters=STEPS, power=1.0),
        ),
        (
            Optim(lr=0.5, schedule="steps", milestones=(0.5, 0.75), decay=0.2),
            lambda o: torch_schedules.MultiStepLR(o, [STEPS // 2, 3 * STEPS // 4], gamma=0.2),
        ),
    ],
)
def test_schedules_are_those_of_torch(optim, make):
    assert rates(optim) == pytest.approx(scheduled(make), rel=1e-9)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
def test_a_warm_up_rises_to_the_highest_rate_and_then_follows_the_schedule(schedule):
    found = rates(Optim(lr=0.5, schedule=schedule, warmup=0.25))
    assert found[:10] == pytest.approx([0.05 * (step + 1) for step in range(10)])
    assert max(found) == 0.5
    rest = rates(Optim(lr=0.5, schedule=schedule), 30)
    assert found[10:] == pytest.approx(rest)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "steps"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_rates_stay_between_0_and_the_highest(schedule, warmup, steps):
    optim = Optim(lr=0.5, schedule=schedule, warmup=warmup, milestones=(0.5,))
    assert all(0 < rate <= 0.5 for rate in rates(optim, steps))


@pytest.mark.parametrize(
    ("optim", "expected"),
    [
        (
            Optim("sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
            lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        ),
        (
            Optim("adam", lr=0.1, betas=(0.5, 0.9), weight_decay=0.01),
            lambda p: torch.optim.Adam(p, 0.1, betas=(0.5, 0.9), weight_decay=0.01),
        ),
        (
            Optim("adamw", lr=0.1, weight_decay=0.01),
            lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.01),
        ),
    ],
)
def test_optimisers_are_those_of_torch(optim, expected):
    first, second = (nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    ours, theirs = optim.build([first]), expected([second])
    assert type(ours) is type(theirs)
    for parameter, optimiser in ((first, ours), (second, theirs)):
        for _ in range(3):
            optimiser.zero_grad()
            parameter.pow(4).sum().backward()
            optimiser.step()
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"lr": 0}, r"Optim\.lr is 0: input should be greater than 0"),
        ({"lr": float("nan")}, r"Optim\.lr is nan"),
        (
            {"name": "sdg"},
            r"Optim\.name is 'sdg': .*'sgd', 'adam', 'adamw', 'adamax' or 'lamb'",
        ),
        ({"momentum": 1.0}, r"Optim\.momentum is 1\.0"),
        ({"betas": (0.9, 1.5)}, r"Optim\.betas\.1 is 1\.5"),
        ({"warmup": 1.0}, r"Optim\.warmup is 1\.0"),
        ({"milestones": (0.5, 1.5)}, r"Optim\.milestones\.1 is 1\.5"),
        ({"clip": 0}, r"Optim\.clip is 0"),
        ({"shedule": "cosine"}, "no setting 'shedule'; did you mean schedule"),
    ],
)
def test_impossible_settings_are_refused(given, words):
    with pytest.raises(SettingsError, match=words):
        Optim(**given)


def test_nesterov_needs_momentum():
    with pytest.raises(SettingsError, match="nesterov is true and momentum 0: give a momentum"):
        Optim("sgd", nesterov=True).build([nn.Parameter(torch.zeros(1))])


def test_a_restart_needs_milestones():
    for given in ({"schedule": "steps"}, {"milestones": (0.5,)}):
        with pytest.raises(SettingsError, match="restart is true and there is no milestone"):
            Optim(restart=True, **given).build([nn.Parameter(torch.zeros(1))])


def test_state_starts_anew_where_the_rate_drops():
    optim = Optim(lr=0.5, schedule="steps", milestones=(0, 0.25, 0.26, 0.8), restart=True)
    found = [step for step in range(STEPS) if optim.restarts(step, STEPS)]
    drops = [
        step for step in range(1, STEPS) if optim.rate(step, STEPS) < optim.rate(step - 1, STEPS)
    ]
    assert found == drops == [10, 11, 32]
    plain = Optim(lr=0.5, schedule="steps", milestones=(0.25,))
    assert not any(plain.restarts(step, STEPS) for step in range(STEPS))


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_fused_step_on_the_processor_is_the_plain_one(name):
    ours, plain = (nn.Parameter(torch.linspace(-1, 1, 24).reshape(4, 6)) for _ in range(2))
    optimiser = Optim(name=name, lr=0.01, weight_decay=0.1).build([ours])
    assert optimiser.defaults["fused"]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    other = kind([plain], lr=0.01, weight_decay=0.1, fused=False, foreach=False)
    for step in range(5):
        for one, opt in ((ours, optimiser), (plain, other)):
            opt.zero_grad()
            (one.sin() * (step + 1)).sum().backward()
            opt.step()
    assert torch.allclose(ours, plain, atol=1e-6)


def test_elsewhere_torch_decides_how_a_step_is_made():
    there = nn.Parameter(torch.empty(3, device="meta"))
    assert not Optim(name="adam").build([there]).defaults["fused"]


def test_exponential_decay_is_torchs_by_epochs():
    optim = Optim(lr=0.5, schedule="exponential", decay=0.9, plateaus=8)
    found = scheduled(
        lambda o: torch_schedules.LambdaLR(o, lambda step: 0.9 ** (step * 8 // STEPS))
    )
    assert rates(optim) == pytest.approx(found)
    with pytest.raises(SettingsError, match="plateaus"):
        Optim(schedule="exponential").build([nn.Parameter(torch.zeros(1))])
    assert type(Optim("adamax").build([nn.Parameter(torch.zeros(1))])) is torch.optim.Adamax
