"""Model places: where a text model lies that ``hf:`` or ``package:`` names."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from limbeck.errors import ModelError, UnknownNameError

PREFIXES = ("hf", "package")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
# By which a folder is known that sentence-transformers, or transformers, wrote.
MARKS = ("modules.json", "config.json")


def place_of(prefix: str, rest: str) -> str:
    """The folder, or hub name, that a name stands for.

    Args:
        prefix: ``"hf"`` for a folder or hub name, ``"package"`` for an installed package that
            brings a model with it.
        rest: what stands behind it.

    Returns:
        A folder, or a hub name.

    Raises:
        UnknownNameError: there is no such folder, or the package is not installed.
        ModelError: the package brings no model, or several.

    Example:
        >>> place_of("hf", "sentence-transformers/all-MiniLM-L6-v2")
        'sentence-transformers/all-MiniLM-L6-v2'
    """
    if prefix == "package":
        return str(_of_package(rest))
    folder = Path(rest).expanduser()
    if not folder.is_dir() and not HUB_NAME.fullmatch(rest):
        raise UnknownNameError(f"hf:{rest}: there is no folder {rest}")
    return str(folder) if folder.is_dir() else rest


def _of_package(name: str) -> Path:
    """The folder of a package's model; the package is looked up and not imported."""
    module = name.replace("-", "_")
    try:
        found = importlib.util.find_spec(module) if module.isidentifier() else None
    except ValueError:  # such as __main__, which no file defines
        found = None
    if found is None or not found.submodule_search_locations:
        raise UnknownNameError(
            f"package:{name}: there is no installed package {name}; pip install {name}, or give "
            "the model's folder or hub name behind hf:"
        )
    root = Path(found.submodule_search_locations[0])
    for mark in MARKS:
        folders = sorted({file.parent for file in root.rglob(mark)})
        # Modules of a model have a config.json of their own in folders below it.
        highest = [one for one in folders if not set(one.parents) & set(folders)]
        if len(highest) == 1:
            return highest[0]
        if highest:
            names = ", ".join(one.relative_to(root).as_posix() for one in highest)
            raise ModelError(
                f"package:{name} brings several models, in {names}; give the folder of one "
                "behind hf:"
            )
    raise ModelError(
        f"package:{name} brings no model: it holds no {' and no '.join(MARKS)}; give one that "
        "sentence-transformers or transformers wrote"
    )
