"""Exporting a generator: exact weights, one evaluation as ONNX, a pipeline folder of diffusers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import limbeck
from limbeck.fingerprint import fingerprint
from limbeck.functional.diffusion import per_sample
from limbeck.functional.noise_levels import precondition
from limbeck.networks.denoisers import DiffusersNetwork
from limbeck.networks.making import library
from limbeck.networks.routed import Routed
from limbeck.plain import to_plain
from limbeck.products.diffusers_folder import pipeline_folder
from limbeck.products.export_folder import check_known, check_place, write_export
from limbeck.products.exporting import ONNX_LIBRARIES
from limbeck.products.generator import Generator
from limbeck.products.generator_files import experts_of, learned_of
from limbeck.products.graphs import Graph, compare, write_onnx
from limbeck.products.model_card import Origin
from limbeck.samplers.noise import unit_noise

SIDECAR = "generator.json"
# What turns the network's answer u into a clean sample.
CLEAN = {
    "x0": "x0 = u",
    "eps": "x0 = (x - sigma * u) / alpha",
    "v": "x0 = alpha * x - sigma * u",
    "flow": "x0 = x - sigma * u",
    "score": "x0 = (x + sigma ** 2 * u) / alpha",
}
NEXT = {
    "sde": "x = alpha * x0 + sigma * fresh unit normal noise, both of the next level",
    "ode": "x = alpha * x0 + sigma * noise, both of the next level, where noise is (x - alpha * x0)"
    " / sigma of this one",
}
Writer = Callable[[Generator, Path, dict[str, Any], Origin], None]


def export(
    made: Generator, dir: str | Path, *, to: str, origin: Origin | None = None
) -> dict[str, Any]:
    """Write a generator as `Generator.export` describes it.

    Args:
        made: it is not changed.
        dir: the folder; an export of the same generator in the same format is replaced.
        to: one of `FORMATS`.
        origin: the run that the generator comes from.

    Returns:
        ``format``, ``folder``, ``files`` (their names), ``bytes``, and ``largest_difference``
        where the written form was run beside the generator.

    Raises:
        ArgumentError: the format is unknown.
        ModelError: a library is missing, the generator has no such form, or the form differs.
        RunError: the folder holds something else or cannot be written.
    """
    check_known(to, FORMATS, "generator")
    if to == "onnx":
        for name in ONNX_LIBRARIES:
            library(name, "export")
    alone = copy.copy(made)
    alone.network = copy.deepcopy(made.network).cpu().eval()
    facts = describe(alone) | {
        "format": to,
        "fingerprint": fingerprint([alone.tensors(), to_plain(alone.sampler)]),
    }
    check_place(Path(dir), facts, SIDECAR, "generator")
    told = write_export(
        dir, facts, SIDECAR, lambda part: FORMATS[to](alone, part, facts, origin or Origin())
    )
    return told | {name: facts[name] for name in ("largest_difference",) if name in facts}


def describe(made: Generator) -> dict[str, Any]:
    """What a program must know to make samples with the network, in plain values.

    Example:
        >>> from limbeck.data import InputSpace
        >>> from limbeck.networks.names import build
        >>> from limbeck.samplers import steps
        >>> space = InputSpace((2,))
        >>> network = build("denoiser-mlp?width=8", space, 2)
        >>> facts = describe(Generator(network, steps(2), space, ("left", "right")))
        >>> facts["levels"][1]
        {'level': 0.5, 'time': 0.5, 'alpha': 0.5, 'sigma': 0.5, 'expert': 0}
    """
    network, space = made.network, made.space
    return {
        "limbeck": limbeck.__version__,
        "parameters": sum(one.numel() for one in network.parameters()),
        "labels": list(made.classes) if made.conditional else [],
        "null_condition": network.null,
        "shape": list(network.shape),
        "prediction": network.prediction,
        "schedule": to_plain(network.schedule),
        "sampler": made.sampler.kind,
        "guidance": made.sampler.guidance,
        "learned": learned_of(made),
        "levels": [_level(made, level) for level in made.sampler.levels],
        "begin": "x = sigma * unit normal noise, of the first level",
        "clean": CLEAN[network.prediction],
        "next": NEXT[made.sampler.kind],
        "inputs": _inputs(made),
        "outputs": [
            {
                "name": "prediction",
                "type": "float32",
                "shape": ["batch", *network.shape],
                "meaning": "u, which `clean` turns into a clean sample",
            }
        ],
        "postprocessing": {
            "mean": list(space.mean) if space else [],
            "std": list(space.std) if space else [],
            "range": list(space.range) if space else [],
            "meaning": "x0 * std + mean are values of the data; images are clipped to the range",
        },
    }


def _level(made: Generator, level: float) -> dict[str, Any]:
    network = made.network
    alpha, sigma = (float(one) for one in network.alpha_sigma(level))
    return {
        "level": level,
        "time": float(network.schedule.time(level)),
        "alpha": alpha,
        "sigma": sigma,
        "expert": int(network.expert_of(level)) if isinstance(network, Routed) else 0,
    }


def _inputs(made: Generator) -> list[dict[str, Any]]:
    shape = ["batch", *made.network.shape]
    found = [
        {"name": "sample", "type": "float32", "shape": shape, "meaning": "x, noised samples"},
        {"name": "time", "type": "float32", "shape": ["batch"], "meaning": "of the level"},
    ]
    if made.conditional:
        told = "class, or null_condition"
        found += [{"name": "condition", "type": "int64", "shape": ["batch"], "meaning": told}]
    return found


def _safetensors(made: Generator, part: Path, facts: dict[str, Any], origin: Origin) -> None:
    made.write(part)


class Evaluation(nn.Module):
    """One evaluation of a denoiser's network by its own time, preconditioning included."""

    def __init__(self, denoiser: Any) -> None:
        super().__init__()
        self.network, self.deviation = denoiser.network, denoiser.precondition

    def forward(self, sample: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return what the network says about samples ``(N, ...)`` at times ``(N,)``."""
        if self.deviation is None:
            return self.network(sample, time, condition)
        # Time under such a schedule is ln(sigma) / 4.
        scales = precondition((4 * time).exp(), sigma_data=self.deviation)
        said = self.network(per_sample(scales.input, sample) * sample, time, condition)
        return per_sample(scales.skip, sample) * sample + per_sample(scales.out, sample) * said


def _onnx(made: Generator, part: Path, facts: dict[str, Any], origin: Origin) -> None:
    """Write ``expert-N.onnx``, a file for each network, and compare what onnxruntime says."""
    largest = 0.0
    for place, expert in enumerate(experts_of(made.network)):
        graph = _graph(made, expert, [one for one in facts["levels"] if one["expert"] == place])
        said = write_onnx(graph, part / f"expert-{place}.onnx", facts)
        # Answers have no common scale, as numbers of a regression.
        compare(graph, said, "regression", facts)
        largest = max(largest, facts["largest_difference"])
    facts["largest_difference"] = largest


def _graph(made: Generator, expert: Any, levels: list[dict[str, Any]]) -> Graph:
    module = Evaluation(expert)
    times = torch.tensor([one["time"] for one in levels] or [float(expert.schedule.time(1.0))])

    def sample(count: int) -> tuple[tuple[Tensor, ...], Tensor]:
        numbers = torch.arange(count)
        noise, chosen = unit_noise(0, range(count), expert.shape), times[numbers % len(times)]
        labels = (numbers % (expert.conditions + 1),) if made.conditional else ()
        inputs = (noise, chosen.float(), *labels)
        with torch.no_grad():
            return inputs, module(*inputs)

    axes = {one["name"]: {0: "batch"} for one in _inputs(made)}
    # Networks of diffusers ask whether a batch is large, which changes nothing of what comes out
    # and would bind the graph: a file made for smaller ones takes any.
    limits = {"batch": 63} if isinstance(expert.network, DiffusersNetwork) else {}
    return Graph(module, axes, limits, sample, "generator", "prediction")


def _diffusers(made: Generator, part: Path, facts: dict[str, Any], origin: Origin) -> None:
    pipeline_folder(made, part, facts, origin)


FORMATS: dict[str, Writer] = {
    "safetensors": _safetensors,
    "onnx": _onnx,
    "diffusers": _diffusers,
}
