"""Set files: a synthetic dataset in a folder, and read back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck import files
from limbeck.data.space import InputSpace
from limbeck.evaluate.protocol import Judging, Protocol
from limbeck.evaluate.recipe import Recipe
from limbeck.labels.store import LabelStore
from limbeck.plain import to_plain
from limbeck.products.export_folder import FACTS

if TYPE_CHECKING:
    from limbeck.products.synthetic_dataset import SyntheticDataset

KIND, TENSORS, LABELS = "synthetic-dataset", "synthetic.safetensors", "labels"
JUDGINGS: dict[str, Any] = {"protocol": Protocol, "recipe": Recipe}


def write_set(small: SyntheticDataset, part: Path) -> None:
    """Put a set's files into a folder that `limbeck.files.new_folder` makes whole.

    Args:
        small: the set.
        part: the folder.
    """
    from limbeck.products.synthetic_dataset import TASK

    way = "recipe" if isinstance(small.protocol, Recipe) else "protocol"
    facts = {
        "kind": KIND,
        "name": small.name,
        "task": TASK,
        "classes": small.classes,
        "input_space": dataclasses.asdict(small.space),
        "step_size": small.step_size,
        way: to_plain(small.protocol),
        "zca_eps": None if small.zca is None else float(small.zca.eps),
    }
    files.save_tensors(part / TENSORS, small.tensors(), {})
    files.write_text(part / FACTS, json.dumps(facts, indent=1) + "\n")
    if small.replayed is not None:
        small.replayed.copy(part / LABELS)


def read_set(folder: Path) -> SyntheticDataset:
    """Read a set.

    Args:
        folder: that `write_set` filled.

    Raises:
        CorruptFileError: a file is missing or was altered.
    """
    from limbeck.products.synthetic_dataset import SyntheticDataset

    files.check_folder(folder)
    facts = json.loads((folder / FACTS).read_text())
    tensors, _ = files.load_tensors(folder / TENSORS)
    zca = None
    if facts["zca_eps"] is not None:
        from limbeck.functional.whitening import Zca

        parts = {name: tensors[f"zca.{name}"] for name in ("mean", "vectors", "values")}
        zca = Zca(**parts, eps=facts["zca_eps"])
    way = next(name for name in JUDGINGS if name in facts)
    judging: Judging = JUDGINGS[way](**facts[way])
    replayed = LabelStore.load(folder / LABELS) if (folder / LABELS).is_dir() else None
    return SyntheticDataset(
        tensors["images"],
        tensors["labels"],
        InputSpace.of_facts(facts["input_space"]),
        tuple(facts["classes"]),
        label_logits=tensors.get("label_logits"),
        replayed=replayed,
        step_size=facts["step_size"],
        zca=zca,
        protocol=judging,
        name=facts["name"],
    )
