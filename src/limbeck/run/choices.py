"""Choices: how a run may compute, checked before anything heavy is imported or launched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from limbeck.errors import ArgumentError, nearest

DEVICES = ("cpu", "cuda", "auto")
PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")
STRATEGIES = ("ddp", "fsdp")
EXECUTORS = ("local", "serial", "ray")
EXECUTOR_VARIABLE = "LIMBECK_EXECUTOR"


def usual_executor() -> str:
    """Where independent jobs run unless a run says so itself; an empty variable says nothing."""
    return os.environ.get(EXECUTOR_VARIABLE) or EXECUTORS[0]


def check_choices(options: Mapping[str, Any]) -> None:
    """Raise `ArgumentError` unless every option of a run that is a word is one that is known.

    Args:
        options: fields of `limbeck.run.run.Options`; one that is absent is not looked at.

    Example:
        >>> check_choices({"precision": "bf16-mixed", "executor": "ray://host:10001"})
        >>> check_choices({"strategy": "foo"})
        Traceback (most recent call last):
        ...
        limbeck.errors.ArgumentError: strategy is 'foo'; Valid: ddp, fsdp
    """
    device = options.get("device", "cpu")
    if device not in DEVICES:
        raise ArgumentError(f"device is {device!r}, expected cpu, cuda or auto")
    for name, valid in (("precision", PRECISIONS), ("strategy", STRATEGIES)):
        value = options.get(name, valid[0])
        if value not in valid:
            raise ArgumentError(f"{name} is {value!r}; {nearest(value, valid)}")
    executor = options.get("executor", "local")
    if executor not in EXECUTORS and not executor.startswith("ray://"):
        raise ArgumentError(
            f"executor is {executor!r}, expected local, serial, ray or ray://HOST:PORT, as "
            f"an option or in {EXECUTOR_VARIABLE}"
        )
