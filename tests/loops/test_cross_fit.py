"""Members of any kind are trained a fold at a time and say nothing of rows that they saw."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, TimeSeriesSplit, cross_val_predict

from limbeck.bridges.sklearn import make_folds
from limbeck.data import digits, from_arrays
from limbeck.errors import ArgumentError, NotFiniteError, UnknownNameError, UnusualUseWarning
from limbeck.loops import Optim
from limbeck.loops.cross_fit import cross_fitted, predictions
from limbeck.loops.makers import raw_table
from limbeck.loops.teach import Teaching, taught
from limbeck.networks.names import build
from limbeck.run import Run
from limbeck.teachers import column, teacher

SHORT = Teaching(steps=30, batch_size=32, optim=Optim(lr=1e-2))
FOREST = "sklearn:random-forest?n_estimators=10"


@pytest.fixture(scope="module")
def numbers():
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 4))
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + random.normal(size=120) * 0.1
    return from_arrays(x, y, standardise=True)


@pytest.fixture(scope="module")
def classes():
    return digits().few(300)


def folds_of(data, cv=3, **options):
    rows, y = raw_table(data.for_teachers())
    return make_folds(cv, rows, y, classifier=data.task == "classification", **options)


def test_estimators_are_those_that_scikit_learn_would_fit(numbers, tmp_path):
    cv = KFold(4, shuffle=True, random_state=1)
    found = cross_fitted(
        Run(tmp_path), ["sklearn:ridge?alpha=2"], numbers, SHORT, folds_of(numbers, cv)
    )
    expected = cross_val_predict(Ridge(alpha=2), *raw_table(numbers), cv=cv)
    assert np.allclose(found.table[:, 0], expected, atol=1e-5)
    assert found.table.shape == (len(numbers.train), 1)
    assert sorted(set(found.fold)) == [0, 1, 2, 3]


def test_networks_and_estimators_stand_side_by_side(classes, tmp_path):
    found = cross_fitted(
        Run(tmp_path), ["mlp?hidden=16", FOREST], classes, SHORT, folds_of(classes)
    )
    count = len(classes.for_teachers().train)
    assert found.table.shape == (count, 2, 10)
    assert np.allclose(np.exp(found.table).sum(2), 1)
    y = classes.for_teachers().train.y.numpy()
    right = (found.table.argmax(2) == y[:, None]).mean(0)
    assert right.min() > 0.5
    assert [len(one) for one in found.members_of_folds] == [3, 3]


def test_a_row_is_predicted_by_a_fit_that_did_not_see_it(numbers, tmp_path):
    """A neighbour of one row knows its own number by heart, and no other."""
    name = "sklearn:k-neighbors?n_neighbors=1"
    found = cross_fitted(Run(tmp_path), name, numbers, SHORT, folds_of(numbers))
    y = numbers.train.y.numpy()
    assert np.abs(found.table[:, 0] - y).min() > 0
    told = predictions(found.members[0], numbers, numbers.train)
    assert np.allclose(told[:, 0], y)


def test_members_of_all_rows_are_the_teachers_of_every_method(numbers, tmp_path):
    names = ["mlp?hidden=8", FOREST]
    found = cross_fitted(Run(tmp_path), names, numbers, SHORT, folds_of(numbers))
    before = sorted(tmp_path.glob("stages/*"))
    again = taught(Run(tmp_path), names, numbers, SHORT)
    assert [one.fingerprint for one in again.members] == [one.fingerprint for one in found.members]
    assert sorted(tmp_path.glob("stages/*")) == before


def test_members_of_all_rows_are_trained_only_where_they_are_asked_for(numbers, tmp_path):
    folds = folds_of(numbers)
    found = cross_fitted(Run(tmp_path), FOREST, numbers, SHORT, folds, refit=False)
    assert found.members == ()
    assert len(found.members_of_folds[0]) == 3
    assert not [*tmp_path.glob("stages/teacher-*")]
    whole = cross_fitted(Run(tmp_path), FOREST, numbers, SHORT, folds)
    assert np.array_equal(found.table, whole.table)
    assert len([*tmp_path.glob("stages/teacher-*")]) == len(whole.members) == 1


def test_large_numbers_that_differ_little_are_told_apart(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 2))
    data = from_arrays(x, 1e9 + x[:, 0])
    found = cross_fitted(Run(tmp_path), "sklearn:linear-regression", data, SHORT, folds_of(data))
    assert np.abs(found.table[:, 0] - 1e9 - x[data.train.ids, 0]).max() < 1e-4


def test_what_was_trained_is_not_trained_again(numbers, tmp_path):
    names, folds = ["mlp?hidden=8", FOREST], folds_of(numbers)
    first = cross_fitted(Run(tmp_path), names, numbers, SHORT, folds)
    files = {one.name: one.stat().st_mtime_ns for one in tmp_path.glob("stages/*")}
    assert len(files) == 8
    rows = (tmp_path / "metrics.jsonl").read_bytes()
    again = cross_fitted(Run(tmp_path), names, numbers, SHORT, folds)
    assert np.array_equal(first.table, again.table)
    assert {one.name: one.stat().st_mtime_ns for one in tmp_path.glob("stages/*")} == files
    assert (tmp_path / "metrics.jsonl").read_bytes() == rows


def test_a_stop_in_the_middle_changes_nothing(numbers, tmp_path, monkeypatch):
    names, folds = ["mlp?hidden=8", FOREST], folds_of(numbers)
    whole = cross_fitted(Run(tmp_path / "a"), names, numbers, SHORT, folds)

    class Stopped(Run):
        def stage(self, name, make, **options):
            if name == "member-1-fold-1":
                raise KeyboardInterrupt
            return super().stage(name, make, **options)

    with pytest.raises(KeyboardInterrupt):
        cross_fitted(Stopped(tmp_path / "b"), names, numbers, SHORT, folds)
    assert len([*(tmp_path / "b").glob("stages/*")]) == 4
    again = cross_fitted(Run(tmp_path / "b"), names, numbers, SHORT, folds)
    assert np.array_equal(whole.table, again.table)


def test_draws_hang_on_seed_member_and_fold(numbers, tmp_path):
    folds = folds_of(numbers)
    found = cross_fitted(Run(tmp_path / "a"), [FOREST, FOREST], numbers, SHORT, folds)
    seeds = {one.estimator.random_state for many in found.members_of_folds for one in many}
    seeds |= {one.estimator.random_state for one in found.members}
    assert len(seeds) == 8
    other = cross_fitted(Run(tmp_path / "b"), [FOREST], numbers, SHORT, folds)
    assert np.array_equal(other.table[:, 0], found.table[:, 0])
    third = cross_fitted(Run(tmp_path / "c", seed=1), [FOREST], numbers, SHORT, folds)
    assert not np.array_equal(third.table[:, 0], found.table[:, 0])


def test_rows_that_are_never_held_out_have_no_prediction(numbers, tmp_path):
    folds = folds_of(numbers, TimeSeriesSplit(3))
    found = cross_fitted(Run(tmp_path), "sklearn:ridge", numbers, SHORT, folds)
    never = folds.number < 0
    assert never.any()
    assert np.array_equal(np.isnan(found.table[:, 0]), never)
    assert np.array_equal(found.fold, folds.number)


def test_a_class_that_a_fold_lacks_has_the_least_probability(tmp_path):
    x = np.repeat(np.eye(3), 20, axis=0)
    data = from_arrays(x, np.repeat(np.arange(3), 20))
    groups = data.train.y.numpy()
    folds = folds_of(data, GroupKFold(3), groups=groups)
    with pytest.warns(UnusualUseWarning, match="sklearn:gaussian-nb has not met class"):
        found = cross_fitted(Run(tmp_path), "sklearn:gaussian-nb", data, SHORT, folds)
    own = np.exp(found.table[np.arange(len(groups)), 0, groups])
    assert (own < 1e-5).all()
    assert np.isfinite(found.table).all()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([], ArgumentError, "zero members; give at least one name"),
        (["sklearn:ridge", Ridge()], ArgumentError, r"member 1, Ridge\(\), comes trained.*valida"),
        (column("a"), ArgumentError, r"member 0, column\('a'\), comes trained"),
        ([None], ArgumentError, "member 0, None, comes trained"),
        (["file:a.skops"], ArgumentError, r"member 0, file:a\.skops, comes trained"),
        (["mlp", "sklearn:rige"], UnknownNameError, "no regressor 'rige'; did you mean ridge"),
        (["sklearn:ridge", "mpl"], UnknownNameError, "no network 'mpl'; did you mean mlp"),
    ],
)
def test_members_that_do_not_learn_here_are_refused(numbers, tmp_path, given, error, words):
    with pytest.raises(error, match=words):
        cross_fitted(Run(tmp_path / "run"), given, numbers, SHORT, folds_of(numbers))
    assert not (tmp_path / "run").exists()


def test_weights_that_know_the_classes_are_refused(numbers, tmp_path):
    network = build("mlp?hidden=4", numbers.input_space, 1)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    name = f"file:{tmp_path / 'w.safetensors'}?network=mlp?hidden=4"
    with pytest.raises(ArgumentError, match="comes trained"):
        cross_fitted(Run(tmp_path / "run"), [name], numbers, SHORT, folds_of(numbers))


def test_folds_of_other_rows_are_refused(numbers, classes, tmp_path):
    with pytest.raises(ArgumentError, match=r"folds are of \d+ rows and members learn from 86"):
        cross_fitted(Run(tmp_path), "sklearn:ridge", numbers, SHORT, folds_of(classes))
    empty = folds_of(numbers)._replace(splits=[])
    with pytest.raises(ArgumentError, match="folds has 0 splits and each needs rows"):
        cross_fitted(Run(tmp_path), "sklearn:ridge", numbers, SHORT, empty)


def test_several_targets_are_refused(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 2))
    data = from_arrays(x, x)
    with pytest.raises(ArgumentError, match="has 2 targets, and members are stacked on one"):
        cross_fitted(Run(tmp_path), "sklearn:ridge", data, SHORT, folds_of(data))


def test_predictions_that_are_no_numbers_are_refused(numbers):
    broken = torch.nn.Linear(4, 1)
    torch.nn.init.constant_(broken.weight, float("nan"))
    words = r"member broken predicts NaN or infinity for 86 of 86 held-out rows"
    with pytest.raises(NotFiniteError, match=words):
        predictions(teacher(broken, name="broken"), numbers, numbers.train)
