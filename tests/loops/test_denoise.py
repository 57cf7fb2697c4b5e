"""Denoising: teachers by name learn, with conditions hidden, and come back frozen."""

from __future__ import annotations

import pytest
import torch

from limbeck.data.names import resolve
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError
from limbeck.fingerprint import fingerprint
from limbeck.keyed import torch_seeded
from limbeck.loops.denoise import Denoising, denoising_term, starting, trained_denoiser
from limbeck.loops.draws import Draws
from limbeck.networks.denoiser import Denoiser
from limbeck.networks.names import build
from limbeck.networks.noise_schedule import NoiseSchedule
from limbeck.networks.routed import Routed
from limbeck.run import Run

NAME, QUICK = "denoiser-mlp?width=16&depth=1", Denoising(steps=40, batch_size=64)
CPU = torch.device("cpu")


class Noted(torch.nn.Module):
    """A network that keeps the conditions that it is asked under."""

    def __init__(self):
        super().__init__()
        self.scale, self.seen = torch.nn.Parameter(torch.ones(())), []

    def forward(self, x, time, condition):
        self.seen.append(condition)
        return self.scale * x


def test_a_named_teacher_learns_is_kept_and_comes_back_frozen(tmp_path):
    data, run = resolve("ring8-2c"), Run(tmp_path)
    teacher = QUICK.taught(run, NAME, data)
    assert not teacher.training
    assert not any(one.requires_grad for one in teacher.parameters())
    again = QUICK.taught(Run(tmp_path), [NAME], data)
    assert fingerprint(again.state_dict()) == fingerprint(teacher.state_dict())
    with torch_seeded(0):
        fresh = build(NAME, data.input_space, 2)
    x = data.test.take(torch.arange(512).numpy())
    losses = []
    for one in (fresh, teacher):
        torch.manual_seed(3)
        losses.append(denoising_term(one, x["x"], x["y"], Draws(512, CPU)).item())
    assert losses[1] < losses[0]


def test_a_tenth_of_the_conditions_is_hidden(tmp_path):
    data = resolve("ring8-2c")
    network = Noted()
    denoiser = Denoiser(network, NoiseSchedule(), shape=(2,), conditions=2)
    trained_denoiser(Run(tmp_path), "teacher", denoiser, data, QUICK)
    ids = torch.cat(network.seen)
    assert 0.05 < float((ids == 2).float().mean()) < 0.15


@pytest.mark.parametrize("given", [[], [NAME, NAME], None])
def test_one_denoiser_is_expected(tmp_path, given):
    with pytest.raises(ArgumentError, match="expected one denoiser"):
        QUICK.taught(Run(tmp_path), given, resolve("ring8-2c"))


def test_a_classifier_is_no_teacher_of_generators(tmp_path):
    with pytest.raises(ArgumentError, match="expected a denoiser"):
        QUICK.taught(Run(tmp_path), "mlp?hidden=8", resolve("ring8-2c"))


def test_a_denoiser_of_other_samples_is_refused(tmp_path):
    other = build(NAME, InputSpace((3,)), 2)
    with pytest.raises(ModelError, match="has \\(2,\\)"):
        QUICK.taught(Run(tmp_path), other, resolve("ring8-2c"))


def test_untrained_weights_and_no_steps_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="teaching.steps is 0"):
        Denoising(steps=0).taught(Run(tmp_path), NAME, resolve("ring8-2c"))


def test_preconditioned_networks_weigh_levels_as_their_output_does():
    """The loss of the network inside is the same at all levels: 1 where it says nothing."""

    class Nothing(torch.nn.Module):
        def forward(self, x, time, condition):
            return torch.zeros_like(x)

    schedule = NoiseSchedule("edm")
    denoiser = Denoiser(Nothing(), schedule, prediction="x0", shape=(2,), precondition=0.5)
    x0 = 0.5 * torch.randn(20_000, 2)
    for level in (0.1, 0.5, 0.9):
        torch.manual_seed(1)
        loss = denoising_term(denoiser, x0, None, Draws(20_000, CPU), low=level, high=level)
        assert loss.item() == pytest.approx(1.0, abs=0.05)


def test_copies_begin_at_the_expert_of_their_level(tmp_path):
    experts = [build(NAME, InputSpace((2,)), 2) for _ in range(2)]
    begin = starting(Run(tmp_path), Routed(experts, (0.5,)), None, resolve("ring8-2c"), QUICK)
    for level, expert in ((1.0, experts[0]), (0.5, experts[1])):
        copied = begin(level)
        assert fingerprint(copied.state_dict()) == fingerprint(expert.state_dict())
        assert all(one.requires_grad for one in copied.parameters())
        assert copied is not expert
