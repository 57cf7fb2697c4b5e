"""Stacking of 72 members over 100 000 rows: projection, and the whole pipeline against a peer.

The peer is the ridge part of the pipeline with scikit-learn's cross-validated estimators on the
same features: in each of ten folds a scaler and `RidgeCV` over the same fifty penalties with three
inner folds, then once on all rows. It is timed on one fold and taken eleven times. The figure is
how many times faster the ridge part is here; the time of all three penalties with projection and
row statistics, and of greedy hill climbing, is shown beside it.
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
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from limbeck.bridges.sklearn import RegularizedStackingRegressor, make_folds
from limbeck.bridges.sklearn.linear import RIDGE_ALPHAS, Table, nested
from limbeck.functional import greedy_weights, redundancy_projection, row_statistics

ROWS, MEMBERS, FOLDS = 100_000, 72, 10
TARGET, PROJECTION_SECONDS, PIPELINE_SECONDS = 3.0, 0.5, 120.0
THREADS = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object, last line")
    arguments = parser.parse_args()
    with threadpool_limits(THREADS), warnings.catch_warnings():
        # Shared errors and row statistics leave coordinate descent at its limit of passes.
        warnings.simplefilter("ignore", ConvergenceWarning)
        rows = measured()
    for name, seconds in rows.items():
        print(f"{name:24} {seconds:8.3f} s", file=sys.stderr)
    figure = rows["ridge, peer"] / rows["ridge"]
    result = {
        "benchmark": "stacking",
        "figure": round(figure, 2),
        "baseline": 1.0,
        "target": TARGET,
        "held": figure >= TARGET
        and rows["projection"] <= PROJECTION_SECONDS
        and rows["pipeline"] <= PIPELINE_SECONDS,
        "threads": THREADS,
        "seconds": {name: round(seconds, 3) for name, seconds in rows.items()},
    }
    print(json.dumps(result) if arguments.json else result)


def measured() -> dict[str, float]:
    """Seconds of each part."""
    table, target = predictions()
    found = redundancy_projection(table, target, relative=True)
    features = row_statistics(table[:, found.kept])
    folds = make_folds(FOLDS, features, target)
    pipeline = RegularizedStackingRegressor()
    return {
        "projection": timed(redundancy_projection, table, target, repeats=3),
        "ridge": timed(lambda: nested("ridge", Table(features, target, None, folds))),
        "ridge, peer": timed(peer, features, target, folds.splits[0][0]) * (FOLDS + 1),
        "pipeline": timed(pipeline.fit, table, target),
        "greedy hill climbing": timed(greedy_weights, table, target),
    }


def predictions() -> tuple[np.ndarray, np.ndarray]:
    """Members that share most of their errors, as models of one table do."""
    draw = np.random.default_rng(0)
    target = draw.standard_normal(ROWS)
    shared = draw.standard_normal((ROWS, 8)) @ draw.uniform(0, 0.25, (8, MEMBERS))
    own = draw.uniform(0.05, 0.3, MEMBERS) * draw.standard_normal((ROWS, MEMBERS))
    return 0.75 * target[:, None] + shared + own, target


def peer(features: np.ndarray, target: np.ndarray, train: np.ndarray) -> None:
    """One fold of the same nested search by cross-validated estimators."""
    standard = StandardScaler().fit_transform(features[train])
    RidgeCV(RIDGE_ALPHAS, scoring="neg_root_mean_squared_error", cv=3).fit(standard, target[train])


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
