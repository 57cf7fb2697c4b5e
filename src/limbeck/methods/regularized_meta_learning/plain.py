"""Simpler stacks over the same members, which every report shows beside the regularised one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeCV

from limbeck.bridges.sklearn.classifier import log_odds
from limbeck.bridges.sklearn.linear import RIDGE_ALPHAS
from limbeck.bridges.sklearn.logistic import affine, nested_logistic
from limbeck.data import Data
from limbeck.functional import greedy_weights, inverse_error_weights
from limbeck.methods.regularized_meta_learning.members import MemberTable
from limbeck.products import StackedPredictor
from limbeck.products.stacking_rules import AverageRule, LinearRule, LogisticRule, Rule


def plain_stacks(
    found: MemberTable, data: Data, strengths: Sequence[float], max_iter: int, rounds: int
) -> dict[str, StackedPredictor]:
    """Averages of several kinds and one plain regression on the predictions as they are.

    Classes are weighed by the squared error of their probabilities.

    Args:
        found: predictions of rows that no member saw; nothing else is chosen on.
        data: that the stacks are for.
        strengths: inverse penalties that the plain logistic regression chooses from.
        max_iter: of that regression.
        rounds: of greedy hill climbing at most.

    Returns:
        Stacks by name, the simple average first. Members that count nothing are not in them.
    """
    flat = found.flat
    best = np.eye(len(found.names))[int(np.argmin(found.errors))]
    shares = {
        "simple average": np.ones(len(found.names)),
        "best single": best,
        "inverse-error average": inverse_error_weights(*flat),
    }
    stacks = {name: _average(weights, found, data) for name, weights in shares.items()}
    if found.classifies:
        rule = _plain_logistic(found, strengths, max_iter)
        stacks["plain logistic stack"] = _stack(range(len(found.names)), rule, found, data)
    else:
        stacks["plain ridge stack"] = _stack(
            range(len(found.names)), _plain_ridge(found), found, data
        )
    climbed = greedy_weights(*flat, rounds=rounds)
    return {**stacks, "greedy hill climbing": _average(climbed, found, data)}


def _plain_ridge(found: MemberTable) -> Rule:
    model = RidgeCV(RIDGE_ALPHAS).fit(found.table, found.target)
    return LinearRule(model.coef_, float(model.intercept_), statistics=False, interactions=False)


def _plain_logistic(found: MemberTable, strengths: Sequence[float], max_iter: int) -> Rule:
    model = nested_logistic(
        log_odds(found.table),
        found.target,
        None,
        found.folds,
        inner_cv=3,
        strengths=strengths,
        max_iter=max_iter,
    )
    return LogisticRule(*affine(model.final))


def _average(weights: np.ndarray, found: MemberTable, data: Data) -> StackedPredictor:
    kept = np.flatnonzero(weights)
    of = "probabilities" if found.classifies else "numbers"
    return _stack(kept.tolist(), AverageRule(weights[kept].tolist(), of=of), found, data)


def _stack(kept: Sequence[int], rule: Rule, found: MemberTable, data: Data) -> StackedPredictor:
    options: dict[str, Any] = {"names": [found.names[place] for place in kept]}
    groups = [found.groups[place] for place in kept]
    return StackedPredictor(groups, rule, data.input_space, data.task, data.classes, **options)
