"""Checkpoints are whole or absent; the newest whole one is read."""

import errno
import os
from collections import OrderedDict

import numpy as np
import pytest
import torch

from limbeck.errors import ArgumentError, RunError
from limbeck.run import checkpoints


def write(folder, step, **state):
    models = {"student": {"weight": torch.full((3,), float(step))}, "net.v2": {}}
    checkpoints.save(folder, step, models, {"step": step, **state})


def steps(folder):
    return sorted(int(place.name) for place in folder.iterdir())


def test_what_is_saved_comes_back(tmp_path):
    state = {
        "optimisers": {"student": {"state": {0: {"step": torch.tensor(3.0)}}, "lr": 0.1}},
        "memory": {"pool": [torch.arange(3), (1, None, "word", True)], "best": -np.inf},
        "order": OrderedDict(a=1),
    }
    write(tmp_path, 7, **state)
    found = checkpoints.load(tmp_path)
    assert found.step == 7
    assert found.models["student"]["weight"].tolist() == [7.0] * 3
    assert found.models["net.v2"] == {}
    assert found.state["memory"]["pool"][0].tolist() == [0, 1, 2]
    assert found.state["memory"]["pool"][1] == (1, None, "word", True)
    assert found.state["optimisers"]["student"]["state"][0]["step"] == 3
    assert (found.state["order"], found.state["memory"]["best"]) == ({"a": 1}, -np.inf)


def test_no_folder_is_no_checkpoint(tmp_path):
    assert checkpoints.load(tmp_path / "absent") is None


def test_older_ones_are_removed(tmp_path):
    for step in (10, 20, 100):
        write(tmp_path, step)
    assert steps(tmp_path) == [100]


def test_the_same_step_is_replaced(tmp_path):
    write(tmp_path, 10, note="old")
    write(tmp_path, 10, note="new")
    assert checkpoints.load(tmp_path).state["note"] == "new"


@pytest.mark.parametrize("name", ["student.safetensors", "state.pt", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "altered", "gone"])
def test_a_damaged_one_is_passed_over_for_an_older_whole_one(tmp_path, name, damage):
    write(tmp_path, 20)
    write(tmp_path, 10)
    file = tmp_path / "000000020" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 16
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content if damage == "altered" else content[:-5])
    found = checkpoints.load(tmp_path)
    assert (found.step, found.models["student"]["weight"].tolist()) == (10, [10.0] * 3)
    assert steps(tmp_path) == [10]
    (tmp_path / "000000010" / "student.safetensors").unlink()
    assert checkpoints.load(tmp_path) is None


def test_half_written_folders_are_not_read(tmp_path):
    write(tmp_path, 10)
    (tmp_path / ".000000020.abc.part").mkdir()
    (tmp_path / ".000000020.abc.part" / "student.safetensors").write_text("half")
    assert checkpoints.load(tmp_path).step == 10


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_keeps_the_one_before(tmp_path, monkeypatch, call):
    write(tmp_path, 10)

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(RunError, match="the disk is full"):
            write(tmp_path, 20)
    assert checkpoints.load(tmp_path).step == 10
    assert steps(tmp_path) == [10]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.float64(0.5), "float64"),
        (np.zeros(2), "ndarray"),
        (object(), "object"),
        (len, "builtin"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path, value, kind):
    """Found when it is written, not when the run shall go on."""
    write(tmp_path, 10)
    with pytest.raises(ArgumentError, match=rf"memory\.pool\.1 is a {kind}.*, expected tensors"):
        write(tmp_path, 20, memory={"pool": [1, value]})
    assert checkpoints.load(tmp_path).step == 10
