"""Selective prediction, detection and cascades; the reference gives percentages."""

from __future__ import annotations

import torch

from limbeck.functional.cascades import (
    cascade_cost,
    cascade_outputs,
    exit_window,
    percentile_rank,
    stages_reached,
)
from limbeck.functional.classification import top_k_accuracy
from limbeck.functional.detection import auroc, aurr, fpr_at_tpr, risk_at_recall
from limbeck.functional.selective import (
    aurc,
    coverage_at_risk,
    risk_at_coverage,
    risk_coverage_curve,
    scod_curve,
    scod_risk_at_coverage,
)
from limbeck.functional.thresholds import operating_threshold
from limbeck.functional.uncertainty import confidence_scores

from ..harness import adapter

STEM = "window-early-exit"


@adapter(STEM, "uncertainty_scores")
def uncertainty_scores(inputs, params):
    uncertain = ("entropy", "max_logit", "energy")
    return {"msp": confidence_scores(inputs["logits"])} | {
        name: -confidence_scores(inputs["logits"], name) for name in uncertain
    }


@adapter(STEM, "topk_error")
def topk_error(inputs, params):
    error = 1 - top_k_accuracy(inputs["outputs"], inputs["labels"], k=params["k"])
    return {"error": 100 * error if params["percent"] else error}


@adapter(STEM, "risk_coverage_curve")
def curve(inputs, params):
    cost = inputs.get("sample_weight")
    return risk_coverage_curve(inputs["correct"], inputs["confidence"], cost=cost)._asdict()


@adapter(STEM, "aurc")
def area(inputs, params):
    return {"aurc": aurc(risk_coverage_curve(inputs["correct"], inputs["confidence"]))}


@adapter(STEM, "coverage_at_risk")
def coverage(inputs, params):
    found = coverage_at_risk(
        risk_coverage_curve(inputs["correct"], inputs["confidence"]),
        params["risk_target"],
        variant="closest",
        min_points=params["min_points"],
    )
    return {"coverage_percent": 100 * found.coverage, "threshold": found.threshold}


@adapter(STEM, "risk_at_coverage")
def risk(inputs, params):
    found = risk_at_coverage(
        risk_coverage_curve(inputs["correct"], inputs["confidence"]),
        params["coverage_target"],
        variant="closest",
    )
    return {"risk_percent": 100 * found.risk, "threshold": found.threshold}


@adapter(STEM, "scod")
def scod(inputs, params):
    inside = inputs["correct_id"], inputs["confidence_id"]
    joint = scod_curve(*inside, inputs["confidence_ood"], ood_cost=params["beta"])
    if params["mode"] == "AURC":
        return {"aurc": aurc(joint)}
    target = int(params["mode"].removeprefix("risk@")) / 100
    found = scod_risk_at_coverage(risk_coverage_curve(*inside), joint, target, variant="closest")
    return {"risk_percent": 100 * found.risk, "threshold": found.threshold}


@adapter(STEM, "fpr_at_tpr")
def false_positives(inputs, params):
    confidences = -inputs["uncertainty_id"], -inputs["uncertainty_ood"]
    return {"fpr_percent": 100 * fpr_at_tpr(*confidences, params["tpr"], variant="closest")}


@adapter(STEM, "ood_auroc")
def separation(inputs, params):
    return {"auroc_percent": 100 * auroc(-inputs["uncertainty_id"], -inputs["uncertainty_ood"])}


@adapter(STEM, "aurr")
def recall_area(inputs, params):
    return {"aurr": aurr(inputs["correct"], inputs["confidence"])}


@adapter(STEM, "risk_at_recall")
def recall_risk(inputs, params):
    target = params["recall_target"]
    return {"risk": risk_at_recall(inputs["correct"], inputs["confidence"], target)}


@adapter(STEM, "operating_threshold")
def threshold(inputs, params):
    requirement = params["requirement"]
    tau = operating_threshold(
        inputs["labels"],
        inputs["confidence"],
        requirement,
        params["target"],
        variant="closest",
        min_points=params["min_points"] if requirement == "risk" else None,
    )
    return {"tau": tau}


@adapter(STEM, "exit_window")
def window_around(inputs, params):
    scores, tau = inputs["confidence"], inputs["tau"]
    return {
        "quantile_of_tau": percentile_rank(scores, tau),
        "window": exit_window(scores, tau, half_width=params["half_width"]),
    }


@adapter(STEM, "single_threshold_exit")
def single_threshold_exit(inputs, params):
    window = -torch.inf, params["threshold"]
    reached = stages_reached([inputs["confidence"]], [window])
    return {"output": cascade_outputs([inputs["first"], inputs["second"]], reached)}


@adapter(STEM, "window_exit")
def window_exit(inputs, params):
    score = -inputs["uncertainty"] if params.get("unc_flip") else inputs["confidence"]
    reached = stages_reached([score], [params["window"]])
    return {"output": cascade_outputs([inputs["first"], inputs["second"]], reached)}


@adapter(STEM, "cascade_mean_cost")
def mean_cost(inputs, params):
    score = inputs["confidence"]
    # The ends of a window are confidences of the case's own dtype.
    window = torch.tensor(params["window"], dtype=score.dtype).tolist()
    return {"mean_cost": cascade_cost(stages_reached([score], [window]), params["costs"])}
