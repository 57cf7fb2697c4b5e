"""Argument checks shared by every room: cheap, and each message names the fix."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.errors import ArgumentError


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


def check_temperature(temperature: float) -> None:
    """Raise `ArgumentError` unless the temperature is above zero and finite."""
    if not 0 < temperature < math.inf:
        raise ArgumentError(f"temperature is {temperature}, expected a finite number above 0")


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


def check_probabilities(value: Tensor, name: str, tolerance: float = 1e-3) -> None:
    """Raise `ArgumentError` unless rows along the last axis are probabilities that sum to one."""
    if is_traced(value) or value.numel() == 0:
        return
    lowest, total = value.detach().amin(), value.detach().sum(-1)
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


def is_traced(value: Tensor) -> bool:
    """Whether value checks must be skipped: they would break a compiled or mapped graph."""
    return torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(value)
