"""Students of every kind, and questions to ask them."""

import re

import pytest
import torch

from limbeck import Student
from limbeck.data import InputSpace
from limbeck.keyed import torch_seeded
from limbeck.networks.names import build

ROW = {
    "name": "kd",
    "role": "product",
    "quality": {"accuracy": 0.875, "nll": 0.5, "ece": 0.1},
    "cost": {"parameters": 610, "macs": 592, "latency_ms": 0.25, "bytes": 2440},
}
NUMBERS = {**ROW, "quality": {"rmse": 2.5, "mae": 2.0, "r2": 0.75}}
SMALL = "hidden_size=16&num_hidden_layers=1&num_attention_heads=2&intermediate_size=32"
GREY = InputSpace(size=(8, 8), channels=1, mean=(0.3,), std=(0.2,))
WIDE = InputSpace(size=(32, 24), channels=1, mean=(0.3,), std=(0.2,))
BYTES = InputSpace(size=(8, 8), channels=1, mean=(70.0,), std=(50.0,), range=(0.0, 255.0))
COLOUR = InputSpace(size=(32, 32), channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
TABLE = InputSpace(size=(3,), mean=(1e5, -2.0, 0.0), std=(1e4, 1.0, 3.0), names=("a", "b", "c"))
STUDENTS = {
    "mlp": ("mlp?hidden=8", GREY, "classification", 4),
    "cnn": ("cnn?width=4", BYTES, "multilabel", 3),
    "regression": ("mlp?hidden=8", TABLE, "regression", 1),
    "timm": ("timm:test_resnet", COLOUR, "classification", 4),
    "torchvision": ("torchvision:squeezenet1_1", WIDE, "classification", 4),
    "vit": (f"hf:vit?{SMALL}&patch_size=4", BYTES, "classification", 4),
    "bert": (f"hf:bert?{SMALL}&vocab_size=200", None, "classification", 2),
    "gpt2": ("hf:gpt2?n_embd=8&n_layer=1&n_head=2&vocab_size=200", None, "multilabel", 3),
}
NEEDS = {"timm": "timm", "torchvision": "torchvision", "hf": "transformers"}
TEXTS = ["a fine film", "bad", "good and fine, as films go " * 3]


def made(name):
    spec, space, task, outputs = STUDENTS[name]
    library = NEEDS.get(spec.partition(":")[0])
    if library:
        pytest.importorskip(library, reason=f"{library} is not installed")
    with torch_seeded(3):
        network = build(spec, space, outputs)
    classes = () if task == "regression" else tuple("abcd"[:outputs])
    return Student(network, space, task, classes, outputs=outputs, spec=spec)


def values(space, count):
    """Inputs as a user has them: not those that the exporter checks itself on."""
    drawn = torch.rand(count, *space.shape, generator=torch.Generator().manual_seed(count))
    if space.channels is None:
        return space.denormalise(6 * drawn - 3)
    return space.range[0] + (space.range[1] - space.range[0]) * drawn


def questions(student):
    """Inputs of a graph, and what the student says, in batches of 1, 3 and 17."""
    for count in (1, 3, 17):
        if student.input_space is None:
            texts = [f"{TEXTS[place % 3]} {place}" for place in range(count)]
            yield student.network.encode(texts), student.logits(texts)
        else:
            x = values(student.input_space, count)
            yield (x,), student.logits(x)


def everything(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def shown_lines(folder):
    (code,) = re.findall(r"^```python\n(.*?)^```$", (folder / "README.md").read_text(), re.S | re.M)
    return code
