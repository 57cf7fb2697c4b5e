"""Stacking of 72 members over 100 000 rows: the whole pipeline against scikit-learn's estimators.

The peer is the same pipeline with scikit-learn's cross-validated estimators: in each of ten folds a
scaler, then `RidgeCV`, `LassoCV` and `ElasticNetCV` over the same penalties with three inner folds,
and once more on all rows. They are timed on one fold and taken eleven times. The figure is how many
times faster the pipeline is here; beside it stand its parts, greedy hill climbing, and the errors
of both on rows that were not seen.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNetCV, LassoCV, RidgeCV
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from limbeck.bridges.sklearn import Folds, RegularizedStackingRegressor, make_folds
from limbeck.bridges.sklearn.linear import (
    L1_RATIOS,
    LASSO_ALPHAS,
    RIDGE_ALPHAS,
    Table,
    nested,
)
from limbeck.functional import blend, greedy_weights, redundancy_projection, row_statistics

ROWS, MEMBERS, FOLDS = 100_000, 72, 10
TARGET, PROJECTION_SECONDS, PIPELINE_SECONDS = 3.0, 0.5, 120.0
THREADS, PASSES = 1, 1000
KINDS = ("ridge", "lasso", "elastic net")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object, last line")
    arguments = parser.parse_args()
    with threadpool_limits(THREADS), warnings.catch_warnings():
        # Shared errors and row statistics leave coordinate descent at its limit of passes.
        warnings.simplefilter("ignore", ConvergenceWarning)
        seconds, errors = measured()
    for name, value in seconds.items():
        print(f"{name:24} {value:8.3f} s", file=sys.stderr)
    for name, value in errors.items():
        print(f"{name:24} {value:8.5f} rmse", file=sys.stderr)
    figure = seconds["pipeline, peer"] / seconds["pipeline"]
    result = {
        "benchmark": "stacking",
        "figure": round(figure, 2),
        "baseline": 1.0,
        "target": TARGET,
        "held": figure >= TARGET
        and seconds["projection"] <= PROJECTION_SECONDS
        and seconds["pipeline"] <= PIPELINE_SECONDS,
        "threads": THREADS,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "rmse": {name: round(value, 6) for name, value in errors.items()},
    }
    print(json.dumps(result) if arguments.json else result)


def measured() -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of each part, and errors on rows that were not seen."""
    table, target = predictions()
    seconds = {
        "projection": timed(redundancy_projection, table, target, repeats=3),
    }
    found = redundancy_projection(table, target, relative=True)
    seconds["row statistics"] = timed(row_statistics, table[:, found.kept])
    features = row_statistics(table[:, found.kept])
    folds = make_folds(FOLDS, features, target)
    seconds["ridge"] = timed(lambda: nested("ridge", Table(features, target, None, folds)))
    stack = RegularizedStackingRegressor(max_iter=PASSES)
    seconds["pipeline"] = timed(stack.fit, table, target)
    for kind in KINDS:
        seconds[f"{kind}, peer"] = timed(peer, kind, features, target, folds) * (FOLDS + 1)
    shared = seconds["projection"] + seconds["row statistics"]
    seconds["pipeline, peer"] = shared + sum(seconds[f"{kind}, peer"] for kind in KINDS)
    seconds["greedy hill climbing"] = timed(greedy_weights, table, target)
    return seconds, errors_of(table, target, stack)


def errors_of(
    table: np.ndarray, target: np.ndarray, stack: RegularizedStackingRegressor
) -> dict[str, float]:
    """Errors on other rows of the same members."""
    fresh, truth = predictions(draw=1)
    said = {
        "pipeline": stack.predict(fresh),
        "greedy hill climbing": blend(fresh, greedy_weights(table, target)),
        "plain ridge": RidgeCV(RIDGE_ALPHAS).fit(table, target).predict(fresh),
        "simple average": fresh.mean(1),
    }
    return {name: float(np.sqrt(np.mean((one - truth) ** 2))) for name, one in said.items()}


def predictions(draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Members that share most of their errors, as models of one table do."""
    # The members are the same whatever the draw of the rows.
    made = np.random.default_rng(0)
    loads, own = made.uniform(0, 0.25, (8, MEMBERS)), made.uniform(0.05, 0.3, MEMBERS)
    rows = np.random.default_rng(1 + draw)
    target = rows.standard_normal(ROWS)
    shared = rows.standard_normal((ROWS, 8)) @ loads
    return 0.75 * target[:, None] + shared + own * rows.standard_normal((ROWS, MEMBERS)), target


def peer(kind: str, features: np.ndarray, target: np.ndarray, folds: Folds) -> None:
    """One fold of the same nested search by a cross-validated estimator."""
    train = folds.splits[0][0]
    standard = StandardScaler().fit_transform(features[train])
    options: dict[str, Any] = {"alphas": LASSO_ALPHAS, "cv": 3, "max_iter": PASSES}
    estimators = {
        "ridge": RidgeCV(RIDGE_ALPHAS, scoring="neg_root_mean_squared_error", cv=3),
        "lasso": LassoCV(**options),
        "elastic net": ElasticNetCV(l1_ratio=list(L1_RATIOS), **options),
    }
    estimators[kind].fit(standard, target[train])


def timed(call: Callable[..., Any], *given: Any, repeats: int = 1) -> float:
    """Least seconds of a few calls."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call(*given)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
