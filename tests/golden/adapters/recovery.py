"""Images recovered from BatchNorm statistics, and the labels of committees."""

from __future__ import annotations

import torch
from torch import nn

from limbeck.data import InputSpace
from limbeck.functional.schedules import crop_scale_bounds, late_epochs, smoothed_cosine
from limbeck.functional.soft_labels import recover_soft_labels
from limbeck.functional.statistics import (
    image_variation,
    recovery_terms,
    statistics_distance,
    statistics_regulariser,
    voting_weights,
)
from limbeck.loops import Optim
from limbeck.loops.relabel import batch_logits
from limbeck.networks.batch_norm import batch_statistics

from ..harness import adapter


@adapter("cda", "bn_feature_loss")
def bn_feature_loss(inputs, params):
    return {"loss": statistics_distance(*(inputs[n] for n in ("x", "running_mean", "running_var")))}


@adapter("cda", "vit_bn_feature_loss")
def vit_bn_feature_loss(inputs, params):
    given = (inputs[name] for name in ("x", "running_mean", "running_var"))
    return {"loss": statistics_distance(*given, axis=2)}


@adapter("cda", "bn_regulariser")
def bn_regulariser(inputs, params):
    found = statistics_regulariser(inputs["r_features"], first_weight=params["first_bn_multiplier"])
    label = torch.tensor([inputs["ce"]], dtype=torch.float64)
    terms = recovery_terms(label, found.reshape(1), statistics_weight=params["r_bn"])
    return {"regulariser": found, "total": sum(terms.values())}


@adapter("cda", "crop_scale_schedule")
def crop_scale_schedule(inputs, params):
    options = {name: params[name] for name in ("mode", "milestone", "low", "high")}
    steps = [int(step) for step in inputs["iterations"]]
    return {"min_max": [crop_scale_bounds(step, params["total"], **options) for step in steps]}


@adapter("cda", "cosine_lr")
def cosine_lr(inputs, params):
    warmup, total = params["warmup"], params["total"]
    optim = Optim(lr=params["base_lr"], schedule="cosine", warmup=warmup / total)
    return {"lr": [optim.rate(int(step), total) for step in inputs["steps"]]}


def space(x, params):
    mean, std = tuple(params["mean"]), tuple(params["std"])
    return InputSpace(tuple(x.shape[2:]), x.shape[1], mean, std)


@adapter("cda", "clip_normalised")
def clip_normalised(inputs, params):
    return {"x": space(inputs["x"], params).clip(inputs["x"])}


@adapter("cda", "denormalise")
def denormalise(inputs, params):
    own = space(inputs["x"], params)
    return {"x": own.denormalise(own.clip(inputs["x"]))}


@adapter("cda", "image_prior_losses")
def image_prior_losses(inputs, params):
    return {form: image_variation(inputs["x"], form=form) for form in ("l1", "l2")}


@adapter("cda", "keep_top_k")
def keep_top_k(inputs, params):
    top, classes = inputs["p"].topk(params["k"])
    return {"p": recover_soft_labels(classes, top, classes=inputs["p"].shape[1])}


@adapter("cv-dd", "committee_weights")
def committee_weights(inputs, params):
    prior = inputs["prior_accuracy"]
    if params["voter"] == "equal":
        return {"weights": torch.full_like(prior, 1 / len(prior))}
    return {"weights": voting_weights(prior, params["temperature"])}


@adapter("cv-dd", "relabel_weights")
def relabel_weights(inputs, params):
    return {"weights": voting_weights(inputs["prior_accuracy"], params["temperature"])}


@adapter("cv-dd", "committee_loss")
def committee_loss(inputs, params):
    regularisers = [
        statistics_regulariser(
            torch.as_tensor(one, dtype=torch.float64), first_weight=params["first_bn_multiplier"]
        )
        for one in inputs["r_features"]
    ]
    terms = recovery_terms(
        inputs["ce"],
        torch.stack(regularisers),
        inputs["weights"],
        statistics_weight=params["r_bn"],
    )
    return {"loss": sum(terms.values())}


@adapter("cv-dd", "smoothed_cosine_factor")
def smoothed_cosine_factor(inputs, params):
    steps = [int(step) for step in inputs["steps"]]
    return {"factor": [smoothed_cosine(one, params["epochs"], params["eta"]) for one in steps]}


@adapter("cv-dd", "late_evaluation_epochs")
def late_evaluation_epochs(inputs, params):
    return {"epoch_indices": late_epochs(params["epochs"])}


class Small(nn.Module):
    """The network that the cases describe."""

    def __init__(self, facts):
        super().__init__()
        given = {name: torch.as_tensor(value).double() for name, value in facts.items()}
        self.conv, self.fc = given["conv"], given["fc"]
        self.norm = nn.BatchNorm2d(len(self.conv)).double()
        self.norm.weight.data, self.norm.bias.data = given["gamma"], given["beta"]
        self.norm.running_mean, self.norm.running_var = given["running_mean"], given["running_var"]

    def forward(self, x):
        x = self.norm(torch.einsum("oc,nchw->nohw", self.conv, x)).relu()
        return x.mean((2, 3)) @ self.fc.T


@adapter("cv-dd", "batch_specific_soft_labels")
def batch_specific_soft_labels(inputs, params):
    teachers = [Small(facts).eval() for facts in inputs["teachers"]]
    priors, weights = inputs.get("priors"), None
    if priors is not None:
        weights = voting_weights(torch.as_tensor(priors), params["temperature"])
    if not params["batch_specific"]:
        return {"logits": batch_logits(teachers, inputs["images"], weights=weights, pieces=2)}
    with batch_statistics(*teachers):
        return {"logits": batch_logits(teachers, inputs["images"], weights=weights, pieces=2)}
