"""Sharding: a model cut over the processes of a run (FSDP2), and whole again when it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def shard(model: nn.Module, mesh: Any) -> nn.Module:
    """Cut a model's weights over the processes, in place.

    Every child of a sequence or list is gathered on its own when it is computed, so that no
    process ever holds all weights of a deep network.

    Args:
        model: on the device of this process.
        mesh: of Lightning Fabric; its dimension ``"data_parallel"`` is used.

    Returns:
        The same model.
    """
    from torch.distributed.fsdp import fully_shard

    group = mesh["data_parallel"]
    # The deepest first: what is cut already must not be cut again with its parent.
    for module in reversed(list(model.modules())):
        if isinstance(module, (nn.Sequential, nn.ModuleList)):
            for child in module:
                if any(True for _ in child.parameters()):
                    fully_shard(child, mesh=group)
    fully_shard(model, mesh=group)
    return model


def whole(value: Any) -> Any:
    """The same nested values with every cut tensor gathered; all processes must call it."""
    if isinstance(value, Mapping):
        return {name: whole(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(whole(item) for item in value)
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def load(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load whole tensors into a model, cut or not."""
    own = model.state_dict()
    # What does not fit is named by torch.
    cut = {name: _like(own.get(name), value) for name, value in tensors.items()}
    model.load_state_dict(cut)


def load_optimiser(optimiser: Any, state: Mapping[str, Any]) -> None:
    """Load a whole optimiser state into an optimiser over cut or whole weights."""
    parameters = [one for group in optimiser.param_groups for one in group["params"]]
    cut = {
        place: {
            name: _like(parameters[place], value)
            if isinstance(value, Tensor) and value.shape == parameters[place].shape
            else value
            for name, value in values.items()
        }
        for place, values in state["state"].items()
    }
    optimiser.load_state_dict({**state, "state": cut})


def _like(own: Tensor | None, value: Tensor) -> Tensor:
    """A whole tensor cut as another one is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(own, DTensor):
        return value
    there = value.to(device=own.device, dtype=own.dtype)
    # Every process has the whole tensor and keeps its part: nothing is sent.
    return distribute_tensor(there, own.device_mesh, own.placements, src_data_rank=None)


def synchronised(flag: bool, device: torch.device) -> bool:
    """Whether a flag is up in any process; all processes must call it."""
    import torch.distributed as distributed

    raised = torch.tensor([float(flag)], device=device)
    distributed.all_reduce(raised, op=distributed.ReduceOp.MAX)
    return bool(raised.item())
