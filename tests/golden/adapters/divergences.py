"""Soft-target losses, entropies and pools."""

from __future__ import annotations

import torch.nn.functional as F

from limbeck.functional.classification import negative_log_likelihood
from limbeck.functional.divergences import entropy, log_probabilities, soft_target_loss
from limbeck.functional.pools import mean_logits, mean_probabilities

from ..harness import adapter


@adapter("meal-v2", "teacher_ensemble_targets")
def teacher_ensemble_targets(inputs, params):
    members = inputs["teacher_logits"]
    return {
        "target_probs": mean_probabilities(members).softmax(-1),
        "target_logits": mean_logits(members),
    }


@adapter("meal-v2", "soft_target_cross_entropy", grad="student_logits")
def soft_target_cross_entropy(inputs, params):
    return {
        "loss": soft_target_loss(
            inputs["student_logits"],
            inputs["target_probs"],
            divergence="cross_entropy",
            teacher_is="probabilities",
        )
    }


@adapter("ofa-kd", "kd_kl_loss", grad="student_logits")
def kd_kl_loss(inputs, params):
    return {"loss": soft_target_loss(inputs["student_logits"], inputs["teacher_logits"], **params)}


@adapter("mst-distill", "kd_kl")
def kd_kl(inputs, params):
    return {"loss": soft_target_loss(inputs["student"], inputs["teacher"], **params)}


@adapter("mst-distill", "kd_kl_dense")
def kd_kl_dense(inputs, params):
    return {"loss": soft_target_loss(inputs["student"], inputs["teacher"], axis=1, **params)}


@adapter("mst-distill", "weighted_kd")
def weighted_kd(inputs, params):
    teacher = mean_logits(inputs["teachers"], inputs["gate_probs"].T)
    return {"loss": soft_target_loss(inputs["student"], teacher, **params)}


@adapter("cda", "kd_loss")
def kd_loss(inputs, params):
    student, teacher = inputs["student_logits"], inputs["teacher_logits"]
    return {"loss": soft_target_loss(student, teacher, temperature_squared=False, **params)}


@adapter("datm", "soft_cross_entropy")
def soft_cross_entropy(inputs, params):
    student, teacher = inputs["logits"], inputs["target_logits"]
    return {"loss": soft_target_loss(student, teacher, divergence="cross_entropy")}


@adapter("distiller-mi", "kd_cross_entropy")
def kd_cross_entropy(inputs, params):
    return {
        "loss": soft_target_loss(
            inputs["student_logits"],
            inputs["teacher_logits"],
            divergence="cross_entropy",
            temperature_squared=False,
            **params,
        )
    }


@adapter("krr-st", "temperature_cross_entropy")
def temperature_cross_entropy(inputs, params):
    return {
        "loss": soft_target_loss(
            inputs["student"],
            inputs["teacher"],
            divergence="cross_entropy",
            temperature=params["T"],
            temperature_squared=False,
            reduction=params["reduction"],
        )
    }


@adapter("recursive-meta-distillation", "power_soften")
def power_soften(inputs, params):
    softened = log_probabilities(inputs["p"], "probabilities", **params).exp()
    return {
        "softened": softened,
        "entropy_before": entropy(inputs["p"], kind="probabilities", reduction="none"),
        "entropy_after": entropy(softened, kind="probabilities", reduction="none"),
    }


@adapter("recursive-meta-distillation", "kl_js")
def kl_js(inputs, params):
    options = {"student_is": "probabilities", "teacher_is": "probabilities", "reduction": "none"}
    return {
        name: soft_target_loss(inputs["q"], inputs["p"], divergence=name, **options)
        for name in ("kl", "js")
    }


@adapter("recursive-meta-distillation", "pools")
def pools(inputs, params):
    members = inputs["p"].log()[:, None]
    return {
        "linear": mean_probabilities(members, inputs["w"]).softmax(-1)[0],
        "geometric": mean_logits(members, inputs["w"]).softmax(-1)[0],
    }


@adapter("tsd-kd", "generalized_jsd")
def generalized_jsd(inputs, params):
    counted = inputs["labels"] != -100
    return {
        "loss": soft_target_loss(
            inputs["student_logits"][counted],
            inputs["teacher_logits"][counted],
            divergence="js",
            mixture=params["beta"],
            temperature=params["temperature"],
            temperature_squared=False,
        )
    }


@adapter("cross-encoders", "listwise_kl")
def listwise_kl(inputs, params):
    return {"loss": soft_target_loss(inputs["scores"], inputs["targets"])}


@adapter("_dataset-distillation-protocol", "soft_label_losses")
def soft_label_losses(inputs, params):
    student, teacher = inputs["student"], inputs["teacher"]
    options = {"temperature": params["T"], "temperature_squared": params["scale_loss"]}
    likelihood = negative_log_likelihood(student, inputs["labels"])
    return {
        "kl": soft_target_loss(student, teacher, **options),
        "sce": soft_target_loss(student, teacher, divergence="cross_entropy", **options),
        "mse_gt": F.mse_loss(student, teacher) + 0.025 * likelihood,
    }


@adapter("window-early-exit", "ensemble_log_probs")
def ensemble_log_probs(inputs, params):
    return {"log_probs": log_probabilities(mean_probabilities(inputs["logits"]))}


@adapter("tips", "smoothed_ensemble_ce")
def smoothed_ensemble_ce(inputs, params):
    student, smoothing = inputs["student"], params["smoothing"]
    teacher = mean_logits(inputs["teachers"][:, None])[0]
    soft = log_probabilities(teacher, temperature=params["temperature"]).exp()
    target = (1 - smoothing) * soft + smoothing / len(student)
    return {
        "target": target,
        "loss": soft_target_loss(
            student, target, divergence="cross_entropy", teacher_is="probabilities"
        ),
    }
