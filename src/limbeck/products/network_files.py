"""Network files: the weights of a network in a folder, and the network built and filled again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from limbeck import files
from limbeck.data.space import InputSpace
from limbeck.errors import ModelError
from limbeck.networks.names import build, structure

TENSORS = "network.safetensors"


def spec_of(network: nn.Module) -> str | None:
    """The name that rebuilds a network, or None for an object of the user's.

    Example:
        >>> spec_of(build("mlp?hidden=8", InputSpace(size=(4,)), 3))
        'mlp?hidden=8'
    """
    spec = getattr(network, "limbeck_spec", None)
    return None if spec is None else structure(spec)


def write_network(network: nn.Module, part: Path) -> None:
    """Put weights, and what the network keeps beside them, into a folder.

    Args:
        network: any.
        part: the folder, which `limbeck.files.new_folder` makes whole.
    """
    files.save_tensors(part / TENSORS, network.state_dict(), {})
    for module in network.modules():
        write: Any = getattr(module, "write_beside", None)
        if write is not None:
            write(part)


def read_network(
    folder: Path,
    facts: Mapping[str, Any],
    space: InputSpace | None,
    outputs: int,
    network: nn.Module | None,
    *,
    who: str,
    fix: str = "pass one to fill: load(..., network=...)",
) -> nn.Module:
    """Build a network by its name, or take the user's, and fill it with the weights of a folder.

    Args:
        folder: that `write_network` filled.
        facts: ``spec``, its name or None, and ``network``, its class in words.
        space: of its inputs.
        outputs: how many numbers come out.
        network: of the user's own class, where there is no name.
        who: whose it is, for errors.
        fix: what to do where a network is needed and none came.

    Returns:
        The network.

    Raises:
        CorruptFileError: the file was altered.
        ModelError: the network is needed, or does not fit the weights.
    """
    tensors, _ = files.load_tensors(folder / TENSORS)
    if network is None:
        if facts["spec"] is None:
            raise ModelError(f"{who} is a {facts['network']} of your own; {fix}")
        network = build(facts["spec"], space, outputs, fetch=False, stored=folder)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"the weights in {folder} do not fit the network: {error}") from None
    return network
