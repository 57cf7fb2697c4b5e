"""Cascade files: a cascade in a folder, and read back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from limbeck import files
from limbeck.data.space import InputSpace
from limbeck.plain import to_plain
from limbeck.products.export_folder import FACTS
from limbeck.products.members import Shared, read_members, write_members
from limbeck.products.stages import stages
from limbeck.selection.exit_policy import ExitPolicy
from limbeck.selection.exits import Exits

if TYPE_CHECKING:
    from limbeck.products.window_cascade import WindowCascade

KIND = "window-cascade"


def write_cascade(cascade: WindowCascade, part: Path) -> None:
    """Put a cascade's files into a folder that `limbeck.files.new_folder` makes whole.

    Args:
        cascade: calibrated.
        part: the folder.

    Raises:
        ModelError: it was not calibrated, or a member cannot be saved.
    """
    facts = {
        "kind": KIND,
        "task": cascade.task,
        "classes": cascade.classes,
        "outputs": cascade.width,
        "input_space": cascade.input_space and dataclasses.asdict(cascade.input_space),
        "stages": len(cascade.models),
        "policy": to_plain(cascade.policy),
        "exits": cascade.calibrated.to_facts(),
        "members": write_members(cascade.models.members, part),
    }
    files.write_text(part / FACTS, json.dumps(facts, indent=1) + "\n")


def read_cascade(
    folder: Path,
    network: nn.Module | Sequence[nn.Module] | None = None,
    trusted: Sequence[str] = (),
) -> WindowCascade:
    """Read a cascade.

    Args:
        folder: that `write_cascade` filled.
        network: one or several to fill, in order, where members were objects of the user's own.
        trusted: full names of classes of the user's own that estimators may hold.

    Raises:
        CorruptFileError: a file is missing or was altered.
        ModelError: a network is needed, one too many came, or one does not fit the weights; or an
            estimator holds a class that is not trusted.
    """
    from limbeck.products.window_cascade import WindowCascade

    files.check_folder(folder)
    facts = json.loads((folder / FACTS).read_text())
    space = InputSpace.of_facts(facts["input_space"]) if facts["input_space"] else None
    given = [network] if isinstance(network, nn.Module) else network or []
    shared = Shared(space, facts["outputs"], iter(given), trusted)
    members = read_members(folder, facts["members"], shared)
    return WindowCascade(
        stages(members, facts["stages"]).upto(facts["stages"]),
        space,
        tuple(facts["classes"]),
        policy=ExitPolicy(**facts["policy"]),
        exits=Exits.of_facts(facts["exits"]),
    )
