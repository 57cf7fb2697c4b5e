"""``limbeck compare`` as a person and as a program meet it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from limbeck.cli import main

LIMBECK = str(Path(sys.executable).parent / "limbeck")
TINY = ("compare", "none,kd,meal-v2", "--preset", "tiny", "--quiet")


def limbeck(*words, cwd):
    return subprocess.run(
        [LIMBECK, *words], cwd=cwd, capture_output=True, text=True, timeout=200,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """A folder with one finished comparison, of which one entry failed."""
    folder = tmp_path_factory.mktemp("compare")
    failing = ("--set", "meal-v2.optim.lr=1e30", "--set", "meal-v2.final_relu=true")
    done = limbeck(*TINY, "--name", "first", "--seeds", "2", *failing, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1]), done


def test_the_json_has_a_row_an_entry_and_seed(held):
    _, facts, done = held
    assert len(done.stdout.splitlines()) == 1
    assert [(row["entry"], row["seed"]) for row in facts["rows"]] == [
        ("none", 0), ("kd", 0), ("none", 1), ("kd", 1)
    ]  # fmt: skip
    for row in facts["rows"]:
        assert set(row) == {"entry", "seed", "quality", "cost"}
        assert {"accuracy", "nll", "ece", "brier"} <= set(row["quality"])
        assert {"parameters", "macs", "latency_ms", "bytes", "steps"} <= set(row["cost"])
    assert facts["tests"]["figure"] == "accuracy"


def test_a_failed_entry_is_shown_as_failed(held):
    folder, facts, done = held
    assert [(one["entry"], one["seed"]) for one in facts["failed"]] == [
        ("meal-v2", 0), ("meal-v2", 1)
    ]  # fmt: skip
    assert "failed: meal-v2, seed 0" in done.stderr
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("meal-v2")]
    assert line.split() == ["meal-v2", "failed"]
    assert "meal-v2, seed 1" in (folder / "runs" / "compare-first" / "report.html").read_text()


def test_figures_are_written_with_the_command(held):
    folder, facts, _ = held
    written = json.loads((folder / "results" / "compare-first.json").read_text())
    assert written["command"].startswith("limbeck compare none,kd,meal-v2 --preset tiny --seeds 2")
    assert written["rows"] == facts["rows"]
    assert written["tests"] == facts["tests"]
    assert str(folder) not in json.dumps(written)


def test_another_request_of_the_same_name_is_refused(held):
    folder, _, _ = held
    done = limbeck(*TINY, "--name", "first", "--seeds", "3", cwd=folder)
    assert done.returncode == 1
    assert "comparison.seeds: there [0, 1], now [0, 1, 2]" in done.stderr


def test_other_verbs_do_not_take_it_for_a_run(held):
    folder, _, _ = held
    done = limbeck("runs", "--json", cwd=folder)
    assert json.loads(done.stdout.splitlines()[-1]) == {"runs": []}
    for verb in ("report", "evaluate"):
        done = limbeck(verb, "runs/compare-first", cwd=folder)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("none,kdd",), 2, "did you mean kd"),
        (("none,kd:dkdd",), 2, "did you mean dkd"),
        (("none,kd:sp",), 2, "features.PATH"),
        (("kd",), 2, "two or more"),
        ((",",), 2, "got nothing"),
        (("none,kd", "--preset", "demoo"), 2, "did you mean demo"),
        (("none,kd", "--data", "digits"), 2, "--teacher NAME"),
        (("none,kd", "--preset", "tiny", "--data", "digts"), 2, "did you mean digits"),
        (("none,kd", "--set", "temprature=2"), 2, "did you mean temperature"),
        (("none,kd", "--set", "kd.temperature=-2"), 2, "greater than 0"),
        (("none,kd", "--set", "steps=3"), 2, "use --steps"),
        (("none,kd", "--name", "a/b"), 2, "--name 'a/b'"),
        (("none,kd", "--preset", "tiny", "--device", "gpu"), 2, "expected cpu, cuda or auto"),
    ],
)
def test_bad_usage_speaks_and_leaves_nothing(words, status, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["limbeck", "compare", *words, "--quiet"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert said in capsys.readouterr().err
    assert ended.value.code == status
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_kill_and_an_interrupt_end_in_the_same_figures(tmp_path):
    words = (
        "compare", "none,kd", "--preset", "tiny", "--steps", "800", "--seed", "3", "--quiet",
        "--name",
    )  # fmt: skip
    whole = limbeck(*words, "whole", "--json", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    place = tmp_path / "runs" / "compare-cut" / "entries"
    # The entry alone is the faster one: the first log of kd ends before what is waited for next.
    for log, step, stop in (
        (place / "none", 1, signal.SIGKILL),
        (place / "kd", 4, signal.SIGINT),
    ):
        process = subprocess.Popen(
            [LIMBECK, *words, "cut"], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        _wait(log / "3" / "metrics.jsonl", f'"step": {step}', process)
        if stop == signal.SIGKILL:
            os.killpg(process.pid, stop)
        else:
            process.send_signal(stop)
        _, said = process.communicate(timeout=60)
        assert process.returncode != 0
    assert process.returncode == 130, said
    assert "limbeck resume runs/compare-cut" in said
    again = limbeck("resume", "runs/compare-cut", "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    rows = [json.loads(done.stdout.splitlines()[-1])["rows"] for done in (whole, again)]
    assert [row["quality"] for row in rows[0]] == [row["quality"] for row in rows[1]]
    written = json.loads((tmp_path / "results" / "compare-cut.json").read_text())
    assert "--name cut" in written["command"]


def _wait(log, words, process):
    until = time.monotonic() + 60
    while not (log.exists() and words in log.read_text()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.02)
