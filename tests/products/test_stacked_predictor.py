"""A stack asks each member once, comes back as it was, and goes where its members can go."""

import json

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from torch import nn

import limbeck
from limbeck.data import Batch, InputSpace, digits, from_arrays
from limbeck.errors import ArgumentError, CorruptFileError, ModelError, RunError
from limbeck.evaluate.stacks import stack_quality, stack_rows
from limbeck.fingerprint import fingerprint
from limbeck.networks.names import build
from limbeck.products import StackedPredictor
from limbeck.products.stacking_rules import AverageRule, LinearRule, LogisticRule
from limbeck.teachers import ensemble, teacher

SPACE = InputSpace((3,), mean=(1.0, 2.0, 3.0), std=(2.0, 1.0, 0.5))


def rows(count=60):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(count, 3)) * [2.0, 1.0, 0.5] + [1.0, 2.0, 3.0]
    return x, x @ [1.0, -2.0, 0.5] + 0.1 * draw.normal(size=count)


def data():
    x, y = rows()
    return from_arrays(x.astype(np.float32), y.astype(np.float32), standardise=True)


def numbers(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(3, 1)


def line():
    return LinearRegression().fit(*rows())


def mixed():
    rule = LinearRule([0.7, 0.3], 0.1, statistics=False, interactions=False)
    return StackedPredictor([line(), numbers()], rule, SPACE, "regression")


def classes(count=2):
    torch.manual_seed(1)
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(60, 3)), np.arange(60) % count
    members = [
        LogisticRegression().fit(x, y),
        nn.Linear(3, count),
        DecisionTreeClassifier(max_depth=2, random_state=0).fit(x, y),
    ]
    width = 3 if count == 2 else 3 * count
    rule = LogisticRule(draw.normal(size=(count, width)), draw.normal(size=count))
    return StackedPredictor(members, rule, SPACE, "classification", tuple("abcd"[:count]))


def test_members_of_several_kinds_read_what_they_were_trained_on():
    x, _ = rows()
    stack = mixed()
    raw = torch.from_numpy(x).float()
    own = stack.groups[1][0].network(SPACE.normalise(raw))[:, 0]
    expected = 0.7 * torch.from_numpy(line().predict(x)).float() + 0.3 * own + 0.1
    torch.testing.assert_close(stack.predict(x).float(), expected, rtol=1e-5, atol=1e-5)
    said = stack.answers(x)[0]
    assert said.extra["member_logits"].shape == (2, 60, 1)


def test_each_model_is_asked_once_also_by_several_stacks():
    asked = []

    class Counting(nn.Linear):
        def forward(self, x):
            asked.append(len(x))
            return super().forward(x)

    one, two = teacher(Counting(3, 1)), teacher(Counting(3, 1))
    rule = AverageRule([1.0, 1.0], of="numbers")
    pair = StackedPredictor([one, two], rule, None, "regression")
    models = [group[0] for group in pair.groups]
    alone = StackedPredictor(
        models[:1], AverageRule([1.0], of="numbers"), None, "regression", names=["Counting"]
    )
    known = data()
    figures = stack_quality({"pair": pair, "alone": alone}, known)
    assert asked == [len(known.test)] * 2
    assert figures["pair"] == pytest.approx(pair.evaluate(known))
    assert [row["role"] for row in stack_rows({"pair": pair, "alone": alone}, known)] == [
        "product", "baseline", "teacher", "teacher",
    ]  # fmt: skip


@pytest.mark.parametrize("make", [mixed, classes, lambda: classes(4)])
def test_a_stack_comes_back_with_equal_answers_and_bytes(make, tmp_path):
    stack = make()
    stack.save(tmp_path / "one")
    again = limbeck.load(tmp_path / "one", network=own_networks(stack))
    x, _ = rows()
    assert torch.equal(again.logits(x), stack.logits(x))
    assert (again.names, again.facts) == (stack.names, stack.facts)
    assert again.fingerprint == stack.fingerprint
    again.save(tmp_path / "two")
    sums = [(tmp_path / name / "manifest.json").read_text() for name in ("one", "two")]
    assert sums[0] == sums[1]


def own_networks(stack):
    """Fresh networks of the user's own classes, in the order of the members."""
    networks = [one.network for group in stack.groups for one in group if one.kind == "network"]
    return [nn.Linear(3, one.out_features) for one in networks]


def test_what_is_missing_or_altered_is_told(tmp_path):
    mixed().save(tmp_path / "one")
    with pytest.raises(ModelError, match=r"pass networks to fill .* load\(..., network=\[...\]\)"):
        limbeck.load(tmp_path / "one")
    rule = tmp_path / "one" / "rule.safetensors"
    rule.write_bytes(rule.read_bytes()[:-1])
    with pytest.raises(CorruptFileError):
        limbeck.load(tmp_path / "one", network=[numbers()])


def test_models_of_folds_are_averaged_as_one_member(tmp_path):
    folds = [numbers(seed) for seed in (1, 2, 3)]
    x, _ = rows()
    rule = LinearRule([2.0], 0.0, statistics=False, interactions=False)
    stack = StackedPredictor([folds], rule, SPACE, "regression")
    each = [StackedPredictor([one], rule, SPACE, "regression").predict(x) for one in folds]
    torch.testing.assert_close(stack.predict(x), torch.stack(each).mean(0))
    stack.save(tmp_path / "folds")
    again = limbeck.load(tmp_path / "folds", network=[numbers() for _ in folds])
    assert torch.equal(again.predict(x), stack.predict(x))
    assert [len(group) for group in again.groups] == [3]


def test_costs_of_members_that_nobody_can_count_are_not_made_up():
    assert set(mixed().cost(data())) == {"members", "latency_ms", "bytes"}
    rule = AverageRule([1.0, 1.0], of="numbers")
    networks = StackedPredictor([numbers(), numbers(1)], rule, SPACE, "regression")
    figures = networks.cost(data())
    assert (figures["members"], figures["parameters"], figures["macs"]) == (2, 8, 6)
    assert mixed().measure(data())["role"] == "product"


def test_a_stack_teaches_a_student(tmp_path):
    known = digits().few(60)
    members = [build("mlp?hidden=8", known.input_space, 10) for _ in range(2)]
    rule = AverageRule([1.0, 3.0], of="probabilities")
    stack = StackedPredictor(members, rule, known.input_space, "classification", known.classes)
    before = fingerprint(*members)
    method = limbeck.KD(steps=3, batch_size=8, teaching={"steps": 0})
    student = method.distill(tmp_path / "run", teacher=stack, student="mlp?hidden=4", data=known)
    assert student.evaluate(known)["accuracy"] >= 0
    assert fingerprint(*members) == before
    # Inputs of another space are converted.
    other = InputSpace((8, 8), channels=1)
    x = torch.rand(4, 1, 8, 8)
    own = stack(Batch({"x": known.input_space.normalise(x)}, space=known.input_space))
    torch.testing.assert_close(
        stack(Batch({"x": x}, space=other)).read("logits"), own.read("logits")
    )


def test_a_stack_of_networks_becomes_one_graph(tmp_path):
    pytest.importorskip("onnxruntime")
    members = [numbers(), [numbers(1), numbers(2)], numbers(3)]
    draw = np.random.default_rng(0)
    rule = LinearRule(draw.normal(size=9), 0.5)
    facts = StackedPredictor(members, rule, SPACE, "regression").export(
        tmp_path / "numbers", to="onnx"
    )
    assert facts["largest_difference"] < 1e-4
    assert facts["files"] == ["manifest.json", "stack.json", "stack.onnx"]
    told = json.loads((tmp_path / "numbers" / "stack.json").read_text())
    assert told["members"] == ["Linear", "Linear (2)", "Linear (3)"]
    assert told["inputs"][0]["shape"] == ["batch", 3]
    networks = [nn.Linear(3, 3) for _ in range(2)]
    rule = LogisticRule(draw.normal(size=(3, 6)), draw.normal(size=3))
    stack = StackedPredictor(networks, rule, SPACE, "classification", ("a", "b", "c"))
    assert stack.export(tmp_path / "classes", to="onnx")["largest_difference"] < 1e-4


def test_estimators_are_exported_as_they_are_and_not_as_a_graph(tmp_path):
    stack = mixed()
    facts = stack.export(tmp_path / "plain", to="safetensors")
    assert "member-0/estimator.skops" in facts["files"]
    assert isinstance(limbeck.load(tmp_path / "plain", network=[numbers()]), StackedPredictor)
    with pytest.raises(ModelError, match="members LinearRegression are no networks"):
        stack.export(tmp_path / "graph", to="onnx")
    assert not (tmp_path / "graph").exists()
    with pytest.raises(ArgumentError, match="there is no format 'onx' for a stack"):
        stack.export(tmp_path / "graph", to="onx")
    with pytest.raises(RunError, match="another stack"):
        classes().export(tmp_path / "plain", to="safetensors")


def test_what_does_not_fit_together_is_refused(tmp_path):
    rule = AverageRule([1.0], of="numbers")
    with pytest.raises(ArgumentError, match="task is 'multilabel', expected one of"):
        StackedPredictor([numbers()], rule, None, "multilabel")
    with pytest.raises(
        ArgumentError, match=r"weights of the rule has shape \(1,\), expected \(2,\)"
    ):
        StackedPredictor([numbers(), numbers()], rule, None, "regression")
    pair = AverageRule([1.0, 1.0], of="numbers")
    with pytest.raises(ArgumentError, match="names are a, a for 2 members"):
        StackedPredictor([numbers(), numbers()], pair, None, "regression", names=["a", "a"])
    weighed = ensemble(teacher(numbers()), teacher(numbers()), weights=[1.0, 2.0])
    with pytest.raises(ArgumentError, match="has weights or a route"):
        StackedPredictor([weighed], rule, None, "regression")
    with pytest.raises(ArgumentError, match="expected a module, a student, a fitted estimator"):
        StackedPredictor(["ridge"], rule, None, "regression")
    with pytest.raises(ModelError, match="take data of the same classes"):
        mixed().evaluate(digits())
    wide = StackedPredictor([numbers(), nn.Linear(3, 2)], pair, SPACE, "regression")
    with pytest.raises(ModelError, match=r"member Linear \(2\) gives .* \(1, 2\), expected"):
        wide.predict(np.zeros((1, 3)))
    with pytest.raises(ModelError, match=r"member Linear \(2\) gives"):
        wide.export(tmp_path / "wide", to="onnx")
    shares = AverageRule([1.0, 1.0], of="probabilities")
    three = [nn.Linear(3, 2), nn.Linear(3, 3)]
    with pytest.raises(ModelError, match=r"member b gives .* expected \(N, 2\) for a stack of 2"):
        StackedPredictor(
            three, shares, SPACE, "classification", ("no", "yes"), names=["a", "b"]
        ).predict(np.zeros((1, 3)))
    with pytest.raises(ArgumentError, match="x holds NaN"):
        mixed().predict(np.full((1, 3), np.nan))


def test_members_are_called_as_they_call_themselves():
    constant = DummyRegressor().fit(*rows())
    rule = AverageRule([1.0], of="numbers")
    stack = StackedPredictor([constant], rule, SPACE, "regression")
    assert stack.names == ("DummyRegressor",)
    assert "average stack of 1 members: DummyRegressor" in stack.summary()
