"""The estimators pass scikit-learn's own checks."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from limbeck.bridges.sklearn import RegularizedStackingClassifier, RegularizedStackingRegressor

# Few fits, so that the checks take seconds; their data have hardly more rows than columns, where
# coordinate descent is stopped early.
QUICK = {"cv": 3, "l1_ratios": (0.5,), "max_iter": 300}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        RegularizedStackingRegressor(**QUICK),
        RegularizedStackingClassifier(cv=3, strengths=(0.1, 1.0)),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
