"""Estimators by name: found however they are written, made for the task, or refused."""

import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from limbeck.bridges.sklearn.named import named_estimator
from limbeck.errors import ArgumentError, ModelError, UnknownNameError


@pytest.mark.parametrize(
    ("name", "task", "kind"),
    [
        ("random-forest", "classification", RandomForestClassifier),
        ("random-forest", "regression", RandomForestRegressor),
        ("RandomForestRegressor", "regression", RandomForestRegressor),
        ("random-forest-regressor", "regression", RandomForestRegressor),
        ("ridge", "regression", Ridge),
        ("k-neighbors", "regression", KNeighborsRegressor),
        ("KNeighborsRegressor", "regression", KNeighborsRegressor),
        ("gaussian-nb", "classification", GaussianNB),
        ("logistic-regression", "classification", LogisticRegression),
        ("linear_regression", "regression", LinearRegression),
    ],
)
def test_names_stand_for_classes_of_the_task(name, task, kind):
    assert type(named_estimator(f"sklearn:{name}", task)) is kind


def test_options_are_arguments_and_draws_hang_on_the_seed():
    made = named_estimator("sklearn:random-forest?n_estimators=7&max_depth=3", "regression", seed=5)
    assert (made.n_estimators, made.max_depth, made.random_state) == (7, 3, 5)
    large = named_estimator("sklearn:random-forest", "regression", seed=2**63 + 7)
    assert large.random_state == 7
    own = named_estimator("sklearn:random-forest?random_state=3", "regression", seed=5)
    assert own.random_state == 3


def test_inputs_are_scaled_where_that_is_asked_for():
    first, second = named_estimator("sklearn:k-neighbors?scale=true", "regression")
    assert isinstance(first, StandardScaler)
    assert isinstance(second, KNeighborsRegressor)
    plain = named_estimator("sklearn:k-neighbors?scale=false", "regression")
    assert isinstance(plain, KNeighborsRegressor)


@pytest.mark.parametrize(
    ("name", "task", "error", "words"),
    [
        ("random-forrest", "regression", UnknownNameError, "no regressor.*mean random-forest"),
        ("", "regression", UnknownNameError, "scikit-learn has no regressor ''"),
        ("ridge?alfa=1", "regression", ArgumentError, "no option 'alfa'; did you mean alpha"),
        ("ridge?alpha=-1", "regression", ArgumentError, "alpha.*must be a float in the range"),
        ("ridge?alpha=much", "regression", ArgumentError, "alpha.*Got 'much'"),
        ("ridge?scale=2", "regression", ArgumentError, "scale is 2, expected true or false"),
        ("linear-regression", "classification", ModelError, "which is not for classification"),
        ("gaussian-nb", "regression", ModelError, "GaussianNB, which is not for regression"),
        ("linear-svc", "classification", ModelError, "no predict_proba.*CalibratedClassifierCV"),
        ("stacking", "regression", ArgumentError, "cannot be made from a name alone.*estimators"),
        ("random-forest", "multilabel", ModelError, "cannot learn multilabel"),
    ],
)
def test_wrong_names_are_refused(name, task, error, words):
    with pytest.raises(error, match=f"(?s){words}"):
        named_estimator(f"sklearn:{name}", task)
