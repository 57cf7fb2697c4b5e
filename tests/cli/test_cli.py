"""The command line as a person and as a program meet it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import limbeck as package
from limbeck.files import MANIFEST

LIMBECK = str(Path(sys.executable).parent / "limbeck")
TINY = ("run", "kd", "--preset", "tiny", "--quiet")


def command(*words, cwd):
    """The command as a process of its own."""
    return subprocess.run(
        [LIMBECK, *words], cwd=cwd, capture_output=True, text=True, timeout=200,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80"},
    )  # fmt: skip


def last_json(text):
    return json.loads(text.splitlines()[-1])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with one finished run."""
    folder = tmp_path_factory.mktemp("runs")
    done = command(*TINY, "--out", "first", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, last_json(done.stdout)


def test_run_prints_one_line_of_json_last(finished):
    _, facts = finished
    assert set(facts) == {"run", "method", "rows"}
    roles = [row["role"] for row in facts["rows"]]
    assert roles == ["product", "baseline", "ensemble", "teacher", "teacher"]
    for row in facts["rows"]:
        assert {"accuracy", "nll", "ece", "brier"} <= set(row["quality"])
        assert set(row["cost"]) == {"parameters", "macs", "latency_ms", "bytes"}
        assert 0 <= row["quality"]["accuracy"] <= 1


def test_a_gallery_leads_to_the_report_of_each_finished_run(finished, limbeck):
    folder, _ = finished
    done = limbeck("gallery", "first", "nothing", "--out", "site", "--json", cwd=folder)
    assert done.status == 0, done.err
    facts = last_json(done.out)
    assert facts["pages"] == ["site/kd-first.html"]
    assert set(facts["left_out"]) == {"nothing"}
    assert "left out: nothing holds no run" in done.err
    assert 'href="kd-first.html"' in (folder / facts["gallery"]).read_text()


def test_people_read_standard_output_and_programs_one_line(finished, limbeck):
    folder, facts = finished
    done = command("evaluate", "first", "--json", cwd=folder)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "accuracy" in done.stderr
    assert "accuracy" in limbeck("evaluate", "first", cwd=folder).out
    # The table of the run is repeated.
    again = last_json(done.stdout)
    assert again["rows"][0]["quality"]["accuracy"] == facts["rows"][0]["quality"]["accuracy"]


def test_predict_writes_a_row_a_sample(finished, limbeck):
    folder, _ = finished
    done = limbeck("predict", "first", "--data", "digits", "--out", "said.csv", cwd=folder)
    assert done.status == 0, done.err
    lines = (folder / "said.csv").read_text().splitlines()
    assert lines[0] == "id,class,confidence"
    assert len(lines) == 451


def test_runs_and_resume_know_a_finished_run(finished, limbeck):
    folder, facts = finished
    (line,) = last_json(command("runs", ".", "--json", cwd=folder).stdout)["runs"]
    assert (line["state"], line["method"]) == ("finished", "kd")
    done = limbeck("resume", "first", "--json", cwd=folder)
    assert done.status == 0
    assert "is finished" in done.err
    assert last_json(done.out)["rows"] == facts["rows"]


def test_seeds_are_averaged_with_their_spread(limbeck):
    done = limbeck(*TINY, "--seeds", "2", "--json")
    assert done.status == 0, done.err
    assert all("accuracy" in row["std"] for row in last_json(done.out)["rows"])


def test_the_version_is_told(limbeck):
    said = limbeck("--version")
    assert (said.status, said.out) == (0, f"limbeck {package.__version__}\n")


def test_list_and_show(limbeck):
    done = command("list", "k*", "--json", cwd=".")
    assert last_json(done.stdout)["methods"][0]["name"] == "kd"
    assert "sparse-retriever needs: pip install 'limbeck[text]'" in limbeck("list").out
    assert "needs" not in limbeck("list", "kd").out
    assert last_json(limbeck("list", "bamboo", "--json").out)["methods"][0]["extra"] == "science"
    assert "Needs: pip install 'limbeck[graph]'" in limbeck("show", "mirage").out
    (found,) = last_json(limbeck("list", "dkd", "--losses", "--json").out)["losses"]
    assert (found["function"], found["labels"]) == ("decoupled_loss", ["class labels"])
    shown = last_json(limbeck("show", "kd", "--json").out)
    assert "temperature" in [one["name"] for one in shown["settings"]]
    assert all(one["meaning"] for one in shown["settings"])
    assert {"tiny", "demo", "small"} <= set(shown["presets"])
    assert "limbeck show kd optim" in limbeck("show", "kd").out
    assert "lr: float = 0.001" in limbeck("show", "kd", "optim").out
    opened = last_json(limbeck("show", "kd", "optim", "--json").out)
    assert opened["group"] == "optim"
    assert not any(one["group"] for one in opened["settings"])
    assert "optim" in [one["name"] for one in shown["settings"] if one["group"]]
    for name in (".", "optim.", "optim..lr"):
        assert "has no group of settings" in limbeck("show", "kd", name).err
    wrong = limbeck("show", "kd", "optin")
    assert wrong.status == 2
    assert "did you mean optim" in wrong.err


def test_help_names_every_verb_and_gives_examples(limbeck):
    text = command("--help", cwd=".").stdout
    verbs = "list show run plan resume evaluate predict report export check runs"
    for verb in verbs.split():
        assert re.search(rf"\b{verb}\b", text)
    assert "Examples" in limbeck("run", "--help").out


def test_samples_from_outside_are_named_like_data(limbeck, tmp_path):
    tiny = ("run", "window-early-exit", "--preset", "tiny", "--quiet", "--json")
    named = ("--outside", "digits?labels=300")
    done = limbeck(*tiny, *named, "--out", "run", "--results", "result.json")
    assert done.status == 0, done.err
    row = last_json(done.out)["rows"][0]
    assert {"ood_auroc", "scod_risk_at_80"} <= set(row["quality"])
    assert "mixture_macs" in row["cost"]
    # The command that is written down makes the same request.
    facts = json.loads((tmp_path / "result.json").read_text())
    assert "--outside 'digits?labels=300'" in facts["command"]
    assert {"date", "commit", "environment"} <= set(facts)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("run", "kdd"), 2, "did you mean kd"),
        (("run", "kd", "--set", "temprature=2"), 2, "did you mean temperature"),
        (("run", "kd", "--set", "optim.rate=2"), 2, "no setting"),
        (("run", "kd", "--set", "temperature=-1"), 2, "greater than 0"),
        (("run", "kd", "--set", "steps"), 2, "NAME=VALUE"),
        (("run", "kd", "--preset", "demoo"), 2, "did you mean demo"),
        (("run", "kd", "--device", "gpu", "--seed", "0"), 2, "expected cpu, cuda or auto"),
        ((*TINY, "--data", "digts"), 2, "did you mean digits"),
        ((*TINY, "--student", "mpl"), 2, "did you mean mlp"),
        ((*TINY, "--data", "digits?labels=5"), 1, "at least one for each"),
        (("run", "kd", "--data", "digits"), 2, "--teacher NAME"),
        (("run", "--foo"), 2, "No such option"),
        (("evaluate", "nothing"), 1, "holds no run"),
        (("resume", "nothing"), 1, "holds no run"),
        (("check", "kd", "--claims", "9"), 2, "has claims"),
        (("check", "kd", "--claims", "one"), 2, "numbers such as"),
        (("run", "kd", "--outside", "digits"), 2, "not outside"),
        (
            ("run", "window-early-exit", "--preset", "tiny", "--outside", "digts"),
            2,
            "did you mean digits",
        ),
        (("list", "zzz*"), 2, "no method matches"),
        (("list", "dkkd", "--losses"), 2, "did you mean dkd"),
        (("list", "--losses", "--family", "model"), 2, "drop one"),
        (("run", "kd", "--set", "loss=dkdd", "--quiet"), 2, "did you mean dkd"),
        (("run", "kd", "--data-root", "nowhere"), 2, "is no folder"),
        ((*TINY, "--tracker", "tensorbord"), 2, "did you mean tensorboard"),
    ],
)
def test_bad_usage_speaks_and_leaves_nothing(words, status, said, limbeck, tmp_path):
    done = limbeck(*words)
    assert done.status == status
    assert said in done.err
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not left


def test_a_folder_with_other_things_is_refused(limbeck, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    done = limbeck(*TINY, "--out", "mine")
    assert done.status == 1
    assert "--out" in done.err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_folder_with_another_run_is_refused(finished, limbeck):
    folder, _ = finished
    before = (folder / "first" / "settings.toml").read_bytes()
    done = limbeck(*TINY, "--out", "first", "--set", "temperature=9", cwd=folder)
    assert done.status == 1
    assert "temperature: there 4.0, now 9" in done.err
    assert (folder / "first" / "settings.toml").read_bytes() == before


@pytest.mark.filterwarnings("ignore::limbeck.errors.UnusualUseWarning")
@pytest.mark.parametrize("seeds", [1, 2])
def test_ctrl_c_saves_and_says_how_to_go_on(limbeck, tmp_path, seeds):
    words = [
        "run", "kd", "--preset", "tiny", "--set", "teaching.steps=40", "--seed", "3",
        "--seeds", str(seeds), "--steps", "1200", "--out",
    ]  # fmt: skip
    process = subprocess.Popen(
        [LIMBECK, *words, "run"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "run" / "seeds" / "3" / "metrics.jsonl"
    until = time.monotonic() + 60
    while not (log.exists() and '"student", "step": 4' in log.read_text()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "limbeck resume run" in said
    again = limbeck("resume", "run")
    assert again.status == 0, again.err
    # One after the other and in this process, which changes no bit.
    whole = limbeck(*words, "whole", "--executor", "serial")
    assert whole.status == 0, whole.err
    products = [tmp_path / name / "product" / MANIFEST for name in ("run", "whole")]
    assert products[0].read_bytes() == products[1].read_bytes()
