"""Predictions as data: what models said of samples stands in the place of what they read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from limbeck.data.data import TEST_SHARE, Data, assemble
from limbeck.data.space import InputSpace
from limbeck.data.splits import Indices, Split, TensorSplit, hold_out
from limbeck.errors import DataError
from limbeck.functional.stack_columns import log_probabilities

Scores = Literal["probabilities", "logits"]
SCORES = ("probabilities", "logits")
# Rows of probabilities add up to 1, within what a few digits in a file leave of it.
NEAR_ONE = 0.01


def from_predictions(
    predictions: Any,
    y: Any,
    *,
    members: Sequence[str] | None = None,
    validation: tuple[Any, Any] | None = None,
    test: tuple[Any, Any] | None = None,
    classes: Sequence[str] | None = None,
    scores: Scores = "probabilities",
    name: str = "predictions",
) -> Data:
    r"""Build a data set of what K models said, each about samples that it was not trained on.

    Every method takes it: without a teacher, the ensemble of these members teaches. Nothing is
    normalised. Probabilities are kept as :math:`\log \max(p, 10^{-6})`.

    Args:
        predictions: numbers ``(N, K)`` for regression, or ``(N, K, C)`` for classes; or by the
            name of the member ``(N,)`` or ``(N, C)`` each, as in a mapping or a table.
        y: numbers ``(N,)``, or class indices ``(N,)``.
        members: K names; None takes those of a mapping, else numbers them.
        validation: predictions and targets to choose on; None cuts a tenth off.
        test: predictions and targets to report on; None cuts a fifth off.
        classes: C names of classes; None numbers them.
        scores: what predictions for classes are: ``"probabilities"`` or ``"logits"``.
        name: what to call the data set.

    Returns:
        The data set, with ``members``.

    Raises:
        DataError: shapes do not fit, names are missing or double, or probabilities are none.

    Example:
        >>> said = {"ridge": np.arange(20.0), "forest": np.arange(20.0) + 1}
        >>> from_predictions(said, np.arange(20.0)).members
        ('ridge', 'forest')
    """
    names = _member_names(predictions, members)
    train: Split = prediction_split(predictions, y, names, scores, "predictions")
    if test is None:
        train, tested = hold_out(train, TEST_SHARE, "test")
    else:
        tested = prediction_split(*test, names, scores, "predictions of test")
    chosen = None
    if validation is not None:
        chosen = prediction_split(*validation, names, scores, "predictions of validation")
    return assembled(train, tested, chosen, names, classes, name)


def assembled(
    train: Split,
    test: Split,
    validation: Split | None,
    members: tuple[str, ...],
    classes: Sequence[str] | None,
    name: str,
) -> Data:
    """The data set of splits that `prediction_split` made."""
    shape = tuple(train.take(np.arange(1))["x"].shape[1:])
    many = len(shape) > 1
    if many and classes is None:
        classes = [str(number) for number in range(shape[1])]
    # Members are the features of a table of numbers: students know them by name.
    space = InputSpace(size=shape, names=() if many else members)
    data = assemble(
        train,
        test,
        validation,
        task="classification" if many else "regression",
        classes=classes,
        input_space=space,
        name=name,
    )
    return dataclasses.replace(data, members=members)


def _member_names(predictions: Any, members: Sequence[str] | None) -> tuple[str, ...]:
    if members is None:
        if hasattr(predictions, "items"):
            members = [str(name) for name, _ in predictions.items()]
        else:
            shape = np.shape(predictions)
            members = [f"member-{place}" for place in range(shape[1] if len(shape) > 1 else 0)]
    names = tuple(map(str, members))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"members has the name {twice[0]!r} more than once, rename one")
    return names


def prediction_split(
    predictions: Any,
    y: Any,
    members: tuple[str, ...],
    scores: str,
    what: str,
    *,
    ids: Indices | None = None,
    named: bool | None = None,
    **columns: Any,
) -> TensorSplit:
    """Predictions of some rows as a split.

    Args:
        predictions: as `from_predictions` takes them.
        y: targets ``(N,)``.
        members: K names.
        scores: what predictions for classes are.
        what: what to call them in errors.
        ids: of the rows; None numbers them.
        named: whether the ids name rows in other splits too; None says so where they are given.
        columns: what else is known of the rows.

    Returns:
        The split, with log-probabilities or logits for classes.

    Raises:
        DataError: as `from_predictions`.
    """
    if scores not in SCORES:
        raise DataError(f"scores is {scores!r}, expected one of {', '.join(SCORES)}")
    x = _stacked(predictions, members, what)
    targets = torch.as_tensor(np.asarray(y))
    if x.ndim == 2 and not targets.is_floating_point():
        raise DataError(
            f"{what} have shape {x.shape} and whole numbers for targets: give a prediction for "
            f"each class, (N, {len(members)}, C), or targets as floats for a regression"
        )
    if x.ndim == 3 and scores == "probabilities":
        x = _logs(x, what)
    return TensorSplit({"x": x, "y": targets, **columns}, ids, named=named, exact=True)


def _stacked(predictions: Any, members: tuple[str, ...], what: str) -> np.ndarray:
    """Predictions as one array, ``(N, K)`` or ``(N, K, C)``, members in their order."""
    if hasattr(predictions, "items"):
        by_name: Mapping[str, Any] = {str(name): one for name, one in predictions.items()}
        if set(by_name) != set(members):
            raise DataError(
                f"{what} are of {', '.join(by_name)}, expected of {', '.join(members)}: the same "
                "members everywhere"
            )
        parts = [np.asarray(by_name[name], dtype=np.float64) for name in members]
        if len({part.shape for part in parts}) > 1:
            shapes = ", ".join(f"{n} {p.shape}" for n, p in zip(members, parts, strict=True))
            raise DataError(f"{what} have different shapes: {shapes}")
        predictions = np.stack(parts, axis=1) if parts else np.empty((0,))
    x = np.asarray(predictions, dtype=np.float64)
    if x.ndim not in (2, 3) or x.shape[1] != len(members) or not members:
        raise DataError(
            f"{what} have shape {x.shape}, expected (N, {len(members) or 'K'}) numbers or "
            f"(N, {len(members) or 'K'}, C) for classes: one column a member"
        )
    return x


def _logs(x: np.ndarray, what: str) -> np.ndarray:
    if np.nanmin(x) < 0 or np.nanmax(x) > 1 or np.nanmax(np.abs(x.sum(2) - 1)) > NEAR_ONE:
        raise DataError(
            f"{what} are no probabilities: they lie from {np.nanmin(x):g} to {np.nanmax(x):g} and "
            f"add up to between {x.sum(2).min():g} and {x.sum(2).max():g}; say scores=logits if "
            "they are logits"
        )
    return log_probabilities(x)
