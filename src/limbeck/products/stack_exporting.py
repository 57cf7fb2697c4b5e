"""Exporting a stack: members and numbers as they are, or networks and rule as one graph."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import limbeck
from limbeck import outputs as reading
from limbeck.errors import ModelError
from limbeck.networks.making import library
from limbeck.products.export_folder import check_known, check_place, write_export
from limbeck.products.exporting import ONNX_LIBRARIES
from limbeck.products.graphs import compare, drawn_values, graph, write_onnx
from limbeck.products.sidecar import describe
from limbeck.products.stacked_predictor import StackedPredictor
from limbeck.products.student import Student

SIDECAR = "stack.json"
Writer = Callable[[StackedPredictor, Path, dict[str, Any]], None]


class StackedNetwork(nn.Module):
    """Networks that are each asked once, and the rule that makes their answers one.

    Args:
        groups: for each member the networks that are averaged.
        rule: from what members say to one answer.
        of: ``"probabilities"`` or ``"numbers"``, what the networks of one member are averaged by.
    """

    def __init__(self, groups: Sequence[Sequence[nn.Module]], rule: nn.Module, of: str) -> None:
        super().__init__()
        self.groups = nn.ModuleList(nn.ModuleList(group) for group in groups)
        self.rule, self.of = rule, of

    def forward(self, x: Tensor) -> Tensor:
        """Return the answers ``(N, C)`` of normalised inputs ``(N, ...)``."""
        said = torch.stack([self._member(group, x) for group in self.groups])
        return self.rule(said).to(said.dtype)

    def _member(self, group: Any, x: Tensor) -> Tensor:
        answers = [reading.parse(one(x), one).read("logits") for one in group]
        each = torch.stack([one[:, None] if one.ndim == 1 else one for one in answers])
        if self.of == "numbers" or len(answers) == 1:
            return each.mean(0)
        return each.softmax(-1).mean(0).log()


def export(stack: StackedPredictor, dir: str | Path, *, to: str) -> dict[str, Any]:
    """Write a stack as `StackedPredictor.export` describes it.

    Raises:
        ArgumentError: the format is unknown.
        ModelError: a library is missing, a member is no network, or the graph differs.
        RunError: the folder holds something else or cannot be written.
    """
    check_known(to, FORMATS, "stack")
    facts = {
        "limbeck": limbeck.__version__,
        "task": stack.task,
        "labels": list(stack.classes),
        "members": list(stack.names),
        "rule": stack.rule.facts(),
        "stack": stack.facts,
        "format": to,
        "fingerprint": stack.fingerprint,
    }
    check_place(Path(dir), facts, SIDECAR, "stack")
    told = write_export(dir, facts, SIDECAR, lambda part: FORMATS[to](stack, part, facts))
    return told | {name: facts[name] for name in ("largest_difference",) if name in facts}


def _safetensors(stack: StackedPredictor, part: Path, facts: Mapping[str, Any]) -> None:
    stack.write(part)


def _onnx(stack: StackedPredictor, part: Path, facts: dict[str, Any]) -> None:
    for name in ONNX_LIBRARIES:
        library(name, "export")
    whole = Student(
        _network(stack), stack.input_space, stack.task, stack.classes, outputs=stack.width
    )
    made = graph(whole)
    facts |= {name: described for name, described in describe(whole).items() if name not in facts}
    compare(made, write_onnx(made, part / "stack.onnx", facts), stack.task, facts)


def _network(stack: StackedPredictor) -> StackedNetwork:
    """A copy on the CPU: what an exporter changes on the way does not reach the members."""
    others = [
        name
        for name, group in zip(stack.names, stack.groups, strict=True)
        if not all(hasattr(one, "reading") for one in group)
    ]
    if others:
        raise ModelError(
            f"members {', '.join(others)} are no networks, which one graph of ONNX needs; export "
            "the stack --to safetensors, or stack networks alone"
        )
    if stack.input_space is not None:
        # The stack names the member whose outputs do not fit; a graph of it would not.
        stack.logits(drawn_values(stack.input_space, 1))
    groups: Any = stack.groups
    networks = [[one.reading(stack.input_space) for one in group] for group in groups]
    of = "numbers" if stack.task == "regression" else "probabilities"
    return copy.deepcopy(StackedNetwork(networks, stack.rule, of)).cpu().eval()


FORMATS: dict[str, Writer] = {"safetensors": _safetensors, "onnx": _onnx}
