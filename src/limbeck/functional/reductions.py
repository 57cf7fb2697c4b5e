"""The one place where a loss per sample becomes a number."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from limbeck.checks import check_choice

Reduction = Literal["mean", "sum", "none"]


def reduce(value: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Reduce a loss per sample.

    Args:
        value: losses, ``(N,)`` or any shape.
        reduction: ``"mean"`` over all entries (0 if there are none), ``"sum"``, or ``"none"``.

    Returns:
        A scalar, or `value` itself with ``"none"``.

    Raises:
        ArgumentError: the reduction is unknown.

    Example:
        >>> import torch
        >>> reduce(torch.tensor([1.0, 3.0])).item()
        2.0
    """
    check_choice(reduction, "reduction", ("mean", "sum", "none"))
    if reduction == "none":
        return value
    total = value.sum()
    return total if reduction == "sum" else total / max(value.numel(), 1)
