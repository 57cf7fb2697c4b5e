"""``limbeck compare`` as a person and as a program meet it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from limbeck.cli import main
from limbeck.run import Run

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


def call(*words, monkeypatch):
    """The command line in this process: starting one for each call would take a minute."""
    monkeypatch.setattr(sys, "argv", ["limbeck", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_another_request_of_the_same_name_is_refused(held, monkeypatch, capsys):
    monkeypatch.chdir(held[0])
    assert call(*TINY, "--name", "first", "--seeds", "3", monkeypatch=monkeypatch) == 1
    assert "comparison.seeds: there [0, 1], now [0, 1, 2]" in capsys.readouterr().err


def test_other_verbs_do_not_take_it_for_a_run(held, monkeypatch, capsys):
    monkeypatch.chdir(held[0])
    assert call("runs", "--json", monkeypatch=monkeypatch) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"runs": []}
    for verb in ("report", "evaluate"):
        assert call(verb, "runs/compare-first", monkeypatch=monkeypatch) == 1
        assert "runs/compare-first" in capsys.readouterr().err


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
        (("none,kd", "--preset", "tiny", "--precision", "bf16"), 2, "precision is 'bf16'"),
        (("none,kd", "--preset", "tiny", "--executor", "cloud"), 2, "executor is 'cloud'"),
        (("none,kd", "--preset", "tiny", "--tracker", "paper"), 2, "no tracker 'paper'"),
    ],
)
def test_bad_usage_speaks_and_leaves_nothing(words, status, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call("compare", *words, "--quiet", monkeypatch=monkeypatch) == status
    assert said in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_comparison_takes_what_decides_how_a_run_computes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ("compare", "none,kd", "--preset", "tiny", "--seed", "0", "-q", "--name", "half")
    more = ("--precision", "bf16-mixed", "--executor", "serial", "--results", "figures")
    assert call(*words, *more, monkeypatch=monkeypatch) == 0, capsys.readouterr().err
    path = tmp_path / "figures" / "compare-half.json"
    facts = json.loads(path.read_text())
    assert facts["options"]["precision"] == "bf16-mixed"
    assert "--precision bf16-mixed" in facts["command"]
    assert {"date", "commit", "environment"} <= set(facts)
    # Who goes on need not say again where the figures went.
    path.unlink()
    assert call("resume", "runs/compare-half", "-q", monkeypatch=monkeypatch) == 0
    assert json.loads(path.read_text())["rows"] == facts["rows"]
    assert not (tmp_path / "results").exists()
    capsys.readouterr()
    words = ("resume", "runs/compare-half", "--devices", "2")
    assert call(*words, monkeypatch=monkeypatch) == 2
    assert "one device each" in capsys.readouterr().err


class Killed(BaseException):
    """What no code catches, as nothing catches a kill."""


def test_a_kill_and_an_interrupt_end_in_the_same_figures(tmp_path, monkeypatch, capsys):
    # One process, so that it is known how far each entry is.
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.chdir(tmp_path)
    words = ("compare", "none,kd", "--preset", "tiny", "--steps", "60", "--seed", "3", "-q")
    assert call(*words, "--name", "whole", monkeypatch=monkeypatch) == 0
    log = Run.log

    def cut(stage, step, act):
        def logging(self, **row):
            log(self, **row)
            if (row["stage"], row["step"]) == (stage, step):
                act()

        monkeypatch.setattr(Run, "log", logging)

    def kill():
        raise Killed

    cut("alone", 30, kill)
    with pytest.raises(Killed):
        call(*words, "--name", "cut", monkeypatch=monkeypatch)
    cut("student", 40, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert call(*words, "--name", "cut", monkeypatch=monkeypatch) == 130
    assert "limbeck resume runs/compare-cut" in capsys.readouterr().err
    begun = json.loads((tmp_path / "runs/compare-cut/entries/none/3/row.json").read_text())
    monkeypatch.setattr(Run, "log", log)
    assert call("resume", "runs/compare-cut", "-q", "--json", monkeypatch=monkeypatch) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    whole, written = (
        json.loads((tmp_path / "results" / f"compare-{name}.json").read_text())
        for name in ("whole", "cut")
    )
    assert rows == written["rows"]
    assert [row["quality"] for row in rows] == [row["quality"] for row in whole["rows"]]
    # The finished one was read back; of the interrupted one the seconds are not known.
    assert rows[0]["cost"] == begun["cost"]
    assert "train_seconds" not in rows[1]["cost"]
    assert "--name cut" in written["command"]
