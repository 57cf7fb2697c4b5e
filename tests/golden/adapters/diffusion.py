"""Diffusion and flow models: levels, conversions, steps, guidance."""

from __future__ import annotations

from limbeck.functional.diffusion import (
    add_noise,
    convert_prediction,
    deterministic_step,
    guided,
    velocity_step,
)
from limbeck.functional.noise_levels import (
    beta_schedule,
    karras_sigmas,
    precondition,
    shift_levels,
    vp_alpha_sigma,
)

from ..harness import adapter

STEM = "_diffusion-distillation-protocol"
RATES = {"flow_matching": (-1.0, 1.0), "edm": (0.0, 1.0), "vp_discrete": None}
KINDS = {"epsilon": "eps", "v_prediction": "v"}
RESCALES = {"none": "none", "layer_norm": "per_axis", "scalar": "total"}


def discrete(params):
    betas = beta_schedule(
        params["beta_schedule"],
        steps=params["num_train_timesteps"],
        start=params["beta_start"],
        end=params["beta_end"],
    )
    return vp_alpha_sigma(betas.float())


@adapter(STEM, "vp_alpha_sigma")
def alpha_sigma(inputs, params):
    alpha, sigma = discrete(params)
    return {"alpha": alpha[inputs["timesteps"]], "sigma": sigma[inputs["timesteps"]]}


@adapter(STEM, "karras_sigmas")
def karras(inputs, params):
    bounds = {name: params[name] for name in ("sigma_min", "sigma_max", "rho")}
    return {"sigmas": karras_sigmas(params["n"], **bounds)}


@adapter(STEM, "edm_precondition")
def edm_precondition(inputs, params):
    factors = precondition(inputs["sigma"], sigma_data=params["sigma_data"])
    skip, out, scale = (one[:, None] for one in factors[:3])
    return {
        "network_input": scale * inputs["x"],
        "network_time": factors.noise,
        "denoised": skip * inputs["x"] + out * inputs["network_output"],
    }


@adapter(STEM, "flow_time_shift")
def flow_time_shift(inputs, params):
    return {"sigma_shifted": shift_levels(inputs["sigma"], params["shift"])}


@adapter("phased-dmd", "warped_sigma")
def warped_sigma(inputs, params):
    levels = inputs["raw_timesteps"] / params["num_train_timesteps"]
    return {"sigma": shift_levels(levels, params["shift"])}


@adapter(STEM, "add_noise")
def noised(inputs, params):
    return {"x_t": add_noise(*(inputs[name] for name in ("x0", "eps", "alpha", "sigma")))}


@adapter(STEM, "convert_prediction")
def converted(inputs, params):
    given = [inputs[name] for name in ("output", "x_t", "alpha", "sigma")]
    rates = RATES[params["schedule"]]
    return {"converted": convert_prediction(*given, params["src"], params["dst"], rates=rates)}


@adapter(STEM, "ddim_step")
def ddim_step(inputs, params):
    alpha, sigma = discrete(params)
    place, following = params["t"], params["t_prev"]
    here = alpha[place], sigma[place]
    there = (alpha[following], sigma[following]) if following >= 0 else (1.0, 0.0)
    x_t = inputs["x_t"]
    kind = KINDS[params["prediction_type"]]
    x0 = convert_prediction(inputs["output"], x_t, *here, kind, "x0")
    return {"x_prev": deterministic_step(x_t, x0, *here, *there), "x0_pred": x0}


@adapter("phased-dmd", "euler_step")
def euler_step(inputs, params):
    given = (inputs[name] for name in ("x", "velocity", "sigma", "sigma_next"))
    return {"x_next": velocity_step(*given)}


@adapter(STEM, "cfg_combine")
@adapter("decoupled-dmd", "cfg_combine")
def cfg_combine(inputs, params):
    rescale = RESCALES[params["norm"]]
    return {"guided": guided(inputs["cond"], inputs["uncond"], params["scale"], rescale=rescale)}
