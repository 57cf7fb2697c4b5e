"""What is recursive meta-distillation's own: its generations, its pool, what it measures."""

import itertools
import json

import pytest
import torch
from torch import nn

from limbeck.data import Batch, digits
from limbeck.errors import NoEffectWarning, SettingsError
from limbeck.files import load_tensors
from limbeck.functional import MetaTeacher, Pooling, Softening, total_variation
from limbeck.functional.operators import Anchoring
from limbeck.methods.recursive_meta_distillation.anchored import AnchoredTeacher
from limbeck.methods.recursive_meta_distillation.recursive_meta_distillation import (
    RecursiveMetaDistillation,
)
from limbeck.run import Run
from limbeck.run.exhibits import read_exhibits
from limbeck.teachers import ensemble, random_one, teacher

FAST = {
    "generations": 2, "initial_steps": 8, "steps": 12, "batch_size": 16, "teaching": {"steps": 0},
}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return digits().few(60)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10))


def distil(folder, data, changes=None, **inputs):
    method = RecursiveMetaDistillation(**{**FAST, **(changes or {})})
    given = {"teacher": [network(1), network(2)], "student": network(3), "data": data, **inputs}
    return method.distill(Run(folder), **given)


def found(folder):
    return json.loads((folder / "convergence.json").read_text())


def rows(folder, stage):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["stage"] == stage]


def probe(folder):
    return load_tensors(folder / "probe.safetensors")[0]


def test_the_teacher_of_a_generation_softens_to_the_operators_target():
    base, last = ensemble(teacher(network(1)), teacher(network(2))), teacher(network(3))
    rule = MetaTeacher(Softening(3.0), Pooling(0.0), Anchoring(0.4, "geometric"))
    batch = Batch({"x": torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))})
    meta = AnchoredTeacher(base, last, rule)
    said = meta(batch)
    members = torch.stack([one(batch).logits for one in base.members]).softmax(-1)
    expected = rule(last(batch).logits.softmax(-1), members)
    torch.testing.assert_close((said.logits / 3.0).softmax(-1), expected)
    assert not said.logits.requires_grad
    assert len(meta.modules) == 3
    other = AnchoredTeacher(base, last, MetaTeacher(Softening(2.0)))
    assert meta.fingerprint != other.fingerprint


def test_labels_come_first_and_then_only_what_is_told(data, tmp_path):
    distil(tmp_path / "run", data, {"initial_labels": 20})
    assert len(rows(tmp_path / "run", "generation-0")) == 8
    for stage in ("generation-1", "generation-2"):
        told = rows(tmp_path / "run", stage)
        assert len(told) == 12
        names = {name for row in told for name in row} - {"stage", "step", "seconds"}
        assert {name for name in names if "." not in name} == {"meta", "wait_seconds"}


def test_the_report_is_of_what_the_probe_holds(data, tmp_path):
    folder = tmp_path / "run"
    made = distil(folder, data, {"pool": "linear", "temperature": 1.5})
    tensors, report = probe(folder), found(folder)
    members = tensors["members"].double().softmax(-1)
    base = MetaTeacher(Softening(1.5), Pooling(1.0)).base(members)
    torch.testing.assert_close(tensors["base"], base)
    for number, row in enumerate(report["generations"]):
        gap = total_variation(tensors["students"][number], base).mean()
        assert row["tv"] == pytest.approx(float(gap))
    meant = 0.7 * tensors["students"][1] + 0.3 * base
    gap = total_variation(tensors["students"][2], meant).mean()
    assert report["generations"][2]["error"] == pytest.approx(float(gap))
    accuracy = made.evaluate(data)["accuracy"]
    assert report["generations"][-1]["accuracy"] == pytest.approx(accuracy)
    assert [one["rule"] for one in report["axioms"]] == [
        "linear pool", "linear anchoring, alpha=0.3",
    ]  # fmt: skip
    failed = [one["axiom"] for one in report["axioms"][0]["verdicts"] if not one["passed"]]
    assert failed == ["temperature coherence"]


def test_an_anchor_pulls_and_without_one_the_chain_stays_away(tmp_path):
    data = digits()
    optim = {"name": "adamw", "lr": 3e-3}
    changes = {
        "generations": 3, "initial_labels": 40, "initial_steps": 80, "steps": 120,
        "batch_size": 64, "optim": optim, "initial_optim": optim,
        "teaching": {"steps": 150, "optim": optim},
    }  # fmt: skip
    inputs = {"teacher": ["mlp?hidden=64", "mlp?hidden=32"], "student": "mlp?hidden=32"}
    distil(tmp_path / "pulled", data, {**changes, "anchor": 0.5}, **inputs)
    with pytest.warns(NoEffectWarning, match="anchor is 0"):
        distil(tmp_path / "free", data, {**changes, "anchor": 0.0}, **inputs)
    pulled, free = ([row["tv"] for row in found(tmp_path / n)["generations"]]
                    for n in ("pulled", "free"))  # fmt: skip
    assert pulled[0] == free[0]
    assert all(after < before for before, after in itertools.pairwise(pulled))
    assert pulled[-1] < 0.6 * free[-1]
    assert found(tmp_path / "free")["state"] == "drifting"


def test_charts_and_tables_stand_in_the_run(data, tmp_path):
    distil(tmp_path / "run", data)
    charts, sheets, _ = read_exhibits(tmp_path / "run")
    assert [chart.y_label for chart in charts] == ["total variation", "KL", "share"]
    assert [sheet.title for sheet in sheets] == ["Generations", "Axioms of the operators"]
    assert len(sheets[0].rows) == 3


def test_warm_generations_go_on_and_fresh_ones_begin_anew(data, tmp_path):
    still = {"optim": {"name": "sgd", "lr": 1e-12}}
    given = network(3)
    fresh = distil(tmp_path / "fresh", data, still, student=given).network
    torch.testing.assert_close(fresh[1].weight, given[1].weight, rtol=0, atol=1e-6)
    warm = distil(tmp_path / "warm", data, {**still, "start": "warm"}, student=given).network
    assert float((warm[1].weight - given[1].weight.detach()).abs().max()) > 1e-4
    assert found(tmp_path / "warm")["start"] == "warm"


def test_schedules_go_on_with_their_last_number(data, tmp_path):
    method = RecursiveMetaDistillation(anchor=(0.5, 0.2), temperature=(4.0, 2.0), generations=4)
    assert method.anchors == (0.5, 0.2, 0.2, 0.2)
    rule = method.operator(1)
    assert (rule.softening.temperature, rule.anchoring.anchor) == (4.0, 0.5)
    rule = method.operator(4)
    assert (rule.softening.temperature, rule.anchoring.anchor) == (2.0, 0.2)
    distil(tmp_path / "run", data, {"anchor": (0.5, 0.2), "temperature": (4.0, 2.0)})
    report = found(tmp_path / "run")
    assert (report["anchors"], report["temperature"]) == ([0.5, 0.2], 2.0)
    assert report["temperatures"] == [4.0, 2.0]
    assert len(report["axioms"]) == 3
    tensors = probe(tmp_path / "run")
    known, said = (tensors[name].double().softmax(-1) for name in ("members", "logits"))
    for number in (1, 2):
        rule = method.operator(number)
        gap = total_variation(rule(said[number - 1], known), rule.soft(said[number]))
        assert report["generations"][number]["error"] == pytest.approx(float(gap.mean()))


def test_a_chain_that_has_settled_may_stop(data, tmp_path):
    # No generation can bring total variation down by more than 1.
    distil(tmp_path / "run", data, {"generations": 5, "stop_below": 1.0})
    assert len(found(tmp_path / "run")["generations"]) == 2
    assert not rows(tmp_path / "run", "generation-2")


def test_weights_are_the_settings_or_the_ensembles(data, tmp_path):
    both = [teacher(network(1)), teacher(network(2))]
    distil(tmp_path / "a", data, {"weights": (1, 0)}, teacher=ensemble(*both))
    distil(tmp_path / "b", data, teacher=ensemble(*both, weights=[1, 0]))
    distil(tmp_path / "c", data, teacher=ensemble(both[0]))
    bases = [probe(tmp_path / name)["base"] for name in "abc"]
    torch.testing.assert_close(bases[0], bases[1])
    torch.testing.assert_close(bases[0], bases[2])


def test_pools_and_truncation_show_the_student_other_targets(data, tmp_path):
    changes = {
        "linear": {"pool": "linear"}, "geometric": {}, "power": {"pool": "power"},
        "kept": {"keep": 1},
    }  # fmt: skip
    weights = [distil(tmp_path / name, data, one).network[1].weight
               for name, one in changes.items()]  # fmt: skip
    for place, one in enumerate(weights):
        assert not any(torch.equal(one, other) for other in weights[place + 1 :])


def test_stored_targets_are_the_live_ones(data, tmp_path):
    live = distil(tmp_path / "live", data).network[1].weight
    stored = distil(tmp_path / "stored", data, {"targets": "stored"}).network[1].weight
    torch.testing.assert_close(stored, live, rtol=1e-4, atol=1e-6)


def test_baselines_take_as_many_steps_as_the_chain(data, tmp_path):
    method = RecursiveMetaDistillation(**FAST, initial_labels=20)
    inputs = {"teacher": [network(1)], "student": network(3), "data": data}
    run = Run(tmp_path / "run")
    method.distill(run, **inputs)
    made = method.baselines(run, **inputs)
    assert list(made) == ["student alone", "generation 0", "pool at once"]
    assert len(rows(tmp_path / "run", "generation-0")) == 8
    for stage in ("alone", "pool"):
        assert rows(tmp_path / "run", stage)[-1]["step"] == 8 + 2 * 12


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"anchor": (0.1, 0.2, 0.3)}, "anchor has 3 numbers for 2 generations"),
        ({"temperature": (1.0, 2.0, 3.0)}, "temperature has 3 numbers for 2"),
        ({"weights": (1.0,)}, r"weights are \(1.0,\) for 2 base teachers"),
        ({"weights": (0.0, 0.0)}, "not all 0"),
        (
            {"initial_labels": 5},
            "initial_labels: 5 training samples .* at least one",
        ),
        ({"initial_labels": 60}, "initial_labels: 60 training samples .* fewer than the 60"),
        ({"clip": 0.099, "generations": 1}, None),
    ],
)
def test_settings_that_do_not_fit_are_refused(data, tmp_path, changes, said):
    if said is None:
        distil(tmp_path / "run", data, changes)
        return
    with pytest.raises(SettingsError, match=said):
        distil(tmp_path / "run", data, changes)
    # Found before anything was trained.
    assert not (tmp_path / "run").exists()


def test_values_outside_their_range_and_ensembles_that_route_are_refused(data, tmp_path):
    for changes in ({"anchor": 1.5}, {"anchor": ()}, {"pool": "mean"}, {"exponent": 2},
                    {"clip": 0.0}, {"start": "cold"}, {"generations": 0}):  # fmt: skip
        with pytest.raises(SettingsError):
            distil(tmp_path / "run", data, changes)
    routed = ensemble(teacher(network(1)), teacher(network(2)), route=random_one)
    with pytest.raises(SettingsError, match="without a route"):
        distil(tmp_path / "run", data, teacher=routed)
    weighted = ensemble(teacher(network(1)), teacher(network(2)), weights=[1, 2])
    with pytest.raises(SettingsError, match="weights are set and the ensemble has its own"):
        distil(tmp_path / "run", data, {"weights": (1, 1)}, teacher=weighted)


def middle(members, weights=None):
    found = members.median(0).values
    return found / found.sum(-1, keepdim=True)


def test_an_operator_of_ones_own_makes_every_generation(data, tmp_path):
    rule = MetaTeacher(Softening(2.0, "uniform"), middle, Anchoring(0.4, "geometric"))
    folder = tmp_path / "run"
    distil(folder, data, {"steps": 60}, operator=rule)
    report = found(folder)
    assert report["operator"] == "uniform softening, T=2; middle; geometric anchoring, alpha=0.4"
    assert (report["anchors"], report["mixture"]) == ([0.4, 0.4], "geometric")
    assert report["axioms"][0]["rule"] == "middle"
    tensors = probe(folder)
    known, said = (tensors[name].double().softmax(-1) for name in ("members", "logits"))
    torch.testing.assert_close(tensors["base"], rule.base(known))
    for number in (1, 2):
        gap = total_variation(rule(said[number - 1], known), rule.soft(said[number]))
        assert report["generations"][number]["error"] == pytest.approx(float(gap.mean()))
    losses = [row["meta"] for row in rows(folder, "generation-1")]
    assert losses[-1] < losses[0]


def test_an_operator_that_is_the_settings_changes_nothing(data, tmp_path):
    rule = RecursiveMetaDistillation(**FAST).operator(1)
    plain = distil(tmp_path / "plain", data)
    given = distil(tmp_path / "given", data, operator=rule)
    for one, other in zip(plain.network.parameters(), given.network.parameters(), strict=True):
        assert torch.equal(one, other)
    method = RecursiveMetaDistillation(**FAST)
    inputs = {"teacher": [network(1), network(2)], "student": network(3), "data": data}
    made = method.baselines(Run(tmp_path / "given"), **inputs, operator=rule)
    assert "pool at once" in made


@pytest.mark.parametrize(
    ("changes", "operator", "said"),
    [
        ({}, Pooling(), "expected a MetaTeacher"),
        ({"weights": (1.0, 2.0)}, MetaTeacher(), "give them to its pooling"),
        ({}, MetaTeacher(least=0.2), "clip is 0.2 for 10 classes"),
    ],
)
def test_operators_that_do_not_fit_are_named(data, tmp_path, changes, operator, said):
    with pytest.raises(SettingsError, match=said):
        distil(tmp_path / "run", data, changes, operator=operator)
