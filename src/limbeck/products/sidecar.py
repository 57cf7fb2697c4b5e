"""Sidecar: what a program must know of an exported student, in one file of plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

import limbeck
from limbeck.networks.hugging_face import TextClassifier

if TYPE_CHECKING:
    from limbeck.data.space import InputSpace
    from limbeck.products.student import Student

SIDECAR = "student.json"
MEANINGS = {
    "classification": "logits; their softmax gives class probabilities",
    "multilabel": "logits; the sigmoid of each gives the probability of its label",
    "regression": "the predicted numbers",
}


def describe(student: Student) -> dict[str, Any]:
    """What goes into a student and what comes out, in plain values.

    Args:
        student: of numbers, pictures or texts.

    Returns:
        The facts that stand in `SIDECAR`: task, labels, inputs, preprocessing, outputs.

    Example:
        >>> from limbeck import InputSpace, Student
        >>> student = Student(nn.Linear(2, 2), InputSpace((2,)), "classification", ("a", "b"))
        >>> describe(student)["inputs"][0]["shape"]
        ['batch', 2]
    """
    text = text_classifier(student.network)
    if text is not None:
        inputs, before = _tokens(), _cutting(text)
    else:
        inputs, before = numbers(student.input_space), normalisation(student.input_space)
    return {
        "limbeck": limbeck.__version__,
        "network": student.spec or type(student.network).__name__,
        "parameters": sum(one.numel() for one in student.network.parameters()),
        "task": student.task,
        "labels": list(student.classes),
        "inputs": inputs,
        "preprocessing": before,
        "outputs": [
            {
                "name": "logits",
                "type": "float32",
                "shape": ["batch", student.width],
                "meaning": MEANINGS[student.task],
            }
        ],
    }


def text_classifier(network: nn.Module) -> TextClassifier | None:
    """The network as a classifier of texts, if it is one."""
    return network if isinstance(network, TextClassifier) else None


def numbers(space: InputSpace | None) -> list[dict[str, Any]]:
    """Inputs of numbers or pictures, as a program must lay them out; nothing where unknown."""
    if space is None:
        return []
    image = space.channels is not None
    value: dict[str, Any] = {
        "name": "x",
        "type": "float32",
        "shape": ["batch", *space.shape],
        "layout": "batch, channels, height, width" if image else "batch, then one input",
        "meaning": "values before normalisation",
    }
    if image:
        value["range"] = list(space.range)
        value["meaning"] = f"pixels from {space.range[0]:g} to {space.range[1]:g}, not normalised"
    if space.names:
        value["features"] = list(space.names)
    return [value]


def normalisation(space: InputSpace | None) -> dict[str, Any]:
    """What is done to inputs before the first layer; nothing where unknown."""
    if space is None:
        return {}
    return {
        "size": list(space.size),
        "channels": space.channels,
        "mean": list(space.mean),
        "std": list(space.std),
    }


def _tokens() -> list[dict[str, Any]]:
    shape = ["batch", "tokens"]
    return [
        {"name": "input_ids", "type": "int64", "shape": shape, "meaning": "numbers of the tokens"},
        {"name": "attention_mask", "type": "int64", "shape": shape, "meaning": "0 for padding"},
    ]


def _cutting(text: TextClassifier) -> dict[str, Any]:
    facts: dict[str, Any] = {"max_length": text.length, "pad": text.pad}
    if text.tokenizer is not None:
        return {**facts, "tokenizer": "the files beside this one"}
    return {
        **facts,
        "tokenizer": "limbeck.networks.hugging_face.hashed_words(vocabulary, pad)",
        "vocabulary": text.network.config.vocab_size,
    }
