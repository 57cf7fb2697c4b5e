"""Trackers show the rows of a run as its record has them and ask for no key."""

import csv
import importlib.machinery
import importlib.util
import json
import sys
import types

import pytest

from limbeck import KD
from limbeck.errors import ArgumentError
from limbeck.run import Run, trackers
from limbeck.run.run import Options


def run_with(folder, *names):
    return Run(folder, options=Options(trackers=names))


def log(run, stage, *steps):
    for step in steps:
        run.log(stage=stage, step=step, loss=1 / step)


def table(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def module(monkeypatch):
    """Put a made-up package in place of one that is not installed here."""

    def put(name, **content):
        made = types.ModuleType(name)
        made.__spec__ = importlib.machinery.ModuleSpec(name, None)
        vars(made).update(content)
        monkeypatch.setitem(sys.modules, name, made)

    return put


# CSV


def test_csv_holds_every_row_and_every_name(tmp_path):
    run = Run(tmp_path)
    run.log(stage="student", step=1, loss=0.5)
    run.log(stage="student", step=2, loss=0.25, score=0.9)
    run.finish()
    first, second = table(tmp_path)
    assert list(first) == ["stage", "step", "loss", "seconds", "score"]
    assert (first["stage"], first["step"], first["loss"], first["score"]) == (
        "student", "1", "0.5", "",
    )  # fmt: skip
    assert second["score"] == "0.9"


def test_a_method_writes_csv_without_being_asked(tmp_path):
    KD(steps=3, batch_size=10, teaching={"steps": 2}).distill(
        tmp_path, teacher="mlp", student="mlp", data="digits?labels=50"
    )
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [(row["stage"], int(row["step"])) for row in table(tmp_path)] == [
        (row["stage"], row["step"]) for row in map(json.loads, lines)
    ]


def test_csv_is_cut_back_with_the_record(tmp_path):
    run = Run(tmp_path)
    log(run, "student", 10, 20)
    run.checkpoint("student", 20, {}, {})
    log(run, "student", 30)
    run.finish()
    assert len(table(tmp_path)) == 3
    again = Run(tmp_path)
    again.resume("student")
    assert [row["step"] for row in table(tmp_path)] == ["10", "20"]
    log(again, "student", 30, 40)
    again.finish()
    assert [row["step"] for row in table(tmp_path)] == ["10", "20", "30", "40"]


def test_a_run_without_rows_writes_no_csv(tmp_path):
    Run(tmp_path / "run").finish()
    assert not (tmp_path / "run").exists()


# TensorBoard


def curves(folder, stage):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tensorboard" / stage))
    read.Reload()
    return {
        name: [(one.step, round(one.value, 4)) for one in read.Scalars(name)]
        for name in read.Tags()["scalars"]
    }


def test_tensorboard_has_a_curve_a_stage_and_number(tmp_path):
    pytest.importorskip("tensorboard")
    run = run_with(tmp_path, "tensorboard")
    log(run, "teacher-0", 1, 2)
    log(run, "student", 4)
    run.finish()
    assert curves(tmp_path, "teacher-0")["loss"] == [(1, 1.0), (2, 0.5)]
    assert curves(tmp_path, "student")["loss"] == [(4, 0.25)]
    assert set(curves(tmp_path, "student")) == {"loss", "seconds"}


def test_tensorboard_is_cut_back_with_the_record(tmp_path):
    pytest.importorskip("tensorboard")
    run = run_with(tmp_path, "tensorboard")
    log(run, "teacher-0", 1)
    log(run, "student", 10, 20)
    run.checkpoint("student", 10, {}, {})
    run.finish()
    again = run_with(tmp_path, "tensorboard")
    again.resume("student")
    log(again, "student", 25)
    again.finish()
    assert [step for step, _ in curves(tmp_path, "student")["loss"]] == [10, 25]
    assert [step for step, _ in curves(tmp_path, "teacher-0")["loss"]] == [1]


def test_a_tracker_that_is_asked_for_late_shows_the_rows_before(tmp_path):
    pytest.importorskip("tensorboard")
    log(Run(tmp_path), "student", 1, 2)
    run = run_with(tmp_path, "tensorboard")
    log(run, "student", 4)
    run.finish()
    assert [step for step, _ in curves(tmp_path, "student")["loss"]] == [1, 2, 4]


# MLflow


class Client:
    """Stands for the client of MLflow: the calls that are made of it."""

    made: list

    def __init__(self, tracking_uri):
        self.place, self.metrics, self.ended = tracking_uri, [], []
        self.made.append(self)

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name):
        return f"experiment {name}"

    def create_run(self, experiment, run_name):
        info = types.SimpleNamespace(run_id=f"{experiment}, run {run_name}")
        return types.SimpleNamespace(info=info)

    def log_metric(self, run, name, value, step):
        self.metrics.append((run, name, value, step))

    def set_terminated(self, run):
        self.ended.append(run)


@pytest.mark.parametrize("place", [None, "http://tracker:5000"])
def test_mlflow_is_told_every_number(tmp_path, module, monkeypatch, place):
    monkeypatch.setattr(Client, "made", [], raising=False)
    module("mlflow", MlflowClient=Client)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if place:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", place)
    run = run_with(tmp_path / "first" / "seeds" / "3", "mlflow")
    log(run, "student", 2, 4)
    run.finish()
    (client,) = Client.made
    name = "experiment limbeck, run first seed 3"
    losses = [one for one in client.metrics if one[1] == "student/loss"]
    assert losses == [(name, "student/loss", 0.5, 2), (name, "student/loss", 0.25, 4)]
    assert client.ended == [name]
    assert client.place == (place or (run.dir / "mlruns").as_uri())


# Weights & Biases


class Service:
    """Stands for a run of Weights & Biases."""

    def __init__(self, **asked):
        self.asked, self.rows, self.metrics, self.finished = asked, [], {}, 0

    def define_metric(self, name, step_metric):
        self.metrics[name] = step_metric

    def log(self, row):
        self.rows.append(row)

    def finish(self):
        self.finished += 1


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({}, "offline"),
        ({"WANDB_API_KEY": "a key"}, "online"),
        ({"WANDB_API_KEY": "a key", "WANDB_MODE": "offline"}, "offline"),
    ],
)
def test_wandb_asks_for_no_key(tmp_path, module, monkeypatch, environment, mode):
    made = []

    def init(**asked):
        made.append(Service(**asked))
        return made[-1]

    module("wandb", init=init)
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run = run_with(tmp_path, "wandb")
    log(run, "student", 2, 4)
    run.finish()
    (service,) = made
    assert service.asked["mode"] == mode
    assert service.asked["dir"] == str(tmp_path)
    assert [(row["student/step"], row["student/loss"]) for row in service.rows] == [
        (2, 0.5), (4, 0.25),
    ]  # fmt: skip
    assert service.metrics == {"student/*": "student/step"}
    assert service.finished == 1


# Choosing


def test_an_unknown_tracker_is_told_with_the_nearest(tmp_path):
    with pytest.raises(ArgumentError, match="did you mean tensorboard"):
        run_with(tmp_path, "tensorbord")


@pytest.mark.parametrize("name", trackers.NAMES)
def test_a_missing_package_is_told_before_anything_is_computed(tmp_path, monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None)
    with pytest.raises(ArgumentError, match=r"pip install 'limbeck\[trackers\]'"):
        run_with(tmp_path, name)


def test_nothing_is_opened_where_none_is_asked_for(tmp_path):
    run = Run(tmp_path)
    log(run, "student", 1)
    run.finish()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["metrics.csv", "metrics.jsonl"]
