"""Hub: a student as a folder that transformers or limbeck loads, with its model card."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from limbeck import files
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError
from limbeck.networks.adapted import Adapted
from limbeck.networks.hugging_face import PictureClassifier, TextClassifier
from limbeck.networks.making import library
from limbeck.products.graphs import compare, graph, spoken
from limbeck.products.model_card import Origin, model_card

if TYPE_CHECKING:
    from limbeck.products.student import Student

CARD = "README.md"
PROBLEMS = {
    "classification": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
}
Classifier = PictureClassifier | TextClassifier


def hub_folder(student: Student, part: Path, facts: dict[str, Any], origin: Origin | None) -> None:
    """Write the folder and its card; compare what is loaded from it with the student.

    A classifier of transformers is written as that library writes it. Any other student stands in
    a sub-folder of its own, so that its checksums hold when somebody edits the card.

    Raises:
        ArgumentError: there is nothing measured to show.
    """
    if origin is None or not origin.rows:
        raise ArgumentError(
            "a model card shows measured figures and none came with the student; give data=DATA to "
            "measure it on, or export a run that has a table"
        )
    inner = _classifier(student.network)
    if inner is None:
        student.save(part / "product")
        own = ", network=network" if student.spec is None else ""
        load = f'import limbeck\n\nstudent = limbeck.load("."{own})'
        notes = _notes(student)
        card = model_card(facts, origin, load=load, library="limbeck", notes=notes)
    else:
        load, notes = _write_transformers(student, inner, part, facts)
        card = model_card(facts, origin, load=load, library="transformers", notes=notes)
    files.write_text(part / CARD, card)


def _classifier(network: nn.Module) -> Classifier | None:
    inside = network.network if isinstance(network, Adapted) else network
    return inside if isinstance(inside, (PictureClassifier, TextClassifier)) else None


def _notes(student: Student) -> list[str]:
    name = type(student.network).__name__
    space = student.input_space
    notes = []
    if student.spec is None:
        notes.append(f"`network` is a {name} of its makers' own, built by their code.")
    if space is not None and space.channels is not None:
        size = " by ".join(map(str, space.size))
        numbers = f"numbers from {space.range[0]:g} to {space.range[1]:g}"
        values = f"bytes (uint8) or {numbers}" if space.range == (0.0, 1.0) else numbers
        notes.append(
            f"In: pictures of {size} pixels, laid out (N, {space.channels}, height, width), "
            f"{values}; the student normalises them: `student.predict(x)`."
        )
    elif space is not None:
        named = f": {', '.join(space.names)}" if space.names else ""
        shape = ", ".join(map(str, space.shape))
        notes.append(
            f"In: numbers of shape (N, {shape}){named}; the student normalises them: "
            "`student.predict(x)`."
        )
    return notes


def _write_transformers(
    student: Student, inner: Classifier, part: Path, facts: dict[str, Any]
) -> tuple[str, list[str]]:
    """Write the model, its configuration and what comes before it; give lines and notes."""
    transformers = library("transformers", "text")
    network, config = inner.network, inner.network.config
    names = student.classes or [f"y{place}" for place in range(student.width)]
    config.id2label = dict(enumerate(map(str, names)))
    config.label2id = {name: place for place, name in config.id2label.items()}
    config.problem_type = PROBLEMS[student.task]
    if isinstance(inner, PictureClassifier):
        maker = "AutoModelForImageClassification"
        inner.space = _from_bytes(inner.space or student.input_space)
        load, notes = _picture_words(student, inner.space, maker)
    else:
        maker = "AutoModelForSequenceClassification"
        load, notes = _text_words(inner, maker)
    loader = getattr(transformers, maker)
    with no_bars(transformers):
        network.save_pretrained(part)
        inner.write_beside(part)
        loaded = spoken("hf", lambda: loader.from_pretrained(str(part)).eval())
    twin = copy.copy(student)
    twin.network = copy.deepcopy(student.network)
    _classifier(twin.network).network = loaded  # type: ignore[union-attr]
    compare(graph(student), graph(twin).module, student.task, facts)
    return f'{load}\nmodel = {maker}.from_pretrained(".")', notes


def _picture_words(student: Student, space: InputSpace, maker: str) -> tuple[str, list[str]]:
    size = " by ".join(map(str, space.size))
    notes = [f"In: pictures, which `processor` brings to {size} pixels and normalises."]
    shown = student.input_space
    if shown is not None and shown.size != space.size:
        learnt = " by ".join(map(str, shown.size))
        notes.append(f"The student learnt from, and was measured on, pictures of {learnt} pixels.")
    return (
        f"from transformers import AutoImageProcessor, {maker}\n\n"
        'processor = AutoImageProcessor.from_pretrained(".")'
    ), notes


def _text_words(text: TextClassifier, maker: str) -> tuple[str, list[str]]:
    cut = f"cut to {text.length} tokens"
    if text.tokenizer is not None:
        return (
            f"from transformers import {maker}, AutoTokenizer\n\n"
            'tokenizer = AutoTokenizer.from_pretrained(".")'
        ), [f"In: texts, {cut}: `tokenizer(texts, truncation=True, padding=True)`."]
    size = text.network.config.vocab_size
    return (
        f"from transformers import {maker}\n\n"
        "from limbeck.networks.hugging_face import hashed_words\n\n"
        f"tokens = hashed_words({size}, {text.pad})"
    ), [
        f"In: texts as `tokens` numbers them, {cut}; words have numbers by their hash and there "
        f"is no vocabulary. Shorter rows are filled with {text.pad} and masked."
    ]


def _from_bytes(space: InputSpace | None) -> InputSpace:
    """The same normalisation for pixels from 0 to 1, which processors make of bytes."""
    if space is None:
        raise ArgumentError("the student has no input space, which a processor of pictures needs")
    low, high = space.range
    if (low, high) == (0.0, 1.0):
        return space
    wide, channels = high - low, space.channels or 1
    mean, std = space.mean or (0.0,) * channels, space.std or (1.0,) * channels
    return replace(
        space,
        range=(0.0, 1.0),
        mean=tuple((one - low) / wide for one in mean),
        std=tuple(one / wide for one in std),
    )


@contextlib.contextmanager
def no_bars(library: Any) -> Iterator[None]:
    """A folder is written and read in a moment: no bars of transformers or diffusers for it."""
    logging = library.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
