"""Bounds of mutual information and the critic they are computed from."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from limbeck.functional.mutual_information import (
    critic_scores,
    info_nce_bound,
    log_mean_exp_of_others,
    mi_alpha_bound,
    nwj_bound,
    tuba_bound,
)

from ..harness import adapter


@adapter("distiller-mi", "log_loo_mean_exp")
def log_loo_mean_exp(inputs, params):
    return {"value": log_mean_exp_of_others(inputs["scores"])}


@adapter("distiller-mi", "mi_alpha_lower_bound")
def mi_alpha_lower_bound(inputs, params):
    return {"value": mi_alpha_bound(inputs["scores"], inputs["log_baseline"], **params)}


@adapter("distiller-mi", "tuba_lower_bound")
def tuba_lower_bound(inputs, params):
    return {"value": tuba_bound(inputs["scores"], inputs["log_baseline"])}


@adapter("distiller-mi", "nwj_lower_bound")
def nwj_lower_bound(inputs, params):
    return {"value": nwj_bound(inputs["scores"])}


@adapter("distiller-mi", "infonce_lower_bound")
def infonce_lower_bound(inputs, params):
    return {"value": info_nce_bound(inputs["scores"])}


@adapter("distiller-mi", "separable_critic")
def separable_critic(inputs, params):
    student = _perceptron(inputs["student"], inputs["student_net"])
    teacher = _perceptron(inputs["teacher"], inputs["teacher_net"])
    return {"scores": critic_scores(student, teacher)}


def _perceptron(x, layers):
    for place, layer in enumerate(layers):
        x = F.linear(x, *(torch.as_tensor(part, dtype=x.dtype) for part in layer))
        x = x if place == len(layers) - 1 else x.relu()
    return x
