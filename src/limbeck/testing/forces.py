"""Stand-ins for teachers of force fields, and what a method of them must refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from limbeck import keyed
from limbeck.data.elements import symbols
from limbeck.data.force_data import ForceData
from limbeck.networks.names import build


def teachers(data: ForceData, species: str = "") -> list[nn.Module]:
    """Two small force fields that know nothing.

    Args:
        data: whose elements they are made for.
        species: other elements.
    """
    species = species or "".join(symbols(data.elements))
    name = f"get?width=8&heads=2&layers=2&radial=4&species={species}"
    with keyed.torch_seeded(5):
        return [build(name, None, 1) for _ in range(2)]


def bad_inputs(data: ForceData) -> dict[str, Callable[[], dict[str, Any]]]:
    """What a method of force fields must refuse, by what is wrong with it.

    Args:
        data: labelled frames.
    """
    return {
        "data of another task": lambda: {"data": "digits"},
        "a teacher of other elements": lambda: {"teacher": teachers(data, species="HeNe")},
        "a teacher of no kind": lambda: {"teacher": ["oracle"]},
        "a student that reads no graphs": lambda: {"student": nn.Linear(2, 2)},
        "a student of no kind": lambda: {"student": 3},
        "a box of a molecule that is not there": lambda: {"liquid": "XeF6"},
    }
