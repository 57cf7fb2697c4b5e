"""``limbeck plan``: the options and the errors of a run, a table, and nothing left."""

import json

import pytest

from limbeck import plan as planning
from limbeck import rehearsal

TINY = ("kd", "--preset", "tiny", "--quiet")
TIMM = (
    "--teacher",
    "timm:resnet50?pretrained=false",
    "--student",
    "timm:resnet18?pretrained=false",
)


def test_a_plan_is_a_table_and_leaves_nothing(limbeck, tmp_path):
    done = limbeck("plan", *TINY)
    assert done.status == 0, done.err
    for word in ("PARAMETERS", "GRADIENTS", "OPTIMISER", "TEACHER CALLS", "CHECKPOINT"):
        assert word in done.out
    for stage in ("teacher-0", "teacher-1", "student", "alone"):
        assert f"\n{stage} " in done.out
    assert "expected from" in done.out
    assert not list(tmp_path.iterdir())


def test_programs_read_one_line(limbeck):
    done = limbeck("plan", *TINY, "--seeds", "2", "--json")
    (line,) = done.out.splitlines()
    facts = json.loads(line)
    assert (facts["method"], facts["seeds"], facts["device"]) == ("kd", 2, "cpu")
    assert facts["teacher_calls"] == 2 * 2 * 20
    assert facts["minutes"] > 0
    assert {"stage", "name", "parameters", "weights", "gradients", "optimiser"} == set(
        facts["models"][0]
    )
    assert facts["memory"]["fits"] is facts["disk"]["fits"] is True
    assert "TEACHER CALLS" in done.err


def test_the_main_job_is_planned_without_a_name(limbeck):
    facts = json.loads(limbeck("plan", "--json", "-q").out)
    assert (facts["method"], facts["seeds"]) == ("meal-v2", 5)
    assert {"initial": 400, "student": 600, "alone": 600}.items() <= {
        one["stage"]: one["steps"] for one in facts["stages"]
    }.items()


def test_the_options_of_a_run_count(limbeck):
    words = ("--steps", "33", "--batch-size", "7", "--teacher-steps", "21", "--seed", "4")
    facts = json.loads(limbeck("plan", *TINY, *words, "--json").out)
    assert [(one["stage"], one["steps"], one["batch_size"]) for one in facts["stages"]] == [
        ("teacher-0", 21, 32), ("teacher-1", 21, 32), ("student", 33, 7), ("alone", 33, 7),
    ]  # fmt: skip
    # A hundred samples in batches of 20.
    facts = json.loads(limbeck("plan", *TINY, "--epochs", "3", "--batch-size", "20", "--json").out)
    assert facts["stages"][-1]["steps"] == 15


def test_networks_of_a_library_are_planned(limbeck, monkeypatch):
    pytest.importorskip("timm")
    monkeypatch.setattr(rehearsal, "SECONDS", 0.0)
    monkeypatch.setattr(planning, "MORE", planning.FEW)
    small = ("--batch-size", "4", "--set", "teaching.batch_size=4", "--seed", "0")
    done = limbeck("plan", "meal-v2", *TIMM, *small, "--json", "-q")
    assert done.status == 0, done.err
    found = {one["name"]: one["parameters"] for one in json.loads(done.out)["models"]}
    # A grey picture and ten classes: 6,272 weights less in front, a smaller head.
    assert found["timm:resnet50?pretrained=false"] == 25_557_032 - 6_272 - 990 * 2_049
    assert found["timm:resnet18?pretrained=false"] == 11_689_512 - 6_272 - 990 * 513


def test_what_does_not_fit_is_warned_of_and_is_no_failure(limbeck, monkeypatch):
    monkeypatch.setattr(rehearsal, "free_bytes", lambda device: 0)
    done = limbeck("plan", *TINY)
    assert done.status == 0
    assert "Warning: memory will not do" in done.out
    assert "not tried" in done.out


@pytest.mark.parametrize(
    "words",
    [
        ("kdd",),
        ("kd", "--set", "temprature=2"),
        ("kd", "--set", "temperature=-1"),
        ("kd", "--set", "steps"),
        ("kd", "--preset", "demoo"),
        ("kd", "--device", "gpu", "--seed", "0"),
        (*TINY, "--data", "digts"),
        (*TINY, "--student", "mpl"),
        (*TINY, "--data", "digits?labels=5"),
        ("kd", "--data", "digits"),
        (*TINY, "--epochs", "0"),
        (*TINY, "--epochs", "2", "--steps", "5"),
        ("kd", "--data-root", "nowhere"),
        (*TINY, "--tracker", "tensorbord"),
    ],
    ids=" ".join,
)
def test_bad_usage_is_told_as_a_run_tells_it(limbeck, tmp_path, words):
    # Quiet, for progress is shown when a machine is slow.
    planned, run = limbeck("plan", *words, "-q"), limbeck("run", *words, "-q")
    assert planned.status == run.status != 0
    assert planned.err.startswith("Error: ")
    assert planned.err == run.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_plan_takes_what_decides_how_a_run_computes(limbeck):
    def weights(*words):
        done = limbeck("plan", *TINY, *words, "--json")
        assert done.status == 0, done.err
        facts = json.loads(done.out)
        trained = [one for one in facts["models"] if one["stage"] == "student"]
        return sum(one["weights"] for one in trained if one["gradients"]), facts

    whole, facts = weights()
    assert facts["devices"] == 1
    half, facts = weights("--precision", "bf16-true", "--executor", "serial", "--strategy", "fsdp")
    assert half == whole // 2
    assert facts["at_once"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--strategy", "foo"), "strategy is 'foo'; Valid: ddp, fsdp"),
        (("--precision", "bf16"), "precision is 'bf16'"),
        (("--executor", "cloud"), "executor is 'cloud'"),
        (("--devices", "4096"), "ask for fewer"),
    ],
)
def test_a_plan_refuses_what_a_run_refuses(limbeck, words, said):
    done = limbeck("plan", *TINY, *words)
    assert done.status == 2
    assert said in done.err


def test_the_environment_names_an_executor_and_an_option_goes_before_it(limbeck, monkeypatch):
    monkeypatch.setenv("LIMBECK_EXECUTOR", "cloud")
    done = limbeck("plan", *TINY)
    assert done.status == 2
    assert "executor is 'cloud'" in done.err
    assert limbeck("plan", *TINY, "--executor", "serial").status == 0


def test_rounds_are_planned(limbeck):
    """Members of a rehearsal know nothing, and atoms lie upon each other where they go."""
    said = limbeck(
        "plan", "bamboo", "--data", "molecules?frames=60&box=4", "--student",
        "get?width=8&heads=2&layers=2&radial=4&pair_cutoff=6", "--preset", "tiny",
        "--set", "rounds.count=2", "--set", "rounds.clusters=40",
        "--set", "rounds.sampling.picoseconds=0.002", "--set", "rounds.sampling.every=0.001",
    )  # fmt: skip
    assert said.status == 0, said.err
    assert "round-1-member" in said.out


@pytest.mark.parametrize("by", ["density", "pressure"])
def test_an_alignment_is_planned(limbeck, by):
    """Whether its boxes hold together is for the run to see."""
    said = limbeck(
        "plan", "bamboo", "--data", "molecules?frames=60&box=4", "--student",
        "get?width=8&heads=2&layers=2&radial=4&pair_cutoff=6", "--preset", "tiny",
        "--set", "alignment.pressure_change=[]", "--set", "alignment.density=[0.3]",
        "--set", f"alignment.densities.by={by}", "--set", "alignment.densities.settling=0.002",
        "--set", "alignment.densities.picoseconds=0.01",
    )  # fmt: skip
    assert said.status == 0, said.err
    assert "alignment-2" in said.out
    assert "are wanted" not in said.err
