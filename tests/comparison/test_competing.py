"""Entries of a seed begin from the same, take the same steps, and fail alone."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from limbeck.comparison import compete, contest
from limbeck.comparison.competing import _check_same
from limbeck.errors import RunError
from limbeck.files import load_tensors
from limbeck.run.executor import Executor
from limbeck.run.run import METRICS

NAMES = ["none", "kd", "kd:kl", "meal-v2"]


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison") / "held"
    planned = contest(NAMES, preset="tiny", seeds=[0, 1], changes={"batch_size": 16})
    return folder, planned, compete(planned, folder, command="as typed", quiet=True)


def stages(place):
    last = {}
    for line in (place / METRICS).read_text().splitlines():
        row = json.loads(line)
        last[row["stage"]] = row["step"]
    return last


def test_every_entry_and_seed_has_a_row(held):
    _, planned, outcome = held
    assert [(row["entry"], row["seed"]) for row in outcome.rows] == [
        (name, seed) for seed in (0, 1) for name in NAMES
    ]
    assert not outcome.failed
    assert set(outcome.rows[0]) == {"entry", "seed", "quality", "cost"}
    assert [row["role"] for row in outcome.teachers] == ["ensemble", "teacher", "teacher"]
    facts = outcome.facts(planned)
    assert facts["command"] == "as typed"
    assert set(facts["standing"]["quality"]) == set(NAMES)
    json.dumps(facts, allow_nan=False)


def test_all_take_the_same_steps_and_none_trains_a_teacher(held):
    folder, planned, outcome = held
    assert {row["cost"]["steps"] for row in outcome.rows} == {planned.steps} == {20}
    own = {name: stages(folder / "entries" / name / "0") for name in ("none", "kd", "meal-v2")}
    assert own == {
        "none": {"alone": 20},
        "kd": {"student": 20},
        "meal-v2": {"initial": 8, "student": 12},
    }
    assert set(stages(folder / "teachers" / "0")) == {"teacher-0", "teacher-1"}
    assert len(list(folder.rglob("stages/teacher-*"))) == 4


def test_all_begin_from_the_same_splits_teachers_and_weights(held):
    folder, _, _ = held
    for seed in ("0", "1"):
        began = [
            json.loads((folder / "entries" / name / seed / "row.json").read_text())["began"]
            for name in ("none", "kd", "kd_kl", "meal-v2")
        ]
        assert set(began[0]) == {"teacher", "student", "data"}
        assert all(one == began[0] for one in began)
    other = json.loads((folder / "entries" / "kd" / "0" / "row.json").read_text())["began"]
    assert other["student"] != began[0]["student"]
    assert other["teacher"] != began[0]["teacher"]
    assert other["data"] != began[0]["data"]


def test_the_first_weights_are_those_of_the_seed(tmp_path):
    """With steps too small for a float, what comes out is what went in: the same for all."""
    still = {"name": "sgd", "lr": 1e-30}
    changes = {"optim": still, "initial_optim": still}
    planned = contest(["none", "kd", "meal-v2"], preset="tiny", steps=2, changes=changes)
    compete(planned, tmp_path / "still", quiet=True)
    weights = [
        load_tensors(path)[0]
        for path in sorted((tmp_path / "still" / "entries").glob("*/0/product/network.safetensors"))
    ]
    assert len(weights) == 3
    for other in weights[1:]:
        assert all(torch.equal(weights[0][name], other[name]) for name in weights[0])


def test_kd_is_kd_with_its_loss_named(held):
    _, _, outcome = held
    figures = {(row["entry"], row["seed"]): row["quality"] for row in outcome.rows}
    for seed in (0, 1):
        assert figures["kd", seed] == figures["kd:kl", seed]
        assert figures["kd", seed] != figures["none", seed]


def test_what_is_finished_is_reused(held):
    folder, planned, outcome = held
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("row.json")}
    gone = folder / "entries" / "kd" / "1" / "row.json"
    gone.unlink()
    again = compete(planned, folder, command="typed again", quiet=True)
    assert again.command == "as typed"
    assert [row["quality"] for row in again.rows] == [row["quality"] for row in outcome.rows]
    changed = {path for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp}
    assert changed == {gone}


def test_another_request_in_the_folder_is_refused_with_its_differences(held):
    folder, planned, _ = held
    with pytest.raises(RunError, match=r"comparison.steps: there 20, now 21"):
        compete(replace(planned, steps=21), folder, quiet=True)
    fewer = replace(planned, entries=planned.entries[:3])
    with pytest.raises(RunError, match=r"entries.meal-v2: there"):
        compete(fewer, folder, quiet=True)


def test_an_entry_that_fails_stops_no_other(tmp_path):
    changes = {"kd:mse": {"optim": {"name": "sgd", "lr": 1e30}}}
    planned = contest(["none", "kd:mse", "kd"], preset="tiny", seeds=[0, 1], changes=changes)
    outcome = compete(planned, tmp_path / "run", quiet=True)
    assert [(one["entry"], one["seed"]) for one in outcome.failed] == [("kd:mse", 0), ("kd:mse", 1)]
    assert all("not finite" in one["error"] for one in outcome.failed)
    assert {row["entry"] for row in outcome.rows} == {"none", "kd"}
    assert "Traceback" in (tmp_path / "run" / "failed" / "kd_mse-0.txt").read_text()
    facts = outcome.facts(planned)
    assert facts["tests"]["ranks"] is None
    assert len(facts["tests"]["paired"]) == 1


def test_entries_that_began_from_other_things_are_not_compared():
    rows = [
        {"entry": name, "seed": 0, "began": {"teacher": "t", "student": weights, "data": "d"}}
        for name, weights in (("none", "a"), ("kd", "b"))
    ]
    with pytest.raises(RunError, match="kd and none did not begin seed 0 with the same student"):
        _check_same(rows)


def test_damaged_rows_are_made_anew(held, tmp_path):
    folder, planned, outcome = held
    shutil.copytree(folder, tmp_path / "copy")
    entry = tmp_path / "copy" / "entries" / "kd" / "1"
    (entry / "row.json").write_text("")
    (tmp_path / "copy" / "teachers" / "0" / "row.json").write_text("[")
    metrics = entry / METRICS
    metrics.write_text(metrics.read_text()[:-9])
    again = compete(planned, tmp_path / "copy", quiet=True)
    assert not again.failed
    assert [row["quality"] for row in again.rows] == [row["quality"] for row in outcome.rows]
    assert {row["cost"]["steps"] for row in again.rows} == {planned.steps}
    assert [row["quality"] for row in again.teachers] == [
        row["quality"] for row in outcome.teachers
    ]


def test_an_entry_whose_worker_dies_stops_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    planned = contest(["none", "kd"], preset="tiny", steps=2, seeds=[0])
    attempt = Executor.attempt

    def dying(self, function, jobs, label):
        said = attempt(self, function, jobs, label)
        return [said[0], RunError("a worker died")]

    monkeypatch.setattr(Executor, "attempt", dying)
    # Teachers are mapped, and a map attempts.
    monkeypatch.setattr(Executor, "map", lambda self, f, jobs, label: attempt(self, f, jobs, label))
    outcome = compete(planned, tmp_path / "run", quiet=True)
    assert outcome.failed == [{"entry": "kd", "seed": 0, "error": "a worker died"}]
    assert [row["entry"] for row in outcome.rows] == ["none"]
    assert "died" in (tmp_path / "run" / "failed" / "kd-0.txt").read_text()
