"""One number a sample, read from what users hold: tensors, arrays or lists, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from limbeck.checks import check_dimensions
from limbeck.errors import ArgumentError
from limbeck.functional.guards import refuse_nan

Values = Tensor | np.ndarray | Sequence[float]


def numbers(value: Values, name: str) -> Tensor:
    """A tensor of any shape in float64, on its own device.

    Args:
        value: tensor, array or nested list of numbers.
        name: what to call it in an error.

    Returns:
        A tensor of the same shape; a tensor keeps its gradient.

    Raises:
        ArgumentError: it holds something else than numbers.

    Example:
        >>> numbers([1, 2], "costs").tolist()
        [1.0, 2.0]
    """
    if isinstance(value, Tensor):
        return value.double()
    try:
        # A copy, because torch takes neither negative strides nor memory that is read-only.
        return torch.from_numpy(np.array(value, dtype=np.float64, order="C"))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name} is no array of numbers: {error}") from error


def column(value: Values, name: str, *, empty: bool = False) -> Tensor:
    """One number a sample in float64, without gradient.

    Args:
        value: ``(N,)``; infinities are fair, they only order samples.
        name: what to call it in an error.
        empty: whether N may be 0.

    Returns:
        A tensor ``(N,)``.

    Raises:
        ArgumentError: another shape, no sample, or an entry is NaN.

    Example:
        >>> column([0.5, 0.75], "confidence").dtype
        torch.float64
    """
    read = numbers(value, name).detach()
    check_dimensions(read, name, 1, "(N,): one number a sample")
    if not len(read) and not empty:
        raise ArgumentError(f"{name} is empty, expected at least one sample")
    refuse_nan(read, f"entries of {name}")
    return read


def flags(value: Values, name: str, beside: Tensor, beside_name: str) -> Tensor:
    """One yes or no a sample, as many as there are in `beside`.

    Args:
        value: ``(N,)``, booleans or the numbers 0 and 1.
        name: what to call it in an error.
        beside: the column that it belongs to, ``(N,)``.
        beside_name: what to call that.

    Returns:
        A boolean tensor ``(N,)`` on the device of `beside`.

    Raises:
        ArgumentError: lengths differ, or an entry is neither 0 nor 1.

    Example:
        >>> flags([1, 0], "correct", torch.zeros(2), "confidence").tolist()
        [True, False]
    """
    read = column(value, name, empty=not len(beside)).to(beside.device)
    check_lengths(read, name, beside, beside_name)
    if not bool(((read == 0) | (read == 1)).all()):
        raise ArgumentError(
            f"{name} holds values from {float(read.min()):.4g} to {float(read.max()):.4g}, "
            "expected 0 or 1 for each sample, such as logits.argmax(-1) == labels"
        )
    return read == 1


def check_lengths(first: Tensor, name: str, second: Tensor, second_name: str) -> None:
    """Raise `ArgumentError` unless two columns are about equally many samples."""
    if len(first) != len(second):
        raise ArgumentError(
            f"{name} has {len(first)} samples and {second_name} {len(second)}, expected one entry "
            "of each for every sample, in the same order"
        )


def check_fraction(value: float, name: str) -> None:
    """Raise `ArgumentError` unless a number lies from 0 to 1."""
    if not 0 <= value <= 1:
        raise ArgumentError(
            f"{name} is {value}, expected a fraction from 0 to 1; divide a percentage by 100"
        )
