"""Multinomial logistic regression whose penalty is chosen by nested cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from limbeck.bridges.sklearn.folds import Folds, inner_groups
from limbeck.errors import ArgumentError
from limbeck.functional.stack_columns import log_probabilities

# Losses that differ by this share are equal, and the stronger penalty is taken.
EQUAL = 1e-6


class NestedClassifier(NamedTuple):
    """A logistic regression of all rows and what it says of rows it did not see.

    Args:
        final: scaler and regression, fitted on all rows.
        oof: probabilities of rows by fits that did not see them ``(N, C)``; NaN where none.
        strength: the inverse penalty of `final`.
        fold_strengths: what was chosen in each fold that could be fitted.
        fits: how many regressions there were.
        unconverged: how many of them stopped early.
    """

    final: Pipeline
    oof: np.ndarray
    strength: float
    fold_strengths: tuple[float, ...]
    fits: int
    unconverged: int


def nested_logistic(
    features: np.ndarray,
    target: np.ndarray,
    weights: np.ndarray | None,
    folds: Folds,
    *,
    inner_cv: int,
    strengths: Sequence[float],
    max_iter: int,
) -> NestedClassifier:
    """Choose a penalty within each fold, predict what the fold holds out, then fit all rows.

    Args:
        features: ``(N, D)``.
        target: class indices ``(N,)``.
        weights: of the rows ``(N,)``, or None.
        folds: which rows are held out together.
        inner_cv: how many groups of whole folds choose a penalty.
        strengths: inverse penalties to choose from.
        max_iter: of each fit.

    Returns:
        The model, which counts the fits that stopped early.

    Raises:
        ArgumentError: no fold can be learned from, rows that train are of one class, or a
            strength is not above 0.
    """
    grid = np.sort(np.asarray(strengths, dtype=np.float64))
    if grid.size == 0 or not (grid > 0).all():
        raise ArgumentError(f"strengths are {grid.tolist()}, expected numbers above 0")
    search = _Search(features, target, weights, folds, inner_cv, grid, max_iter)
    oof = np.full((len(target), int(target.max()) + 1), np.nan)
    chosen = []
    for fold in range(len(folds.splits)):
        if before := folds.before(fold):
            strength = search.strength(before)
            held = folds.number == fold
            oof[held] = search.says(search.fit(before, strength), held)
            chosen.append(strength)
    if not chosen:
        raise ArgumentError(
            f"cv makes {len(folds.splits)} folds and none of them trains for another; expected "
            "at least two folds with out-of-fold predictions"
        )
    every = [*range(len(folds.splits))]
    strength = search.strength(every)
    final = search.fit(every, strength)
    return NestedClassifier(final, oof, strength, tuple(chosen), search.fits, search.unconverged)


def log_loss(
    probabilities: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Mean negative log-probability of the labels, in nats."""
    own = probabilities[np.arange(len(target)), target]
    return float(np.average(-log_probabilities(own), weights=weights))


def affine(final: Pipeline) -> tuple[np.ndarray, np.ndarray]:
    """A scaler and a logistic regression as affine maps, one a class.

    Args:
        final: as `NestedClassifier` holds it.

    Returns:
        Coefficients ``(C, D)`` of features as they come and constants ``(C,)``; their softmax
        gives the probabilities.
    """
    scaler, regression = final[0], final[-1]
    coef = regression.coef_ / scaler.scale_
    constant = regression.intercept_ - coef @ scaler.mean_
    if len(coef) == 1:
        # Of two classes there is one row, for the second.
        coef, constant = np.concatenate([0 * coef, coef]), np.append(0.0, constant)
    return coef, constant


class _Search:
    """Fits on the rows of some folds, which counts those that did not converge."""

    def __init__(
        self,
        features: np.ndarray,
        target: np.ndarray,
        weights: np.ndarray | None,
        folds: Folds,
        inner_cv: int,
        grid: np.ndarray,
        max_iter: int,
    ) -> None:
        self.features, self.target, self.weights, self.folds = features, target, weights, folds
        self.inner_cv, self.grid, self.max_iter = inner_cv, grid, max_iter
        self.fits = self.unconverged = 0

    def rows(self, folds: list[int]) -> np.ndarray:
        return np.isin(self.folds.number, folds)

    def strength(self, learned: list[int]) -> float:
        """The smallest strength whose mean loss on inner folds is the least."""
        groups = inner_groups(self.folds, learned, self.inner_cv)
        if not groups or len(self.grid) == 1:
            # One fold cannot be learned from and judged on: the middle of the grid is taken.
            return float(self.grid[len(self.grid) // 2])
        losses = np.zeros(len(self.grid))
        for train, held in groups:
            rows = self.rows(held)
            shares = None if self.weights is None else self.weights[rows]
            for place, strength in enumerate(self.grid):
                said = self.says(self.fit(train, float(strength)), rows)
                losses[place] += log_loss(said, self.target[rows], shares)
        return float(self.grid[(losses <= losses.min() * (1 + EQUAL)).argmax()])

    def fit(self, learned: list[int], strength: float) -> Pipeline:
        """Scaler and regression on the rows of some folds."""
        rows = self.rows(learned)
        shares = None if self.weights is None else self.weights[rows]
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=strength, max_iter=self.max_iter, tol=1e-8)
        )
        options = {f"{name}__sample_weight": shares for name, _ in model.steps}
        if len(met := np.unique(self.target[rows])) < 2:
            raise ArgumentError(
                f"{int(rows.sum())} rows that the stack is learned from are all of one class, "
                f"number {met[0]}; use fewer folds, folds that keep the shares of classes, or "
                "more rows"
            )
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model.fit(self.features[rows], self.target[rows], **options)
        self.fits += 1
        # One word about all of them comes at the end.
        self.unconverged += any(issubclass(one.category, ConvergenceWarning) for one in said)
        for one in said:
            if not issubclass(one.category, ConvergenceWarning):
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        return model

    def says(self, model: Pipeline, rows: np.ndarray) -> np.ndarray:
        """Probabilities of some rows; a class that was not met has 0."""
        table = np.zeros((int(rows.sum()), int(self.target.max()) + 1))
        table[:, model[-1].classes_] = model.predict_proba(self.features[rows])
        return table
