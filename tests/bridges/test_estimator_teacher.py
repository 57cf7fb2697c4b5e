"""Fitted estimators teach: they see raw rows and speak of the data's classes in its order."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

import limbeck
from limbeck.bridges.sklearn.estimator_teacher import EstimatorTeacher
from limbeck.data import InputSpace, digits, from_arrays
from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError, ModelError, NotFiniteError, UnusualUseWarning
from limbeck.evaluate.cost import cost
from limbeck.evaluate.quality import collect
from limbeck.evaluate.table import teacher_rows
from limbeck.evaluate.words import table_cells
from limbeck.functional.stack_columns import LEAST_PROBABILITY
from limbeck.loops.teach import Teaching, taught
from limbeck.run import Run
from limbeck.teachers import ensemble, for_data, teacher

X, Y = load_iris(return_X_y=True)
NONE = Teaching(steps=0)


@pytest.fixture(scope="module")
def data():
    """Iris, normalised for networks."""
    return from_arrays(X, Y, standardise=True, classes=["setosa", "versicolor", "virginica"])


@pytest.fixture(scope="module")
def numbers():
    return from_arrays(X[:, :3], X[:, 3], standardise=True)


def rows(data, split=None):
    """Positions in the source of a split's samples."""
    return (split or data.test).ids


def said(source, data):
    return collect(source, data, data.test)[0]


def forest(y=Y, **options):
    return RandomForestClassifier(10, random_state=0, **options).fit(X, y)


def test_it_is_asked_about_raw_rows(data):
    model = forest()
    told = said(teacher(model), data)
    expected = np.log(np.clip(model.predict_proba(X[rows(data)]), LEAST_PROBABILITY, None))
    assert np.allclose(told.numpy(), expected, atol=1e-6)
    assert float(told.min()) == pytest.approx(np.log(LEAST_PROBABILITY), abs=1e-5)


def test_numbers_come_as_they_are(numbers):
    model = LinearRegression().fit(X[:, :3], X[:, 3])
    told = said(teacher(model), numbers)
    assert told.shape == (len(numbers.test), 1)
    assert np.allclose(told[:, 0].numpy(), model.predict(X[rows(numbers), :3]), atol=1e-5)


def test_several_numbers_a_sample_come_too():
    data = from_arrays(X[:, :2], X[:, 2:])
    model = Ridge().fit(X[:, :2], X[:, 2:])
    assert said(teacher(model), data).shape == (len(data.test), 2)


def test_images_are_flattened_and_bytes_are_fractions_unless_a_space_is_told():
    data = digits()
    batch = data.normalise(data.columns(data.test, np.arange(20)))
    batch = Batch(batch, space=data.input_space)
    bytes_ = data.test.take(np.arange(20))["x"].reshape(20, -1).numpy()
    y = np.arange(20) % 10
    of_fractions = LogisticRegression(max_iter=300).fit(bytes_ / 255, y)
    of_bytes = LogisticRegression(max_iter=2000, C=1e-4).fit(bytes_, y)
    own = InputSpace(size=(8, 8), channels=1, range=(0.0, 255.0))
    for model, space, seen in ((of_fractions, None, bytes_ / 255), (of_bytes, own, bytes_)):
        told = teacher(model, input_space=space)(batch).logits.exp().numpy()
        assert np.allclose(told, model.predict_proba(seen), atol=1e-4)


@pytest.mark.parametrize(
    "labels",
    [
        Y,
        np.array(["virginica", "setosa", "versicolor"])[Y],
        np.array(["setosa", "versicolor", "virginica"])[Y],
        Y.astype(float),
    ],
    ids=["places", "names in another order", "names", "fractions"],
)
def test_classes_stand_in_the_order_of_the_data(data, tmp_path, labels):
    model = forest(labels)
    big = taught(Run(tmp_path), model, data, NONE)
    told = said(big, data)
    names = np.asarray(data.classes)
    own = [str(one) if labels.dtype.kind == "U" else names[int(one)] for one in model.classes_]
    expected = model.predict_proba(X[rows(data)])
    for place, name in enumerate(data.classes):
        column = expected[:, own.index(name)]
        assert np.allclose(told[:, place].exp().numpy(), column, atol=1e-4)


def test_a_class_that_it_never_met_has_the_floor(data, tmp_path):
    model = RandomForestClassifier(5, random_state=0).fit(X[Y != 1], Y[Y != 1])
    with pytest.warns(UnusualUseWarning, match="RandomForestClassifier has not met class versi"):
        told = said(taught(Run(tmp_path), model, data, NONE).members[0], data)
    assert torch.allclose(told[:, 1], torch.tensor(np.log(LEAST_PROBABILITY)).float())
    assert float(told[:, 0].max()) > -0.1


def test_foreign_classes_are_refused(data, tmp_path):
    model = forest(np.array(["setosa", "versicolor", "tulip"])[Y])
    words = "RandomForestClassifier knows the classes tulip, which arrays has not; fit it on setosa"
    with pytest.raises(ModelError, match=words):
        taught(Run(tmp_path), model, data, NONE)
    with pytest.raises(ModelError, match="knows the classes 9"):
        taught(Run(tmp_path), forest(np.array([0, 1, 9])[Y]), data, NONE)


def test_a_teacher_of_another_task_is_refused(data, numbers, tmp_path):
    with pytest.raises(ModelError, match="LinearRegression tells numbers, and arrays is classific"):
        taught(Run(tmp_path), LinearRegression().fit(X, Y), data, NONE)
    with pytest.raises(ModelError, match="tells classes, and arrays is regression"):
        taught(Run(tmp_path), forest(), numbers, NONE)


def test_what_cannot_teach_is_refused():
    with pytest.raises(ModelError, match=r"LinearSVC has no predict_proba.*CalibratedClassifierCV"):
        teacher(LinearSVC().fit(X, Y))
    with pytest.raises(ArgumentError, match=r"features is \['0'\] and a RandomForestClassifier"):
        teacher(forest(), features=["0"])
    with pytest.raises(ArgumentError, match="model is a int, expected a torch module or a fitted"):
        teacher(3)
    with pytest.raises(ModelError, match="estimator is a int, expected a fitted estimator"):
        EstimatorTeacher(3)


def test_an_estimator_of_other_columns_is_refused_by_name(data, tmp_path):
    with pytest.raises(ModelError, match="the teacher RandomForestClassifier cannot take inputs"):
        taught(Run(tmp_path), RandomForestClassifier(3).fit(X[:, :2], Y), data, NONE)


def test_columns_with_names_must_be_the_same():
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    told = teacher(make_pipeline(StandardScaler(), LogisticRegression()).fit(table, Y))
    x = torch.from_numpy(X[:3]).float()
    # No warning: columns get the names that the estimator was fitted with.
    plain = told(Batch({"x": x}, space=InputSpace((4,)))).logits
    same = told(Batch({"x": x}, space=InputSpace((4,), names=("a", "b", "c", "d")))).logits
    assert torch.equal(plain, same)
    with pytest.raises(ModelError, match="fitted on the columns a, b, c, d and the data has d, c"):
        told(Batch({"x": x}, space=InputSpace((4,), names=("d", "c", "b", "a"))))


class Broken(LinearRegression):
    """Says that nothing is a number."""

    def predict(self, X):
        return np.full(len(X), np.nan)


def test_predictions_that_are_no_numbers_are_refused():
    with pytest.raises(NotFiniteError, match="Broken predicts NaN or infinity for 2 of 2"):
        teacher(Broken().fit(X, Y))(Batch({"x": torch.zeros(2, 4)}))


def test_it_is_never_copied(data):
    told = teacher(forest())
    assert copy.deepcopy(told) is told
    assert copy.deepcopy([told])[0].estimator is told.estimator
    assert told.placed(lambda one: one) is told
    assert (told.modules, told.wants, told.members) == ((), ("x",), (told,))


def test_equal_fits_have_equal_fingerprints(data):
    assert teacher(forest()).fingerprint == teacher(forest()).fingerprint
    other = RandomForestClassifier(10, random_state=1).fit(X, Y)
    assert teacher(forest()).fingerprint != teacher(other).fingerprint
    assert for_data(teacher(forest()), data).fingerprint != teacher(forest()).fingerprint


def test_cost_says_what_is_known(data):
    net = nn.Linear(4, 3)
    alone, mixed = teacher(forest()), ensemble(teacher(net), teacher(forest()))
    batch = Batch({"x": torch.zeros(1, 4)})
    figures = cost(alone, alone.modules, batch)
    assert set(figures) == {"latency_ms", "bytes"}
    assert figures["bytes"] == len(alone.stored) > 1000
    both = cost(mixed, mixed.modules, batch)
    assert set(both) == {"latency_ms", "bytes"}
    assert both["bytes"] == len(alone.stored) + 4 * 15


def test_tables_have_a_gap_where_nothing_can_be_counted(data):
    table = teacher_rows(ensemble(teacher(nn.Linear(4, 3)), teacher(forest())), data)
    heads, lines = table_cells(table)
    counted = heads.index("parameters")
    assert [line[counted] for line in lines] == ["", "15", ""]
    assert all(line[heads.index("ms")] for line in lines)
    heads, lines = table_cells(teacher_rows(ensemble(teacher(forest())), data))
    assert "ms" in heads
    assert "parameters" not in heads


def test_a_student_learns_from_a_forest_and_a_network(data, tmp_path):
    given = {"teacher": [forest(), "mlp?hidden=8"], "student": "mlp?hidden=4", "data": data}
    method = limbeck.KD(steps=30, teaching={"steps": 30})
    student = method.distill(tmp_path / "a", **given)
    again = method.distill(tmp_path / "a", **given)
    assert torch.equal(student.logits(X[:5]), again.logits(X[:5]))


def test_another_forest_is_no_reason_to_go_on(data, tmp_path):
    method = limbeck.KD(steps=2)
    method.distill(tmp_path / "a", teacher=forest(), student="mlp?hidden=4", data=data)
    other = RandomForestClassifier(4, random_state=1).fit(X, Y)
    with pytest.raises(limbeck.errors.RunError, match="begun with another teacher"):
        method.distill(tmp_path / "a", teacher=other, student="mlp?hidden=4", data=data)


def test_its_answers_are_stored_as_those_of_networks_are(data, tmp_path):
    method = limbeck.KD(steps=4, teaching={"store": "logits"})
    method.distill(tmp_path / "a", teacher=forest(), student="mlp?hidden=4", data=data)
    assert list((tmp_path / "a" / "cache").iterdir())
