"""Penalised regressions whose penalty is chosen by nested cross-validation over shared sums."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from limbeck.bridges.sklearn.folds import Folds, inner_groups
from limbeck.errors import ArgumentError
from limbeck.functional.moments import (
    Moments,
    combined,
    compressed,
    deviations,
    intercepts,
    mean_squared_errors,
    rescaled,
    ridge_path,
    table_moments,
)

Kind = Literal["ridge", "lasso", "elasticnet"]
KINDS: tuple[Kind, ...] = ("ridge", "lasso", "elasticnet")
RIDGE_ALPHAS = np.logspace(-3, 5, 50)
LASSO_ALPHAS = np.logspace(-5, 1, 30)
L1_RATIOS = (0.1, 0.5, 0.7, 0.9, 0.95, 0.99, 1.0)
# Of the squared size of the target, as in scikit-learn.
TOLERANCE = 1e-4
# An error of this share of the target's variance counts as none.
EXACT = 1e-10
# Where warm starts stand still, errors of neighbouring penalties differ by rounding alone.
EQUAL = 1e-9
Pair = tuple[Moments, Moments]


class Penalty(NamedTuple):
    """How strong a penalty is and, of an elastic net, how much of it is on absolute weights."""

    alpha: float
    l1_ratio: float


class LinearModel(NamedTuple):
    """One penalised regression on standardised features.

    Args:
        penalty: what was chosen.
        mean: of the features, ``(D,)``.
        scale: their deviations, ``(D,)``.
        coef: for standardised features, ``(D,)``.
        intercept: the prediction where every feature is at its mean.
    """

    penalty: Penalty
    mean: np.ndarray
    scale: np.ndarray
    coef: np.ndarray
    intercept: float

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predictions for rows of features ``(N, D)``, ``(N,)``."""
        return ((features - self.mean) / self.scale) @ self.coef + self.intercept


class NestedModel(NamedTuple):
    """A penalised regression of all rows and what it says of rows it did not see.

    Args:
        kind: ``"ridge"``, ``"lasso"`` or ``"elasticnet"``.
        final: fitted on all rows.
        oof: predictions of rows by fits that did not see them, ``(N,)``; NaN where there is none.
        fold_penalties: what was chosen in each fold that could be fitted.
        passes: of coordinate descent in the longest fit; 1 for ridge.
        fits: by coordinate descent; 0 for ridge.
        unconverged: how many of them stopped at `max_iter`.
    """

    kind: Kind
    final: LinearModel
    oof: np.ndarray
    fold_penalties: tuple[Penalty, ...]
    passes: int
    fits: int
    unconverged: int

    @property
    def sparsity(self) -> float:
        """Share of coefficients that are 0."""
        return float(np.mean(np.abs(self.final.coef) < 1e-10))


class Table:
    """Features and target with their sums by fold, shared by all penalised regressions.

    Args:
        features: ``(N, D)``.
        target: ``(N,)``.
        weights: of the rows ``(N,)``, or None.
        folds: which rows are held out together; each row is in one.
        inner_cv: how many groups choose a penalty.
        inner_split: whether these are groups of whole folds, or runs of neighbouring rows as in
            the authors' code.
    """

    def __init__(
        self,
        features: np.ndarray,
        target: np.ndarray,
        weights: np.ndarray | None,
        folds: Folds,
        *,
        inner_cv: int = 3,
        inner_split: Literal["folds", "rows"] = "folds",
    ) -> None:
        self.rows = np.column_stack([features, target])
        self.weights = weights
        self.folds = folds
        self.inner_cv = inner_cv
        self.inner_split = inner_split
        self.parts = [self._sums(folds.number == fold) for fold in range(len(folds.splits))]
        every = [*range(len(self.parts))]
        self.outer = {fold: folds.before(fold) for fold in every if folds.before(fold)}
        if not self.outer:
            raise ArgumentError(
                f"cv makes {len(every)} folds and none of them trains for another; expected at "
                "least two folds with out-of-fold predictions"
            )
        self.pairs = {fold: self._pairs(before) for fold, before in self.outer.items()}
        self.final_pairs = self._pairs(every)

    def _pairs(self, learned: list[int]) -> list[Pair]:
        """Sums of rows that train and that are held out, to choose a penalty with."""
        if self.inner_split == "folds":
            groups = inner_groups(self.folds, learned, self.inner_cv)
            if groups:
                return [(self.sums(train), self.sums(held)) for train, held in groups]
        # Of a single fold only its rows can be dealt.
        rows = np.flatnonzero(np.isin(self.folds.number, learned))
        if len(rows) < 2 * self.inner_cv:
            raise ArgumentError(
                f"{len(rows)} rows are left to choose a penalty with {self.inner_cv} inner folds, "
                f"expected at least {2 * self.inner_cv}; use fewer folds or more rows"
            )
        blocks = []
        for part in np.array_split(rows, self.inner_cv):
            chosen = np.zeros(len(self.rows), dtype=bool)
            chosen[part] = True
            blocks.append(self._sums(chosen))
        return [
            (combined(blocks[:held] + blocks[held + 1 :]), blocks[held])
            for held in range(len(blocks))
        ]

    def sums(self, folds: list[int]) -> Moments:
        """Moments of the rows of some folds."""
        return combined(self.parts[fold] for fold in folds)

    def _sums(self, chosen: np.ndarray) -> Moments:
        return table_moments(
            self.rows[chosen], None if self.weights is None else self.weights[chosen]
        )


def nested(
    kind: Kind,
    table: Table,
    *,
    alphas: Sequence[float] | np.ndarray | None = None,
    l1_ratios: Sequence[float] = L1_RATIOS,
    max_iter: int = 10_000,
) -> NestedModel:
    r"""Choose a penalty within each fold, predict what the fold holds out, then fit all rows.

    Ridge minimises :math:`\|y - Zw\|^2 + \alpha \|w\|_2^2`, the others
    :math:`\frac{1}{2n}\|y - Zw\|^2 + \alpha \lambda \|w\|_1 + \frac{\alpha (1 - \lambda)}{2}
    \|w\|_2^2` with :math:`\lambda = 1` for lasso, on standardised features with an intercept.

    Args:
        kind: ``"ridge"``, ``"lasso"`` or ``"elasticnet"``.
        table: features, target and folds.
        alphas: penalties to choose from, in rising order; None takes the published grid.
        l1_ratios: what elastic net chooses :math:`\lambda` from.
        max_iter: passes of coordinate descent at most.

    Returns:
        The model, which counts the fits that stopped early.

    Raises:
        ArgumentError: a penalty is not above 0.

    Example:
        >>> from limbeck.bridges.sklearn.folds import make_folds
        >>> features = np.arange(12.0)[:, None]
        >>> folds = make_folds(4, features, np.zeros(12))
        >>> found = nested("ridge", Table(features, 2 * features[:, 0], None, folds))
        >>> found.final.predict(np.array([[100.0]])).round(1).tolist()
        [200.0]

    Source: arXiv 2602.12469, regularised meta-learners.
    """
    grid = _grid(kind, alphas)
    ratios = {"ridge": (0.0,), "lasso": (1.0,), "elasticnet": tuple(l1_ratios)}[kind]
    solve = _Solver(kind, max_iter)
    oof = np.full(len(table.rows), np.nan)
    chosen = []
    for fold, before in table.outer.items():
        model = solve.model(table.sums(before), table.pairs[fold], grid, ratios)
        held = table.folds.number == fold
        oof[held] = model.predict(table.rows[held, :-1])
        chosen.append(model.penalty)
    every = table.sums([*range(len(table.parts))])
    final = solve.model(every, table.final_pairs, grid, ratios)
    return NestedModel(kind, final, oof, tuple(chosen), solve.passes, solve.fits, solve.unconverged)


class _Solver:
    """Fits of one kind, which counts those that did not converge."""

    def __init__(self, kind: Kind, max_iter: int) -> None:
        self.kind = kind
        self.max_iter = max_iter
        self.fits = 0
        self.passes = 1
        self.unconverged = 0

    def model(
        self, rows: Moments, pairs: list[Pair], alphas: np.ndarray, ratios: tuple[float, ...]
    ) -> LinearModel:
        """Standardise by the rows, choose a penalty on the pairs, fit the rows."""
        scale = deviations(rows)
        penalty = self.choose(
            [(rescaled(train, scale), rescaled(held, scale)) for train, held in pairs],
            alphas,
            ratios,
        )
        standard = rescaled(rows, scale)
        coef = self.path(standard, np.array([penalty.alpha]), penalty.l1_ratio)[0]
        return LinearModel(penalty, rows.mean[:-1], scale, coef, float(rows.mean[-1]))

    def choose(self, pairs: list[Pair], alphas: np.ndarray, ratios: tuple[float, ...]) -> Penalty:
        """The penalty with the least mean error on held-out folds; ties go to the first."""
        best, found = np.inf, Penalty(float(alphas[0]), ratios[0])
        for ratio in ratios:
            errors = np.mean([self.errors(*pair, alphas, ratio) for pair in pairs], axis=0)
            least = errors.min()
            if least < best * (1 - EQUAL):
                first = int((errors <= least * (1 + EQUAL)).argmax())
                best, found = least, Penalty(float(alphas[first]), ratio)
        return found

    def errors(self, train: Moments, held: Moments, alphas: np.ndarray, ratio: float) -> np.ndarray:
        """Error of each penalty on held-out rows: root mean squared for ridge, else squared."""
        coefficients = self.path(train, alphas, ratio)
        squared = mean_squared_errors(held, coefficients, intercepts(train, coefficients))
        # Below this, sums tell rounding and not which penalty is better.
        squared = np.maximum(squared, EXACT * train.scatter[-1, -1] / train.weight)
        return np.sqrt(squared) if self.kind == "ridge" else squared

    def path(self, rows: Moments, alphas: np.ndarray, ratio: float) -> np.ndarray:
        """Coefficients for each penalty ``(A, D)``; all but ridge from large to small."""
        if self.kind == "ridge":
            return ridge_path(rows, alphas)
        features, target = compressed(rows)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            _, coefficients, _, passes = enet_path(
                np.asfortranarray(features),
                np.ascontiguousarray(target),
                alphas=alphas * rows.weight / len(features),
                l1_ratio=ratio,
                precompute=np.ascontiguousarray(rows.scatter[:-1, :-1]),
                Xy=np.ascontiguousarray(rows.scatter[:-1, -1]),
                # Checks of every input again for every penalty take longer than most fits.
                check_input=False,
                max_iter=self.max_iter,
                tol=TOLERANCE,
                return_n_iter=True,
            )
        self.passes = max(self.passes, *passes)
        self.fits += len(alphas)
        self.unconverged += sum(issubclass(one.category, ConvergenceWarning) for one in said)
        return np.ascontiguousarray(coefficients.T)


def _grid(kind: Kind, alphas: Sequence[float] | np.ndarray | None) -> np.ndarray:
    """Penalties in the order in which ties are broken: ridge rising, the others falling."""
    if alphas is None:
        alphas = RIDGE_ALPHAS if kind == "ridge" else LASSO_ALPHAS
    grid = np.sort(np.asarray(alphas, dtype=np.float64))
    if grid.size == 0 or not (grid > 0).all() or not np.isfinite(grid).all():
        raise ArgumentError(f"alphas of {kind} are {grid.tolist()}, expected numbers above 0")
    return grid if kind == "ridge" else grid[::-1]
