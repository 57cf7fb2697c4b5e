"""The loop that makes images with a pipeline folder and nothing but diffusers.

Its source stands in the card of every exported folder, so it needs no other name of limbeck.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def make_samples(
    pipe: Any, facts: dict[str, Any], noise: Tensor, labels: Tensor | None = None, draw: Any = None
) -> Tensor:
    """Make samples of noise in the few steps that the network was made for.

    Args:
        pipe: with a ``unet`` and a ``scheduler``.
        facts: what ``generator.json`` holds.
        noise: unit normal, ``(N, C, H, W)``.
        labels: classes ``(N,)``, where the network takes some.
        draw: gives fresh noise like a tensor; ``torch.randn_like`` by default.

    Returns:
        Samples ``(N, C, H, W)``, images from -1 to 1.
    """
    scheduler, levels = pipe.scheduler, facts["levels"]
    fresh, last = facts["sampler"] == "sde", len(levels) - 1
    draw = draw or torch.randn_like
    flows = type(scheduler).__name__ == "FlowMatchEulerDiscreteScheduler"
    if flows:
        scheduler.set_timesteps(sigmas=[one["level"] for one in levels])
        times, x = scheduler.timesteps, noise * scheduler.sigmas[0]
    else:
        scheduler.set_timesteps(len(levels))
        times = torch.tensor([round(one["time"]) for one in levels])
        x = scheduler.add_noise(torch.zeros_like(noise), noise, times[:1])
    for place, time in enumerate(times):
        said = pipe.unet(x, time, class_labels=labels).sample
        after = times[place + 1 : place + 2]
        if flows and (place == last or not fresh):
            x = scheduler.step(said, time, x).prev_sample
        elif flows:
            x = scheduler.scale_noise(x - scheduler.sigmas[place] * said, after, draw(x))
        else:
            x0 = scheduler.step(said, time, x).pred_original_sample
            if place == last:
                return x0
            kept = scheduler.alphas_cumprod[time]
            implied = (x - kept**0.5 * x0) / (1 - kept) ** 0.5
            x = scheduler.add_noise(x0, draw(x) if fresh else implied, after)
    return x
