"""What is KD's own: the objective, its limits, other tasks, early stopping."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.data import Batch, digits, from_arrays
from limbeck.errors import ArgumentError, ModelError, RunError, SettingsError
from limbeck.functional import (
    decoupled_loss,
    plackett_luce_loss,
    soft_target_loss,
    squared_error,
)
from limbeck.methods.kd.kd import KD
from limbeck.objectives import Term
from limbeck.outputs import Outputs
from limbeck.run import Run
from limbeck.teachers import ensemble, random_one, teacher

FAST = {"steps": 20, "batch_size": 16, "teaching": {"steps": 0}}


@pytest.fixture(scope="module")
def data():
    return digits().few(60)


def network(inputs=64, outputs=10, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


def test_the_loss_is_that_of_the_paper():
    torch.manual_seed(0)
    z_s, z_t, y = torch.randn(6, 5), torch.randn(6, 5), torch.randint(5, (6,))
    method = KD(temperature=3.0, weight=0.7)
    terms = method.objective("classification")(
        Outputs(logits=z_s), Outputs(logits=z_t), Batch({"y": y})
    )
    p, q = (z_t / 3).softmax(1), (z_s / 3).softmax(1)
    soft = 9 * (p * (p.log() - q.log())).sum(1).mean()
    labels = -z_s.log_softmax(1)[torch.arange(6), y].mean()
    torch.testing.assert_close(terms["soft"], 0.7 * soft)
    torch.testing.assert_close(terms["labels"], 0.3 * labels)


def test_a_loss_by_name_takes_the_place_of_the_soft_targets():
    torch.manual_seed(0)
    student, teacher = Outputs(logits=torch.randn(6, 5)), Outputs(logits=torch.randn(6, 5))
    batch = Batch({"y": torch.randint(5, (6,))})

    def terms(**settings):
        return KD(temperature=3.0, weight=0.7, **settings).objective("classification")(
            student, teacher, batch
        )

    assert torch.equal(terms(loss="kl")["kl"], terms()["soft"])
    expected = 0.7 * decoupled_loss(student.logits, teacher.logits, batch["y"], temperature=3.0)
    torch.testing.assert_close(terms(loss="dkd")["dkd"], expected)
    assert torch.equal(terms(loss="dkd")["labels"], terms()["labels"])
    # Its temperature is of the weights, not of both sides.
    expected = 0.7 * plackett_luce_loss(student.logits, teacher.logits, batch["y"])
    torch.testing.assert_close(terms(loss="pld")["pld"], expected)


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        ("cross-entropy", "classification", "reads no teacher"),
        ("cka", "classification", "needs student features"),
        ("dkd", "regression", "is for classification"),
        ("klx", "classification", "did you mean kl"),
    ],
)
def test_losses_that_cannot_take_the_place_say_why(name, task, said):
    with pytest.raises(SettingsError, match=said):
        KD(loss=name).objective(task)


def test_any_objective_takes_the_place_of_the_soft_targets(data, tmp_path):
    objective = Term("reverse", soft_target_loss, divergence="reverse_kl")
    method = KD(**FAST)
    method.distill(
        Run(tmp_path / "run"), teacher=network(), student=network(seed=1), data=data,
        objective=objective,
    )  # fmt: skip
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert set(row) == {"stage", "step", "reverse", "seconds", "wait_seconds"}


def test_an_objective_with_features_reads_them_by_path(data, tmp_path):
    objective = Term("hidden", squared_error, student="features.1", teacher="features.1") + Term(
        "soft", soft_target_loss
    )
    made = KD(**FAST).distill(
        Run(tmp_path / "run"), teacher=teacher(network(), features=["1"]), student=network(seed=1),
        data=data, objective=objective,
    )  # fmt: skip
    assert made.width == 10


def test_a_missing_feature_is_named_with_those_there(data, tmp_path):
    objective = Term("hidden", squared_error, student="features.9", teacher="logits")
    with pytest.raises(ModelError, match="no module '9'"):
        KD(**FAST).distill(
            Run(tmp_path / "run"), teacher=network(), student=network(), data=data,
            objective=objective,
        )  # fmt: skip


def test_the_students_object_is_copied(data, tmp_path):
    student = network(seed=1)
    before = student[1].weight.clone()
    made = KD(**FAST).distill(Run(tmp_path / "run"), teacher=network(), student=student, data=data)
    assert torch.equal(student[1].weight, before)
    assert not torch.equal(made.network[1].weight, before)


def test_a_finished_folder_gives_its_product_again(data, tmp_path):
    inputs = {"teacher": network(), "student": network(seed=1), "data": data}
    first = KD(**FAST).distill(tmp_path / "run", **inputs)
    again = KD(**FAST).distill(tmp_path / "run", **inputs)
    assert torch.equal(first.network[1].weight, again.network[1].weight)
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == FAST["steps"]


def test_another_teacher_or_data_in_the_same_folder_is_refused(data, tmp_path):
    inputs = {"teacher": network(), "student": network(seed=1), "data": data}
    KD(**FAST).distill(tmp_path / "run", **inputs)
    for name, other in (("teacher", network(seed=5)), ("data", digits().few(60, seed=9))):
        with pytest.raises(RunError, match=f"another {name}"):
            KD(**FAST).distill(tmp_path / "run", **{**inputs, name: other})
    with pytest.raises(RunError, match="settings.steps: there 20, now 21"):
        KD(**{**FAST, "steps": 21}).distill(tmp_path / "run", **inputs)


def test_a_routed_ensemble_teaches(data, tmp_path):
    routed = ensemble(teacher(network()), teacher(network(seed=2)), route=random_one)
    made = KD(**FAST).distill(
        Run(tmp_path / "run"), teacher=routed, student=network(seed=1), data=data
    )
    assert made.evaluate(data)["nll"] > 0


def test_regression_and_several_labels(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((120, 6)).astype(np.float32)
    slope = generator.standard_normal((6, 3)).astype(np.float32)
    tasks = {"regression": (x @ slope[:, :1])[:, 0], "multilabel": (x @ slope > 0).astype(int)}
    for task, y in tasks.items():
        data = from_arrays(x, y, task=task)
        inputs = {
            "teacher": "mlp?hidden=32", "student": network(6, data.outputs), "data": data
        }  # fmt: skip
        method = KD(steps=150, batch_size=32, optim={"lr": 1e-2}, teaching={"steps": 150})
        made = method.distill(Run(tmp_path / task), **inputs)
        untrained = KD(**FAST).distill(
            Run(tmp_path / f"{task} short"), **{**inputs, "teacher": network(6, data.outputs, 3)}
        )
        figure, sign = ("rmse", -1) if task == "regression" else ("accuracy", 1)
        gain = sign * (made.evaluate(data)[figure] - untrained.evaluate(data)[figure])
        assert gain > 0, task


def test_early_stopping_keeps_the_best_of_the_validation_samples(data, tmp_path):
    method = KD(steps=400, batch_size=16, optim={"lr": 3e-2}, patience=2, look_every=5)
    made = method.distill(
        Run(tmp_path / "run"), teacher=network(), student=network(seed=1), data=data
    )
    rows = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    scores = [row["score"] for row in rows if "score" in row]
    assert len(scores) < 400 / 5
    assert max(scores) not in scores[-2:]
    from limbeck.evaluate.quality import collect, quality

    logits, target = collect(made.outputs, data, data.validation)
    assert quality(logits, target, "classification")["accuracy"] == pytest.approx(max(scores))


def test_unknown_and_missing_inputs_are_named(data, tmp_path):
    with pytest.raises(ArgumentError, match="no input 'tutor'; did you mean"):
        KD(**FAST).distill(tmp_path / "a", tutor=network(), student=network(), data=data)
    with pytest.raises(ArgumentError, match="got no student"):
        KD(**FAST).distill(tmp_path / "b", teacher=network(), data=data)
    assert not any(tmp_path.iterdir())


def test_a_student_that_returns_an_unknown_key_is_refused(data, tmp_path):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            return {"output": self.inner(x)}

    with pytest.raises(ModelError, match='return {"logits": y}'):
        KD(**FAST).distill(tmp_path / "run", teacher=network(), student=Odd(), data=data)
    assert not (tmp_path / "run").exists()
