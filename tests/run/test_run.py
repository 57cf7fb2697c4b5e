"""A run folder computes a stage once, finds damage, and keeps its rows in step with its state."""

import errno
import json
import os
import shutil

import pytest
import torch

from limbeck import keyed
from limbeck.errors import RunError
from limbeck.run import Run


class Making:
    """A maker that counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, size=2, fill=1.0):
        self.calls += 1
        return {"x": torch.full((size,), fill, requires_grad=True), "n": torch.tensor(self.calls)}


@pytest.fixture
def make():
    return Making()


def rows(run):
    return [json.loads(line) for line in (run.dir / "metrics.jsonl").read_text().splitlines()]


# Stages


def test_a_stage_is_made_once(tmp_path, make):
    first = Run(tmp_path).stage("teacher", make, size=3)
    second = Run(tmp_path).stage("teacher", make, size=3)
    assert make.calls == 1
    assert torch.equal(first["x"], second["x"])
    assert first["x"].requires_grad is second["x"].requires_grad is False


def test_a_stage_of_other_content_is_made_anew(tmp_path, make):
    run = Run(tmp_path)
    run.stage("teacher", make, size=3, fill=1.0)
    run.stage("teacher", make, size=3, fill=2.0)
    run.stage("expert", make, size=3, fill=1.0)
    Run(tmp_path, seed=1).stage("teacher", make, size=3, fill=1.0)
    assert make.calls == 4
    assert run.stage("teacher", make, size=3, fill=2.0)["x"].tolist() == [2.0] * 3
    assert make.calls == 4


@pytest.mark.parametrize("damage", [lambda b: b[:-3], lambda b: b[:-1] + b"\x01", lambda b: b""])
def test_a_damaged_stage_is_made_anew_and_noted(tmp_path, make, damage):
    run = Run(tmp_path)
    run.stage("teacher", make)
    (file,) = (tmp_path / "stages").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert int(run.stage("teacher", make)["n"]) == 2
    assert int(run.stage("teacher", make)["n"]) == 2
    assert "made anew" in (tmp_path / "log.txt").read_text()


def test_a_finished_stage_needs_no_checkpoints(tmp_path, make):
    run = Run(tmp_path)
    run.checkpoint("teacher", 1, {}, {})
    run.checkpoint("student", 1, {}, {})
    run.stage("teacher", make)
    assert [place.name for place in (tmp_path / "checkpoints").iterdir()] == ["student"]


def test_a_stage_that_fails_leaves_nothing(tmp_path):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Run(tmp_path / "run").stage("teacher", fail)
    assert not (tmp_path / "run").exists()


def test_a_run_makes_no_folder_of_itself(tmp_path):
    run = Run(tmp_path / "run")
    assert run.resume("student") is None
    assert run.at("student", 3).step == 3
    assert not (tmp_path / "run").exists()


# Moments


def test_the_key_of_a_moment_depends_on_seed_stage_and_step(tmp_path):
    at = Run(tmp_path, seed=2).at("student", 5)
    assert (at.stage, at.step, at.key) == ("student", 5, keyed.key(2, "student", 5))


# Rows


def logged(folder):
    run = Run(folder)
    for step in (10, 20, 30):
        for stage in ("teacher", "student"):
            run.log(stage=stage, step=step, loss=1 / step)
    return run


def test_rows_are_lines_of_json(tmp_path):
    found = rows(logged(tmp_path))
    assert [(row["stage"], row["step"]) for row in found[:3]] == [
        ("teacher", 10), ("student", 10), ("teacher", 20),
    ]  # fmt: skip
    assert found[0]["loss"] == 0.1
    assert all(row["seconds"] >= 0 for row in found)


def test_rows_are_cut_back_to_the_checkpoint(tmp_path):
    run = logged(tmp_path)
    run.checkpoint("student", 20, {}, {})
    assert run.resume("student").step == 20
    assert [row["step"] for row in rows(run) if row["stage"] == "student"] == [10, 20]
    assert [row["step"] for row in rows(run) if row["stage"] == "teacher"] == [10, 20, 30]


def test_rows_of_a_stage_made_anew_stand_where_those_before_them_stood(tmp_path):
    def go(*made):
        run = Run(tmp_path)
        for stage in ("initial", "student", "alone"):
            if stage in made:
                shutil.rmtree(tmp_path / "checkpoints" / stage, ignore_errors=True)
            run.resume(stage)
            if stage in made:
                for step in (1, 2):
                    run.log(stage=stage, step=step)
                run.log(stage=f"looks at {stage}", step=2)
                run.checkpoint(stage, 2, {}, {})
        run.finish()
        return [(row["stage"], row["step"]) for row in rows(run)]

    whole = go("initial", "student", "alone")
    assert len(whole) == 9
    assert go() == whole
    made = [row for row in go("student") if row[0] != "looks at student"]
    assert made == [row for row in whole if row[0] != "looks at student"]


def test_without_a_checkpoint_a_stage_keeps_no_rows(tmp_path):
    run = logged(tmp_path)
    run.resume("student")
    assert {row["stage"] for row in rows(run)} == {"teacher"}


def test_whatever_is_left_of_the_last_line_the_file_reads_on(tmp_path):
    """A kill may come after any byte; what is whole stays, and the next row starts a line."""
    run = logged(tmp_path)
    file = tmp_path / "metrics.jsonl"
    whole = file.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    for length in range(start, len(whole) + 1):
        file.write_bytes(whole[:length])
        Run(tmp_path).resume("absent")
        run.log(stage="next", step=1)
        found = rows(run)
        assert found[-1]["stage"] == "next"
        assert len(found) == (7 if length >= len(whole) - 1 else 6)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is full")
def test_a_full_disk_is_told_when_a_row_is_written(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"the disk is full: .*metrics\.jsonl"):
        Run(tmp_path).log(stage="student", step=1)


def test_a_full_disk_is_told_when_a_stage_is_written(tmp_path, make, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match="the disk is full"):
            Run(tmp_path).stage("teacher", make)
    assert not list((tmp_path / "stages").iterdir())
    assert int(Run(tmp_path).stage("teacher", make)["n"]) == 2


def test_stages_done_in_a_shared_folder_are_taken_and_not_copied(tmp_path):
    calls = []

    def make(size):
        calls.append(size)
        return {"ones": torch.ones(size)}

    first = Run(tmp_path / "first")
    first.stage("ones", make, size=2)
    second = Run(tmp_path / "second", shared=tmp_path / "first")
    assert second.stage("ones", make, size=2)["ones"].tolist() == [1.0, 1.0]
    assert calls == [2]
    assert not (tmp_path / "second" / "stages").exists()
    # Other keys and other seeds are other stages.
    second.stage("ones", make, size=3)
    Run(tmp_path / "third", seed=1, shared=tmp_path / "first").stage("ones", make, size=2)
    assert calls == [2, 3, 2]
    assert len(list((tmp_path / "first" / "stages").iterdir())) == 1
