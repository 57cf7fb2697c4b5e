"""Stacking estimators: what must hold of them, what stays reachable, where they fit in."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris, make_friedman1
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RepeatedKFold,
    TimeSeriesSplit,
    cross_val_predict,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from limbeck.bridges.sklearn import RegularizedStackingClassifier, RegularizedStackingRegressor
from limbeck.errors import ArgumentError, NotFiniteError, UnusualUseWarning

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
QUICK = {"cv": 5, "l1_ratios": (0.5,), "max_iter": 300}


def rows(seed=0, count=300):
    return make_friedman1(count, noise=1.0, random_state=seed)


def members():
    return [
        ("line", LinearRegression()),
        ("ridge", Ridge(1e-3)),
        ("near", KNeighborsRegressor(7)),
        ("tree", DecisionTreeRegressor(max_depth=5, random_state=0)),
    ]


def stack(**options):
    return RegularizedStackingRegressor(members(), **{**QUICK, **options})


def rmse(prediction, target):
    return np.sqrt(np.mean((prediction - target) ** 2))


def test_stack_beats_average_and_best_member_on_fresh_rows():
    X, y = rows()
    fresh, truth = rows(1, 600)
    model = stack().fit(X, y)
    each = [one.fit(X, y).predict(fresh) for _, one in members()]
    error = rmse(model.predict(fresh), truth)
    assert error < rmse(np.mean(each, 0), truth)
    assert error < min(rmse(one, truth) for one in each)


def test_fewer_members_are_as_good_as_plain_ridge_stacking():
    X, y = rows()
    fresh, truth = rows(1, 600)
    model = stack().fit(X, y)
    plain = RidgeCV(np.logspace(-3, 5, 50)).fit(model.oof_matrix_, y)
    each = np.transpose([one.fit(X, y).predict(fresh) for _, one in members()])
    assert len(model.kept_members_) < each.shape[1]
    assert rmse(model.predict(fresh), truth) < 1.01 * rmse(plain.predict(each), truth)


def test_one_member_is_calibrated_and_too_few_rows_are_refused():
    X, y = rows(count=60)
    model = RegularizedStackingRegressor([("line", LinearRegression())], **QUICK).fit(X, y)
    assert model.condition_before_ == model.condition_after_ == 1.0
    assert rmse(model.predict(X), y) < y.std()
    with pytest.raises(ValueError, match="n_splits=10 greater than the number of samples"):
        RegularizedStackingRegressor().fit(X[:9], y[:9])
    with pytest.raises(ArgumentError, match="none of them trains for another"):
        stack(cv=[(np.arange(30), np.arange(30, 60))]).fit(X, y)


def test_everything_stays_reachable():
    X, y = rows()
    model = stack().fit(X, y)
    splits = KFold(5, shuffle=True, random_state=42)
    expected = cross_val_predict(LinearRegression(), X, y, cv=splits)
    np.testing.assert_allclose(model.oof_matrix_[:, 0], expected)
    assert model.kept_members_[1:] == ["near", "tree"]
    (gone,) = model.removed_members_
    assert gone["reason"] == "duplicate"
    assert {gone["member"], gone["kept"]} == {"line", "ridge"}
    # The two are equal but for a tiny penalty.
    assert model.condition_before_ > 1e5 * model.condition_after_
    assert sum(model.weights_.values()) == pytest.approx(1)
    errors = [rmse(one.oof, y) for one in model.meta_models_.values()]
    assert model.oof_rmse_ <= np.mean(errors) + 1e-12
    assert model.oof_rmse_ == pytest.approx(rmse(model.oof_prediction_, y))
    # What went is not fitted again.
    assert len(model.members_) == 3
    assert 0 <= model.gini_ < 1


def test_a_ready_table_gives_what_members_give():
    X, y = rows()
    model = stack(refit=False).fit(X, y)
    ready = RegularizedStackingRegressor(**QUICK).fit(model.oof_matrix_, y)
    np.testing.assert_allclose(ready.oof_prediction_, model.oof_prediction_)
    fitted = [np.mean([one.predict(X[:9]) for one in fits], axis=0) for fits in model.members_]
    table = np.zeros((9, 4))
    table[:, model.projection_.kept] = np.transpose(fitted)
    np.testing.assert_allclose(ready.predict(table), model.predict(X[:9]))


def test_prefit_members_are_used_as_they_stand():
    X, y = rows()
    fitted = [(name, one.fit(X[:150], y[:150])) for name, one in members()]
    model = stack(prefit=True).set_params(members=fitted).fit(X[150:], y[150:])
    np.testing.assert_allclose(model.oof_matrix_[:, 2], fitted[2][1].predict(X[150:]))
    assert model.members_[-1][0] is fitted[3][1]
    assert model.predict(X[:5]).shape == (5,)


def test_time_goes_forward():
    X, y = rows()
    model = stack(cv=TimeSeriesSplit(5)).fit(X, y)
    assert np.isnan(model.oof_matrix_[:50]).all()
    assert model.oof_rows_.tolist() == list(range(50, 300))
    # The first fold has nothing before it to be stacked on.
    assert np.isnan(model.oof_prediction_[:100]).all()
    assert np.isfinite(model.oof_prediction_[100:]).all()
    changed = y.copy()
    changed[200:] += 100 * np.sin(np.arange(100))
    again = stack(cv=TimeSeriesSplit(5), relative=False, squared_difference=0.0).fit(X, changed)
    before = stack(cv=TimeSeriesSplit(5), relative=False, squared_difference=0.0).fit(X, y)
    for kind, one in again.meta_models_.items():
        np.testing.assert_allclose(one.oof[50:150], before.meta_models_[kind].oof[50:150])


def test_groups_stay_together():
    X, y = rows()
    groups = np.arange(300) // 10
    model = stack(cv=GroupKFold(5)).fit(X, y, groups=groups)
    line = model.oof_matrix_[:, 0]
    expected = cross_val_predict(LinearRegression(), X, y, cv=GroupKFold(5), groups=groups)
    np.testing.assert_allclose(line, expected)


def test_weights_are_repeated_rows():
    X, y = rows(count=80)
    weights = np.random.default_rng(0).integers(0, 3, 80)
    halves = np.arange(80) % 4
    splits = [np.flatnonzero(halves == fold) for fold in range(4)]
    again = np.repeat(np.arange(80), weights)
    repeated = [np.flatnonzero(halves[again] == fold) for fold in range(4)]
    pairs = [
        [(np.setdiff1d(np.arange(size), part), part) for part in parts]
        for size, parts in ((80, splits), (len(again), repeated))
    ]
    only = [("line", LinearRegression()), ("ridge", Ridge(10.0)), ("strong", Ridge(100.0))]
    options = {**QUICK, "penalties": ("ridge",), "squared_difference": 0.0}
    weighted = RegularizedStackingRegressor(only, **{**options, "cv": pairs[0]})
    plain = RegularizedStackingRegressor(only, **{**options, "cv": pairs[1]})
    weighted.fit(X, y, sample_weight=weights)
    plain.fit(X[again], y[again])
    np.testing.assert_allclose(weighted.predict(X), plain.predict(X))
    with pytest.warns(UnusualUseWarning, match="members near take no sample_weight"):
        stack().fit(X, y, sample_weight=weights)


def test_it_fits_into_pipelines_grids_and_frames():
    X, y = rows(count=120)
    frame = pd.DataFrame(X, columns=[f"c{place}" for place in range(X.shape[1])])
    frame["word"] = np.where(X[:, 0] > 0.5, "high", "low")
    encode = make_column_transformer((OneHotEncoder(), ["word"]), remainder="passthrough")
    mixed = [
        ("words", make_pipeline(encode, Ridge())),
        ("dull", make_pipeline(encode, members()[2][1])),
    ]
    model = RegularizedStackingRegressor(mixed, **QUICK).fit(frame, pd.Series(y))
    assert model.feature_names_in_[-1] == "word"
    assert model.predict(frame.head(3)).shape == (3,)
    grid = GridSearchCV(
        make_pipeline(StandardScaler(), stack(penalties=("ridge",))),
        {"regularizedstackingregressor__near__n_neighbors": [3, 30]},
        cv=3,
    ).fit(X, y)
    assert grid.best_params_["regularizedstackingregressor__near__n_neighbors"] in (3, 30)
    assert grid.best_score_ > 0.5
    table = pd.DataFrame(model.oof_matrix_, columns=["first", "second"])
    assert RegularizedStackingRegressor(**QUICK).fit(table, y).member_names_ == ["first", "second"]


def test_fits_that_stop_early_are_said():
    X, y = rows(count=60)
    alike = y[:, None] + 0.1 * X
    model = RegularizedStackingRegressor(
        cv=3, penalties=("lasso",), max_iter=3, squared_difference=0.0
    )
    with pytest.warns(ConvergenceWarning, match=r"of \d+ lasso fits stopped at max_iter=3"):
        model.fit(alike, y)
    assert model.meta_models_["lasso"].unconverged > 0


def test_odd_members_are_named():
    X, y = rows(count=60)
    pair = [("dull", DummyRegressor().fit(X, y)), ("line", LinearRegression().fit(X, y))]
    model = RegularizedStackingRegressor(pair, prefit=True, **QUICK)
    with pytest.warns(UnusualUseWarning, match="members dull predict the same for every row"):
        model.fit(X, y)
    assert model.kept_members_ == ["line"]
    broken = LinearRegression().fit(X, y)
    broken.coef_ = broken.coef_ * np.nan
    with pytest.raises(NotFiniteError, match="member broken predicts NaN or infinity for 60 of 60"):
        RegularizedStackingRegressor([("broken", broken)], prefit=True).fit(X, y)
    with pytest.raises(ArgumentError, match="members is empty"):
        RegularizedStackingRegressor([]).fit(X, y)
    with pytest.raises(ArgumentError, match="the name 'a' more than once"):
        RegularizedStackingRegressor([("a", Ridge()), ("a", Ridge())]).fit(X, y)
    with pytest.raises(ArgumentError, match=r"members\[0\] is a int without predict"):
        RegularizedStackingRegressor([3]).fit(X, y)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[60, 59\]"):
        stack().fit(X, y[:59])
    with pytest.raises(ArgumentError, match="out more than once"):
        stack(cv=RepeatedKFold(n_splits=3, n_repeats=2)).fit(X, y)
    with pytest.raises(ArgumentError, match="penalties is"):
        stack(penalties=("rigde",)).fit(X, y)
    with pytest.raises(ArgumentError, match="inner_split is 'row'"):
        stack(inner_split="row").fit(X, y)


def classifiers():
    return [
        ("bayes", GaussianNB()),
        ("again", GaussianNB()),
        ("near", KNeighborsClassifier(5)),
        ("tree", DecisionTreeClassifier(max_depth=3, random_state=0)),
    ]


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def test_classes_are_stacked_as_log_odds(iris):
    X, y = iris
    names = np.array(["a", "b", "c"])[y]
    model = RegularizedStackingClassifier(classifiers(), cv=3).fit(X, names)
    assert model.oof_matrix_.shape == (150, 4, 3)
    assert model.removed_members_[0]["member"] == "again"
    assert model.removed_members_[0]["kept"] == "bayes"
    assert model.condition_after_ < model.condition_before_
    assert model.score(X, names) > 0.93
    np.testing.assert_allclose(model.predict_proba(X).sum(1), 1)
    assert np.isfinite(model.oof_log_loss_)
    ready = RegularizedStackingClassifier(cv=3).fit(model.oof_matrix_, names)
    np.testing.assert_allclose(ready.oof_probabilities_, model.oof_probabilities_)


def test_members_with_other_classes_are_named(iris):
    X, y = iris
    two = LogisticRegression(max_iter=1000).fit(X, np.where(y == 2, 7, y))
    with pytest.raises(ArgumentError, match=r"member two knows the classes \[0, 1, 7\]"):
        RegularizedStackingClassifier([("two", two)], prefit=True).fit(X, y)
    with pytest.raises(ArgumentError, match=r"expected a probability for each class: \(N, K, 3\)"):
        RegularizedStackingClassifier().fit(np.zeros((150, 2, 4)), y)
    with pytest.raises(ArgumentError, match="no predict_proba"):
        RegularizedStackingClassifier([("ridge", Ridge())]).fit(X, y)
    with pytest.raises(ArgumentError, match="1 class only"):
        RegularizedStackingClassifier(classifiers()).fit(X, np.zeros(150))


def test_a_member_that_met_fewer_classes_gives_the_rest_nothing(iris):
    X, y = iris
    few = GaussianNB().fit(X[:100], y[:100])
    options = {"prefit": True, "cv": 3}
    pair = [("few", few), ("all", GaussianNB().fit(X, y))]
    with pytest.warns(UnusualUseWarning, match=r"\(few class 2 in 1 of 1 fits\) .* a millionth"):
        model = RegularizedStackingClassifier(pair, **options).fit(X, y)
    assert (model.oof_matrix_[:, 0, 2] == 0).all()


def test_rows_that_lack_a_class_are_named(iris):
    X, y = iris
    model = RegularizedStackingClassifier([("bayes", GaussianNB().fit(X, y))], prefit=True, cv=3)
    with pytest.raises(ArgumentError, match="has no row of class 2, which member bayes knows"):
        model.fit(X[:100], y[:100])
    with pytest.raises(ArgumentError, match=r"rows of 2 classes, \[0, 1\], .* rows of every class"):
        RegularizedStackingClassifier().fit(np.full((100, 2, 3), 1 / 3), y[:100])
    groups = np.repeat([0, 1], 75)
    only = np.repeat([0, 1], 75)
    with pytest.raises(ArgumentError, match="75 rows .* are all of one class, number 0; use fewer"):
        RegularizedStackingClassifier(cv=GroupKFold(2)).fit(X, only, groups=groups)


def test_folds_that_lack_a_class_are_counted(iris):
    X, y = iris
    groups = np.where(y == 2, 0, 1 + np.arange(150) % 4)
    model = RegularizedStackingClassifier([("bayes", GaussianNB())], cv=GroupKFold(5))
    with pytest.warns(UnusualUseWarning, match=r"\(bayes class 2 in 1 of 5 fits\)"):
        model.fit(X, y, groups=groups)


def test_thresholds_of_classes_may_be_those_of_the_variance():
    """Ten classes: members that differ by as much as they err by both say something."""
    draw = np.random.default_rng(0)
    y = np.arange(400) % 10
    logits = 3 * np.eye(10)[y][:, None] + draw.normal(size=(400, 3, 10)) * 0.5
    shares = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    kept = {
        relative: RegularizedStackingClassifier(cv=3, strengths=(0.1,), relative=relative)
        .fit(shares, y)
        .kept_members_
        for relative in (False, True)
    }
    assert kept[False] == ["x1"]
    assert kept[True] == ["x0", "x1", "x2"]
    scores = logits[:, :, 0]
    plain, same = (
        RegularizedStackingClassifier(cv=3, strengths=(0.1,), relative=relative).fit(scores, y == 0)
        for relative in (False, True)
    )
    assert plain.kept_members_ == same.kept_members_


def test_regressions_of_classes_that_stop_early_are_said_once(iris):
    X, y = iris
    model = RegularizedStackingClassifier(classifiers(), cv=3, max_iter=2)
    with pytest.warns(ConvergenceWarning) as said:
        model.fit(X, y)
    (one,) = [str(one.message) for one in said if one.category is ConvergenceWarning]
    assert "of 49 logistic fits stopped at max_iter=2" in one
    assert "Raise max_iter, or lower the strengths" in one
    assert model.meta_model_.fits == 49 >= model.meta_model_.unconverged > 0


def test_near_copies_that_both_stay_are_named():
    X, y = rows()
    table = y[:, None] + np.random.default_rng(0).normal(size=(300, 2))
    table = np.column_stack([table, table[:, 0] + 1e-8 * X[:, 0]])
    options = {**QUICK, "penalties": ("ridge",)}
    with pytest.warns(UnusualUseWarning, match="members x0 and x2 say nearly the same .* raise"):
        RegularizedStackingRegressor(squared_difference=0.0, **options).fit(table, y)
    # One of them goes, and nothing is said.
    assert len(RegularizedStackingRegressor(**options).fit(table, y).kept_members_) == 2


def test_a_dull_classifier_is_left_out(iris):
    X, y = iris
    pair = [("dull", DummyClassifier(strategy="uniform")), ("bayes", GaussianNB())]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = RegularizedStackingClassifier(pair, cv=3).fit(X, y)
    assert any("members dull" in str(one.message) for one in said)
    assert model.kept_members_ == ["bayes"]
