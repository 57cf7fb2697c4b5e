"""A plan adds up what a rehearsal found, over seeds, and says what will not fit."""

import os
import shutil
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from limbeck import cards, rehearsal
from limbeck import plan as planning
from limbeck.errors import Interrupted, SettingsError
from limbeck.experiment import Request
from limbeck.plan import plan
from limbeck.rehearsal import Stage

REQUEST = Request(
    "kd",
    {"steps": 40, "batch_size": 32, "teaching": {"steps": 30, "batch_size": 32}},
    {"teacher": ["mlp?hidden=32", "mlp?hidden=16"], "student": "mlp?hidden=8",
     "data": "digits?labels=100"},
)  # fmt: skip
Disk = namedtuple("Disk", "total used free")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return plan(REQUEST, tmp_path_factory.mktemp("runs") / "new")


def test_stages_calls_and_cache(made):
    assert [(one.stage, one.steps, one.batch_size) for one in made.stages] == [
        ("teacher-0", 30, 32), ("teacher-1", 30, 32), ("student", 40, 32), ("alone", 40, 32),
    ]  # fmt: skip
    assert made.teacher_calls == 2 * 40
    # Ten logits of two teachers for a hundred samples, two bytes each.
    assert made.cache == 10 * 2 * 100 * 2
    assert made.tried == sum(one.tried for one in made.stages) > 0


def test_what_fits_is_not_warned_of(made):
    assert made.memory < made.room
    assert made.disk < made.free_disk
    assert made.warnings == []


def test_disk_is_what_stays_and_a_second_checkpoint_while_it_is_written(made):
    student, alone = made.stages[2:]
    largest = max(one.checkpoint for one in made.stages)
    kept = student.checkpoint + alone.checkpoint + sum(made.stored.values()) + made.product
    assert made.disk == kept + made.product + largest


def test_seeds_add_up(made):
    three = replace(made, request=replace(REQUEST, seeds=(0, 1, 2)), at_once=2)
    assert three.teacher_calls == 3 * made.teacher_calls
    assert three.memory == 2 * made.memory
    # Two rounds: two seeds, then the third.
    assert three.minutes == pytest.approx(2 * made.minutes)
    assert 2 * made.disk < three.disk < 3 * made.disk


def test_seeds_at_once_are_those_of_the_run(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    request = replace(REQUEST, seeds=(3, 4, 5), options={"threads": 4})
    assert plan(request, tmp_path).at_once == 2


def test_devices_share_batches_and_where_models_are_cut_these_too(made):
    def most(share: Callable[[Stage], int]) -> int:
        return max(one.memory - share(one) + -(-share(one) // 2) for one in made.stages)

    assert all(0 < one.state < one.memory for one in made.stages)
    two = replace(made, devices=2, device="cuda:0")
    assert two.memory == most(lambda one: one.activations) < made.memory
    cut = replace(two, request=replace(REQUEST, options={"strategy": "fsdp"}))
    assert cut.memory == most(lambda one: one.activations + one.state) < two.memory
    # Processes on the cores of one machine share its memory.
    assert replace(two, device="cpu").memory == 2 * two.memory


def test_devices_take_the_seeds_one_after_another(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    request = replace(REQUEST, seeds=(3, 4, 5), options={"threads": 2})
    assert plan(request, tmp_path, devices=2).at_once == 1
    serial = replace(request, options={"threads": 2, "executor": "serial"})
    assert plan(serial, tmp_path).at_once == 1


def test_minutes_add_up_stages_preparation_and_table(made):
    loops = sum(one.seconds * one.steps for one in made.stages)
    assert made.minutes * 60 == pytest.approx(loops + made.preparing + made.testing)


def test_too_little_memory_is_warned_of_and_nothing_is_tried(monkeypatch, tmp_path):
    monkeypatch.setattr(rehearsal, "free_bytes", lambda device: 0)
    found = plan(REQUEST, tmp_path)
    assert [one.tried for one in found.stages] == [0, 0, 0, 0]
    assert found.minutes is None
    (warning,) = found.warnings
    assert warning.startswith("memory will not do")
    assert found.facts()["memory"]["fits"] is False


def test_too_small_a_disk_is_warned_of(monkeypatch, tmp_path):
    asked = []

    def usage(folder):
        asked.append(folder)
        return Disk(10, 10, 0)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    found = plan(REQUEST, tmp_path / "not" / "there" / "yet")
    # The disk of the nearest folder that exists.
    assert asked == [tmp_path]
    (warning,) = found.warnings
    assert warning.startswith("the disk will not do")
    assert "--out" in warning
    assert found.facts()["disk"]["fits"] is False


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, MemoryError])
def test_memory_that_ends_in_a_step_is_told(monkeypatch, tmp_path, kind):
    def full(self):
        raise kind("tried to allocate much")

    monkeypatch.setattr(rehearsal._Loop, "next", full)
    found = plan(REQUEST, tmp_path)
    assert found.minutes is None
    assert [one.stage for one in found.stages] == ["teacher-0"]
    assert "tried to allocate much; later stages were not tried" in found.warnings[0]


def test_a_stop_speaks_of_the_plan_and_no_run(monkeypatch, tmp_path):
    def stop(self):
        raise Interrupted("stopped in stage teacher-0; the state is saved")

    monkeypatch.setattr(rehearsal._Loop, "next", stop)
    with pytest.raises(Interrupted) as told:
        plan(REQUEST, tmp_path)
    assert str(told.value) == "stopped; a plan leaves nothing behind"


def test_nothing_is_written(monkeypatch, tmp_path):
    elsewhere, here = tmp_path / "temporary", tmp_path / "here"
    elsewhere.mkdir()
    here.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    monkeypatch.chdir(here)
    plan(REQUEST, Path("runs"))
    assert list(tmp_path.rglob("*")) in ([elsewhere, here], [here, elsewhere])


def test_a_bad_request_fails_as_its_run_would(tmp_path):
    with pytest.raises(SettingsError, match="did you mean temperature"):
        plan(replace(REQUEST, settings={"temprature": 2}), tmp_path)


@pytest.mark.parametrize(
    ("samples", "expected"), [(8, 1.0), (64, 1.0), (64 * 8, 1.0)], ids=["few", "some", "many"]
)
def test_the_table_takes_what_its_parts_foretell(monkeypatch, samples, expected):
    from limbeck.data import digits
    from limbeck.data.splits import Subset

    clock = [0.0]
    data = digits()
    data = replace(data, test=Subset(data.train, list(range(samples))))

    def compare(part):
        # As if a look took 0.2 s whatever the size, and the rest were the samples'.
        clock[0] += 0.2 + 0.8 * len(part.test) / samples

    monkeypatch.setattr(planning.time, "perf_counter", lambda: clock[0])
    assert planning._testing(compare, data) == pytest.approx(expected)


def test_a_plan_of_sets_judged_on_validation_ends_before_the_first_look(tmp_path):
    tiny = cards.preset("datm", "tiny")
    protocol = {**tiny["settings"]["protocol"], "selection": "validation", "steps": 300}
    request = Request("datm", {**tiny["settings"], "protocol": protocol}, tiny["inputs"])
    assert plan(request, tmp_path).minutes is not None
