"""Near-duplicate members, row statistics, blends of an ensemble and the stacks over it."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsRegressor

from limbeck.bridges.sklearn import RegularizedStackingRegressor, linear, make_folds
from limbeck.bridges.sklearn import oof_predictions as predictions_of
from limbeck.functional import blends, row_statistics, stacking
from limbeck.functional.moments import intercepts, moments, ridge_path

from ..harness import adapter

STEM = "regularized-meta-learning"
# What the authors' code calls the reasons.
REASONS = {
    "duplicate": "high_correlation_similar_predictions",
    "low variance": "low_variance",
}


def thresholds(params):
    names = {"tau_corr": "correlation", "tau_mse": "squared_difference", "tau_var": "variance"}
    return {ours: params[theirs] for theirs, ours in names.items()}


@adapter(STEM, "redundancy_projection")
def redundancy_projection(inputs, params):
    found = stacking.redundancy_projection(inputs["X"], inputs["y"], **thresholds(params))
    return {
        "selected": found.kept,
        "n_retained": len(found.kept),
        "condition_before": found.condition_before,
        "condition_after": found.condition_after,
        "removed_pairs": [[one.member, REASONS[one.reason]] for one in found.removed],
    }


@adapter(STEM, "meta_features")
def meta_features(inputs, params):
    options = {"statistics": params["statistical"], "interactions": params["interactions"]}
    return {"Z": row_statistics(inputs["X"], **options)}


@adapter(STEM, "inverse_rmse_blend")
def inverse_rmse_blend(inputs, params):
    columns, target = inputs["predictions"].T, inputs["y"]
    weights = blends.inverse_error_weights(columns, target)
    blended = blends.blend(columns, weights)
    rmse = ((blended - target.numpy()) ** 2).mean() ** 0.5
    return {"weights": weights, "blended": blended, "rmse": rmse}


@adapter(STEM, "weight_gini")
def weight_gini(inputs, params):
    return {"gini": blends.weight_gini(inputs["weights"])}


@adapter(STEM, "correlation_condition")
def correlation_condition(inputs, params):
    return {"kappa": stacking.correlation_condition(inputs["X"])}


@adapter(STEM, "meta_learner")
def meta_learner(inputs, params):
    features, target = inputs["X"].numpy(), inputs["y"].numpy()
    folds = make_folds(params["n_folds"], features, target, seed=params["random_state"])
    options = {"inner_cv": params["inner_cv"], "inner_split": "rows"}
    table = linear.Table(features, target, None, folds, **options)
    found = linear.nested(params["kind"], table, max_iter=params["max_iter"])
    alphas = [one.alpha for one in found.fold_penalties]
    return {
        "oof": found.oof,
        "oof_rmse": np.sqrt(np.mean((found.oof - target) ** 2)),
        "fold_lambdas": alphas,
        "lambda_mean": np.mean(alphas),
        "coef": found.final.coef,
        "predict": found.final.predict(inputs["X_new"].numpy()),
        "sparsity": found.sparsity,
        "l1_ratio": found.final.penalty.l1_ratio,
    }


@adapter(STEM, "regularized_meta_learner")
def regularized_meta_learner(inputs, params):
    model = RegularizedStackingRegressor(
        cv=params["n_folds"],
        random_state=params["random_state"],
        inner_split="rows",
        relative=False,
        max_iter=10_000,
        **thresholds(params),
    )
    with warnings.catch_warnings():
        # The authors' code mutes that fits stop early, and its values hold such fits.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(inputs["X"].numpy(), inputs["y"].numpy())
    return {
        "selected": model.projection_.kept,
        "oof": model.oof_prediction_,
        "oof_rmse": model.oof_rmse_,
        "weights": [*model.weights_.values()],
        "predict": model.predict(inputs["X_new"].numpy()),
    }


def members():
    return [
        ("ridge", Ridge(alpha=1.0)),
        ("neighbours", KNeighborsRegressor(n_neighbors=3)),
        ("line", LinearRegression()),
    ]


@adapter(STEM, "oof_matrix")
def oof_matrix(inputs, params):
    features, target = inputs["X"].numpy(), inputs["y"].numpy()
    folds = make_folds(KFold(params["n_folds"]), features, target)
    return {"oof": predictions_of(members(), features, target, folds)[0]}


@adapter(STEM, "plain_stack")
def plain_stack(inputs, params):
    features, target = inputs["X"].numpy(), inputs["y"].numpy()
    seen = moments(oof_matrix(inputs, params)["oof"], target)
    coefficients = ridge_path(seen, [params["final_alpha"]])
    fresh = [one.fit(features, target).predict(inputs["X_new"].numpy()) for _, one in members()]
    intercept = intercepts(seen, coefficients)[0]
    return {
        "coef": coefficients[0],
        "intercept": intercept,
        "predict": coefficients[0] @ np.array(fresh) + intercept,
    }
