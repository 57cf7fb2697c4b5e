"""Checkpoints: one folder a step, one safetensors file a model, whole or absent."""

from __future__ import annotations

import io
import shutil
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck import files
from limbeck.errors import ArgumentError, CorruptFileError

if TYPE_CHECKING:
    from torch import Tensor

PLAIN = (bool, int, float, complex, str, bytes, type(None))
CONTAINERS = (dict, OrderedDict, list, tuple, set)


@dataclass(frozen=True)
class Checkpoint:
    """What a loop needs to go on.

    Args:
        step: how many steps were done.
        models: state dictionaries by model name.
        state: optimiser states, averages, memory: tensors, numbers and containers of them.
    """

    step: int
    models: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


def save(
    folder: Path, step: int, models: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> None:
    """Write a checkpoint, then remove the older ones of the same stage.

    Args:
        folder: of the stage.
        step: how many steps were done.
        models: state dictionaries by model name.
        state: what else is needed: tensors, numbers, words and containers of them.

    Raises:
        ArgumentError: the state holds anything else, which would not load again.
        RunError: the disk is full or the folder cannot be written.
    """
    import torch

    for name, value in state.items():
        _check_plain(value, name)
    with files.new_folder(folder / f"{step:09d}") as part:
        for name, tensors in models.items():
            files.save_tensors(part / f"{name}.safetensors", tensors, {"model": name})
        # Through memory: torch's own writer says nothing of a full disk.
        content = io.BytesIO()
        torch.save(dict(state), content)
        files.write_bytes(part / "state.pt", content.getbuffer())
    for older in _steps(folder):
        if int(older.name) < step:
            shutil.rmtree(older, ignore_errors=True)


def load(folder: Path) -> Checkpoint | None:
    """Read the newest whole checkpoint of a stage; damaged ones are passed over and removed."""
    import torch

    for place in reversed(_steps(folder)):
        try:
            files.check_folder(place)
            models = {
                file.stem: files.load_tensors(file)[0]
                for file in sorted(place.glob("*.safetensors"))
            }
        except CorruptFileError:
            shutil.rmtree(place, ignore_errors=True)
            continue
        state = torch.load(place / "state.pt", weights_only=True, map_location="cpu")
        return Checkpoint(int(place.name), models, state)
    return None


def newest(folder: Path) -> int:
    """The step of the newest checkpoint of a stage, 0 where there is none."""
    return max((int(place.name) for place in _steps(folder)), default=0)


def _check_plain(value: Any, place: str) -> None:
    if type(value) in CONTAINERS:
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, item in items:
            _check_plain(item, f"{place}.{name}")
    elif type(value) not in PLAIN and not hasattr(value, "untyped_storage"):
        raise ArgumentError(
            f"{place} is a {type(value).__name__}, expected tensors, numbers, words and containers "
            "of them, which a resumed run can load; use float(...) or torch.from_numpy(...)"
        )


def _steps(folder: Path) -> list[Path]:
    return sorted(place for place in folder.glob("*") if place.name.isdigit())
