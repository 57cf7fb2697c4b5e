"""Phased DMD: phases and their experts, gradients as published, adapters, what it refuses."""

from __future__ import annotations

import copy

import pytest
import torch

from limbeck import cards
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, Interrupted, SettingsError
from limbeck.fingerprint import fingerprint
from limbeck.functional import transition, transition_weight
from limbeck.keyed import torch_seeded
from limbeck.loops.adapters import Adapters
from limbeck.loops.draws import Draws
from limbeck.loops.match import Sample, coupled, denoised
from limbeck.methods.phased_dmd.phased_dmd import Phase, PhasedDMD
from limbeck.networks.names import build
from limbeck.networks.routed import Routed
from limbeck.run import Run
from limbeck.testing.contract import StoppingRun

TINY = cards.preset("phased-dmd", "tiny")["settings"]
TEACHER, DATA = "denoiser-mlp?width=16&depth=1", "ring8-2c"
CPU = torch.device("cpu")


def method(**changes):
    return PhasedDMD(**{**TINY, **changes})


def denoiser(seed, name=TEACHER):
    with torch_seeded(seed):
        return build(name, InputSpace((2,)), 2)


def test_three_phases_are_cut_at_two_boundaries():
    cut = method(levels=(1.0, 0.8, 0.6, 0.4, 0.2), boundaries=(0.8, 0.4)).phases()
    assert cut == [Phase((1.0,), 0.8), Phase((0.8, 0.6), 0.4), Phase((0.4, 0.2), 0.0)]
    assert method(boundaries=()).phases() == [Phase((1.0, 0.5), 0.0)]


@pytest.mark.parametrize("boundaries", [(0.6,), (1.0,), (0.25, 0.5), (0.5, 0.5)])
def test_a_boundary_that_is_no_step_level_is_refused(boundaries, tmp_path):
    made = method(levels=(1.0, 0.75, 0.5, 0.25), boundaries=boundaries)
    with pytest.raises(SettingsError, match="boundaries are"):
        made.distill(tmp_path / "run", teacher=TEACHER, data=DATA)
    assert not (tmp_path / "run").exists()


def test_a_boundary_that_leaves_no_level_above_it_is_refused(tmp_path):
    made = method(levels=(1.0, 0.97), boundaries=(0.97,))
    with pytest.raises(SettingsError, match="leaves no level"):
        made.distill(tmp_path / "run", teacher=TEACHER, data=DATA)
    assert not (tmp_path / "run").exists()


def test_the_fake_of_the_last_phase_denoises_over_all_levels():
    made, fake = method(), denoiser(2)
    x, y = torch.randn(16, 2), torch.arange(16) % 2
    losses = []
    for terms in (made._fake_terms(made.phases()[1]), denoised):
        torch.manual_seed(5)
        losses.append(terms({"fake": fake}, Sample(x, y, 0.5), Draws(16, CPU), None)["fake"])
    assert torch.equal(*losses)


def test_a_rollout_ends_at_the_boundary_by_deterministic_steps():
    made = method(levels=(1.0, 0.75, 0.5, 0.25), boundaries=(0.5,))
    first, second = made.phases()
    student, before = denoiser(1), denoiser(2)
    y = torch.zeros(8, dtype=torch.long)
    for seed in range(6):
        torch.manual_seed(seed)
        sample = made._rollout([], first)(student, Draws(8, CPU), y)
        torch.manual_seed(seed)
        chosen = int(torch.randint(2, ()))
        x = torch.randn(8, 2)
        with torch.no_grad():
            for t, after in zip((1.0, 0.75)[:chosen], (0.75,), strict=False):
                x = x + (after - t) * student(x, t, y)
            t = (1.0, 0.75)[chosen]
            expected = x + (0.5 - t) * student(x, t, y)
        assert (sample.start, sample.level) == (t, 0.5)
        torch.testing.assert_close(sample.x, expected, rtol=1e-4, atol=1e-5)
        assert sample.x.requires_grad
    torch.manual_seed(0)
    sample = made._rollout([before], second)(student, Draws(8, CPU), y)
    assert sample.level == 0
    assert torch.equal(sample.x, sample.clean)


def test_the_gradient_is_that_of_the_published_divergence():
    made = method(guidance=2.0)
    phase, teacher, fake = made.phases()[0], denoiser(1), denoiser(2)
    x, y = torch.randn(16, 2, requires_grad=True), torch.arange(16) % 2
    torch.manual_seed(5)
    terms = made._student_terms(teacher, phase)
    sample = Sample(x, y, 1.0, phase.end, x)
    terms({"fake": fake}, sample, Draws(16, CPU), None)["match"].backward()
    torch.manual_seed(5)
    low, s = phase.end + 0.02, phase.end
    t = low + (0.98 - low) * torch.rand(16)
    a_ts, s_ts = (1 - t) / (1 - s), (t**2 - ((1 - t) / (1 - s)) ** 2 * s**2).sqrt()
    x_t = a_ts[:, None] * x.detach() + s_ts[:, None] * torch.randn(16, 2)
    with torch.no_grad():
        difference = teacher(x_t, t, y, guidance=2.0) - fake(x_t, t, y)
    weight = transition_weight(a_ts, 1 - t, t).float()[:, None]
    torch.testing.assert_close(x.grad, weight * difference / x.numel(), rtol=2e-3, atol=1e-5)


def test_the_last_phase_is_plain_distribution_matching():
    made, teacher, fake = method(guidance=2.0), denoiser(1), denoiser(2)
    x, y = torch.randn(16, 2), torch.arange(16) % 2
    found = []
    for terms in (
        made._student_terms(teacher, made.phases()[1]),
        coupled(teacher, made.matching, 2.0),
    ):
        leaf = x.clone().requires_grad_()
        torch.manual_seed(5)
        sample = Sample(leaf, y, 0.5, 0.0, leaf)
        terms({"fake": fake}, sample, Draws(16, CPU), None)["match"].backward()
        found.append(leaf.grad)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-7)


def test_the_fake_learns_the_target_of_samples_that_are_not_clean():
    made, fake = method(), denoiser(2)
    phase, x, y = made.phases()[0], torch.randn(16, 2), torch.arange(16) % 2
    losses = {}
    for target in ("unbiased", "naive"):
        torch.manual_seed(5)
        terms = method(target=target)._fake_terms(phase)
        losses[target] = terms({"fake": fake}, Sample(x, y, 1.0, 0.5), Draws(16, CPU), None)["fake"]
    torch.manual_seed(5)
    t, e = 0.52 + 0.46 * torch.rand(16), torch.randn(16, 2)
    a_ts, s_ts = (one.float()[:, None] for one in transition(0.5, 0.5, 1 - t, t))
    t = t[:, None]
    said = fake(a_ts * x + s_ts * e, t[:, 0], y)
    weight = (1 / s_ts.square()).clamp(max=10)
    target = -x / 0.5 + (0.25 * t + (1 - t) * 0.25) / (0.25 * s_ts) * e
    expected = (weight * (s_ts * (said - target)).square()).mean()
    torch.testing.assert_close(losses["unbiased"], expected, rtol=1e-3, atol=1e-5)
    naive = (weight * (s_ts * (said - (e - x))).square()).mean()
    torch.testing.assert_close(losses["naive"], naive, rtol=1e-3, atol=1e-5)


def test_every_expert_and_fake_starts_from_the_teacher_and_earlier_ones_stay(tmp_path):
    teacher = denoiser(1)
    made = method(matching={**TINY["matching"], "steps": 12, "average": 0})
    first = made.distill(tmp_path / "two", teacher=teacher, data=DATA)
    assert len(first.network.experts) == 2
    checkpoints = sorted((tmp_path / "two" / "checkpoints").iterdir())
    assert [one.name for one in checkpoints] == ["phase-1", "phase-2"]
    # The first expert is the one that a run of its phase alone would give.
    again = Run(tmp_path / "two").resume("phase-1").models["student"]
    kept = first.network.experts[0].state_dict()
    assert all(torch.equal(kept[name], again[name]) for name in kept)
    start = teacher.state_dict()
    moved = [
        max(float((one.state_dict()[name] - start[name]).abs().max()) for name in start)
        for one in first.network.experts
    ]
    # Twelve steps of Adam go no farther than twelve times its rate from where they began.
    assert all(0 < one < 13 * made.matching.optim.lr for one in moved)


def test_two_teachers_start_an_expert_each(tmp_path):
    teacher = Routed([denoiser(1), denoiser(2)], (0.5,))
    small = {**TINY["matching"], "average": 0, "optim": {"lr": 1e-7}}
    made = method(matching=small).distill(tmp_path, teacher=teacher, data=DATA)
    for expert, one in zip(made.network.experts, teacher.experts, strict=True):
        for name, tensor in one.state_dict().items():
            torch.testing.assert_close(expert.state_dict()[name], tensor, rtol=0, atol=1e-5)


@pytest.mark.parametrize("direction", ["kl", "normalised"])
@pytest.mark.parametrize("schedule", ["flow", "vp", "edm"])
def test_every_schedule_trains(tmp_path, schedule, direction):
    made = method(direction=direction).distill(
        tmp_path, teacher=f"{TEACHER}&schedule={schedule}", data=DATA
    )
    assert bool(made.sample(8).isfinite().all())


def test_adapters_are_what_learns_and_become_whole_weights(tmp_path):
    teacher = denoiser(1)
    made = method(adapters={"rank": 2}).distill(tmp_path / "a", teacher=teacher, data=DATA)
    state = Run(tmp_path / "a").resume("phase-1")
    trained = state.state["optimisers"]["student"]["state"]
    assert all(2 in one["exp_avg"].shape for one in trained.values())
    expert = made.network.experts[0]
    assert {*expert.state_dict()} == {*teacher.state_dict()}
    assert fingerprint(expert.state_dict()) != fingerprint(teacher.state_dict())


def test_a_checkpoint_of_adapters_holds_what_learns_and_goes_on_in_the_same_bits(tmp_path):
    teacher, settings = denoiser(1), {"adapters": {"rank": 2}}
    whole = method(**settings).distill(tmp_path / "whole", teacher=teacher, data=DATA)
    place = tmp_path / "stopped"
    run = StoppingRun(place)
    run.stopping = "phase-1"
    with pytest.raises(Interrupted):
        method(**settings).distill(run, teacher=teacher, data=DATA)
    found = Run(place).resume("phase-1")
    kept = found.models["student"]
    assert kept
    assert all("lora_" in name for name in {*kept, *found.state["averages"]["student"]})
    assert {*found.models["fake"]} == {*teacher.state_dict()}
    again = method(**settings).distill(place, teacher=teacher, data=DATA)
    assert fingerprint(again.tensors()) == fingerprint(whole.tensors())


def test_a_state_of_adapters_is_told_apart_from_others():
    adapted = Adapters(rank=2).put_on(denoiser(1))
    state = adapted.state_dict()
    state.popitem()
    with pytest.raises(RuntimeError, match="Missing key"):
        adapted.load_state_dict(state)


def test_merged_adapters_say_what_they_said_before():
    network = denoiser(1)
    x, y = torch.randn(4, 2), torch.zeros(4, dtype=torch.long)
    adapters = Adapters(rank=2, alpha=4.0)
    plain = network(x, 0.5, y)
    adapted = adapters.put_on(copy.deepcopy(network))
    torch.testing.assert_close(adapted(x, 0.5, y), plain)
    for one in adapted.parameters():
        if one.requires_grad:
            torch.nn.init.normal_(one, std=0.1)
    before = adapted(x, 0.5, y)
    merged = adapters.merged(adapted)
    torch.testing.assert_close(merged(x, 0.5, y), before)
    assert not torch.allclose(before, plain)


def test_guidance_without_conditions_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="no conditions"):
        method(guidance=2.0).distill(tmp_path, teacher=TEACHER, data="swiss")
