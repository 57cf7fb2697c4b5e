"""What is window early exit's own: which splits it reads, what its table and its pages show."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.data import digits, from_arrays
from limbeck.data.splits import Subset
from limbeck.errors import (
    ArgumentError,
    DataError,
    ModelError,
    NoEffectWarning,
    SettingsError,
    UnknownNameError,
)
from limbeck.experiment import Request, perform
from limbeck.method import complete
from limbeck.methods.window_early_exit.window_early_exit import WindowEarlyExit
from limbeck.report.page import write_report
from limbeck.run import Run
from limbeck.run.exhibits import read_exhibits

FAST = {"teaching": {"steps": 0}}


@pytest.fixture(scope="module")
def data():
    return digits()


def network(seed, outputs=10):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))


def noise(side=8, classes=2):
    draw = np.random.default_rng(0)
    x = draw.random((60, 1, side, side)).astype(np.float32)
    return from_arrays(x, np.arange(60) % classes, name="noise")


def made(folder, data, changes=None, **inputs):
    method = WindowEarlyExit(**{**FAST, **(changes or {})})
    given = {"teacher": [network(1), network(2)], "data": data, **inputs}
    run = Run(folder)
    product, baselines, ready = complete(method, run, given)
    rows, drawn = product.compared(run, "window-early-exit", baselines, ready)
    return product, baselines, {row["name"]: row for row in rows}, drawn


def test_windows_are_chosen_on_the_validation_split_alone(data, tmp_path):
    first, *_ = made(tmp_path / "a", data)
    fewer = dataclasses.replace(data, test=Subset(data.test, np.arange(30)))
    second, *_ = made(tmp_path / "b", fewer)
    assert first.exits == second.exits
    other = dataclasses.replace(
        data, validation=Subset(data.validation, np.arange(0, len(data.validation), 2))
    )
    third, *_ = made(tmp_path / "c", other)
    assert third.exits.windows != first.exits.windows
    assert first.exits.facts["samples"] == len(data.validation)
    assert first.exits.facts["min_points"] == len(data.validation) // 10


def test_the_table_sets_the_cascade_beside_what_it_replaces(data, tmp_path):
    _, baselines, rows, drawn = made(tmp_path / "run", data)
    roles = {name: row["role"] for name, row in rows.items()}
    assert roles == {
        "window-early-exit": "product",
        "first model": "baseline",
        "single threshold": "reference",
        "ensemble": "ensemble",
        "Sequential": "teacher",
    }
    cost = {name: row["cost"]["macs"] for name, row in rows.items()}
    assert cost["first model"] == 640
    assert cost["ensemble"] == 1280
    for name in ("window-early-exit", "single threshold"):
        assert 640 < cost[name] < 640 * 1.4
    for row in rows.values():
        assert {"accuracy", "nll", "coverage_at_5", "risk_at_80", "aurc"} <= set(row["quality"])
        assert {"parameters", "macs", "latency_ms", "bytes"} == set(row["cost"])
    assert baselines["single threshold"].exits.windows[0].low == -np.inf
    assert set(drawn["sources"]) == {name for name, role in roles.items() if role != "teacher"}


def test_samples_from_outside_add_columns_and_the_windows_of_the_pool(data, tmp_path):
    plain, _, _, _ = made(tmp_path / "plain", data)
    product, _, rows, _ = made(tmp_path / "run", data, outside=noise())
    assert product.exits == plain.exits
    assert {"ood_auroc", "fpr_at_95"} <= set(rows["window-early-exit"]["quality"])
    assert rows["windows of the pool"]["role"] == "reference"
    _, (sheet,), _ = read_exhibits(tmp_path / "run")
    assert sheet.heads[-1] == "samples from outside reach it"
    assert len(sheet.rows) == 2


def test_what_is_shown_of_outside_needs_it(data, tmp_path):
    """Definitions are those of the functions, on as many samples from outside as from inside."""
    from limbeck.functional import scod_curve, scod_risk_at_coverage
    from limbeck.functional.selective import risk_at_coverage, risk_coverage_curve
    from limbeck.products.cascade_measures import told

    beyond = dataclasses.replace(data, test=Subset(data.train, np.arange(len(data.test))))
    product, _, rows, _ = made(tmp_path / "run", data, outside=beyond)
    row = rows["window-early-exit"]
    seen = product.see(data)
    inside, outside = told(product, seen, seen.test), told(product, seen, beyond.test)
    curve = risk_coverage_curve(inside.correct, inside.confidence)
    joint = scod_curve(inside.correct, inside.confidence, outside.confidence)
    expected = scod_risk_at_coverage(curve, joint, 0.8).risk
    assert row["quality"]["scod_risk_at_80"] == pytest.approx(expected)
    assert row["quality"]["risk_at_50"] == risk_at_coverage(curve, 0.5).risk
    share = torch.cat([inside.reached, outside.reached]).double().mean().item()
    assert row["cost"]["mixture_macs"] == pytest.approx(640 + 640 * share)
    assert rows["ensemble"]["cost"]["mixture_macs"] == 1280
    _, _, plain, _ = made(tmp_path / "plain", data)
    assert {"coverage_at_10", "risk_at_50"} <= set(plain["ensemble"]["quality"])
    assert not {"scod_risk_at_80", "scod_aurc"} & set(plain["ensemble"]["quality"])
    assert "mixture_macs" not in plain["ensemble"]["cost"]


class Noting(nn.Module):
    """A classifier that notes the batches that it is asked about."""

    def __init__(self, seed):
        super().__init__()
        self.inner, self.asked = network(seed), []

    def forward(self, x):
        self.asked.append(len(x))
        return self.inner(x)


def test_each_model_is_asked_once_about_each_split(data, tmp_path):
    pair = [Noting(1), Noting(2)]
    made(tmp_path / "run", data, teacher=pair, outside=noise(classes=10))
    for one in pair:
        # What cost is measured on is a sample at a time, and what fits is tried on two.
        whole = [count for count in one.asked if count > 2]
        assert whole == [len(data.validation), len(data.test), len(noise(classes=10).test)]


def test_samples_from_outside_are_read_in_the_range_of_the_models(data, tmp_path):
    draw = np.random.default_rng(0)
    levels = draw.integers(0, 256, size=(60, 1, 8, 8)).astype(np.float32)
    other = [
        from_arrays(x, np.arange(60) % 2, name="noise")
        for x in (levels / 255, levels, levels.astype(np.uint8))
    ]
    assert [one.input_space.range for one in other] == [(0.0, 1.0), (0.0, 255.0), (0.0, 1.0)]
    rows = [made(tmp_path / str(place), data, outside=one)[2] for place, one in enumerate(other)]
    for name in ("ood_auroc", "fpr_at_95", "scod_risk_at_80"):
        first, *others = (one["window-early-exit"]["quality"][name] for one in rows)
        assert others == pytest.approx([first, first])


def test_scores_without_a_size_are_told_before_members_are_trained(data, tmp_path):
    from sklearn.linear_model import LogisticRegression

    x = data.train.take(np.arange(200))
    fitted = LogisticRegression(max_iter=500).fit(x["x"].reshape(200, -1).numpy(), x["y"].numpy())
    for member in ("sklearn:decision-tree", fitted):
        for score in ("energy", "max_logit"):
            method = WindowEarlyExit(policy={"score": score})
            with pytest.raises(ArgumentError, match=f"{score}.* says log-probabilities"):
                method.distill(tmp_path / "run", teacher=["mlp?hidden=8", member], data=data)
    assert not (tmp_path / "run").exists()


def test_students_are_members(data, tmp_path):
    import limbeck

    students = [limbeck.Student.of(network(seed), data) for seed in (1, 2)]
    product, *_ = made(tmp_path / "run", data, teacher=students)
    same, *_ = made(tmp_path / "modules", data)
    x = data.columns(data.test, np.arange(50))["x"]
    assert torch.equal(product.logits(x), same.logits(x))
    turned = limbeck.Student(network(1), data.input_space, data.task, data.classes[::-1])
    with pytest.raises(ModelError, match="class 0 is '9' for the student"):
        made(tmp_path / "turned", data, teacher=[students[0], turned])


def test_the_page_draws_curves_and_the_window(data, tmp_path):
    made(tmp_path / "run", data)
    charts, (sheet,), _ = read_exhibits(tmp_path / "run")
    assert [one.title for one in charts] == ["Risk and coverage", "The window of the first stage"]
    assert [line.name for line in charts[0].lines] == [
        "window-early-exit",
        "first model",
        "single threshold",
        "ensemble",
    ]
    assert [line.name for line in charts[1].lines] == ["test samples", "from", "to"]
    assert sheet.rows[0][1] == "100.0%"


def test_members_that_bring_weights_are_shown_without_training(tmp_path, data):
    from limbeck.files import save_tensors
    from limbeck.networks.names import build

    names = []
    for seed in range(2):
        torch.manual_seed(seed)
        path = tmp_path / f"{seed}.safetensors"
        save_tensors(path, build("mlp?hidden=8", data.input_space, 10).state_dict(), {})
        names.append(f"file:{path}?network=mlp?hidden=8")
    request = Request("window-early-exit", {}, {"teacher": names, "data": "digits"}, (0,), {})
    perform(request, tmp_path / "run", quiet=True)
    page = write_report([tmp_path / "run"]).read_text()
    assert "Who goes how far" in page
    assert str(tmp_path) not in (tmp_path / "run" / "product" / "product.json").read_text()


class Exits(nn.Module):
    """Two exits, one by one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        body = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU())
        self.exit_stages = nn.ModuleList([Exit(body, 16), Exit(nn.Identity(), 16)])


class Exit(nn.Module):
    def __init__(self, body, width):
        super().__init__()
        self.body, self.head = body, nn.Linear(width, 10)

    def forward(self, state):
        state = self.body(state)
        return self.head(state), state


def test_the_exits_of_one_network_do_too(data, tmp_path):
    product, baselines, rows, _ = made(tmp_path / "run", data, teacher=[Exits()])
    assert not product.averaged
    assert list(rows) == ["window-early-exit", "first model", "single threshold", "last exit"]
    assert rows["first model"]["cost"]["macs"] == 64 * 16 + 160
    assert baselines["first model"].models.skips


def test_one_model_is_told_of_and_says_what_it_says(data, tmp_path):
    method = WindowEarlyExit(**FAST)
    with pytest.warns(NoEffectWarning, match="give two models or more"):
        alone = method.distill(tmp_path / "run", teacher=[network(1)], data=data)
    x = data.columns(data.test, np.arange(9))["x"]
    expected = network(1)(data.input_space.normalise(x))
    torch.testing.assert_close(alone.logits(x), expected)


def test_what_cannot_be_done_is_told_before_members_are_trained(data, tmp_path):
    known = dataclasses.replace(data, validation=Subset(data.train, np.arange(60)))
    names = ["mlp?hidden=8", "mlp?hidden=8"]
    with pytest.raises(ArgumentError, match="60 validation samples .* are training samples too"):
        WindowEarlyExit().distill(tmp_path / "run", teacher=names, data=known)
    assert not (tmp_path / "run").exists()
    for outside, error, said in (
        (noise(side=5), ModelError, r"inputs of shape \(1, 8, 8\) and noise has"),
        ("digts", UnknownNameError, "did you mean digits"),
        (3, DataError, "data is a int"),
    ):
        with pytest.raises(error, match=said):
            WindowEarlyExit().distill(tmp_path / "run", teacher=names, data=data, outside=outside)
    assert not (tmp_path / "run").exists()
    with pytest.raises(SettingsError, match="did you mean half_width"):
        WindowEarlyExit(policy={"half_widht": 0.2})
    with pytest.raises(ArgumentError, match="136 validation samples and min_points is 500"):
        made(tmp_path / "few", data, {"policy": {"min_points": 500}})


def test_settings_are_plain_and_change_the_policy_in_place(tmp_path, data):
    method = WindowEarlyExit(policy={"half_width": [0.2], "score": "entropy"}, **FAST)
    assert method.policy.half_width == (0.2,)
    assert method.policy.task == "risk_at_coverage"
    product = method.distill(tmp_path / "run", teacher=[network(1), network(2)], data=data)
    facts = json.loads((tmp_path / "run" / "product" / "product.json").read_text())
    assert facts["policy"]["score"] == "entropy"
    assert product.exits.half_widths == (0.2,)
