"""What a scheduler of diffusers says of the model beside it: its noise, its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from limbeck.errors import ModelError
from limbeck.functional.diffusion import Prediction
from limbeck.networks.noise_schedule import Betas, NoiseSchedule

# Samplers of models that were trained under the same noise, of variance preserved.
PRESERVING = frozenset(
    f"{name}Scheduler"
    for name in (
        "DDIM", "DDPM", "PNDM", "LCM", "TCD", "DEISMultistep", "DPMSolverMultistep",
        "DPMSolverSinglestep", "DPMSolverSDE", "EulerAncestralDiscrete", "EulerDiscrete",
        "HeunDiscrete", "KDPM2AncestralDiscrete", "KDPM2Discrete", "LMSDiscrete", "UniPCMultistep",
    )
)  # fmt: skip
FLOWING = frozenset(
    f"FlowMatch{name}Scheduler" for name in ("EulerDiscrete", "HeunDiscrete", "LCM")
)
OF_SIGMA = frozenset(f"EDM{name}Scheduler" for name in ("Euler", "DPMSolverMultistep"))
PREDICTIONS: dict[str, Prediction] = {
    "epsilon": "eps",
    "sample": "x0",
    "v_prediction": "v",
    "flow_prediction": "flow",
}
# Settings that change the noise and have no counterpart here, with the value that leaves it.
LEFT = {
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
    "invert_sigmas": False,
    "timestep_type": "discrete",
    "sigma_schedule": "karras",
}


@dataclass(frozen=True)
class Told:
    """What a scheduler tells: the schedule, what the model predicts, how it is preconditioned."""

    schedule: NoiseSchedule
    prediction: Prediction
    precondition: float | None = None


def told_by(config: Mapping[str, Any], name: str) -> Told:
    """Read the schedule and the kind of prediction off a scheduler's configuration.

    Args:
        config: with every field of the scheduler, and its ``_class_name``.
        name: of the model, for errors.

    Returns:
        What it tells; networks count in steps.

    Raises:
        ModelError: the scheduler or its prediction is unknown, both contradict each other, or a
            setting has no counterpart here.

    Example:
        >>> told_by({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}, "x").schedule
        NoiseSchedule(kind='flow', shift=3.0, ...)
    """
    kind = config.get("_class_name")
    for setting, usual in LEFT.items():
        if config.get(setting, usual) != usual:
            raise ModelError(
                f"{name}: its {kind} has {setting}={config[setting]!r}, which limbeck has no "
                f"schedule for; expected {usual!r}"
            )
    if kind in FLOWING:
        return _flow(config, "shift")
    if kind in OF_SIGMA:
        return _edm(config, name)
    if kind not in PRESERVING:
        known = ", ".join(sorted(PRESERVING | FLOWING | OF_SIGMA))
        raise ModelError(f"{name}: the noise of a {kind} is not known. Valid: {known}")
    said = config.get("prediction_type", "epsilon")
    if said not in PREDICTIONS:
        raise ModelError(
            f"{name}: prediction_type is {said!r}, expected one of {', '.join(PREDICTIONS)}"
        )
    flows = bool(config.get("use_flow_sigmas", False))
    if flows != (said == "flow_prediction"):
        raise ModelError(
            f"{name}: its {kind} has prediction_type={said!r} and use_flow_sigmas={flows}, which "
            "contradict each other; flow_prediction goes with use_flow_sigmas=True"
        )
    return _flow(config, "flow_shift") if flows else _vp(config, PREDICTIONS[said], name)


def _flow(config: Mapping[str, Any], shift: str) -> Told:
    # A shift by the image's size only moves the levels that a sampler takes.
    shifted = 1.0 if config.get("use_dynamic_shifting") else config.get(shift, 1.0)
    steps = config.get("num_train_timesteps", 1000)
    schedule = NoiseSchedule("flow", shift=shifted, steps=steps, units="steps")
    return Told(schedule, "flow")


def _edm(config: Mapping[str, Any], name: str) -> Told:
    said = config.get("prediction_type", "epsilon")
    if said != "epsilon":
        raise ModelError(
            f"{name}: its {config['_class_name']} has prediction_type={said!r}, expected 'epsilon'"
        )
    named = {key: config[key] for key in ("sigma_min", "sigma_max", "rho") if key in config}
    schedule = NoiseSchedule("edm", units="steps", **named)
    return Told(schedule, "x0", config.get("sigma_data", 0.5))


def _vp(config: Mapping[str, Any], prediction: Prediction, name: str) -> Told:
    betas = config.get("beta_schedule", "linear")
    if betas not in get_args(Betas):
        raise ModelError(
            f"{name}: beta_schedule is {betas!r}, expected one of {', '.join(get_args(Betas))}"
        )
    schedule = NoiseSchedule(
        "vp",
        betas=betas,
        beta_start=config.get("beta_start", 1e-4),
        beta_end=config.get("beta_end", 0.02),
        steps=config.get("num_train_timesteps", 1000),
        units="steps",
    )
    return Told(schedule, prediction)
