"""Simpler stacks over the same members, which every report shows beside the regularised one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LinearRegression, RidgeCV

from limbeck.bridges.sklearn.base import warn_unconverged
from limbeck.bridges.sklearn.linear import RIDGE_ALPHAS
from limbeck.bridges.sklearn.logistic import affine, nested_logistic
from limbeck.data import Data
from limbeck.functional import greedy_weights, inverse_error_weights
from limbeck.functional.stack_columns import log_odds
from limbeck.methods.regularized_meta_learning.members import MemberTable
from limbeck.products import StackedPredictor
from limbeck.products.stacking_rules import AverageRule, LinearRule, LogisticRule, Rule


def plain_stacks(found: MemberTable, data: Data, settings: Any) -> dict[str, StackedPredictor]:
    """Averages of several kinds and plain regressions on the predictions as they are.

    Classes are weighed by the squared error of their probabilities.

    Args:
        found: predictions of rows that no member saw; nothing else is chosen on.
        data: that the stacks are for.
        settings: of the method: how the plain logistic regression chooses its penalty, and
            rounds of greedy hill climbing at most.

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
        rules: dict[str, Rule] = {"plain logistic stack": _plain_logistic(found, settings)}
    else:
        rules = {
            "plain linear stack": _plain_linear(found, LinearRegression()),
            "plain ridge stack": _plain_linear(found, RidgeCV(RIDGE_ALPHAS)),
        }
    every = range(len(found.names))
    stacks |= {name: _stack(every, rule, found, data) for name, rule in rules.items()}
    climbed = greedy_weights(*flat, rounds=settings.rounds)
    return {**stacks, "greedy hill climbing": _average(climbed, found, data)}


def _plain_linear(found: MemberTable, model: Any) -> Rule:
    model.fit(found.table, found.target)
    return LinearRule(model.coef_, float(model.intercept_), statistics=False, interactions=False)


def _plain_logistic(found: MemberTable, settings: Any) -> Rule:
    model = nested_logistic(
        log_odds(torch.from_numpy(found.table)).numpy(),
        found.target,
        None,
        found.folds,
        inner_cv=settings.inner_cv,
        strengths=settings.strengths,
        max_iter=settings.max_iter,
    )
    # No report tells of what is shown beside.
    warn_unconverged({"plain logistic": model}, settings.max_iter, "lower the strengths")
    return LogisticRule(*affine(model.final))


def _average(weights: np.ndarray, found: MemberTable, data: Data) -> StackedPredictor:
    kept = np.flatnonzero(weights)
    of = "probabilities" if found.classifies else "numbers"
    return _stack(kept.tolist(), AverageRule(weights[kept].tolist(), of=of), found, data)


def _stack(kept: Sequence[int], rule: Rule, found: MemberTable, data: Data) -> StackedPredictor:
    options: dict[str, Any] = {"names": [found.names[place] for place in kept]}
    groups = [found.groups[place] for place in kept]
    return StackedPredictor(groups, rule, data.input_space, data.task, data.classes, **options)
