"""Fitting: whether some data is what a product was made for."""

from __future__ import annotations

from limbeck.data.data import Data
from limbeck.data.space import InputSpace
from limbeck.errors import ModelError


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
    if (data.task, data.outputs) != (task, width):
        raise ModelError(
            f"{who} {does} {task} with {width} outputs and {data.name} is "
            f"{data.task} with {data.outputs}; take data of the same classes"
        )
    if data.classes != classes:
        pairs = enumerate(zip(classes, data.classes, strict=True))
        place, (mine, theirs) = next(pair for pair in pairs if pair[1][0] != pair[1][1])
        raise ModelError(
            f"class {place} is {mine!r} for {who} and {theirs!r} in {data.name}; name "
            "and order the classes as in training"
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
