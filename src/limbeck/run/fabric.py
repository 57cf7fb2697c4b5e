"""Fabric: Lightning's, made for what a run asks for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError
from limbeck.outputs import Outputs
from limbeck.run import sharding
from limbeck.run.choices import check_choices


def fabric(device: str, precision: str, strategy: str, world: int) -> Any:
    """Make and launch it.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
        precision: one of `PRECISIONS` of `limbeck.run.choices`.
        strategy: one of `STRATEGIES` there.
        world: how many processes there are.

    Returns:
        The object.

    Raises:
        ArgumentError: the device is not there, or a name is unknown.
    """
    from lightning_fabric import Fabric

    check_choices({"device": device, "precision": precision, "strategy": strategy})
    if device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("device is cuda and torch finds none; use --device cpu")
    how: dict[str, Any] = {"strategy": "ddp" if world > 1 else "auto", "precision": precision}
    if world > 1 and strategy == "fsdp":
        how = _cutting(precision, world)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = Fabric(accelerator=device, devices=world, **how)
    plugin: Any = made.strategy.precision
    plugin.convert_input = _leaving_ours(plugin.convert_input)
    if precision == "64-true":
        # Fabric casts outputs, and with them gradients, back to single precision.
        plugin.convert_output = lambda data: data
    made.launch()
    return made


@contextmanager
def differentiating() -> Iterator[None]:
    """Let gradients be asked for inside the block by other means than Fabric's own call.

    With a precision that has a backward pass of its own, its modules refuse every other one, and
    so also `torch.autograd.grad`, which only looks.
    """
    from lightning_fabric import wrappers

    before, wrappers._in_fabric_backward = wrappers._in_fabric_backward, True
    try:
        yield
    finally:
        wrappers._in_fabric_backward = before


def without_exchange(model: nn.Module, strategy: Any) -> nn.Module:
    """A module that casts as the strategy's precision says and exchanges no gradients."""
    from lightning_fabric.wrappers import _FabricModule

    return _FabricModule(model, strategy)


def _cutting(precision: str, world: int) -> dict[str, Any]:
    """What Lightning Fabric is made with so that models are cut over all processes."""
    from lightning_fabric.plugins.precision import DoublePrecision
    from lightning_fabric.strategies import ModelParallelStrategy

    strategy = ModelParallelStrategy(
        sharding.shard, data_parallel_size=world, tensor_parallel_size=1
    )
    if precision == "64-true":
        # The strategy takes double precision, though not by its name.
        return {"strategy": strategy, "plugins": [DoublePrecision()]}
    return {"strategy": strategy, "precision": precision}


def _leaving_ours(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let `Outputs` and `Batch` pass: Fabric refuses the one and rebuilds the other without key."""

    def one(value: Any) -> Any:
        return value if isinstance(value, (Outputs, Batch)) else convert(value)

    def convert_input(given: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
        args, named = given
        return tuple(map(one, args)), {name: one(value) for name, value in named.items()}

    return convert_input
