"""Fitting: whether some data is what a product was made for, and whether its parts fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from limbeck.data.data import Data
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError

if TYPE_CHECKING:
    from limbeck.products.synthetic_dataset import SyntheticDataset


def check_same(
    data: Data, task: str, width: int, classes: tuple[str, ...], who: str, does: str
) -> None:
    """Raise unless data has the task and the classes of a product.

    Args:
        data: what came.
        task: of the product.
        width: how many numbers a model of the task gives.
        classes: in the order of the product.
        who: the product in an error.
        does: what it has to do with its task: a verb.

    Raises:
        ModelError: the task, the number of classes or their names differ.
    """
    outputs = getattr(data, "outputs", None)
    if (data.task, outputs) != (task, width):
        # A corpus has no outputs.
        found = data.task if outputs is None else f"{data.task} with {outputs}"
        raise ModelError(
            f"{who} {does} {task} with {width} outputs and {data.name} is {found}; take data of "
            "the same classes"
        )
    # Numbers of arrays have no names.
    named = bool(classes and data.classes)
    if data.classes != classes and (named or task != "regression"):
        pairs = enumerate(zip(classes, data.classes, strict=True))
        place, (mine, theirs) = next(pair for pair in pairs if pair[1][0] != pair[1][1])
        one, many = ("number", "numbers") if task == "regression" else ("class", "classes")
        raise ModelError(
            f"{one} {place} is {mine!r} for {who} and {theirs!r} in {data.name}; name "
            f"and order the {many} as in training"
        )


def check_shape(data: Data, space: InputSpace, what: str) -> None:
    """Raise unless the inputs of data, whose space is known, have the shape of a product's.

    Args:
        data: what came.
        space: of the product.
        what: the product and its verb, before the word inputs.

    Raises:
        ModelError: the shapes differ.
    """
    given = data.input_space
    assert given is not None
    if space.shape != given.shape:
        images = space.channels is not None and given.channels is not None
        fix = f"; resize images with ?size={space.size[-1]} behind the name" * images
        raise ModelError(
            f"{what} inputs of shape {space.shape} and {data.name} has {given.shape}{fix}"
        )


def image_space(data: Data) -> InputSpace:
    """The space of images of one size.

    Raises:
        ArgumentError: the data are none.
    """
    space = data.input_space
    if space is None or space.channels is None:
        raise ArgumentError(
            f"{data.name} has no images of one size, which synthetic images need; resize "
            "them with ?size=32 behind the name"
        )
    return space


def check_images(data: Data, small: SyntheticDataset, task: str) -> None:
    """Raise unless data holds images of the classes and the shape of a synthetic dataset.

    Args:
        data: what came.
        small: the set.
        task: of the set.

    Raises:
        ModelError: the task, the classes or the shape differ.
    """
    classes = small.classes
    check_same(data, task, len(classes), classes, "the synthetic set", "is for")
    if data.input_space is None:
        raise ModelError(
            f"{data.name} has no single input space, which the synthetic set needs; take data "
            "whose images have one size"
        )
    check_shape(data, small.space, "the synthetic set has")


def check_set(small: SyntheticDataset) -> None:
    """Raise unless the parts of a synthetic dataset belong together.

    Args:
        small: the set.

    Raises:
        ArgumentError: shapes do not belong together, labels lie outside the classes, or images
            hold NaN.
    """
    count, shape = len(small.images), small.space.shape
    if small.space.channels is None or tuple(small.images.shape[1:]) != shape or not count:
        laid = ", ".join(map(str, shape))
        raise ArgumentError(
            f"images have shape {tuple(small.images.shape)}, expected one image or more of the "
            f"space, (N, {laid})"
        )
    if tuple(small.labels.shape) != (count,):
        raise ArgumentError(
            f"labels have shape {tuple(small.labels.shape)} for {count} images, expected "
            f"({count},); give soft labels as label_logits"
        )
    low, high, width = int(small.labels.min()), int(small.labels.max()), len(small.classes)
    if low < 0 or high >= width:
        raise ArgumentError(f"labels go from {low} to {high}, expected 0 to {width - 1}")
    soft = small.label_logits
    if soft is not None and tuple(soft.shape) != (count, width):
        raise ArgumentError(
            f"label_logits have shape {tuple(soft.shape)}, expected ({count}, {width})"
        )
    if small.replayed is not None and (soft is not None or not small.eight_bit):
        raise ArgumentError(
            "replayed labels are about images of bytes and have no other labels beside them; "
            "give images as uint8 and no label_logits"
        )
    if small.eight_bit and small.zca is not None:
        raise ArgumentError("images are bytes and zca is given: bytes are not whitened")
    for what, values in (("images", small.images), ("label_logits", soft)):
        if values is not None and not bool(torch.isfinite(values).all()):
            raise ArgumentError(f"{what} hold NaN or infinite values; lower the learning rate")
