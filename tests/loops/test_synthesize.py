"""Data that is learned: dropped steps, positive step sizes, going on in the same bits."""

from __future__ import annotations

import pytest
import torch

from limbeck.errors import Interrupted, RunError, UnusualUseWarning
from limbeck.loops import Optim
from limbeck.loops.synthesize import Learned, synthesize
from limbeck.run import Run
from limbeck.testing.contract import StoppingRun

SGD = {"images": Optim("sgd", lr=0.1, momentum=0.5)}


def noisy(values, at):
    return {"loss": (values["images"] * torch.randn(3)).square().sum()}


def test_a_dropped_step_leaves_values_and_momentum_as_they_are(tmp_path):
    def value_at(run, accept, steps):
        images = Learned(torch.ones(1))
        seen = []

        def step(values, at):
            seen.append(at.step)
            return {"loss": (values["images"] - 3).square().sum()}

        synthesize(
            Run(tmp_path / run),
            "s",
            {"images": images},
            SGD,
            steps,
            step=step,
            accept=lambda terms: accept(seen[-1]),
        )
        return float(images.value.detach())

    # Two dropped steps between the first and the second are as if they had not been.
    assert value_at("dropped", lambda step: step not in (1, 2), 4) == value_at(
        "whole", lambda step: True, 2
    )


def test_moments_are_kept_and_a_stopped_synthesis_ends_in_the_same_bits(tmp_path):
    def make(run):
        images = Learned(torch.ones(3))
        kept = synthesize(
            run,
            "s",
            {"images": images},
            SGD,
            40,
            step=noisy,
            watched="images",
            moments=(0, 10, 30),
        )
        return images.value.detach(), kept

    expected, moments = make(Run(tmp_path / "whole"))
    stopping = StoppingRun(tmp_path / "stopped")
    stopping.stopping = "s"
    with pytest.raises(Interrupted):
        make(stopping)
    found, again = make(Run(tmp_path / "stopped"))
    assert torch.equal(found, expected)
    assert list(moments) == list(again) == [0, 10, 30]
    assert all(torch.equal(moments[step], again[step]) for step in moments)
    assert torch.equal(moments[0], torch.ones(3))


def test_a_step_size_keeps_its_last_positive_value(tmp_path):
    rate = Learned(torch.tensor(0.05), positive=True)
    optims = {"rate": Optim("sgd", lr=0.02)}

    def fall(values, at):
        return {"loss": values["rate"] * 1.0}

    with pytest.warns(UnusualUseWarning, match=r"rate fell below 0 at step 3 .* lower"):
        synthesize(Run(tmp_path / "run"), "s", {"rate": rate}, optims, 3, step=fall)
    assert float(rate.value.detach()) == pytest.approx(0.01)


def test_where_nearly_all_steps_are_dropped_people_are_told(tmp_path):
    with pytest.warns(UnusualUseWarning, match="10 of 10 steps were dropped"):
        synthesize(
            Run(tmp_path / "run"),
            "s",
            {"images": Learned(torch.ones(3))},
            SGD,
            10,
            step=noisy,
            accept=lambda terms: False,
        )


def test_a_loss_that_is_not_a_number_is_an_error_even_where_it_would_be_dropped(tmp_path):
    with pytest.raises(RunError, match="not finite at step 0"):
        synthesize(
            Run(tmp_path / "run"),
            "s",
            {"images": Learned(torch.ones(1))},
            SGD,
            2,
            step=lambda values, at: {"loss": values["images"].sum() * torch.nan},
            accept=lambda terms: bool(terms["loss"] < 1),
        )
