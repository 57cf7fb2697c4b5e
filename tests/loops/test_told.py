"""Told: rows hold the terms of all who take turns, and norms of each; a stop changes no row."""

from __future__ import annotations

import json

import pytest
from torch import nn

from limbeck.errors import Interrupted
from limbeck.loops import Optim, alternate
from limbeck.run import Run
from limbeck.testing.contract import StoppingRun


def taking_turns(run, steps, cycle=7):
    models = {"first": nn.Linear(2, 1), "second": nn.Linear(2, 1)}
    for one in models.values():
        nn.init.ones_(one.weight)
        nn.init.zeros_(one.bias)

    def step(models, batch, at):
        name = "second" if at.step % cycle == cycle - 1 else "first"
        weight = models[name].weight
        return {f"{name}_size": weight.square().sum(), f"{name}_step": 0 * weight.sum() + at.step}

    alternate(
        run,
        "turns",
        models,
        {name: Optim("sgd", lr=1e-3) for name in models},
        steps,
        step=step,
        turn=lambda at: ("second",) if at.step % cycle == cycle - 1 else ("first",),
    )
    return rows(run)


def rows(run):
    lines = (run.dir / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in found]


def test_a_row_holds_the_latest_terms_of_every_turn_since_the_last(tmp_path):
    found = taking_turns(Run(tmp_path), 1400)
    assert [row["step"] for row in found] == list(range(14, 1401, 14))
    for row in found:
        assert row["second_step"] == row["step"] - 1
        assert row["first_step"] == row["step"] - 2


def test_a_turn_that_did_not_come_is_left_out(tmp_path):
    found = taking_turns(Run(tmp_path), 20)
    assert [("second_step" in row) for row in found] == [step % 7 == 6 for step in range(20)]


def test_norms_of_every_turn_are_told_once_in_some_hundred_steps_and_at_the_end(tmp_path):
    found = taking_turns(Run(tmp_path), 1000)
    told = {
        row["step"]: {name for name in row if name.startswith("gradient_norm.")} for row in found
    }
    wanted = {
        f"gradient_norm.{who}_{what}" for who in ("first", "second") for what in ("size", "step")
    }
    assert {step: names for step, names in told.items() if names} == {
        step: wanted for step in (200, 400, 600, 800, 1000)
    }


@pytest.mark.parametrize("steps", [70, 1000])
def test_a_stop_between_rows_changes_no_row(tmp_path, steps):
    whole = taking_turns(Run(tmp_path / "whole"), steps)
    run = StoppingRun(tmp_path / "stopped")
    run.stopping = "turns"
    with pytest.raises(Interrupted):
        taking_turns(run, steps)
    assert taking_turns(Run(tmp_path / "stopped"), steps) == whole
