"""Exits: networks that offer the stages up to each of their exits one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


def exit_stages(network: nn.Module) -> Sequence[nn.Module]:
    """The stages that a network offers in a list ``exit_stages``, in order; none without one.

    The first takes the inputs and every other what the one before left; each returns logits and
    what it leaves. The last may return logits alone.

    Example:
        >>> exit_stages(nn.Linear(2, 3))
        []
    """
    found = getattr(network, "exit_stages", None)
    return list(found) if isinstance(found, (nn.ModuleList, nn.Sequential)) else []


def is_only_stages(network: nn.Module) -> bool:
    """Whether a network is its stages and has no ``forward`` of its own.

    Example:
        >>> is_only_stages(nn.Linear(2, 3))
        False
    """
    forward: Any = getattr(network.forward, "__func__", None)
    return forward is nn.Module.forward and bool(exit_stages(network))


def last_exit(network: nn.Module, x: Any) -> Any:
    """What the last exit of a network that `is_only_stages` says about inputs."""
    *before, last = exit_stages(network)
    for stage in before:
        _, x = stage(x)
    returned = last(x)
    return returned[0] if isinstance(returned, (tuple, list)) else returned
