"""What scikit-learn users expect: stacking, and fitted estimators as bytes."""

from limbeck.bridges.sklearn.classifier import RegularizedStackingClassifier
from limbeck.bridges.sklearn.folds import Folds, make_folds
from limbeck.bridges.sklearn.members import named_members, oof_predictions
from limbeck.bridges.sklearn.regressor import RegularizedStackingRegressor
from limbeck.bridges.sklearn.storing import estimator_bytes, read_estimator

__all__ = [
    "Folds",
    "RegularizedStackingClassifier",
    "RegularizedStackingRegressor",
    "estimator_bytes",
    "make_folds",
    "named_members",
    "oof_predictions",
    "read_estimator",
]
