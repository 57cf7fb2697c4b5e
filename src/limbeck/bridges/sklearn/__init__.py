"""Stacking as scikit-learn users expect it."""

from limbeck.bridges.sklearn.classifier import RegularizedStackingClassifier
from limbeck.bridges.sklearn.folds import Folds, make_folds
from limbeck.bridges.sklearn.members import named_members, oof_predictions
from limbeck.bridges.sklearn.regressor import RegularizedStackingRegressor

__all__ = [
    "Folds",
    "RegularizedStackingClassifier",
    "RegularizedStackingRegressor",
    "make_folds",
    "named_members",
    "oof_predictions",
]
