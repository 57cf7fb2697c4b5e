"""Samplers of few steps."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from limbeck.samplers.few_step import walk

from ..harness import adapter


class Linear:
    """A linear prediction of clean samples; a level of EDM is its sigma."""

    conditional = False

    def __init__(self, weight, bias, kind):
        self.weight, self.bias, self.kind = weight, bias, kind

    def alpha_sigma(self, level):
        level = torch.as_tensor(level, dtype=torch.float64)
        return (torch.ones_like(level) if self.kind == "edm" else 1 - level), level

    def predict(self, x, level, condition, guidance):
        return x @ self.weight.T + self.bias * level


@adapter("_diffusion-distillation-protocol", "few_step_sample")
def few_step_sample(inputs, params):
    denoiser = Linear(inputs["W"], inputs["b"], params["schedule"])
    # The settings ask for levels up to 1; the walk itself takes any.
    plan = SimpleNamespace(
        levels=inputs["t_list"].tolist()[:-1], kind=params["sampler"], guidance=1.0
    )
    fresh = inputs["fresh_noise"]
    return {"sample": walk(denoiser, inputs["z"], None, plan, lambda step: fresh[step])}
