"""Fabric: Lightning's, made for what a run asks for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch

from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError, nearest
from limbeck.outputs import Outputs
from limbeck.run import sharding

PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")
STRATEGIES = ("ddp", "fsdp")


def fabric(device: str, precision: str, strategy: str, world: int) -> Any:
    """Make and launch it.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
        precision: one of `PRECISIONS`.
        strategy: one of `STRATEGIES`.
        world: how many processes there are.

    Returns:
        The object.

    Raises:
        ArgumentError: the device is not there, or a name is unknown.
    """
    from lightning_fabric import Fabric

    if device not in ("cpu", "cuda", "auto"):
        raise ArgumentError(f"device is {device!r}, expected cpu, cuda or auto")
    if device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("device is cuda and torch finds none; use --device cpu")
    if precision not in PRECISIONS:
        raise ArgumentError(f"precision is {precision!r}; {nearest(precision, PRECISIONS)}")
    if strategy not in STRATEGIES:
        raise ArgumentError(f"strategy is {strategy!r}; {nearest(strategy, STRATEGIES)}")
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
