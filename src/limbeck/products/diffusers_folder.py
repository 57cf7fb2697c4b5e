"""Pipeline folder: a generator as diffusers writes and loads it, with a card."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from limbeck import files, keyed
from limbeck.errors import ModelError
from limbeck.naming import without_place
from limbeck.networks.denoisers import DiffusersNetwork
from limbeck.networks.making import library
from limbeck.networks.noise_schedule import NoiseSchedule
from limbeck.networks.routed import Routed
from limbeck.products import diffusers_loop
from limbeck.products.graphs import spoken
from limbeck.products.hub import no_bars
from limbeck.products.model_card import Origin, measured
from limbeck.samplers.few_step import walk
from limbeck.samplers.noise import unit_noise

if TYPE_CHECKING:
    from limbeck.products.generator import Generator

CARD, TOLERANCE, TRIED = "README.md", 1e-4, 6
# What diffusers calls the answer of a network under a schedule whose variance is preserved.
ANSWERS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
INSTEAD = "export it --to onnx or safetensors"
FIGURES = "FD, KID and SW: less is better; shares in percent"
IMPORTS = """import json
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import Tensor"""
USE = """pipe = DiffusionPipeline.from_pretrained(".")
facts = json.load(open("generator.json"))
noise = torch.randn({count}, {shape})
{labels}images = make_samples(pipe, facts, noise{given})
images = (images / 2 + 0.5).clamp(0, 1)"""


def pipeline_folder(made: Generator, part: Path, facts: dict[str, Any], origin: Origin) -> None:
    """Write the folder and its card; compare what is loaded from it with the generator.

    Plain diffusers has no pipeline that hands classes to such a network or goes on with fresh
    noise: the folder loads as a pipeline of network and scheduler, and the card has the loop over
    both that makes the same images.

    Raises:
        ModelError: the network is no model of diffusers, guidance is asked for, no scheduler says
            what the network says, or images differ.
    """
    diffusers = library("diffusers", "diffusion")
    network = _network(made)
    scheduler = scheduler_of(diffusers, network.schedule, network.prediction)
    _check_levels(made, network.schedule)
    flows = network.schedule.kind == "flow"
    # The one would turn any scheduler into its own kind, the other takes what it is given.
    maker = diffusers.DDPMPipeline if flows else diffusers.DDIMPipeline
    load = diffusers.DiffusionPipeline.from_pretrained
    with no_bars(diffusers):
        maker(unet=network.network.model, scheduler=scheduler).save_pretrained(part)
        loaded = spoken("diffusers", lambda: load(part), "generator")
    facts["largest_difference"] = _difference(made, loaded, facts)
    files.write_text(part / CARD, pipeline_card(facts, origin))


def scheduler_of(diffusers: Any, schedule: NoiseSchedule, prediction: str) -> Any:
    """The scheduler of diffusers that says what a schedule and a prediction say.

    Args:
        diffusers: the library.
        schedule: of the denoiser.
        prediction: of its network.

    Raises:
        ModelError: there is none.
    """
    if schedule.kind == "flow" and prediction == "flow":
        return diffusers.FlowMatchEulerDiscreteScheduler(
            num_train_timesteps=schedule.steps, shift=schedule.shift
        )
    if schedule.kind == "vp" and prediction in ANSWERS:
        return diffusers.DDIMScheduler(
            num_train_timesteps=schedule.steps,
            beta_start=schedule.beta_start,
            beta_end=schedule.beta_end,
            beta_schedule=schedule.betas,
            prediction_type=ANSWERS[prediction],
            # Its defaults would cut samples, and never begin at the noisiest step.
            clip_sample=False,
            timestep_spacing="trailing",
        )
    raise ModelError(
        f"diffusers has no scheduler for a network that says {prediction!r} under a schedule of "
        f"kind {schedule.kind!r}, expected 'flow' under 'flow', or one of "
        f"{', '.join(ANSWERS)} under 'vp'; {INSTEAD}"
    )


def _network(made: Generator) -> Any:
    network = made.network
    if isinstance(network, Routed):
        raise ModelError(
            f"the generator has {len(network.experts)} networks and a pipeline one; {INSTEAD}"
        )
    inner = network.network
    if not isinstance(inner, DiffusersNetwork) or not hasattr(inner.model, "save_pretrained"):
        raise ModelError(
            f"the generator's network is a {type(inner).__name__}, no model of diffusers such as "
            f"that of denoiser-unet; {INSTEAD}"
        )
    if type(inner.model).__name__ != "UNet2DModel":
        raise ModelError(
            f"the generator's network is a {type(inner.model).__name__}, expected a UNet2DModel, "
            f"which pipelines without a decoder take; {INSTEAD}"
        )
    if made.sampler.guidance != 1:
        raise ModelError(
            f"the sampler has guidance {made.sampler.guidance:g}, which the pipeline does not "
            f"give; {INSTEAD}"
        )
    return network


def _check_levels(made: Generator, schedule: NoiseSchedule) -> None:
    if schedule.kind != "vp":
        return
    for level in made.sampler.levels:
        time = float(schedule.time(level, "steps"))
        if abs(time - round(time)) > 1e-6:
            raise ModelError(
                f"level {level:g} lies between two of the {schedule.steps} steps that diffusers "
                f"counts in; sample at multiples of 1/{schedule.steps}, or {INSTEAD}"
            )


def _difference(made: Generator, pipe: Any, facts: Mapping[str, Any]) -> float:
    """The largest difference of images made of the same noise, fresh noises and classes."""
    shape, ids = made.network.shape, range(TRIED)
    noises = [unit_noise(keyed.key("export", n), ids, shape) for n in range(len(facts["levels"]))]
    labels = torch.arange(TRIED) % len(made.classes) if made.conditional else None
    expected = walk(made.network, noises[-1], labels, made.sampler, lambda step: noises[step])
    drawn = iter(noises)
    found = spoken(
        "diffusers",
        lambda: diffusers_loop.make_samples(
            pipe, dict(facts), noises[-1], labels, draw=lambda like: next(drawn).to(like)
        ),
        "generator",
    )
    largest = float((found - expected).abs().max())
    allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
    if not largest <= allowed:
        raise ModelError(
            f"images of the pipeline differ from the generator's by {largest:.3g}, expected at "
            f"most {allowed:.3g}; nothing was written. Export it --to safetensors"
        )
    return largest


def pipeline_card(facts: Mapping[str, Any], origin: Origin) -> str:
    """Write the page of a pipeline folder.

    Args:
        facts: as `limbeck.products.generator_exporting.describe` gives them.
        origin: the run that the generator comes from.

    Returns:
        Markdown behind the header that model hubs read.
    """
    how = f" by {origin.title} ({origin.paper})" if origin.title else ""
    where = f" on `{without_place(origin.data)}`" if origin.data else ""
    count = len(facts["levels"])
    tags = ["limbeck", "diffusion-distillation", *filter(None, [origin.method])]
    shape = ", ".join(map(str, facts["shape"]))
    labels = facts["labels"]
    lines = USE.format(
        count=8,
        shape=shape,
        labels=f"labels = torch.arange(8) % {len(labels)}\n" if labels else "",
        given=", labels" if labels else "",
    )
    loop = f"{IMPORTS}\n\n\n{inspect.getsource(diffusers_loop.make_samples).strip()}"
    parts = [
        f"---\nlibrary_name: diffusers\ntags: [{', '.join(tags)}]\n---",
        f"# A generator of {count} step{'s' * (count > 1)}",
        f"{facts['parameters']:,} parameters, distilled{how}{where} with limbeck "
        f"{facts['limbeck']}. Its teacher is not in it.",
        "The folder loads with plain diffusers as a pipeline of `unet` and `scheduler`. That "
        "pipeline's own call knows neither classes nor these levels and fresh noise, so images are "
        "made by the loop below, over the same two parts.",
        f"## Use it\n\n```python\n{loop}\n\n\n{lines}\n```\n\nThe lines run in this folder.",
    ]
    if labels:
        parts.append(f"Classes in order: {', '.join(map(str, labels))}.")
    if origin.rows:
        parts.append(f"## Measured\n\n{measured(origin, FIGURES, 'weights')}")
    return "\n\n".join(parts) + "\n"
