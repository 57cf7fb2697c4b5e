"""``--devices``: one command in several processes, which end together."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from limbeck.run import Run

TINY = ("kd", "--preset", "tiny", "--seeds", "1", "--quiet")


def command(*words, cwd):
    """The command as a process of its own, which may start more."""
    line = [sys.executable, "-m", "limbeck", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, timeout=250)


@pytest.fixture(scope="module")
def two_cores():
    if (os.cpu_count() or 1) < 2:
        pytest.skip("there is one processor core, and two processes are asked for")


@pytest.mark.filterwarnings("ignore::limbeck.errors.UnusualUseWarning")
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_distributed_processes_give_the_table_of_one(limbeck, tmp_path, two_cores, strategy):
    one = limbeck("run", *TINY, "--out", "one", "--json")
    two = command(
        "run", *TINY, "--devices", 2, "--strategy", strategy, "--out", "two", "--json", cwd=tmp_path
    )
    assert two.returncode == 0, two.stderr
    assert len(two.stdout.splitlines()) == 1, "only the first process speaks"
    first, second = (json.loads(said)["rows"] for said in (one.out, two.stdout))
    assert [row["name"] for row in first] == [row["name"] for row in second]
    for alone, together in zip(first, second, strict=True):
        assert together["quality"]["nll"] == pytest.approx(alone["quality"]["nll"], abs=1e-4)


def test_distributed_words_that_are_unknown_are_said_once(tmp_path, two_cores):
    for words in (("--strategy", "foo"), ("--tracker", "foo")):
        done = command("run", *TINY, "--devices", 2, *words, "--out", "r", cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("foo") == 1
        assert not (tmp_path / "r").exists()


def test_distributed_processes_go_on_where_one_stopped(limbeck, tmp_path, two_cores, monkeypatch):
    log = Run.log

    def stopping(self, **row):
        log(self, **row)
        if (row["stage"], row["step"]) == ("student", 10):
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Run, "log", stopping)
        assert limbeck("run", *TINY, "--out", "begun").status == 130
    again = command("resume", "begun", "--devices", 2, "--quiet", "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["rows"]


def test_distributed_processes_die_with_the_command(tmp_path, two_cores):
    run = subprocess.Popen(
        [sys.executable, "-m", "limbeck", "run", *TINY, "--devices", "2", "--set", "steps=100000",
         "--out", "killed"],
        cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    metrics = tmp_path / "killed" / "seeds" / "0" / "metrics.jsonl"
    while not metrics.exists():
        assert run.poll() is None
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    patience = time.monotonic() + 20
    while True:
        try:
            os.killpg(run.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < patience, "processes outlive the command"
        time.sleep(0.05)


def test_distributed_errors_are_told_once(limbeck, tmp_path, two_cores):
    done = command(
        "run", *TINY, "--devices", 2, "--set", "batch_size=31", "--out", "odd", cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("which 2 processes cannot share evenly") == 1
    assert "Traceback" not in done.stderr
    many = limbeck("run", *TINY, "--devices", "10000")
    assert (many.status, "there are" in many.err) == (2, True)
    assert not (tmp_path / "runs").exists()


def test_distributed_processes_of_torchrun_need_a_folder(limbeck, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    done = limbeck("run", *TINY)
    assert done.status == 2
    assert "--out must be given" in done.err
