"""A folder belongs to one run, one process writes to it, and a refusal changes nothing."""

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import tomli_w

from limbeck import locks
from limbeck.errors import CorruptFileError, Interrupted, RunError
from limbeck.run.folder import SETTINGS, claimed, differences, read_identity

IDENTITY = {
    "method": "kd",
    "seed": 0,
    "settings": {"steps": 10, "optim": {"lr": 0.1, "milestones": [0.5]}},
    "inputs": {"teacher": ["mlp", "cnn"]},
}


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def work(folder):
    (folder / "metrics.jsonl").write_text("{}\n")


def test_what_is_asked_is_written_down_first(tmp_path):
    folder = tmp_path / "runs" / "first"
    with claimed(folder, IDENTITY):
        assert read_identity(folder) == IDENTITY
        work(folder)
    assert read_identity(folder) == IDENTITY


def test_the_same_run_is_let_in_again(tmp_path):
    identity = {**IDENTITY, "seed": 0.0, "inputs": {"teacher": ("mlp", "cnn")}}
    for asked in (IDENTITY, identity, IDENTITY):
        with claimed(tmp_path / "run", asked):
            work(tmp_path / "run")
    with claimed(tmp_path / "tuples", identity):
        work(tmp_path / "tuples")
    with claimed(tmp_path / "tuples", identity):
        pass


def test_another_run_is_refused_with_the_differences(tmp_path):
    folder = tmp_path / "run"
    with claimed(folder, IDENTITY):
        work(folder)
    before = content(folder)
    other = {
        **IDENTITY,
        "seed": 1,
        "settings": {"steps": 10, "optim": {"lr": 0.2, "milestones": [0.5]}, "extra": True},
    }
    with pytest.raises(RunError) as found, claimed(folder, other):
        raise AssertionError("let in")
    message = str(found.value)
    assert "seed: there 0, now 1" in message
    assert "settings.optim.lr: there 0.1, now 0.2" in message
    assert "settings.extra: there None, now True" in message
    assert "steps" not in message
    assert "--out" in message
    assert content(folder) == before


def test_foreign_files_are_refused_and_kept(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match="is not empty and holds no run; choose another folder"):
        claimed(tmp_path, IDENTITY).__enter__()
    assert content(tmp_path) == {"thesis.tex": b"mine"}


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(RunError, match="is a file; choose another folder with --out"):
        claimed(tmp_path / "run", IDENTITY).__enter__()
    assert content(tmp_path) == {"run": b"mine"}


def test_an_empty_folder_is_taken(tmp_path):
    with claimed(tmp_path, IDENTITY):
        work(tmp_path)
    assert read_identity(tmp_path) == IDENTITY


def test_what_another_process_of_the_run_just_wrote_is_no_foreign_file(tmp_path):
    """Under torchrun all processes begin at once; and a start may have been killed."""
    (tmp_path / ".settings.toml.0a1b2c3d.part").write_text("method")
    (tmp_path / "environment.json").write_text("{}")
    (tmp_path / ".lock").touch()
    with claimed(tmp_path, IDENTITY):
        work(tmp_path)
    assert read_identity(tmp_path) == IDENTITY


def test_only_the_first_process_of_a_run_holds_the_folder(tmp_path, monkeypatch):
    with claimed(tmp_path / "run", IDENTITY):
        monkeypatch.setenv("RANK", "1")
        with claimed(tmp_path / "run", IDENTITY):
            work(tmp_path / "run")
        with pytest.raises(RunError, match="holds another run"):
            claimed(tmp_path / "run", {**IDENTITY, "seed": 1}).__enter__()


HOLD = """
import json, sys
from pathlib import Path
from limbeck.errors import RunError
from limbeck.run.folder import claimed
try:
    with claimed(Path(sys.argv[1]), json.loads(sys.argv[2])):
        print("held", flush=True)
        sys.stdin.readline()
except RunError as error:
    print(error, flush=True)
"""


def holder(folder):
    import json

    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), json.dumps(IDENTITY)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_second_process_is_refused_while_the_first_holds_the_folder(tmp_path):
    folder = tmp_path / "run"
    with holder(folder) as first:
        assert first.stdout.readline() == "held\n"
        before = content(folder)
        with pytest.raises(RunError, match="is in use by another process; wait for it or choose"):
            claimed(folder, IDENTITY).__enter__()
        assert content(folder) == before
        first.communicate("\n")
    with claimed(folder, IDENTITY):
        work(folder)
        with holder(folder) as second:
            told, _ = second.communicate("\n")
        assert "is in use by another process" in told


def test_a_second_thread_is_refused_and_a_run_within_the_run_let_in(tmp_path):
    folder = tmp_path / "run"

    def enter():
        with claimed(folder, IDENTITY):
            return "in"

    with ThreadPoolExecutor(1) as pool:
        with claimed(folder, IDENTITY):
            with claimed(folder, IDENTITY):
                work(folder)
            with pytest.raises(RunError, match="is in use by another thread; wait for it"):
                pool.submit(enter).result()
            with holder(folder) as other:
                told, _ = other.communicate("\n")
            assert "is in use by another process" in told
        assert pool.submit(enter).result() == "in"


def test_of_two_runs_that_begin_together_one_is_refused(tmp_path, monkeypatch):
    """Both have seen that the folder holds no run; the other one was quicker to lock it."""
    folder, other = tmp_path / "run", {**IDENTITY, "seed": 1}
    lock = locks.try_lock

    def late(path):
        monkeypatch.setattr(locks, "try_lock", lock)
        (folder / "metrics.jsonl").parent.mkdir(parents=True)
        (folder / SETTINGS).write_text(tomli_w.dumps(other))
        return lock(path)

    monkeypatch.setattr(locks, "try_lock", late)
    with pytest.raises(RunError, match="seed: there 1, now 0"):
        claimed(folder, IDENTITY).__enter__()
    assert read_identity(folder) == other


def test_a_disk_without_locks_is_not_taken_for_another_process(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", refused)
    with pytest.raises(RunError, match=r"cannot be locked \(No locks available\)"):
        claimed(tmp_path / "run", IDENTITY).__enter__()


def test_defaults_are_no_differences(tmp_path):
    def full(identity):
        return {**identity, "settings": {"steps": 10, "weight": 0.5, **identity["settings"]}}

    shorter = {**IDENTITY, "settings": {"optim": {"lr": 0.1, "milestones": [0.5]}}}
    with claimed(tmp_path / "run", shorter, full):
        work(tmp_path / "run")
    with claimed(tmp_path / "run", IDENTITY, full):
        pass
    other = {**shorter, "settings": {**shorter["settings"], "weight": 0.7}}
    with pytest.raises(RunError, match=r"settings\.weight: there 0\.5, now 0\.7\nchoose"):
        claimed(tmp_path / "run", other, full).__enter__()


def test_a_killed_process_leaves_no_lock(tmp_path):
    folder = tmp_path / "run"
    with holder(folder) as first:
        assert first.stdout.readline() == "held\n"
        first.kill()
    with claimed(folder, IDENTITY):
        work(folder)


@pytest.mark.parametrize("error", [RunError, ZeroDivisionError])
def test_a_start_that_fails_leaves_no_folder(tmp_path, error):

    def start():
        with claimed(tmp_path / "run", IDENTITY):
            (tmp_path / "run" / "environment.json").write_text("{}")
            raise error

    with pytest.raises(error):
        start()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt])
def test_a_run_that_is_stopped_can_go_on(tmp_path, error):
    with pytest.raises(error), claimed(tmp_path / "run", IDENTITY):
        raise error
    assert read_identity(tmp_path / "run") == IDENTITY


def test_a_failure_keeps_what_was_computed(tmp_path):
    folder = tmp_path / "run"
    with claimed(folder, IDENTITY):
        work(folder)
    with pytest.raises(RunError), claimed(folder, IDENTITY):
        raise RunError
    assert set(content(folder)) == {SETTINGS, "metrics.jsonl", ".lock"}


def test_a_read_only_folder_is_told(tmp_path, monkeypatch):
    """The tests may run as root, to whom nothing is read-only: the system call fails instead."""
    folder = tmp_path / "run"
    with claimed(folder, IDENTITY):
        work(folder)
    before = content(folder)

    def refused(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        with pytest.raises(RunError, match=r"cannot be written \(Permission denied\)"):
            claimed(folder, IDENTITY).__enter__()
    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", refused)
        with pytest.raises(RunError, match=r"cannot be written \(Permission denied\)"):
            claimed(tmp_path / "new", IDENTITY).__enter__()
    assert content(folder) == before
    assert not (tmp_path / "new").exists()


def test_no_run_and_damaged_settings_are_told_apart(tmp_path):
    with pytest.raises(RunError, match=r"holds no run: there is no settings\.toml in it"):
        read_identity(tmp_path)
    for text in ("method = ", b"\xff\xfe"):
        (tmp_path / SETTINGS).write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(CorruptFileError, match="does not read"):
            read_identity(tmp_path)


def test_differences_name_every_place():
    first = {"a": 1, "b": {"c": 1, "d": [1, 2]}, "e": {"f": 1}}
    second = {"a": 1, "b": {"c": 2, "d": [1, 3]}, "e": 5}
    assert differences(first, second) == [
        "b.c: there 1, now 2",
        "b.d: there [1, 2], now [1, 3]",
        "e: there {'f': 1}, now 5",
    ]
    assert differences(first, first) == []


def test_what_a_killed_process_had_half_written_is_swept(tmp_path):
    with claimed(tmp_path / "run", {"method": "kd"}):
        pass
    old, new = (tmp_path / "run" / "stages" / f".{name}.part" for name in ("old", "new"))
    old.parent.mkdir()
    for half in (old, new):
        half.write_text("half")
    os.utime(old, (0, 0))
    with claimed(tmp_path / "run", {"method": "kd"}):
        pass
    assert (old.exists(), new.exists()) == (False, True)


def test_a_half_written_folder_is_swept_whole(tmp_path):
    half = tmp_path / "run" / "checkpoints" / ".7.part"
    half.mkdir(parents=True)
    (half / ".student.part").write_text("half")
    (tmp_path / "run" / SETTINGS).write_text('method = "kd"\n')
    for path in (half / ".student.part", half):
        os.utime(path, (0, 0))
    with claimed(tmp_path / "run", {"method": "kd"}):
        pass
    assert not half.exists()
