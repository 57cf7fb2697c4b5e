"""What is told of a stack: facts that stay with it, rows of its folds, drawings of its report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from limbeck.bridges.sklearn import RegularizedStackingClassifier, RegularizedStackingRegressor
from limbeck.bridges.sklearn.logistic import log_loss
from limbeck.evaluate.quality import quality
from limbeck.functional import pearson_correlation
from limbeck.methods.regularized_meta_learning.members import MemberTable
from limbeck.plain import finite
from limbeck.run.exhibits import Bars, Drawing, Matrix, Sheet

Stack = RegularizedStackingRegressor | RegularizedStackingClassifier
STATISTICS = ("mean", "deviation", "median", "range")
INTERACTIONS = ("mean x deviation", "range x deviation")
TITLE = "Members and their weights"
DEFINITIONS = {
    "condition": "2-norm condition number of the Pearson correlations of members' predictions",
    "error": "root mean squared error of rows that the member did not see; of classes, of "
    "probabilities",
    "out_of_fold": "quality of the blend and of what is blended on rows that the regressions did "
    "not see: root mean squared error, mean absolute error, share of variance explained, Pearson "
    "correlation with the target; members were ranked on the same rows, so it is slightly too good",
    "weights": "of penalties in the blend, by inverse errors",
    "coefficients": "of standardised columns in the blend; of classes, root mean square over them",
}


def told(stack: Stack, found: MemberTable, settings: Any) -> dict[str, Any]:
    """Facts of a stack in plain values.

    Args:
        stack: fitted on the table.
        found: the table.
        settings: of the method.

    Returns:
        Members kept and removed and why, conditioning, penalties, weights, errors, definitions.
    """
    facts: dict[str, Any] = {
        "stacked_on": found.origin,
        "rows": len(found.target),
        "members_trained_on": _trained_on(found, settings.refit),
        "kept": list(stack.kept_members_),
        "removed": stack.removed_members_,
        "errors": dict(zip(found.names, stack.projection_.errors.tolist(), strict=True)),
        "condition_before": stack.condition_before_,
        "condition_after": stack.condition_after_,
        "coefficients": dict(
            zip(_columns(stack, settings), _coefficients(stack).tolist(), strict=True)
        ),
    }
    if isinstance(stack, RegularizedStackingClassifier):
        chosen = stack.meta_model_
        facts |= {
            "strength": chosen.strength,
            "fits": chosen.fits,
            "unconverged": chosen.unconverged,
            "fold_strengths": list(chosen.fold_strengths),
            "out_of_fold": {"log_loss": stack.oof_log_loss_},
        }
    else:
        facts |= {
            "weights": stack.weights_,
            "penalties": {kind: _penalty(one) for kind, one in stack.meta_models_.items()},
            "gini": stack.gini_,
            "out_of_fold": _out_of_fold(stack, found.target),
        }
    return finite({**facts, "definitions": DEFINITIONS})


def _out_of_fold(
    stack: RegularizedStackingRegressor, target: np.ndarray
) -> dict[str, dict[str, float]]:
    """Quality of the blend, then of each regression, on rows that these did not see."""
    known = np.isfinite(stack.oof_prediction_)
    truth = torch.from_numpy(target[known])
    said = {"blend": stack.oof_prediction_}
    said |= {kind: one.oof for kind, one in stack.meta_models_.items()}
    answers = {name: torch.from_numpy(one[known]) for name, one in said.items()}
    return {
        name: quality(one, truth, "regression")
        | {"pearson": float(pearson_correlation(one, truth))}
        for name, one in answers.items()
    }


def fold_rows(stack: Stack, found: MemberTable) -> Iterator[dict[str, float]]:
    """The error of each regression in each fold that it did not see, fold after fold."""
    for fold in range(len(found.folds.splits)):
        held = found.folds.number == fold
        target = found.target[held]
        if isinstance(stack, RegularizedStackingClassifier):
            yield {"log_loss": log_loss(stack.meta_model_.oof[held], target)}
        else:
            models = stack.meta_models_.items()
            yield {f"{kind}_rmse": _rmse(one.oof[held], target) for kind, one in models}


def drawings(
    stack: Stack, found: MemberTable, facts: dict[str, Any]
) -> tuple[list[Drawing], list[Sheet]]:
    """What a report draws of a stack: weights, conditioning, likeness; members and why they went.

    Args:
        stack: fitted on the table.
        found: the table.
        facts: as `told` gives them.

    Returns:
        Charts and sheets.
    """
    coefficients = facts["coefficients"]
    before, after = facts["condition_before"], facts["condition_after"]
    charts: list[Drawing] = [
        Bars(
            TITLE,
            "What counts in the blend: coefficients of standardised columns",
            "coefficient",
            list(coefficients),
            list(coefficients.values()),
        ),
        Bars(
            TITLE,
            "Condition number of the members' correlations",
            "decimal logarithm",
            ["all members", "those that stay"],
            [None if value is None else math.log10(value) for value in (before, after)],
        ),
    ]
    if facts.get("weights"):
        shares = facts["weights"]
        charts.append(
            Bars(TITLE, "Shares in the blend", "weight", list(shares), list(shares.values()))
        )
    table, _ = found.flat
    with np.errstate(invalid="ignore", divide="ignore"):
        like = np.corrcoef(table, rowvar=False).reshape(len(found.names), -1)
    low = float(np.nanmin(like, initial=1.0))
    charts.append(
        Matrix(TITLE, "Correlation of members", found.names, like.tolist(), min(low, 0.99), 1.0)
    )
    caption = (
        f"{len(facts['kept'])} of {len(found.names)} members stay; the condition number goes from "
        f"{_said(before)} to {_said(after)}. {DEFINITIONS['error'].capitalize()}."
        f"{_stopped_early(facts)}"
    )
    sheets = [_quality_sheet(facts["out_of_fold"])] if "weights" in facts else []
    heads = ["member", "error", "", "like", "correlation", "mean squared difference"]
    members = Sheet("Members", heads, _member_rows(found.names, facts), caption)
    return charts, [members, *sheets]


def _quality_sheet(found: dict[str, dict[str, float]]) -> Sheet:
    rows = [[name, *map(_said, figures.values())] for name, figures in found.items()]
    heads = ["", "RMSE", "MAE", "R²", "Pearson"]
    caption = "Of rows that the regressions did not see; slightly too good, for members were "
    return Sheet("Out of fold", heads, rows, f"{caption}ranked on the same rows.")


def _member_rows(names: Sequence[str], facts: dict[str, Any]) -> list[list[str]]:
    gone = {one["member"]: one for one in facts["removed"]}
    rows = []
    for name in sorted(names, key=lambda one: facts["errors"][one]):
        one = gone.get(name)
        cells = [name, _said(facts["errors"][name]), "stays" if one is None else one["reason"]]
        like = [None, None, None] if one is None else [
            one["kept"], one["correlation"], one["squared_difference"]
        ]  # fmt: skip
        rows.append([*cells, *("" if cell is None else _said(cell) for cell in like)])
    return rows


def _columns(stack: Stack, settings: Any) -> list[str]:
    names = list(stack.kept_members_)
    if isinstance(stack, RegularizedStackingClassifier):
        return names
    return [
        *names,
        *(STATISTICS if settings.statistics else ()),
        *(INTERACTIONS if settings.interactions else ()),
    ]


def _coefficients(stack: Stack) -> np.ndarray:
    """One number a column of standardised features, of classes one a member."""
    if isinstance(stack, RegularizedStackingClassifier):
        own = stack.meta_model_.final[-1].coef_
        return np.sqrt(np.mean(own.reshape(len(own), len(stack.kept_members_), -1) ** 2, (0, 2)))
    models = stack.meta_models_.items()
    return np.sum([stack.weights_[kind] * one.final.coef for kind, one in models], axis=0)


def _stopped_early(facts: dict[str, Any]) -> str:
    """Which regressions did not converge, as a sentence, or nothing."""
    early = [
        f"{one['unconverged']} of {one['fits']} {kind} fits"
        for kind, one in facts.get("penalties", {"logistic": facts}).items()
        if one["unconverged"]
    ]
    return f" {' and '.join(early)} stopped before they converged." if early else ""


def _penalty(one: Any) -> dict[str, float]:
    alphas = [penalty.alpha for penalty in one.fold_penalties]
    return {
        "alpha": one.final.penalty.alpha,
        "l1_ratio": one.final.penalty.l1_ratio,
        "alpha_mean": float(np.mean(alphas)),
        "alpha_std": float(np.std(alphas)),
        "sparsity": one.sparsity,
        "fits": one.fits,
        "unconverged": one.unconverged,
    }


def _trained_on(found: MemberTable, refit: bool) -> str:
    if found.origin != "folds":
        return "rows that are not stacked on"
    return "all training rows" if refit else "the folds, averaged"


def _rmse(predicted: np.ndarray, target: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - target) ** 2)))


def _said(value: Any) -> str:
    if value is None:
        return "infinite"
    return value if isinstance(value, str) else f"{value:.4g}"
