"""Figures of quality are those of scikit-learn, for every task."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr, softmax
from sklearn import metrics

from limbeck.data import digits, from_arrays
from limbeck.errors import ArgumentError
from limbeck.evaluate.quality import collect, fidelity, main_figure, quality
from limbeck.keyed import torch_seeded
from limbeck.networks.names import build
from limbeck.outputs import Outputs
from limbeck.products import Student
from limbeck.teachers import teacher

properties = settings(deadline=None, max_examples=30, derandomize=True)


def classes(seed, count, number):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, number)) * 3
    return logits, random.integers(0, number, count)


def tensors(*arrays):
    return [torch.from_numpy(np.asarray(array)) for array in arrays]


# Classification


@properties
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(2, 12))
def test_classification_is_measured_as_by_scikit_learn(seed, count, number):
    logits, y = classes(seed, count, number)
    found = quality(*tensors(logits, y), "classification")
    p, labels = softmax(logits, axis=1), np.arange(number)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, logits.argmax(1)))
    assert found["nll"] == pytest.approx(metrics.log_loss(y, p, labels=labels), rel=1e-6)
    assert found["brier"] == pytest.approx(((p - np.eye(number)[y]) ** 2).sum(1).mean(), rel=1e-6)
    assert ("top5" in found) == (number > 5)
    if number > 5:
        expected = metrics.top_k_accuracy_score(y, logits, k=5, labels=labels)
        assert found["top5"] == pytest.approx(expected)


def test_two_classes_have_the_brier_score_of_scikit_learn_twice():
    logits, y = classes(0, 50, 2)
    found = quality(*tensors(logits, y), "classification")["brier"]
    expected = metrics.brier_score_loss(y, softmax(logits, axis=1)[:, 1])
    assert found == pytest.approx(2 * expected)


def test_calibration_error_is_the_gap_of_fifteen_bins():
    logits, y = classes(1, 400, 4)
    p = softmax(logits, axis=1)
    confidence, right = p.max(1), p.argmax(1) == y
    gap = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            gap += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert quality(*tensors(logits, y), "classification")["ece"] == pytest.approx(gap, abs=1e-9)


def test_a_sure_and_right_model_is_perfect():
    y = torch.arange(10)
    found = quality(torch.eye(10) * 100, y, "classification")
    assert found == pytest.approx({"accuracy": 1, "nll": 0, "ece": 0, "brier": 0, "top5": 1})


def test_labels_outside_the_classes_are_refused():
    with pytest.raises(ArgumentError, match="class indices from 0 to 3, expected 0 to 2"):
        quality(torch.zeros(2, 3), torch.tensor([0, 3]), "classification")


# Regression


@properties
@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(1, 3))
def test_regression_is_measured_as_by_scikit_learn(seed, count, number):
    random = np.random.default_rng(seed)
    y = random.normal(size=(count, number)) * 5
    predicted = y + random.normal(size=y.shape)
    found = quality(*tensors(predicted, y), "regression")
    assert found["rmse"] == pytest.approx(metrics.mean_squared_error(y, predicted) ** 0.5)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(y, predicted))
    assert found["r2"] == pytest.approx(metrics.r2_score(y, predicted))


def test_a_column_and_a_list_of_numbers_are_the_same():
    y, predicted = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.5, 2.0, 3.0])
    figures = [
        quality(p, t, "regression")
        for p in (predicted, predicted[:, None])
        for t in (y, y[:, None])
    ]
    assert all(one == figures[0] for one in figures)
    assert figures[0]["mae"] == pytest.approx(0.5)


@pytest.mark.parametrize("predicted", [[2.0, 2.0], [2.0, 3.0]])
def test_a_constant_target_has_the_r2_of_scikit_learn(predicted):
    """1 where it is hit and 0 where it is not, and no figure of many digits."""
    y, other = np.array([2.0, 2.0]), np.array([1.0, 5.0])
    found = quality(*tensors(predicted, y), "regression")["r2"]
    assert found == metrics.r2_score(y, predicted)
    both = np.stack([y, other], 1), np.stack([predicted, other + 1], 1)
    assert quality(*tensors(*both[::-1]), "regression")["r2"] == pytest.approx(
        metrics.r2_score(*both)
    )


# Labels


@properties
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 5), st.floats(0, 1))
def test_labels_are_measured_as_by_scikit_learn(seed, count, number, share):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, number)) * 3
    y = (random.random((count, number)) < share).astype(int)
    found = quality(*tensors(logits, y), "multilabel")
    guess, p = (logits > 0).astype(int), 1 / (1 + np.exp(-logits))
    assert found["accuracy"] == pytest.approx((guess == y).mean())
    assert found["exact"] == pytest.approx((guess == y).all(1).mean())
    f1 = [metrics.f1_score(*pair, zero_division=1.0) for pair in zip(y.T, guess.T, strict=True)]
    assert found["f1"] == pytest.approx(np.mean(f1))
    nll = metrics.log_loss(y.ravel(), p.ravel(), labels=[0, 1])
    assert found["nll"] == pytest.approx(nll, rel=1e-6)


# Beside a teacher


def test_agreement_and_divergence_are_those_written_out():
    student, other = classes(2, 100, 6)[0], classes(3, 100, 6)[0]
    found = fidelity(*tensors(student, other), "classification")
    assert found["agreement"] == (student.argmax(1) == other.argmax(1)).mean()
    expected = rel_entr(softmax(other, axis=1), softmax(student, axis=1)).sum(1).mean()
    assert found["teacher_kl"] == pytest.approx(expected)
    assert fidelity(*tensors(student, student), "classification") == pytest.approx(
        {"agreement": 1, "teacher_kl": 0}
    )


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_other_tasks_have_the_squared_difference(task):
    student, other = classes(2, 10, 3)[0], classes(3, 10, 3)[0]
    found = fidelity(*tensors(student, other), task)
    assert found == pytest.approx({"teacher_mse": ((student - other) ** 2).mean()})


def test_choices_are_made_on_a_figure_that_is_there():
    for task, y in (
        ("classification", torch.tensor([0, 1])),
        ("multilabel", torch.eye(2)),
        ("regression", torch.eye(2)),
    ):
        name, sign = main_figure(task)
        good = quality(torch.eye(2) * 9 - 4 if task != "regression" else torch.eye(2), y, task)
        bad = quality(-torch.eye(2) * 9, y, task)
        assert good[name] * sign > bad[name] * sign


# Over a split


def test_a_split_is_collected_in_order_and_normalised():
    data = digits()
    with torch_seeded(0):
        student = Student.of(build("mlp?hidden=8", data.input_space, 10), data)
    logits, target = collect(student.outputs, data, data.train)
    assert torch.equal(target, data.train.y)
    x = data.columns(data.train, np.arange(len(data.train)))["x"]
    torch.testing.assert_close(logits, student.logits(x))
    assert torch.equal(logits, collect(teacher(student.network), data, data.train)[0])


def test_a_model_of_one_number_a_sample_may_leave_the_column_out():
    data = from_arrays(np.random.default_rng(0).normal(size=(40, 3)), np.linspace(0, 1, 40))
    logits, target = collect(lambda batch: Outputs(logits=batch["x"].sum(1)), data, data.test)
    assert set(quality(logits, target, "regression")) == {"rmse", "mae", "r2"}
