"""Argument checks shared by every room: cheap, and each message names the fix."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.errors import ArgumentError

# Losses are multiplied by T squared, in float32 as a rule.
HOTTEST = math.sqrt(torch.finfo(torch.float32).max)
# How far the sum of rows that a softmax gives in these types may be off 1.
ROUNDED_SUM = {torch.bfloat16: 1e-2, torch.float16: 5e-3}


def check_same_shape(first: Tensor, second: Tensor, names: tuple[str, str]) -> None:
    """Raise `ArgumentError` unless both tensors have the same shape."""
    if first.shape == second.shape:
        return
    hint = ""
    if first.ndim == second.ndim and first.shape[-1] != second.shape[-1]:
        hint = "; the last dimensions differ: do both models have the same classes?"
    raise ArgumentError(
        f"{names[0]} has shape {tuple(first.shape)} and {names[1]} has shape "
        f"{tuple(second.shape)}, expected equal shapes{hint}"
    )


def check_dimensions(value: Tensor, name: str, dimensions: int, letters: str) -> None:
    """Raise `ArgumentError` unless `value` has `dimensions` axes, described by `letters`."""
    if value.ndim != dimensions:
        raise ArgumentError(f"{name} has shape {tuple(value.shape)}, expected {letters}")


def check_axis(value: Tensor, axis: int, name: str) -> None:
    """Raise `ArgumentError` unless `value` has the axis."""
    if not -value.ndim <= axis < value.ndim:
        raise ArgumentError(
            f"axis is {axis} and {name} has shape {tuple(value.shape)}, expected an axis from "
            f"{-value.ndim} to {value.ndim - 1}"
            if value.ndim
            else f"axis is {axis} and {name} is a single number, expected a tensor with that axis"
        )


def check_floating(value: Tensor, name: str) -> None:
    """Raise `ArgumentError` unless `value` holds floating-point numbers."""
    if not value.is_floating_point():
        raise ArgumentError(
            f"{name} has dtype {value.dtype}, expected floating-point numbers; use {name}.float()"
        )


def check_temperature(temperature: float) -> None:
    """Raise `ArgumentError` unless the temperature is above zero and its square is finite."""
    if not 0 < temperature < math.inf:
        raise ArgumentError(f"temperature is {temperature}, expected a finite number above 0")
    if temperature > HOTTEST:
        raise ArgumentError(
            f"temperature is {temperature}, whose square float32 cannot hold; expected at most "
            f"{HOTTEST:.3g}"
        )


def check_choice(value: str, name: str, valid: tuple[str, ...]) -> None:
    """Raise `ArgumentError` unless `value` is one of `valid`."""
    if value not in valid:
        raise ArgumentError(f"{name} is {value!r}, expected one of {', '.join(map(repr, valid))}")


def check_no_grad(value: Tensor, name: str) -> None:
    """Raise `ArgumentError` if `value` would receive a gradient."""
    if value.requires_grad:
        raise ArgumentError(
            f"{name} requires grad: a target is a constant. Compute it under torch.no_grad() "
            f"or pass {name}.detach()"
        )


def check_probabilities(value: Tensor, name: str, tolerance: float | None = None) -> None:
    """Raise `ArgumentError` unless rows along the last axis are probabilities that sum to one.

    Without a `tolerance` a row may be off 1 by 1e-3, or by what half precision rounds off.
    """
    check_axis(value, -1, name)
    if is_traced(value) or value.numel() == 0:
        return
    tolerance = ROUNDED_SUM.get(value.dtype, 1e-3) if tolerance is None else tolerance
    # A sum in half precision is further off than its terms.
    wide = value.detach().to(torch.promote_types(value.dtype, torch.float32))
    lowest, total = wide.amin(), wide.sum(-1)
    worst = (total - 1).abs().amax()
    if not bool((lowest >= 0) & (worst <= tolerance)):
        raise ArgumentError(
            f"{name} must hold probabilities along the last axis: the smallest entry is "
            f"{float(lowest):.4g} and a row sum is off 1 by {float(worst):.4g}; apply a softmax "
            "first, or pass logits and say so"
        )


def check_weights(weights: Tensor, name: str = "weights") -> None:
    """Raise `ArgumentError` unless weights along the first axis are at least 0 and not all 0."""
    if is_traced(weights):
        return
    total = weights.detach().sum(0)
    if not bool((weights >= 0).all() & ((total > 0) & (total < math.inf)).all()):
        raise ArgumentError(
            f"{name} must be at least 0 with a finite sum above 0 for every sample, "
            f"got {weights.tolist()}"
        )


def check_class_indices(target: Tensor, classes: int, name: str = "target") -> None:
    """Raise `ArgumentError` unless `target` holds integer class indices below `classes`."""
    if target.is_floating_point() or target.dtype == torch.bool:
        raise ArgumentError(
            f"{name} has dtype {target.dtype}, expected integer class indices; use {name}.long()"
        )
    if is_traced(target) or target.numel() == 0:
        return
    low, high = int(target.min()), int(target.max())
    if low < 0 or high >= classes:
        raise ArgumentError(
            f"{name} holds class indices from {low} to {high}, expected 0 to {classes - 1}; "
            "do the labels start at 0 and does the model have enough classes?"
        )


def check_unit_interval(value: Tensor, name: str = "target", *, whole: bool = False) -> None:
    """Raise `ArgumentError` unless entries lie from 0 to 1, or are 0 or 1 if `whole`."""
    if is_traced(value) or value.numel() == 0:
        return
    inside = (value == 0) | (value == 1) if whole else (value >= 0) & (value <= 1)
    if not bool(inside.all()):
        raise ArgumentError(
            f"{name} holds values from {float(value.min()):.4g} to {float(value.max()):.4g}, "
            f"expected {'0 or 1' if whole else '0 to 1'}; for graded relevance pass "
            f"({name} >= grade).long(), or use a pair-wise or list-wise loss"
        )


def is_traced(value: Tensor) -> bool:
    """Whether value checks must be skipped: they would break a compiled or mapped graph."""
    return (
        torch.compiler.is_compiling()
        or torch._C._functorch.is_functorch_wrapped_tensor(value)
        or torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is not None
    )
