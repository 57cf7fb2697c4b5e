"""Regularised stacking for regression: few members, row statistics, three penalties, one blend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from limbeck.bridges.sklearn.base import Stacking, warn_unconverged
from limbeck.bridges.sklearn.linear import KINDS, L1_RATIOS, NestedModel, Table, nested
from limbeck.errors import ArgumentError
from limbeck.functional.blends import inverse_error_weights, weight_gini
from limbeck.functional.stack_columns import row_statistics
from limbeck.functional.stacking import member_errors, redundancy_projection


class RegularizedStackingRegressor(RegressorMixin, Stacking):
    """Stack the out-of-fold predictions of members that do not repeat each other.

    Near-duplicate members go, statistics of each row come, and ridge, lasso and elastic net with
    penalties chosen by nested cross-validation are blended by their inverse errors. All three and
    all folds share one pass over the data. Members that went are not fitted for prediction.

    Args:
        members: estimators or pairs of name and estimator; None if X holds the out-of-fold
            predictions themselves, a column a member.
        prefit: members are fitted already, on other rows than those given to ``fit``.
        cv: number of shuffled folds, a splitter (groups and time series included), or pairs of
            indices. Rows that are never held out are not stacked on.
        inner_cv: how many groups of folds choose a penalty.
        inner_split: ``"folds"`` keeps outer folds whole, and with them groups and order in time;
            ``"rows"`` cuts the training rows into runs, as the authors' code does.
        correlation: members go that correlate at least so much with a better one
        squared_difference: and whose mean squared difference from it is at most this.
        variance: members with less variance go.
        relative: the two above are multiples of the target's variance. The authors' are in
            squared units of the target.
        statistics: add mean, deviation, median and range of each row.
        interactions: add mean and range times deviation.
        penalties: which of ``"ridge"``, ``"lasso"`` and ``"elasticnet"`` are blended.
        alphas: strengths to choose from, by penalty; what is missing takes the published grid.
        l1_ratios: shares of absolute weights that elastic net chooses from.
        refit: predict by members fitted on all rows; False averages those of the folds.
        max_iter: passes of coordinate descent at most; the authors' code takes 10 000.
        random_state: of the shuffle of a number of folds.

    Attributes:
        oof_matrix_: out-of-fold predictions of all members ``(N, K)``, NaN where there are none.
        oof_rows_: the rows that were stacked on.
        kept_members_, removed_members_: names that stay; for each that went a dict with the
            reason, the better member, both errors, correlation and squared difference.
        condition_before_, condition_after_: of the correlations of members.
        meta_models_: for each penalty what was chosen, coefficients and out-of-fold predictions.
        weights_: of the penalties in the blend.
        oof_prediction_: the blend for rows that were not seen ``(N,)``, NaN where there is none.
        oof_rmse_: its error; slightly too good, for members were ranked on the same rows.
        n_iter_: passes of coordinate descent in the longest fit.
        gini_: of the absolute blended weights of standardised features.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn.linear_model import LinearRegression, Ridge
        >>> from sklearn.neighbors import KNeighborsRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> members = [("a", Ridge(0.1)), ("b", LinearRegression()), ("c", KNeighborsRegressor(9))]
        >>> stack = RegularizedStackingRegressor(members, penalties=("ridge",)).fit(X, y)
        >>> stack.kept_members_, stack.removed_members_[0]["reason"]
        (['a', 'c'], 'duplicate')

    Source: arXiv 2602.12469.
    """

    def __init__(
        self,
        members: Any = None,
        *,
        prefit: bool = False,
        cv: Any = 10,
        inner_cv: int = 3,
        inner_split: Literal["folds", "rows"] = "folds",
        correlation: float = 0.95,
        squared_difference: float = 0.01,
        variance: float = 0.01,
        relative: bool = True,
        statistics: bool = True,
        interactions: bool = True,
        penalties: Sequence[str] = KINDS,
        alphas: dict[str, Sequence[float]] | None = None,
        l1_ratios: Sequence[float] = L1_RATIOS,
        refit: bool = True,
        max_iter: int = 1000,
        random_state: int | None = 42,
    ) -> None:
        self.members = members
        self.prefit = prefit
        self.cv = cv
        self.inner_cv = inner_cv
        self.inner_split = inner_split
        self.correlation = correlation
        self.squared_difference = squared_difference
        self.variance = variance
        self.relative = relative
        self.statistics = statistics
        self.interactions = interactions
        self.penalties = penalties
        self.alphas = alphas
        self.l1_ratios = l1_ratios
        self.refit = refit
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> RegularizedStackingRegressor:
        """Fit members fold by fold, choose among them and fit what is stacked on them.

        Args:
            X: rows for the members, or their out-of-fold predictions ``(N, K)``.
            y: target ``(N,)``.
            sample_weight: of the rows ``(N,)``.
            groups: of the rows ``(N,)``, for splitters that keep groups together.

        Returns:
            Itself.
        """
        self._check_choice("inner_split", ("folds", "rows"))
        if not self.penalties or not set(self.penalties) <= set(KINDS):
            raise ArgumentError(
                f"penalties is {self.penalties!r}, expected at least one of {', '.join(KINDS)}"
            )
        if self.members is None:
            X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        else:
            X, y = validate_data(self, X, y, skip_check_array=True)
        y = column_or_1d(y, warn=True).astype(np.float64)
        collected = self._collect(X, y, sample_weight, groups, None)
        table, target, weights, folds = collected[:4]
        found = redundancy_projection(
            table,
            target,
            weights=weights,
            correlation=self.correlation,
            squared_difference=self.squared_difference,
            variance=self.variance,
            relative=self.relative,
        )
        self._stack(
            Table(
                self._features(table[:, found.kept]),
                target,
                weights,
                folds,
                inner_cv=self.inner_cv,
                inner_split=self.inner_split,
            ),
            len(y),
        )
        self._keep(found, collected, X, y, sample_weight)
        warn_unconverged(self.meta_models_, self.max_iter, "raise the smallest of alphas")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Blend what is stacked on the members' predictions of new rows.

        Args:
            X: rows for the members, or predictions of all K members ``(N, K)``.

        Returns:
            ``(N,)``.
        """
        features = self._features(self._predictions(X))
        each = [one.final.predict(features) * self.weights_[kind] for kind, one in self._models()]
        return np.sum(each, axis=0)

    def affine(self) -> tuple[np.ndarray, float]:
        r"""The blend with its scalers as one affine map of the features.

        .. math:: w = \sum_g v_g \, c_g / s_g, \qquad b = \sum_g v_g (b_g - m_g^\top c_g / s_g)

        Returns:
            Coefficients ``(D,)`` of predictions and row statistics as they come, and the constant.
        """
        check_is_fitted(self)
        shares = [self.weights_[kind] for kind, _ in self._models()]
        finals = [one.final for _, one in self._models()]
        slopes = [one.coef / one.scale for one in finals]
        constants = [
            one.intercept - float(slope @ one.mean)
            for one, slope in zip(finals, slopes, strict=True)
        ]
        return np.asarray(shares) @ np.stack(slopes), float(np.dot(shares, constants))

    def _stack(self, table: Table, rows: int) -> None:
        self.meta_models_: dict[str, NestedModel] = {
            kind: nested(
                kind,
                table,
                alphas=(self.alphas or {}).get(kind),
                l1_ratios=self.l1_ratios,
                max_iter=self.max_iter,
            )
            for kind in KINDS
            if kind in self.penalties
        }
        self.n_iter_ = max(one.passes for _, one in self._models())
        columns = np.column_stack([one.oof for _, one in self._models()])
        known = np.isfinite(columns).all(1)
        target = table.rows[known, -1]
        weights = None if table.weights is None else table.weights[known]
        shares = inverse_error_weights(columns[known], target, weights=weights)
        self.weights_ = dict(zip(self.meta_models_, shares.tolist(), strict=True))
        blended = columns @ shares
        self.oof_prediction_ = np.full(rows, np.nan)
        self.oof_prediction_[self.oof_rows_] = blended
        self.oof_rmse_ = float(member_errors(blended[known, None], target, weights)[0])
        self.gini_ = weight_gini(
            np.sum([self.weights_[kind] * one.final.coef for kind, one in self._models()], axis=0)
        )

    def _models(self) -> list[tuple[str, NestedModel]]:
        return [*self.meta_models_.items()]

    def _features(self, predictions: np.ndarray) -> np.ndarray:
        return row_statistics(
            predictions, statistics=self.statistics, interactions=self.interactions
        )
