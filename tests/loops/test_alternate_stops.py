"""A loop that was stopped goes on in the same bits; a watched one ends with its best weights."""

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.data import Loader, from_arrays
from limbeck.errors import Interrupted
from limbeck.loops import Optim, Watch, alternate, ema
from limbeck.run import Run
from limbeck.run.run import Options

from .toys import SGD, STEPS, TURNS, Net, copied, inputs, interrupting, pull, rows, same


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


# Stops


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_dropout_averages_and_optimisers_go_on_in_the_same_bits(tmp_path, precision, workers):
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    data = from_arrays(x, y)

    def go(folder, step):
        run = Run(tmp_path / folder, options=Options(precision=precision, workers=workers))
        net = Net(drop=0.5, norm=True).train()
        loader = Loader(data, data.train, 8, stage="s", workers=workers)
        optim = Optim("adamw", lr=0.05, schedule="cosine")
        trained = alternate(
            run, "s", {"net": net}, {"net": optim}, STEPS,
            step=step, batches=loader, average={"net": ema(0.9)}, accumulate=2,
        )  # fmt: skip
        return net.state_dict(), trained.averages["net"], rows(run)

    def step(models, batch, at):
        x = batch["x"].to(next(models["net"].parameters()).dtype)
        return {"loss": nn.functional.cross_entropy(models["net"](x), batch["y"])}

    whole = go("whole", step)
    with pytest.raises(Interrupted, match=r"stopped in stage s at step 6 of 12; the state is sav"):
        go("stopped", interrupting(step, 5))
    again = go("stopped", step)
    assert same(whole[0], again[0])
    assert same(whole[1], again[1])
    assert whole[2] == again[2]
    dtype = torch.float64 if precision == "64-true" else torch.float32
    assert whole[0]["body.weight"].dtype == whole[1]["body.weight"].dtype == dtype


@pytest.mark.parametrize("when", [4, 5, 6])
@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_a_restart_of_the_optimiser_goes_on_in_the_same_bits(tmp_path, when, precision):
    optim = Optim("sgd", lr=0.1, momentum=0.9, schedule="steps", milestones=(0.5,), restart=True)

    def go(folder, step):
        run = Run(tmp_path / folder, options=Options(precision=precision))
        net = Net()
        alternate(run, "s", {"a": net}, {"a": optim}, STEPS, step=step)
        return net.state_dict()

    def step(models, batch, at):
        x = inputs(at.step).to(next(models["a"].parameters()).dtype)
        return {"a": models["a"](x).square().mean()}

    whole = go("whole", step)
    with pytest.raises(Interrupted):
        go("stopped", interrupting(step, when))
    assert same(whole, go("stopped", step))


def test_memory_is_saved_and_restored(tmp_path):
    def remembering(models, batch, at):
        memory["seen"].append(at.step)
        memory["sum"] = memory["sum"] + models["a"].body.weight.detach().sum()
        return pull(models, batch, at)

    results = {}
    for name, when in (("whole", None), ("stopped", 4)):
        memory = {"seen": [], "sum": torch.tensor(0.0), "settled": None}
        net = Net()
        step = interrupting(remembering, when)
        if when is not None:
            with pytest.raises(Interrupted):
                alternate(
                    Run(tmp_path / name), "s", {"a": net}, {"a": SGD}, STEPS, step=step,
                    memory=memory,
                )  # fmt: skip
            assert memory["seen"] == [0, 1, 2, 3, 4]
            memory, net = {"seen": ["lost"], "sum": None}, Net()
        alternate(
            Run(tmp_path / name), "s", {"a": net}, {"a": SGD}, STEPS, step=remembering,
            memory=memory,
        )  # fmt: skip
        results[name] = memory
    assert results["whole"]["seen"] == results["stopped"]["seen"] == [*range(STEPS)]
    assert torch.equal(results["whole"]["sum"], results["stopped"]["sum"])
    assert results["stopped"]["settled"] is None


def test_turns_go_on_after_a_stop(tmp_path):
    turn = TURNS["five and one"]
    results = []
    for name, when in (("whole", None), ("stopped", 7)):
        for step in (interrupting(pull, when), pull):
            models = {"a": Net(0), "bb": Net(1)}
            try:
                alternate(Run(tmp_path / name), "s", models, dict.fromkeys(models, SGD), STEPS,
                          step=step, turn=lambda at: turn(at.step))  # fmt: skip
            except Interrupted:
                continue
            break
        results.append(models)
    for name in ("a", "bb"):
        assert same(results[0][name].state_dict(), results[1][name].state_dict())


def test_a_finished_stage_does_no_step(run):
    net = Net()
    alternate(run, "s", {"a": net}, {"a": SGD}, STEPS, step=pull, average={"a": ema(0.5)})

    def never(models, batch, at):
        raise AssertionError("a step was done")

    again = Net(seed=5)
    trained = alternate(
        run, "s", {"a": again}, {"a": SGD}, STEPS, step=never, average={"a": ema(0.5)}
    )
    assert trained.step == STEPS
    assert same(net.state_dict(), again.state_dict())
    assert len(rows(run)) == STEPS


def test_states_are_saved_now_and_then(tmp_path):
    run = Run(tmp_path, options=Options(checkpoint_seconds=0.0))
    found = []

    def step(models, batch, at):
        found.append([int(place.name) for place in (tmp_path / "checkpoints" / "s").glob("*")])
        return pull(models, batch, at)

    alternate(run, "s", {"a": Net()}, {"a": SGD}, 4, step=step)
    assert found == [[], [1], [2], [3]]


def test_the_callers_draws_are_left_alone(run):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    alternate(run, "s", {"a": Net(drop=0.5).train()}, {"a": SGD}, 3, step=pull)
    assert torch.equal(torch.rand(3), expected)


def test_no_steps_are_no_work(run):
    net = Net()
    before = copied(net)
    assert alternate(run, "s", {"a": net}, {"a": SGD}, 0, step=pull).step == 0
    assert same(before, net.state_dict())


@pytest.mark.parametrize("steps", [3, 250, 401])
def test_rows_and_progress_end_at_the_last_step(run, monkeypatch, steps):
    from contextlib import contextmanager

    told = []

    class Told:
        def advance(self, count=1, text=None):
            told.append(count)

    @contextmanager
    def progress(label, total, start=0):
        yield Told()

    monkeypatch.setattr(run, "progress", progress)
    alternate(run, "s", {"a": Net()}, {"a": SGD}, steps, step=pull)
    found = [row["step"] for row in rows(run)]
    assert found[-1] == steps == sum(told)
    assert len(found) <= 201


# Watching


def scores(*values, seen=None):
    """A score that takes its values from a list, and notes the weights it saw."""
    left = list(values)

    def score(models):
        if seen is not None:
            seen.append(copied(models["a"]))
        return left.pop(0)

    return score


def test_the_best_weights_are_kept_and_the_loop_stops(run):
    seen, net = [], Net()
    watch = Watch(scores(0.1, 0.5, 0.3, 0.5, 0.4, 0.9, seen=seen), every=2, patience=3)
    trained = alternate(run, "s", {"a": net}, {"a": SGD}, 40, step=pull, watch=watch)
    assert (trained.step, trained.best_step, trained.best_score) == (10, 4, 0.5)
    assert same(net.state_dict(), seen[1])
    assert [row["score"] for row in rows(run) if "score" in row] == [0.1, 0.5, 0.3, 0.5, 0.4]


def test_without_patience_the_loop_goes_on_to_its_end(run):
    seen, net = [], Net()
    watch = Watch(scores(0.9, 0.1, 0.2, seen=seen), every=4)
    trained = alternate(run, "s", {"a": net}, {"a": SGD}, STEPS, step=pull, watch=watch)
    assert (trained.step, trained.best_step) == (STEPS, 4)
    assert same(net.state_dict(), seen[0])


@pytest.mark.parametrize("kind", [float, np.float64, np.float32, torch.tensor])
def test_watching_goes_on_after_a_stop(tmp_path, kind):
    """Scores of NumPy and torch, as libraries return them, are numbers all the same."""
    values = [0.1, 0.5, 0.3, 0.4, 0.2, 0.1]
    results = []
    for name, when in (("whole", None), ("stopped", 5)):
        net = Net()
        if when is not None:
            watch = Watch(scores(*map(kind, values[:3])), every=2, patience=3)
            with pytest.raises(Interrupted):
                alternate(Run(tmp_path / name), "s", {"a": net}, {"a": SGD}, 40,
                          step=interrupting(pull, when), watch=watch)  # fmt: skip
            values, net = values[3:], Net()
        watch = Watch(scores(*map(kind, values)), every=2, patience=3)
        trained = alternate(
            Run(tmp_path / name), "s", {"a": net}, {"a": SGD}, 40, step=pull, watch=watch
        )
        results.append((trained.step, trained.best_step, net.state_dict()))
    assert results[0][:2] == results[1][:2] == (10, 4)
    assert same(results[0][2], results[1][2])


def test_a_stage_that_stopped_early_is_finished(run):
    for values in ((0.5, 0.1), ()):
        net = Net()
        watch = Watch(scores(*values), every=1, patience=1)
        trained = alternate(run, "s", {"a": net}, {"a": SGD}, STEPS, step=pull, watch=watch)
        assert (trained.step, trained.best_step, trained.best_score) == (2, 1, 0.5)


def test_scores_are_taken_in_evaluation_mode_and_training_goes_on(run):
    net, modes = Net(drop=0.5, norm=True).train(), []
    net.drop.eval()

    def score(models):
        modes.append((models["a"].training, models["a"].norm.training))
        return 0.0

    def step(models, batch, at):
        modes.append((net.training, net.norm.training, net.drop.training))
        return pull(models, batch, at)

    watch = Watch(score, every=1)
    alternate(run, "s", {"a": net}, {"a": SGD}, 2, step=step, watch=watch)
    assert modes == [(True, True, False), (False, False)] * 2
