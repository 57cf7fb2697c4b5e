"""Checkpoints: one folder a step, one safetensors file a model, whole or absent."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck import files
from limbeck.errors import CorruptFileError

if TYPE_CHECKING:
    from torch import Tensor


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
        state: what else is needed; must load without pickled code.
    """
    import torch

    with files.new_folder(folder / f"{step:09d}") as part:
        for name, tensors in models.items():
            files.save_tensors(part / f"{name}.safetensors", tensors, {"model": name})
        torch.save(dict(state), part / "state.pt")
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
                file.stem: files.load_tensors(file)[0] for file in place.glob("*.safetensors")
            }
        except CorruptFileError:
            shutil.rmtree(place, ignore_errors=True)
            continue
        state = torch.load(place / "state.pt", weights_only=True, map_location="cpu")
        return Checkpoint(int(place.name), models, state)
    return None


def _steps(folder: Path) -> list[Path]:
    return sorted(place for place in folder.glob("*") if place.name.isdigit())
