"""Regularised stacking for classification: few members, log-odds, one penalised regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from limbeck.bridges.sklearn.base import Stacking, warn_unconverged
from limbeck.bridges.sklearn.logistic import affine, log_loss, nested_logistic
from limbeck.errors import ArgumentError
from limbeck.functional.stack_columns import class_rows, log_odds
from limbeck.functional.stacking import Projection, redundancy_projection


class RegularizedStackingClassifier(ClassifierMixin, Stacking):
    """Stack the out-of-fold probabilities of members that do not repeat each other.

    The published system is for regression; this is limbeck's own extension. Members are compared
    by their probabilities over all classes, those that stay are given as log-odds to a multinomial
    logistic regression whose penalty is chosen by nested cross-validation.

    Args:
        members: estimators or pairs of name and estimator, with ``predict_proba``; None if X holds
            the out-of-fold predictions: probabilities ``(N, K, C)``, or scores on any scale, such
            as log-odds, ``(N, K)``.
        prefit: members are fitted already, on other rows than those given to ``fit``.
        cv: number of shuffled folds that keep the shares of classes, a splitter, or pairs of
            indices. Rows that are never held out are not stacked on.
        inner_cv: how many groups of whole folds choose a penalty.
        correlation: members go that correlate at least so much with a better one
        squared_difference: and whose mean squared difference from it is at most this, of
            probabilities, or of scores with variance 1.
        variance: members with less variance, in the same units, go.
        relative: for probabilities the two above are multiples of the variance of what members
            are to say, 1 for a row's own class and 0 for others: 0.25 for two classes, 0.09 for
            ten, where 0.01 by itself is as much as a good member errs by. Scores have variance 1
            anyway.
        strengths: inverse penalties to choose from.
        refit: predict by members fitted on all rows; False averages those of the folds.
        max_iter: of each logistic regression.
        random_state: of the shuffle of a number of folds.

    Attributes:
        classes_: labels.
        oof_matrix_: out-of-fold predictions of all members ``(N, K, C)`` or ``(N, K)``.
        oof_rows_: the rows that were stacked on.
        kept_members_, removed_members_: names that stay; for each that went a dict with the
            reason, the better member and how like it is.
        condition_before_, condition_after_: of the correlations of members.
        meta_model_: what was chosen, the fitted regression, out-of-fold probabilities.
        oof_probabilities_: for rows that were not seen ``(N, C)``, NaN where there are none.
        oof_log_loss_: their loss; slightly too good, for members were ranked on the same rows.
        n_iter_: of the final regression.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.naive_bayes import GaussianNB
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> members = [("bayes", GaussianNB()), ("tree", DecisionTreeClassifier(max_depth=2))]
        >>> stack = RegularizedStackingClassifier(members, cv=3).fit(X, y)
        >>> stack.oof_matrix_.shape, stack.predict(X[:1]).tolist()
        ((150, 2, 3), [0])
    """

    def __init__(
        self,
        members: Any = None,
        *,
        prefit: bool = False,
        cv: Any = 5,
        inner_cv: int = 3,
        correlation: float = 0.95,
        squared_difference: float = 0.01,
        variance: float = 0.001,
        relative: bool = False,
        strengths: Sequence[float] = (0.001, 0.01, 0.1, 1.0, 10.0),
        refit: bool = True,
        max_iter: int = 1000,
        random_state: int | None = 42,
    ) -> None:
        self.members = members
        self.prefit = prefit
        self.cv = cv
        self.inner_cv = inner_cv
        self.correlation = correlation
        self.squared_difference = squared_difference
        self.variance = variance
        self.relative = relative
        self.strengths = strengths
        self.refit = refit
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> RegularizedStackingClassifier:
        """Fit members fold by fold, choose among them and fit what is stacked on them.

        Args:
            X: rows for the members, or their out-of-fold predictions.
            y: labels ``(N,)``.
            sample_weight: of the rows ``(N,)``.
            groups: of the rows ``(N,)``, for splitters that keep groups together.

        Returns:
            Itself.
        """
        if self.members is None:
            X, y = validate_data(self, X, y, dtype=np.float64, allow_nd=True)
        else:
            X, y = validate_data(self, X, y, skip_check_array=True)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ArgumentError(
                f"y holds 1 class only, {self.classes_.tolist()}, expected two to tell apart"
            )
        collected = self._collect(X, y, sample_weight, groups, self.classes_)
        table, labels, weights, folds = collected[:4]
        target = np.searchsorted(self.classes_, labels)
        found = self._project(table, target, weights)
        self.meta_model_ = nested_logistic(
            self._features(table[:, found.kept]),
            target,
            weights,
            folds,
            inner_cv=self.inner_cv,
            strengths=self.strengths,
            max_iter=self.max_iter,
        )
        self.n_iter_ = int(self.meta_model_.final[-1].n_iter_.max())
        known = np.isfinite(self.meta_model_.oof).all(1)
        self.oof_probabilities_ = np.full((len(y), len(self.classes_)), np.nan)
        self.oof_probabilities_[self.oof_rows_] = self.meta_model_.oof
        self.oof_log_loss_ = log_loss(
            self.meta_model_.oof[known], target[known], None if weights is None else weights[known]
        )
        self._keep(found, collected, X, y, sample_weight)
        warn_unconverged({"logistic": self.meta_model_}, self.max_iter, "lower the strengths")
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes for new rows.

        Args:
            X: rows for the members, or predictions of all K members.

        Returns:
            ``(N, C)``, classes in the order of ``classes_``.
        """
        check_is_fitted(self)
        features = self._features(self._predictions(X, self.classes_))
        return self.meta_model_.final.predict_proba(features)

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """The regression with its scaler as affine maps of the log-odds, one a class.

        Returns:
            Coefficients ``(C, D)`` of log-odds as they come and constants ``(C,)``; their softmax
            gives the probabilities.
        """
        check_is_fitted(self)
        return affine(self.meta_model_.final)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each row.

        Args:
            X: rows for the members, or predictions of all K members.

        Returns:
            ``(N,)``.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def _project(
        self, table: np.ndarray, target: np.ndarray, weights: np.ndarray | None
    ) -> Projection:
        """Which members stay; classes are rows of their own, so that all count alike."""
        options: dict[str, Any] = {
            "correlation": self.correlation,
            "squared_difference": self.squared_difference,
            "variance": self.variance,
        }
        if table.ndim == 3:
            if table.shape[2] != len(self.classes_):
                raise ArgumentError(
                    f"X has shape {table.shape} and y rows of {len(self.classes_)} classes, "
                    f"{self.classes_.tolist()}, expected a probability for each class: "
                    f"(N, K, {len(self.classes_)}); give rows of every class, or leave columns of "
                    "the others out"
                )
            shares = None if weights is None else weights.repeat(table.shape[2])
            return redundancy_projection(
                *class_rows(table, target), weights=shares, relative=self.relative, **options
            )
        scaled = _standardised(table, weights)
        return redundancy_projection(
            scaled,
            target,
            weights=weights,
            errors=_unexplained(scaled, np.eye(len(self.classes_))[target], weights),
            **options,
        )

    def _features(self, predictions: np.ndarray) -> np.ndarray:
        if predictions.ndim == 2:
            return predictions
        return log_odds(torch.from_numpy(predictions)).numpy()


def _standardised(table: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    centred = table - np.average(table, axis=0, weights=weights)
    deviation = np.sqrt(np.average(centred**2, axis=0, weights=weights))
    flat = deviation <= 1e-10 * np.abs(table).max(0)
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, deviation))


def _unexplained(scaled: np.ndarray, hot: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Root of the share of each score's variance that lies within classes, ``(K,)``."""
    shares = np.ones(len(hot)) if weights is None else weights
    sizes = shares @ hot
    means = (hot * shares[:, None]).T @ scaled / np.maximum(sizes, 1e-300)[:, None]
    return np.sqrt(np.maximum(0.0, 1 - sizes @ means**2 / sizes.sum()))
