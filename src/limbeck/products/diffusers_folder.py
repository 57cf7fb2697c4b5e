"""Pipeline folder: a generator as diffusers loads and runs it, with its own pipeline and a card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from limbeck import files, keyed
from limbeck.errors import ModelError
from limbeck.functional.diffusion import convert_prediction
from limbeck.functional.noise_levels import precondition
from limbeck.naming import without_place
from limbeck.networks.denoisers import DiffusersNetwork
from limbeck.networks.making import library
from limbeck.networks.noise_schedule import NoiseSchedule
from limbeck.products.generator_files import experts_of
from limbeck.products.graphs import spoken
from limbeck.products.hub import no_bars
from limbeck.products.model_card import Origin, measured
from limbeck.samplers.few_step import walk
from limbeck.samplers.noise import unit_noise

if TYPE_CHECKING:
    from limbeck.products.generator import Generator

CARD, INDEX, MODULE, TOLERANCE, TRIED = "README.md", "model_index.json", "pipeline", 1e-4, 6
# Where the pipeline has its networks, from the noisiest levels on.
PLACES = ("unet", "unet_2", "unet_3", "unet_4")
# What diffusers calls the answer of a network under a schedule whose variance is preserved.
ANSWERS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
INSTEAD = "export it --to onnx or safetensors"
FIGURES = "FD, KID and SW: less is better; shares in percent"
USE = """import torch
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained(".", trust_remote_code=True)
images = pipe({asked}, generator=torch.Generator().manual_seed(0)).images"""


def pipeline_folder(made: Generator, part: Path, facts: dict[str, Any], origin: Origin) -> None:
    """Write the folder and its card; compare what is loaded from it with the generator.

    Plain diffusers has no pipeline that hands classes to such networks, goes on with fresh noise
    or asks several experts: `limbeck.products.few_step_pipeline` is copied beside the weights.

    Raises:
        ModelError: a network is no model of diffusers, there are too many, or images differ.
    """
    diffusers = library("diffusers", "diffusion")
    from limbeck.products import few_step_pipeline

    network = made.network
    pipe = few_step_pipeline.FewStepPipeline(
        **dict(zip(PLACES, _models(made), strict=False)),
        scheduler=scheduler_of(diffusers, network.schedule, network.prediction),
        steps=[step_of(made, level) for level in facts["levels"]],
        fresh=made.sampler.kind == "sde",
        guidance=made.sampler.guidance if made.conditional else 1.0,
        null_condition=network.null,
    )
    load = diffusers.DiffusionPipeline.from_pretrained
    with no_bars(diffusers):
        pipe.save_pretrained(part)
        source = Path(few_step_pipeline.__file__).read_text()
        files.write_text(part / f"{MODULE}.py", source)
        # By this word diffusers looks for the class in the folder rather than among its own.
        index = json.loads((part / INDEX).read_text())
        index["_class_name"] = [MODULE, type(pipe).__name__]
        files.write_text(part / INDEX, json.dumps(index, indent=2) + "\n")
        loaded = spoken("diffusers", lambda: load(part, trust_remote_code=True), "generator")
    facts["largest_difference"] = _difference(made, loaded)
    files.write_text(part / CARD, pipeline_card(facts, origin))


def scheduler_of(diffusers: Any, schedule: NoiseSchedule, prediction: str) -> Any:
    """The scheduler of diffusers that says what a schedule and a prediction say.

    Args:
        diffusers: the library.
        schedule: of the denoiser.
        prediction: of its network.

    Returns:
        The scheduler, or None where diffusers has none.
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
    return None


def step_of(made: Generator, level: Mapping[str, Any]) -> dict[str, Any]:
    """What the pipeline must know of a level.

    Args:
        made: the generator.
        level: as `limbeck.products.generator_exporting.describe` gives it.

    Returns:
        ``time``, ``expert``, ``alpha`` and ``sigma``; and ``input``, ``skip`` and ``out``, by which
        the clean prediction is skip x + out network(input x).
    """
    alpha, sigma = (torch.tensor(level[name], dtype=torch.float64) for name in ("alpha", "sigma"))
    deviation = experts_of(made.network)[level["expert"]].precondition
    if deviation is not None:
        scales = precondition(sigma, sigma_data=deviation)
        factors = {"input": scales.input, "skip": scales.skip, "out": scales.out}
    else:
        # Every kind of prediction is linear in the sample and in what the network says.
        one, none = torch.ones_like(alpha), torch.zeros_like(alpha)
        rates, kind = made.network.rates(level["level"]), made.network.prediction

        def clean(said: Tensor, x: Tensor) -> Tensor:
            return convert_prediction(said, x, alpha, sigma, kind, "x0", rates=rates)

        factors = {"input": one, "skip": clean(none, one), "out": clean(one, none)}
    kept = {name: level[name] for name in ("time", "expert", "alpha", "sigma")}
    return kept | {name: float(factor) for name, factor in factors.items()}


def _models(made: Generator) -> list[Any]:
    """The models of diffusers inside a generator, from the noisiest levels on."""
    experts = experts_of(made.network)
    if len(experts) > len(PLACES):
        raise ModelError(
            f"the generator has {len(experts)} networks, and a pipeline at most {len(PLACES)}; "
            f"{INSTEAD}"
        )
    for expert in experts:
        inner = expert.network
        if not isinstance(inner, DiffusersNetwork) or not hasattr(inner.model, "save_pretrained"):
            raise ModelError(
                f"the generator's network is a {type(inner).__name__}, no model of diffusers such "
                f"as that of denoiser-unet; {INSTEAD}"
            )
        if type(inner.model).__name__ != "UNet2DModel":
            raise ModelError(
                f"the generator's network is a {type(inner.model).__name__}, expected a "
                f"UNet2DModel, which pipelines without a decoder take; {INSTEAD}"
            )
    return [expert.network.model for expert in experts]


def _difference(made: Generator, pipe: Any) -> float:
    """The largest difference of images made of the same noise, fresh noises and classes."""
    shape, levels = made.network.shape, made.sampler.levels
    noise = [unit_noise(keyed.key("export", n), range(TRIED), shape) for n in range(len(levels))]
    labels = torch.arange(TRIED) % len(made.classes) if made.conditional else None
    clean = walk(made.network, noise[0], labels, made.sampler, lambda step: noise[step + 1])
    expected = clean if made.space is None else made.space.denormalise(clean)
    low, high = (-1.0, 1.0) if made.space is None else made.space.range
    expected = ((expected - low) / (high - low)).clamp(0, 1)

    def run() -> Any:
        pipe.set_progress_bar_config(disable=True)
        return pipe(TRIED, class_labels=labels, noise=noise, output_type="pt").images

    largest = float((spoken("diffusers", run, "generator") - expected).abs().max())
    if not largest <= TOLERANCE:
        raise ModelError(
            f"images of the pipeline differ from the generator's by {largest:.3g} of their range, "
            f"expected at most {TOLERANCE:g}; nothing was written. Export it --to safetensors"
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
    count, labels = len(facts["levels"]), facts["labels"]
    tags = ["limbeck", "diffusion-distillation", *filter(None, [origin.method])]
    shown = list(range(len(labels)))[:8]
    asked = f"class_labels={shown}" if labels else "8"
    parts = [
        f"---\nlibrary_name: diffusers\ntags: [{', '.join(tags)}]\n---",
        f"# A generator of {count} step{'s' * (count > 1)}",
        f"{facts['parameters']:,} parameters, distilled{how}{where} with limbeck "
        f"{facts['limbeck']}. Its teacher is not in it.",
        f"## Use it\n\n```python\n{USE.format(asked=asked)}\n```\n\nThe lines run in this folder, "
        f"with torch and diffusers alone. The pipeline is `{MODULE}.py`, which lies here: read it, "
        "`trust_remote_code=True` lets diffusers run it. It knows the levels, which network is "
        "asked at which, and how a step goes to the next.",
    ]
    learned = facts["learned"]
    if learned["guidance"] not in (None, 1):
        parts.append(
            f"It learned what its teacher says with guidance {learned['guidance']:g} against class "
            f"{learned['null_condition']}, no class at all, and samples without: leave "
            "`guidance_scale` out."
        )
    if labels:
        parts.append(f"Classes in order: {', '.join(map(str, labels))}.")
    if origin.rows:
        parts.append(f"## Measured\n\n{measured(origin, FIGURES, 'weights')}")
    return "\n\n".join(parts) + "\n"
