"""Matching: turns of fake and student, gradients, what runs away is stopped and named."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from limbeck.data import from_arrays
from limbeck.data.space import InputSpace
from limbeck.errors import Interrupted, RunError, SettingsError
from limbeck.fingerprint import fingerprint
from limbeck.keyed import torch_seeded
from limbeck.loops import Optim
from limbeck.loops.adversary import Adversary, Opponent
from limbeck.loops.averages import ema
from limbeck.loops.draws import Draws
from limbeck.loops.match import Matching, Sample, coupled, match, simulated
from limbeck.loops.scores import asked
from limbeck.networks.names import build
from limbeck.run import Run
from limbeck.samplers.few_step import FewStep
from limbeck.testing.contract import StoppingRun

LABELS = torch.tensor([0, 1, 1, 1])
QUICK = Matching(steps=8, fake_per_student=2, batch_size=16)
PLAN = FewStep(levels=(1.0, 0.5))


def denoiser(seed=0, **options):
    said = "&".join(f"{name}={value}" for name, value in options.items())
    with torch_seeded(seed):
        return build(f"denoiser-mlp?width=8&depth=1&{said}", InputSpace((2,)), 2)


def matched(run, stage="student", matching=QUICK, teacher=None, guidance=1.0, **seams):
    teacher = (teacher or denoiser(1)).eval().requires_grad_(False)
    student, fake = denoiser(1), denoiser(1)
    seams = {
        "rollout": simulated(PLAN),
        "student_terms": coupled(teacher, matching, guidance),
        **seams,
    }
    return match(run, stage, student, fake, matching, LABELS, **seams), fake


def test_the_fake_learns_before_each_update_of_the_student(tmp_path):
    seen = []

    def terms(models, sample, draws, batch):
        states = {name: fingerprint(one.state_dict()) for name, one in models.items()}
        seen.append((sample.x.requires_grad, states["student"], states["fake"]))
        return {
            "loss": models["student" if sample.x.requires_grad else "fake"](
                sample.x, 0.5, sample.condition
            )
            .square()
            .mean()
        }

    matched(Run(tmp_path), student_terms=terms, fake_terms=terms)
    assert [one[0] for one in seen] == [False, False, True] * 8
    students, fakes = [one[1] for one in seen], [one[2] for one in seen]
    assert students[0] == students[2] != students[3] == students[5]
    assert len({*fakes[:3]}) == 3
    assert fakes[2] == fakes[3]


def test_only_the_drawn_step_has_a_gradient():
    calls = []

    class Noted(nn.Module):
        def __init__(self, inside):
            super().__init__()
            self.inside = inside

        def forward(self, x, time, condition):
            calls.append((float(time[0]), torch.is_grad_enabled()))
            return self.inside(x, time, condition)

    student = denoiser()
    student.network = Noted(student.network)
    plan = FewStep(levels=(1.0, 0.75, 0.5, 0.25))
    starts = set()
    for seed in range(20):
        calls.clear()
        torch.manual_seed(seed)
        draws = Draws(4, torch.device("cpu"))
        sample = simulated(plan)(student, draws, draws.one_of(LABELS))
        assert [one[1] for one in calls] == [False] * (len(calls) - 1) + [True]
        assert tuple(one[0] for one in calls) == plan.levels[: len(calls)]
        assert sample.start == calls[-1][0]
        starts.add(sample.start)
    assert starts == set(plan.levels)


def test_the_gradient_is_that_of_the_published_loss():
    teacher, fake = denoiser(1).requires_grad_(False), denoiser(2)
    x = torch.randn(16, 2, requires_grad=True)
    condition = torch.randint(2, (16,))
    terms = coupled(teacher, QUICK, 3.0)
    torch.manual_seed(5)
    sample = Sample(x, condition, 1.0, clean=x)
    terms({"fake": fake}, sample, Draws(16, torch.device("cpu")), None)["match"].backward()
    torch.manual_seed(5)
    t = 0.02 + 0.96 * torch.rand(16)
    x_t = (1 - t)[:, None] * x.detach() + t[:, None] * torch.randn(16, 2)
    null = torch.full_like(condition, 2)
    with torch.no_grad():
        said, bare = (x_t - t[:, None] * teacher(x_t, t, one) for one in (condition, null))
        real = bare + 3.0 * (said - bare)
        made = x_t - t[:, None] * fake(x_t, t, condition)
    n = (x.detach() - real).abs().mean(1, keepdim=True) + 1e-6
    torch.testing.assert_close(x.grad, (made - real) / n / x.numel(), rtol=1e-4, atol=1e-7)


def test_a_stopped_match_ends_in_the_same_bits_with_the_fakes_optimiser(tmp_path):
    whole, fake = matched(Run(tmp_path / "whole"))
    place = tmp_path / "stopped"
    run = StoppingRun(place)
    run.stopping = "student"
    with pytest.raises(Interrupted):
        matched(run)
    again, other = matched(Run(place))
    assert fingerprint(again.state_dict()) == fingerprint(whole.state_dict())
    assert fingerprint(other.state_dict()) == fingerprint(fake.state_dict())
    assert {*Run(place).resume("student").state["optimisers"]} == {"student", "fake"}


def test_a_missing_state_of_the_fakes_optimiser_is_told(tmp_path):
    run = StoppingRun(tmp_path)
    run.stopping = "student"
    with pytest.raises(Interrupted):
        matched(run)
    found = Run(tmp_path).resume("student")
    del found.state["optimisers"]["fake"]
    Run(tmp_path).checkpoint("student", found.step, found.models, found.state)
    with pytest.raises(RunError, match="no optimiser of fake"):
        matched(Run(tmp_path))


def test_who_says_nan_is_named(tmp_path):
    broken = denoiser(1)
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(RunError, match="teacher says is NaN"):
        matched(Run(tmp_path), teacher=broken)


class Breaking(nn.Module):
    """A network that says NaN after some calls."""

    def __init__(self, inside, calls):
        super().__init__()
        self.inside, self.left = inside, calls

    def forward(self, *given):
        self.left -= 1
        return self.inside(*given) * (float("nan") if self.left < 0 else 1.0)


@pytest.mark.parametrize("reads", [True, False], ids=["read back", "not read back"])
@pytest.mark.parametrize("role", ["student", "fake", "teacher", "discriminator"])
def test_who_says_nan_first_is_named_wherever_it_computes(tmp_path, monkeypatch, role, reads):
    """Where values are not read back, NaN is in every model before a row of terms tells of it."""
    monkeypatch.setattr("limbeck.loops.scores.read_back", lambda prediction: reads)
    teacher, student, fake = (denoiser(1) for _ in range(3))
    roles = {"student": student, "fake": fake, "teacher": teacher}
    if role in roles:
        roles[role].network = Breaking(roles[role].network, 5)
    opponent = Opponent.of(Adversary(weight=0.1), teacher.requires_grad_(False), QUICK)
    if role == "discriminator":
        opponent.critic.layers.append(Breaking(nn.Identity(), 5))
    plain = coupled(teacher, QUICK, 1.0)

    def terms(models, sample, draws, batch):
        return plain(models, sample, draws, batch) | opponent.against(models, sample, draws)

    data = from_arrays(torch.randn(40, 2).numpy(), (torch.arange(40) % 2).numpy())
    run = Run(tmp_path)
    with pytest.raises(RunError, match=f"what the {role} says is NaN"):
        match(
            run,
            "student",
            student,
            fake,
            replace(QUICK, steps=200),
            LABELS,
            rollout=simulated(PLAN),
            student_terms=terms,
            fake_terms=opponent.learns,
            rival=opponent.rival(run, "student", data, QUICK.batch_size),
        )


def test_samples_that_run_away_stop_the_run_unless_told_not_to(tmp_path):
    def away(models, sample, draws, batch):
        return {"away": -1e3 * sample.x.square().mean()}

    fast = Matching(
        steps=9, fake_per_student=1, batch_size=16, optim=Optim("adam", lr=0.3), average=0
    )
    with pytest.raises(RunError, match="most_spread"):
        matched(Run(tmp_path / "a"), matching=fast, student_terms=away)
    matched(Run(tmp_path / "b"), matching=replace(fast, most_spread=0), student_terms=away)


def test_spread_and_sizes_are_logged_from_the_first_update_on(tmp_path):
    matched(Run(tmp_path))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    (told,) = [row for row in rows if "sample_spread" in row]
    assert told["step"] == QUICK.fake_per_student + 1
    assert told["sample_spread"] > 0


def test_questions_of_one_call_are_answered_as_alone():
    network, x, t = denoiser(), torch.randn(2, 5, 2), torch.rand(2, 5)
    condition, null = torch.tensor([0, 1, 0, 1, 2]), torch.full((5,), 2)
    together = asked(network, [(x[0], t[0], condition), (x[1], t[1], null)])
    alone = [network.predict(x[0], t[0], condition), network.predict(x[1], t[1])]
    torch.testing.assert_close(together, alone)


def test_levels_in_the_wrong_order_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="lowest"):
        matched(Run(tmp_path), matching=Matching(lowest=0.9, highest=0.1))


def test_the_average_moves_at_the_students_turns_alone(tmp_path):
    weights = []

    def terms(models, sample, draws, batch):
        weights.append(copy.deepcopy(models["student"].state_dict()))
        return coupled(denoiser(1).requires_grad_(False), QUICK, 1.0)(models, sample, draws, batch)

    averaged, _ = matched(
        Run(tmp_path),
        matching=Matching(steps=3, fake_per_student=2, batch_size=16, average=0.5),
        student_terms=terms,
    )
    last = matched(
        Run(tmp_path / "last"),
        matching=Matching(steps=3, fake_per_student=2, batch_size=16, average=0),
        student_terms=terms,
    )[0].state_dict()
    for name, found in averaged.state_dict().items():
        start, first, second = (one[name] for one in weights[:3])
        expected = start
        for update, one in enumerate((first, second, last[name]), start=1):
            expected = torch.lerp(expected, one, ema(0.5, warm=True)(update))
        torch.testing.assert_close(found, expected)
