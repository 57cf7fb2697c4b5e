"""Exporting a force field: its files alone, or energies and forces as a graph of torch."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck import files
from limbeck.data.frames import Frames
from limbeck.data.graphs import graph
from limbeck.errors import ModelError
from limbeck.fingerprint import fingerprint
from limbeck.loops.force_fields import cutoffs, precision
from limbeck.networks.traced import TracedForceField
from limbeck.products.export_folder import check_known, check_place, write_export
from limbeck.products.force_field import ForceField

SIDECAR = "force_field.json"
PROGRAM = "force_field.pt2"
# Rows of each input that may be of any number; there is one frame.
AXES: dict[str, tuple[int, str] | None] = {
    "species": (0, "atoms"), "positions": (0, "atoms"), "frame": (0, "atoms"),
    "charge": None, "periodic": None,
    "edges": (1, "edges"), "edge_shifts": (0, "edges"),
    "pairs": (1, "pairs"), "pair_shifts": (0, "pairs"),
}  # fmt: skip
TOLERANCE = 1e-4
Writer = Callable[[ForceField, Path, dict[str, Any]], None]


def export(field: ForceField, dir: str | Path, *, to: str) -> dict[str, Any]:
    """Write a force field as `ForceField.export` describes it.

    Args:
        field: it is not changed.
        dir: the folder; an export of the same one in the same format is replaced.
        to: one of `FORMATS`.

    Returns:
        ``format``, ``folder``, ``files``, ``bytes``, and ``largest_difference`` where what was
        written was run beside the force field.

    Raises:
        ArgumentError: the format is unknown.
        ModelError: the network has no such form, or the form says something else.
        RunError: the folder holds something else or cannot be written.
    """
    check_known(to, FORMATS, "force field")
    alone = ForceField(copy.deepcopy(field.network).cpu(), field.free_atoms, field.facts)
    facts: dict[str, Any] = {
        "format": to,
        "fingerprint": fingerprint(alone.network),
        "species": list(alone.species),
        **cutoffs(alone.network),
        "units": {"energy": "kcal/mol", "length": "Angstrom", "charge": "e"},
        "inputs": list(AXES),
    }
    check_place(Path(dir), facts, SIDECAR, "force field")
    told = write_export(dir, facts, SIDECAR, lambda part: FORMATS[to](alone, part, facts))
    return told | {name: facts[name] for name in ("largest_difference",) if name in facts}


def _safetensors(field: ForceField, part: Path, facts: Mapping[str, Any]) -> None:
    field.write(part)


def _torch_export(field: ForceField, part: Path, facts: dict[str, Any]) -> None:
    """Write ``force_field.pt2``, of any number of atoms, and compare what it says."""
    given = _sample(field, 5)
    sizes = {name: torch.export.Dim(name, min=2) for name in ("atoms", "edges", "pairs")}
    shapes = tuple({} if one is None else {one[0]: sizes[one[1]]} for one in AXES.values())
    try:
        traced = TracedForceField(field.network, given)
        program = torch.export.export(
            traced.operations, tuple(given.values()), dynamic_shapes=shapes
        )
    except Exception as error:  # of many kinds: torch's own, and what it finds in networks
        raise ModelError(
            f"{type(field.network).__name__} has no form as a graph of torch ({error}); export it "
            "--to safetensors"
        ) from error
    facts["outputs"] = list(traced.outputs)
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={"facts.json": json.dumps(facts)})
    files.write_bytes(part / PROGRAM, content.getbuffer())
    again: Any = torch.export.load(part / PROGRAM).module()
    largest = 0.0
    for count in (3, 8, 21):
        asked = _sample(field, count)
        said = zip(again(*asked.values()), field.network(asked).values(), strict=True)
        largest = max(largest, *(_apart(one, other) for one, other in said))
    if not largest <= TOLERANCE:
        raise ModelError(
            f"the graph says something that differs by {largest:.2g} of the largest number, "
            f"expected at most {TOLERANCE:g}; export the force field --to safetensors"
        )
    facts["largest_difference"] = largest


def _sample(field: ForceField, count: int) -> dict[str, Tensor]:
    """Inputs of one frame of so many atoms along a helix."""
    kinds = list(field.species)
    at = np.arange(count)
    places = np.stack([0.9 * at, np.sin(at), np.cos(at)], axis=1)
    species = np.array(kinds)[at % len(kinds)]
    made = Frames(species, places, np.array([count]))
    found = graph(made, [0], dtype=precision(field.network), **cutoffs(field.network))
    return {name: found[name] for name in AXES}


def _apart(one: Tensor, other: Tensor) -> float:
    """Largest difference, of the largest number above 1."""
    return float((one - other).abs().max() / max(float(other.abs().max()), 1.0))


FORMATS: dict[str, Writer] = {"safetensors": _safetensors, "torch-export": _torch_export}
