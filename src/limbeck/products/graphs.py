"""Graphs: a product's network with its preprocessing as one program, for ONNX and torch.export."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from limbeck import files, keyed
from limbeck import outputs as reading
from limbeck.data.space import InputSpace
from limbeck.data.texts import decode_texts, encode_texts
from limbeck.errors import ModelError
from limbeck.networks.hugging_face import TextClassifier
from limbeck.products.sidecar import text_classifier

if TYPE_CHECKING:
    from limbeck.products.model_card import Origin
    from limbeck.products.student import Student

BATCHES, TOLERANCE = (1, 3, 17), 1e-4
ONNX_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
# One file of ONNX holds less than two gigabytes; above this the weights go beside it.
ONE_FILE = 1_500_000_000
Inputs = tuple[Tensor, ...]


class Normalised(nn.Module):
    """Normalisation, network and the reading of what it returns, as one module."""

    def __init__(self, network: nn.Module, space: InputSpace) -> None:
        super().__init__()
        self.network, self.space = network, space
        weights = (one.dtype for one in network.parameters() if one.is_floating_point())
        self.precision = next(weights, torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(N, C)`` of values before normalisation ``(N, ...)``."""
        said = self.network(self.space.normalise(x).to(self.precision))
        return reading.parse(said, self.network).read("logits")


class FromTokens(nn.Module):
    """A classifier of texts behind its tokenizer."""

    def __init__(self, text: TextClassifier) -> None:
        super().__init__()
        self.network = text.network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the logits ``(N, C)`` of tokens ``(N, T)``."""
        return self.network(input_ids=input_ids, attention_mask=attention_mask).logits


@dataclass(frozen=True)
class Graph:
    """A module of plain tensors, what it is called with, and what must come out.

    Args:
        module: takes the inputs in order.
        axes: names of the axes that may have any length, by input.
        limits: the most of an axis, where there is a most.
        sample: inputs for a number of samples, and what the product says about them.
        what: the product in an error.
        says: name of what comes out.
        leaves: names of what comes out behind it, for the next of several graphs.
    """

    module: nn.Module
    axes: dict[str, dict[int, str]]
    limits: dict[str, int]
    sample: Callable[[int], tuple[Inputs, Tensor]]
    what: str = "student"
    says: str = "logits"
    leaves: tuple[str, ...] = ()


def graph(student: Student) -> Graph:
    """Make the graph of a student.

    Raises:
        ModelError: the shape of its inputs is not known.
    """
    text = text_classifier(student.network)
    if text is not None:
        axes = {0: "batch", 1: "tokens"}
        return Graph(
            FromTokens(text),
            {"input_ids": axes, "attention_mask": axes},
            {"tokens": text.length},
            lambda count: _texts(student, text, count),
        )
    space = student.input_space
    if space is None:
        raise ModelError(
            f"the inputs of {type(student.network).__name__} have no known shape, which a graph "
            "needs; export it --to safetensors, or give the student an InputSpace"
        )
    return Graph(
        Normalised(student.network, space),
        {"x": {0: "batch"}},
        {},
        lambda count: _values(student, space, count),
    )


def torch_export(
    student: Student, part: Path, facts: dict[str, Any], origin: Origin | None
) -> None:
    """Write ``student.pt2``, and compare what it says with the student."""
    made = graph(student)
    _write_tokenizer(student, part)
    program = _captured(made, "torch-export")
    content = io.BytesIO()
    # Into memory first: torch's own writer has no error for a full disk.
    torch.export.save(program, content, extra_files={"facts.json": json.dumps(facts)})
    files.write_bytes(part / "student.pt2", content.getbuffer())
    again = torch.export.load(part / "student.pt2").module()
    compare(made, again, student.task, facts)


def onnx(student: Student, part: Path, facts: dict[str, Any], origin: Origin | None) -> None:
    """Write ``student.onnx``, and compare what onnxruntime says with the student."""
    made = graph(student)
    _write_tokenizer(student, part)
    said = write_onnx(made, part / "student.onnx", facts)
    compare(made, said, student.task, facts)


def write_onnx(made: Graph, path: Path, facts: Mapping[str, Any]) -> Callable[..., Tensor]:
    """Write a graph as a file of ONNX.

    Args:
        made: the graph.
        path: the file.
        facts: to put into it.

    Returns:
        What onnxruntime says when it reads the file, called as the graph's module.

    Raises:
        ModelError: the graph has no such form.
    """
    program = _captured(made, "onnx")
    first, *others = made.axes
    # Axes are named once: a name given twice makes the exporter warn.
    named = {first: made.axes[first], **dict.fromkeys(others)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written: Any = spoken(
            "onnx",
            lambda: torch.onnx.export(
                program,
                dynamo=True,
                input_names=list(made.axes),
                output_names=[made.says, *made.leaves],
                dynamic_shapes=named,
                verbose=False,
            ),
            made.what,
        )
    written.model.metadata_props["limbeck"] = json.dumps(facts)
    size = sum(one.numel() * one.element_size() for one in made.module.state_dict().values())
    written.save(str(path), external_data=size > ONE_FILE)
    return spoken("onnxruntime", lambda: _session(path), made.what)


def _captured(made: Graph, to: str) -> torch.export.ExportedProgram:
    dimensions: dict[str, Any] = {
        name: torch.export.Dim(name, max=made.limits.get(name))
        for axes in made.axes.values()
        for name in axes.values()
    }
    shapes = tuple(
        {axis: dimensions[name] for axis, name in axes.items()} for axes in made.axes.values()
    )
    with warnings.catch_warnings():
        # The exporter's own notes on torch's insides say nothing to a user of limbeck.
        warnings.simplefilter("ignore")
        program = spoken(
            to,
            lambda: torch.export.export(made.module, made.sample(3)[0], dynamic_shapes=shapes),
            made.what,
        )
    # Nodes remember the lines of source that they come from, with the paths of this machine.
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
    return program


def _write_tokenizer(student: Student, part: Path) -> None:
    text = text_classifier(student.network)
    if text is not None and text.tokenizer is not None:
        text.write_beside(part)


def _session(path: Path) -> Callable[..., Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def said(*inputs: Tensor) -> Tensor:
        given = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    return said


@torch.no_grad()
def compare(made: Graph, said: Callable[..., Tensor], task: str, facts: dict[str, Any]) -> None:
    """Note the largest difference from the product over batches of several sizes."""
    differences, allowed = [], 0.0
    for count in BATCHES:
        inputs, expected = made.sample(count)
        answer = spoken(facts["format"], partial(said, *inputs), made.what)
        alike = answer.shape == expected.shape
        differences.append((answer - expected).abs().max() if alike else torch.tensor(inf))
        scale = float(expected.abs().max()) if task == "regression" else 1.0
        allowed = max(allowed, TOLERANCE * max(1.0, scale))
    # The maximum of tensors keeps NaN, which is no small difference.
    largest = float(torch.stack(differences).max())
    if not largest <= allowed:
        raise ModelError(
            f"the {facts['format']} form of the {made.what} differs from it by {largest:.3g} in "
            f"batches of {', '.join(map(str, BATCHES))}, expected at most {allowed:.3g}; nothing "
            "was written. Export --to safetensors, which keeps every bit"
        )
    shape, precision = ["batch", *answer.shape[1:]], str(answer.dtype).removeprefix("torch.")
    facts["outputs"] = [{**facts["outputs"][0], "shape": shape, "type": precision}]
    facts["largest_difference"] = largest


def spoken(to: str, call: Callable[[], Any], what: str = "student") -> Any:
    """Call a part of an exporter; say what its error means for the product."""
    try:
        return call()
    except Exception as error:  # exporters raise errors of many kinds
        lines = [line for line in str(error).splitlines() if line.strip()] or [""]
        raise ModelError(
            f"the {what} has no {to} form: {type(error).__name__}: {lines[0][:300]}\nits network "
            "does what such a graph cannot say; export it --to safetensors"
        ) from error


def _drawn(count: int, width: int) -> np.ndarray:
    return keyed.uniform(keyed.key("export"), np.arange(count), width)


def _values(student: Student, space: InputSpace, count: int) -> tuple[Inputs, Tensor]:
    """Values before normalisation, and what a student says about them."""
    x = drawn_values(space, count)
    return (x,), student.logits(x)


def drawn_values(space: InputSpace, count: int) -> Tensor:
    """Values before normalisation: pixels over their range, features over two deviations.

    Args:
        space: that they lie in.
        count: N.

    Returns:
        ``(N, ...)``, the same at every call.
    """
    width = int(np.prod(space.shape, dtype=np.int64))
    share = torch.from_numpy(_drawn(count, width)).float().reshape(count, *space.shape)
    low, high = space.range
    standard = space.channels is None and bool(space.std)
    return space.denormalise(4 * share - 2) if standard else low + (high - low) * share


def _texts(student: Student, text: TextClassifier, count: int) -> tuple[Inputs, Tensor]:
    """Texts of one to several words, cut into tokens by the student itself."""
    size = text.network.config.vocab_size
    if text.tokenizer is not None:
        size = min(size, len(text.tokenizer))
    numbers = (_drawn(count, count + 4) * size).astype(np.int64)
    rows = [row[: 1 + place] for place, row in enumerate(numbers.tolist(), start=-count % 4)]
    if text.tokenizer is None:
        texts = [" ".join(f"word{one}" for one in row) for row in rows]
    else:
        texts = [text.tokenizer.decode(row, skip_special_tokens=True) + " a" for row in rows]
    with warnings.catch_warnings():
        # A drawn text may be cut: that is no news about the user's texts.
        warnings.simplefilter("ignore")
        encoded = encode_texts(texts)
        return text.encode(decode_texts(encoded)), student.logits(decode_texts(encoded))
