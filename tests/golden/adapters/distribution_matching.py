"""What few-step generators and the models of their own scores are trained by."""

from __future__ import annotations

from limbeck.functional.adversarial import critic_loss, generator_loss
from limbeck.functional.diffusion import guided
from limbeck.functional.distribution_matching import (
    augmentation_delta,
    denoising_loss,
    distribution_matching_loss,
    match_delta,
    mean_variance_divergence,
)
from limbeck.functional.f_divergences import f_divergence_weight

from ..harness import adapter

STEM = "_diffusion-distillation-protocol"
DIVERGENCES = {
    "kl": "kl",
    "js": "js",
    "sf": "softened_reverse_kl",
    "neyman": "neyman",
    "sh": "squared_hellinger",
    "jf": "jeffreys",
    "rkl": "reverse_kl",
}


@adapter(STEM, "dmd_generator_loss", grad_x="x")
def dmd_generator_loss(inputs, params):
    loss = distribution_matching_loss(
        inputs["x"],
        inputs["real_x0"],
        inputs["fake_x0"],
        epsilon=params["normalizer_eps"],
        least=params.get("normalizer_clip_min"),
        weight=inputs.get("sample_weight"),
    )
    return {"loss": loss}


@adapter("decoupled-dmd", "decoupled_dmd_loss", grad_x="x")
def decoupled_dmd_loss(inputs, params):
    real = guided(inputs["real_cond"], inputs["real_uncond"], params["scale"])
    epsilon = params["normalizer_eps"]
    loss = distribution_matching_loss(inputs["x"], real, inputs["fake_cond"], epsilon=epsilon)
    return {"loss": loss}


@adapter(STEM, "fake_score_loss")
def fake_score_loss(inputs, params):
    given = (inputs[name] for name in ("prediction", "x0", "eps", "alpha", "sigma"))
    return {"loss": denoising_loss(*given, kind=params["prediction_type"])}


@adapter(STEM, "gan_generator_loss")
def gan_generator_loss(inputs, params):
    return {"loss": generator_loss(inputs["fake_logits"])}


@adapter(STEM, "gan_discriminator_loss")
def gan_discriminator_loss(inputs, params):
    return {"loss": critic_loss(inputs["fake_logits"], inputs["real_logits"])}


@adapter(STEM, "f_divergence_weight")
def divergence_weight(inputs, params):
    return {"h": f_divergence_weight(inputs["ratio"], DIVERGENCES[params["f"]])}


@adapter("decoupled-dmd", "dm_delta")
def dm_delta(inputs, params):
    return {"delta": match_delta(inputs["real_cond"], inputs["fake_cond"])}


@adapter("decoupled-dmd", "ca_delta")
def ca_delta(inputs, params):
    given = inputs["real_cond"], inputs["real_uncond"], params["scale"]
    return {"delta": augmentation_delta(*given)}


@adapter("decoupled-dmd", "mean_variance_kl")
def mean_variance_kl(inputs, params):
    target = params["target_mean"], params["target_var"]
    return {"loss": mean_variance_divergence(inputs["x"], *target)}
