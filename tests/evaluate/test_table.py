"""The table has a row for everyone who took part; over seeds it holds means and deviations."""

import json
import warnings

import numpy as np
import pytest

from limbeck.data import digits, from_arrays
from limbeck.errors import ArgumentError, UnusualUseWarning
from limbeck.evaluate import table
from limbeck.evaluate.quality import collect, fidelity, quality
from limbeck.evaluate.table import average, joint_rows, student_rows, warn_of_weak_teachers
from limbeck.keyed import torch_seeded
from limbeck.networks.names import build
from limbeck.products import Student
from limbeck.teachers import ensemble, teacher


@pytest.fixture(scope="module")
def data():
    return digits()


def network(data, seed, hidden=8):
    with torch_seeded(seed):
        return build(f"mlp?hidden={hidden}", data.input_space, data.outputs)


def student(data, seed):
    return Student.of(network(data, seed), data)


def test_everyone_has_a_row(data):
    product, alone, other = (student(data, seed) for seed in range(3))
    members = [teacher(network(data, 4, 16), name="big"), teacher(network(data, 5), name="small")]
    told = ensemble(*members)
    rows = student_rows(product, {"alone": alone, "other": other}, told, data, "kd")
    assert [(row["name"], row["role"]) for row in rows] == [
        ("kd", "product"), ("alone", "baseline"), ("other", "reference"),
        ("ensemble", "ensemble"), ("big", "teacher"), ("small", "teacher"),
    ]  # fmt: skip
    for row, source in zip(
        rows, [product.outputs, alone.outputs, other.outputs, told, *members], strict=True
    ):
        logits, target = collect(source, data, data.test)
        expected = quality(logits, target, "classification")
        if row["role"] in ("product", "baseline", "reference"):
            expected |= fidelity(logits, collect(told, data, data.test)[0], "classification")
        else:
            seen = quality(*collect(source, data, data.train), "classification")
            expected["train_accuracy"] = seen["accuracy"]
        assert row["quality"] == pytest.approx(expected)
    parameters = [row["cost"]["parameters"] for row in rows]
    small, big = 64 * 8 + 8 + 8 * 10 + 10, 64 * 16 + 16 + 16 * 10 + 10
    assert parameters == [small, small, small, small + big, big, small]


def test_of_many_training_samples_some_are_looked_at(data, monkeypatch):
    monkeypatch.setattr(table, "LOOKED_AT", 7)
    told = ensemble(teacher(network(data, 4), name="big"))
    (_, row) = student_rows(student(data, 0), {}, told, data, "kd")
    logits, target = collect(told, data, data.train)
    chosen = [place * (len(target) - 1) // 6 for place in range(7)]
    right = (logits.argmax(1) == target)[chosen]
    assert row["quality"]["train_accuracy"] == pytest.approx(float(right.double().mean()))


def test_one_teacher_is_no_ensemble(data):
    told = ensemble(teacher(network(data, 4), name="big"))
    rows = student_rows(student(data, 0), {}, told, data, "kd")
    assert [row["role"] for row in rows] == ["product", "teacher"]


def rows(*values):
    return [
        {
            "name": name,
            "role": role,
            "quality": {"accuracy": value, "nll": 2 * value},
            "cost": {"parameters": 10, "latency_ms": value},
        }
        for (name, role), value in zip([("a", "product"), ("b", "baseline")], values, strict=True)
    ]


def test_means_and_deviations_are_those_of_numpy():
    values = np.random.default_rng(0).random((5, 2))
    found = average([rows(*row) for row in values.tolist()])
    for place, row in enumerate(found):
        column = values[:, place]
        assert (row["name"], row["role"]) == (("a", "product"), ("b", "baseline"))[place]
        assert row["quality"]["accuracy"] == pytest.approx(column.mean())
        assert row["quality"]["nll"] == pytest.approx(2 * column.mean())
        assert row["std"]["accuracy"] == pytest.approx(column.std(ddof=1))
        assert row["std"]["nll"] == pytest.approx(2 * column.std(ddof=1))
        assert row["cost"] == pytest.approx({"parameters": 10, "latency_ms": column.mean()})
        assert set(row["std"]) == {"accuracy", "nll"}


def test_a_single_seed_has_no_deviation():
    (first, second) = average([rows(0.5, 0.25)])
    assert "std" not in first
    assert second["quality"]["accuracy"] == 0.25


def test_tables_of_different_rows_are_not_mixed():
    with pytest.raises(ValueError, match="shorter"):
        average([rows(0.5, 0.25), rows(0.5, 0.25)[:1]])
    with pytest.raises(ArgumentError, match="rows b and a stand at the same place"):
        average([rows(0.5, 0.25)[::-1], rows(0.5, 0.25)])


def test_averaging_leaves_the_tables_alone():
    tables = [rows(0.5, 0.25), rows(0.75, 0.5)]
    before = repr(tables)
    average(tables)
    assert repr(tables) == before


def test_rows_are_plain_numbers(data):
    told = ensemble(teacher(network(data, 4), name="big"))
    found = student_rows(student(data, 0), {}, told, data, "kd")
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("teacher_figures", "alone", "words"),
    [
        ({"accuracy": 0.12}, {"accuracy": 0.05}, "chance gives"),
        ({"accuracy": 0.7}, {"accuracy": 0.8}, "lone student in 80.0%"),
        ({"rmse": 0.7}, {"rmse": 0.6}, "rmse of 0.7"),
        ({"accuracy": 0.9}, {"accuracy": 0.8}, ""),
        ({"rmse": 0.5}, {"rmse": 0.6}, ""),
    ],
)
def test_weak_teachers_are_warned_of(data, teacher_figures, alone, words):
    rows = [
        {"name": "alone", "role": "baseline", "quality": alone, "cost": {}},
        {"name": "big", "role": "teacher", "quality": teacher_figures, "cost": {}},
    ]
    if words:
        with pytest.warns(UnusualUseWarning, match=f"teacher big .*{words}"):
            warn_of_weak_teachers(rows, data)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_weak_teachers(rows, data)


def test_a_perfect_teacher_is_never_weak():
    y = np.array([1] + [0] * 99)
    data = from_arrays(np.random.default_rng(0).random((100, 3)), y, test=(np.zeros((100, 3)), y))
    rows = [
        {"name": name, "role": role, "quality": {"accuracy": 1.0}, "cost": {}}
        for name, role in (("alone", "baseline"), ("big", "teacher"))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_weak_teachers(rows, data)


def test_figures_that_one_seed_has_not_are_left_out():
    """The best single member is a network on one seed and an estimator on another."""
    network = {"parameters": 10, "latency_ms": 1.0}
    rows = [
        [{"name": "best", "role": "baseline", "quality": {"accuracy": 0.5}, "cost": cost}]
        for cost in (network, {"latency_ms": 3.0})
    ]
    for tables in (rows, rows[::-1]):
        assert average(tables)[0]["cost"] == {"latency_ms": 2.0}


def row(name, role, value, **more):
    return {"name": name, "role": role, "quality": {"accuracy": value, **more}, "cost": {}}


def test_models_of_one_name_stay_apart_in_a_joint_table():
    first = [row("kd", "product", 0.9), row("alone", "baseline", 0.7), row("mlp", "teacher", 0.8)]
    second = [
        row("pld", "product", 0.9), row("alone", "baseline", 0.75), row("mlp", "teacher", 0.8),
        row("mlp", "teacher", 0.6),
    ]  # fmt: skip
    found = joint_rows([("a", first), ("b", second)])
    assert [(one["name"], one["quality"]["accuracy"]) for one in found] == [
        ("a", 0.9), ("b", 0.9), ("alone", 0.7), ("alone (2)", 0.75), ("mlp", 0.8), ("mlp (2)", 0.6),
    ]  # fmt: skip
    assert [one["name"] for one in second] == ["pld", "alone", "mlp", "mlp"]


def test_one_model_stands_once_though_a_run_tells_more_of_it():
    tables = [
        ("a", [row("mlp", "teacher", 0.8, nll=0.5, train_accuracy=0.9)]),
        ("b", [row("mlp", "teacher", 0.8, nll=0.5 * (1 + 1e-7))]),
        ("c", [row("mlp", "reference", 0.8, nll=0.5)]),
    ]
    assert [one["name"] for one in joint_rows(tables)] == ["mlp"]
    # Without a figure in common nothing tells that it is the same.
    other = {**row("mlp", "teacher", 0.8), "quality": {"rmse": 0.1}}
    assert len(joint_rows([tables[0], ("d", [other])])) == 2
