"""Generator files: a generator in a folder, and read back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from limbeck import files
from limbeck.data.space import InputSpace
from limbeck.errors import ModelError
from limbeck.networks.denoiser import Denoiser
from limbeck.networks.names import build, structure
from limbeck.networks.noise_schedule import NoiseSchedule
from limbeck.networks.routed import Routed
from limbeck.plain import to_plain
from limbeck.products.export_folder import FACTS
from limbeck.samplers.few_step import FewStep

if TYPE_CHECKING:
    from limbeck.products.generator import Generator

KIND, TENSORS = "generator", "network.safetensors"


def write_generator(made: Generator, part: Path) -> None:
    """Put a generator's files into a folder that `limbeck.files.new_folder` makes whole.

    Args:
        made: the generator.
        part: the folder.
    """
    experts = experts_of(made.network)
    facts = {
        "kind": KIND,
        "classes": made.classes,
        "input_space": made.space and dataclasses.asdict(made.space),
        "sampler": to_plain(made.sampler),
        "learned": learned_of(made),
        "bounds": list(made.network.bounds) if isinstance(made.network, Routed) else None,
        "experts": [_facts(one) for one in experts],
    }
    files.save_tensors(part / TENSORS, made.network.state_dict(), {})
    files.write_text(part / FACTS, json.dumps(facts, indent=1) + "\n")
    for place, expert in enumerate(experts):
        for module in expert.modules():
            write: Any = getattr(module, "write_beside", None)
            if write is not None:
                _beside(part, place).mkdir(exist_ok=True)
                write(_beside(part, place))


def read_generator(folder: Path, network: nn.Module | None = None) -> Generator:
    """Read a generator.

    Args:
        folder: that `write_generator` filled.
        network: to fill, where it was an object of the user's own class.

    Raises:
        CorruptFileError: a file is missing or was altered.
        ModelError: the network is needed, or does not fit the weights.
    """
    from limbeck.products.generator import Generator

    files.check_folder(folder)
    facts = json.loads((folder / FACTS).read_text())
    tensors, _ = files.load_tensors(folder / TENSORS)
    space = InputSpace.of_facts(facts["input_space"]) if facts["input_space"] else None
    if network is None:
        outputs = len(facts["classes"])
        experts = [
            _built(one, space, outputs, folder, place) for place, one in enumerate(facts["experts"])
        ]
        network = experts[0] if facts["bounds"] is None else Routed(experts, facts["bounds"])
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"the weights in {folder} do not fit the network: {error}") from None
    return Generator(
        network,
        FewStep(**facts["sampler"]),
        space,
        tuple(facts["classes"]),
        learned=facts["learned"]["guidance"],
    )


def learned_of(made: Generator) -> dict[str, Any]:
    """The guidance that a generator learned to do without, and what it led away from."""
    return {"guidance": made.learned, "null_condition": made.network.null}


def experts_of(network: nn.Module) -> list[Any]:
    """The denoisers of a network: those of a `Routed`, or the one that it is."""
    return list(network.experts) if isinstance(network, Routed) else [network]


def _facts(denoiser: Any) -> dict[str, Any]:
    """What rebuilds a denoiser: its network by name, and what it owns itself."""
    spec = getattr(denoiser, "limbeck_spec", None)
    return {
        "spec": None if spec is None else structure(spec),
        "network": type(denoiser.network).__name__,
        "schedule": to_plain(denoiser.schedule),
        "prediction": denoiser.prediction,
        "shape": list(denoiser.shape),
        "conditions": denoiser.conditions,
        "precondition": denoiser.precondition,
    }


def _built(
    facts: dict[str, Any], space: InputSpace | None, outputs: int, folder: Path, place: int
) -> Denoiser:
    if facts["spec"] is None:
        raise ModelError(
            f"the generator in {folder} has a {facts['network']} of your own; pass a denoiser to "
            "fill: load(..., network=...)"
        )
    stored = _beside(folder, place)
    named: Any = build(facts["spec"], space, outputs, fetch=False, stored=stored)
    # A method may have given it another schedule or prediction than its name tells.
    denoiser = Denoiser(
        named.network,
        NoiseSchedule(**facts["schedule"]),
        prediction=facts["prediction"],
        shape=facts["shape"],
        conditions=facts["conditions"],
        precondition=facts["precondition"],
    )
    denoiser.limbeck_spec = facts["spec"]
    return denoiser


def _beside(folder: Path, place: int) -> Path:
    """Where an expert's network keeps what it needs beside its weights."""
    return folder / f"expert-{place}"
