"""From one noise level to a noisier one."""

from __future__ import annotations

from limbeck.functional.diffusion import add_noise
from limbeck.functional.transitions import transition, transition_target

from ..harness import adapter


def levels(inputs):
    return (
        1 - inputs["sigma_s"],
        inputs["sigma_s"],
        1 - inputs["sigma_t"],
        inputs["sigma_t"],
    )


@adapter("phased-dmd", "phased_coefficients")
def phased_coefficients(inputs, params):
    alpha, sigma = transition(*levels(inputs), epsilon=params["eps"])
    return {"alpha_t_given_s": alpha, "sigma_t_given_s": sigma}


@adapter("phased-dmd", "phased_forward")
def phased_forward(inputs, params):
    scales = transition(*levels(inputs), epsilon=params["eps"])
    return {"x_t": add_noise(inputs["x_s"], inputs["noise"], *scales)}


@adapter("phased-dmd", "phased_velocity_target")
def phased_velocity_target(inputs, params):
    given = inputs["x_s"], inputs["noise"], *levels(inputs)
    return {"target": transition_target(*given, epsilon=params["eps"])}
