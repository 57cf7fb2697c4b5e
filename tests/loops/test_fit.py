"""A fit learns, stops cleanly and goes on to the same bits."""

import json
import signal

import pytest
import torch

from limbeck.data import digits
from limbeck.errors import Interrupted, ModelError
from limbeck.keyed import torch_seeded
from limbeck.loops import Optim, fit
from limbeck.networks.names import build
from limbeck.objectives import label_term, soft_term
from limbeck.run import Run
from limbeck.teachers import ensemble, teacher

STEPS = 30


class Interrupting(Run):
    """A run that asks itself to stop at its tenth logged row."""

    rows = 0

    def log(self, **row):
        super().log(**row)
        self.rows += 1
        if self.rows == 10:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def data():
    return digits()


def network(data, seed=0):
    with torch_seeded(seed):
        return build("mlp?hidden=16", data.input_space, data.outputs)


def run_fit(run, data, student, accumulate=1):
    pair = ensemble(teacher(network(data, 1)), teacher(network(data, 2)))
    objective = label_term(data.task) + 0.5 * soft_term(data.task, temperature=4.0)
    fit(
        run, "student", student, data, pair, objective, Optim(lr=1e-2), STEPS,
        batch_size=32, accumulate=accumulate,
    )  # fmt: skip
    return student.state_dict()


def metrics(run):
    rows = [json.loads(line) for line in (run.dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]


def test_a_stopped_fit_ends_in_the_same_bits(data, tmp_path):
    whole = Run(tmp_path / "whole")
    expected = run_fit(whole, data, network(data))
    with pytest.raises(Interrupted, match="step 10 of 30"):
        run_fit(Interrupting(tmp_path / "stopped"), data, network(data))
    again = Run(tmp_path / "stopped")
    found = run_fit(again, data, network(data))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert metrics(again) == metrics(whole)


def test_a_damaged_checkpoint_is_not_used(data, tmp_path):
    expected = run_fit(Run(tmp_path / "whole"), data, network(data))
    with pytest.raises(Interrupted):
        run_fit(Interrupting(tmp_path / "stopped"), data, network(data))
    (state,) = (tmp_path / "stopped" / "checkpoints").rglob("state.pt")
    state.write_bytes(state.read_bytes()[:-7])
    found = run_fit(Run(tmp_path / "stopped"), data, network(data))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_accumulation_gives_the_gradient_of_the_whole_batch(data, tmp_path):
    whole = run_fit(Run(tmp_path / "a"), data, network(data))
    pieces = run_fit(Run(tmp_path / "b"), data, network(data), accumulate=3)
    for name in whole:
        torch.testing.assert_close(pieces[name], whole[name], rtol=1e-3, atol=1e-4)


def test_a_model_of_other_classes_is_refused_before_the_first_step(data, tmp_path):
    wrong = build("mlp?hidden=16", data.input_space, 7)
    with pytest.raises(ModelError, match="gives 7 classes and digits has 10"):
        run_fit(Run(tmp_path / "run"), data, wrong)
    assert not (tmp_path / "run").exists()
