"""What a split must be: inputs of one shape, targets that fit the task, numbers that are finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from limbeck.data.splits import Split, overlap
from limbeck.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from limbeck.data.data import Data


def check_split(split: Split, what: str, data: Data) -> None:
    """Raise `DataError` unless a split has inputs like those of train, and targets of the task.

    Args:
        split: one of `data`.
        what: what to call it in errors.
        data: the set.
    """
    if not len(split):
        raise DataError(f"{what} is empty; give it samples or leave it out to have it cut")
    y = split.y
    if y is None:
        raise DataError(f"{what} has no targets: give it a column y")
    if len(y) != len(split):
        raise DataError(f"{what} has {len(split)} inputs and {len(y)} targets")
    if (shape := shape_of(split)) != (first := shape_of(data.train)):
        raise DataError(
            f"{what} has inputs of shape {shape} and train {first}; give all splits the same shape"
        )
    if data.members:
        _check_members(what, data)
    if data.task == "classification":
        if y.is_floating_point() or y.ndim != 1:
            raise DataError(
                f"{what} has targets of dtype {y.dtype} and shape {tuple(y.shape)}, expected one "
                "integer class index a sample"
            )
        low, high = int(y.min()), int(y.max())
        if low < 0 or high >= len(data.classes):
            raise DataError(
                f"{what} has labels from {low} to {high}, expected 0 to {len(data.classes) - 1} "
                f"for {len(data.classes)} classes; renumber the labels or name every class"
            )
    elif not bool(torch.isfinite(y.double()).all()):
        raise DataError(f"{what} has targets that are NaN or infinite")
    elif data.task == "multilabel":
        if tuple(y.shape[1:]) != (len(data.classes),) or not bool(((y == 0) | (y == 1)).all()):
            raise DataError(
                f"{what} has targets of shape {tuple(y.shape)} from {y.min():g} to {y.max():g}, "
                f"expected (N, {len(data.classes)}) of 0 and 1"
            )
    elif y.shape[1:] != data.train.y.shape[1:]:  # type: ignore[union-attr]
        expected = tuple(data.train.y.shape)  # type: ignore[union-attr]
        raise DataError(f"{what} has targets of shape {tuple(y.shape)} and train {expected}")
    finite = getattr(split, "finite", None)
    if finite is not None and not bool(finite.all()):
        bad = split.ids[(~finite).numpy()]
        raise DataError(
            f"{what} has {len(bad)} samples with NaN or infinite values, the first has id "
            f"{bad[0]}; drop or repair them"
        )


def check_unseen(data: Data) -> None:
    """Refuse validation samples that were trained on, where their ids tell.

    Raises:
        ArgumentError: some were.
    """
    for part in (data.train, data.rest):
        shared = overlap(data.validation, part) if part is not None else ()
        for first in shared[:1]:
            raise ArgumentError(
                f"{len(shared)} validation samples of {data.name} are training samples too (the "
                f"first has id {first}): models are too sure of those, and what is chosen on them "
                "is wrong; set samples apart that no model has seen, or leave ids out that name "
                "other samples elsewhere"
            )


def _check_members(what: str, data: Data) -> None:
    """Splits have the shape of train, so that one look at it is enough for all."""
    many = (len(data.members), len(data.classes))
    expected = {"classification": many, "regression": many[:1]}.get(data.task)
    if (shape := shape_of(data.train)) != expected:
        raise DataError(
            f"{what} has inputs of shape {shape}, expected {expected}: predictions of the "
            f"{len(data.members)} members {', '.join(data.members)} for {data.task}"
        )


def shape_of(split: Split) -> tuple[int, ...] | None:
    """Shape of one input, or None where samples have no ``"x"``."""
    first = split.take(np.arange(1))
    return tuple(first["x"].shape[1:]) if "x" in first else None
