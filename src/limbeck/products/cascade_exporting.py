"""Exporting a cascade: one graph a stage and the windows in a small file of plain values."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import limbeck
from limbeck.data.space import InputSpace, convert
from limbeck.errors import ModelError
from limbeck.networks.making import library
from limbeck.products.export_folder import check_known, check_place, write_export
from limbeck.products.graphs import (
    ONNX_LIBRARIES,
    Graph,
    Normalised,
    compare,
    drawn_values,
    write_onnx,
)
from limbeck.products.members import NetworkMember
from limbeck.products.sidecar import MEANINGS, normalisation, numbers
from limbeck.products.stages import LazyExits
from limbeck.products.window_cascade import WindowCascade

SIDECAR = "cascade.json"
Writer = Callable[[WindowCascade, Path, dict[str, Any]], None]


def export(cascade: WindowCascade, dir: str | Path, *, to: str) -> dict[str, Any]:
    """Write a cascade as `WindowCascade.export` describes it.

    Args:
        cascade: calibrated; it is not changed.
        dir: the folder; an export of the same cascade in the same format is replaced.
        to: one of `FORMATS`.

    Returns:
        ``format``, ``folder``, ``files``, ``bytes``, and ``largest_difference`` of ONNX.

    Raises:
        ArgumentError: the format is unknown.
        ModelError: a library is missing, or a stage has no such form.
        RunError: the folder holds something else or cannot be written.
    """
    check_known(to, FORMATS, "cascade")
    facts = describe(cascade) | {"format": to, "fingerprint": cascade.fingerprint}
    check_place(Path(dir), facts, SIDECAR, "cascade")
    told = write_export(dir, facts, SIDECAR, lambda part: FORMATS[to](cascade, part, facts))
    return told | {name: facts[name] for name in ("largest_difference",) if name in facts}


def describe(cascade: WindowCascade) -> dict[str, Any]:
    """What a program must know of a cascade, in plain values.

    Args:
        cascade: calibrated.

    Returns:
        The facts that stand in `SIDECAR`: how stages are scored, put together and left.
    """
    exits = cascade.calibrated.to_facts()
    return {
        "limbeck": limbeck.__version__,
        "task": cascade.task,
        "labels": list(cascade.classes),
        "stages": [f"stage-{place}.onnx" for place in range(len(cascade.models))],
        **exits,
        "inputs": numbers(cascade.input_space),
        "preprocessing": normalisation(cascade.input_space),
        "outputs": [
            {
                "name": "logits",
                "type": "float32",
                "shape": ["batch", cascade.width],
                "meaning": MEANINGS[cascade.task],
            }
        ],
    }


class Going(nn.Module):
    """A later exit as a graph: from what the one before left to logits and what it leaves."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, state: Tensor) -> tuple[Tensor, ...]:
        """Return the logits and, unless it is the last, what is left."""
        returned = self.part(state)
        return (returned,) if isinstance(returned, Tensor) else _left(*returned)


class Beginning(Going):
    """The first exit as a graph, from values before normalisation."""

    def __init__(self, part: nn.Module, space: InputSpace, own: InputSpace | None) -> None:
        super().__init__(part)
        self.space, self.own = space, own

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the logits and what is left."""
        return super().forward(convert(self.space.normalise(x), self.space, self.own))


def _onnx(cascade: WindowCascade, part: Path, facts: dict[str, Any]) -> None:
    for name in ONNX_LIBRARIES:
        library(name, "export")
    if cascade.input_space is None:
        raise ModelError(
            "the inputs of the cascade have no known shape, which a graph needs; export it "
            "--to safetensors, or give it an InputSpace"
        )
    differences = []
    for file, graph in zip(facts["stages"], _graphs(cascade, cascade.input_space), strict=True):
        noted = {"format": "onnx", "outputs": facts["outputs"]}
        said = write_onnx(graph, part / file, {"stage": file})
        compare(graph, said, cascade.task, noted)
        differences.append(noted["largest_difference"])
    facts["largest_difference"] = max(differences)


def _graphs(cascade: WindowCascade, space: InputSpace) -> list[Graph]:
    if isinstance(cascade.models, LazyExits):
        return _exit_graphs(cascade.models, space)
    if not cascade.models.skips:
        raise ModelError(
            "the network computes its exits at once and has no graph for each; offer them one by "
            "one in exit_stages, or export the cascade --to safetensors"
        )
    return [_member_graph(place, one, space) for place, one in enumerate(cascade.models.members)]


def _member_graph(place: int, member: Any, space: InputSpace) -> Graph:
    if not isinstance(member, NetworkMember):
        raise ModelError(
            f"stage {place}, {member!r}, is no network, which ONNX needs; export the cascade --to "
            "safetensors"
        )
    network = copy.deepcopy(member.reading(space)).cpu().eval()
    return _graph(Normalised(network, space), "x", lambda count: (drawn_values(space, count),))


def _exit_graphs(models: LazyExits, space: InputSpace) -> list[Graph]:
    """Graphs of exits, each asked about what those before it leave."""
    parts = [copy.deepcopy(part).cpu().eval() for part in models.modules]
    (member,) = models.members
    own = getattr(member, "input_space", None)
    modules = [Beginning(parts[0], space, own), *map(Going, parts[1:])]

    def before(place: int) -> Callable[[int], tuple[Tensor]]:
        def sample(count: int) -> tuple[Tensor]:
            given = drawn_values(space, count)
            for module in modules[:place]:
                _, given = module(given)
            return (given,)

        return sample

    return [
        _graph(module, "state" if place else "x", before(place), leaves=place < len(modules) - 1)
        for place, module in enumerate(modules)
    ]


@torch.no_grad()
def _graph(
    module: nn.Module, name: str, inputs: Callable[[int], tuple[Tensor]], *, leaves: bool = False
) -> Graph:
    def sample(count: int) -> tuple[tuple[Tensor], Tensor]:
        given = inputs(count)
        said = module(*given)
        return given, said if isinstance(said, Tensor) else said[0]

    return Graph(
        module,
        {name: {0: "batch"}},
        {},
        sample,
        what="cascade",
        leaves=("left",) if leaves else (),
    )


def _left(logits: Tensor, state: Any) -> tuple[Tensor, ...]:
    if state is None:
        return (logits,)
    if not isinstance(state, Tensor):
        raise ModelError(
            f"an exit leaves a {type(state).__name__} for the next, and a graph hands on one "
            "tensor; export the cascade --to safetensors"
        )
    return logits, state


def _safetensors(cascade: WindowCascade, part: Path, facts: Mapping[str, Any]) -> None:
    cascade.write(part)


FORMATS: dict[str, Writer] = {"onnx": _onnx, "safetensors": _safetensors}
