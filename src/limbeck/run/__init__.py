"""One run folder: stages, checkpoints, metrics, progress, the engine and the executor."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.run.run import At as At
    from limbeck.run.run import Run as Run

__all__ = ["At", "Run"]


def __getattr__(name: str) -> Any:
    # The command line reads files of this room at each call, and needs no run for most.
    if name in __all__:
        return getattr(importlib.import_module("limbeck.run.run"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
