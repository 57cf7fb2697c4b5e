"""Near-duplicate members, row statistics, blends of an ensemble and the stacks over it."""

from __future__ import annotations

from limbeck.functional import blends, stacking

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
    return {"Z": stacking.row_statistics(inputs["X"], **options)}


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
