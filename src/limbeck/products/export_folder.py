"""Export folder: an export is whole or absent, tells what it is, and replaces nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from limbeck import files
from limbeck.errors import ArgumentError, CorruptFileError, RunError, nearest

FACTS = "product.json"
SIDECARS = (
    "student.json",
    "dataset.json",
    "generator.json",
    "cascade.json",
    "stack.json",
    "retriever.json",
    "force_field.json",
    "search.json",
    "graph_set.json",
)


def check_known(to: str, formats: Iterable[str], what: str) -> None:
    """Raise `ArgumentError`, with the nearest name, unless a product has a format."""
    if to not in formats:
        raise ArgumentError(f"there is no format {to!r} for a {what}; {nearest(to, formats)}")


def write_export(
    dir: str | Path, facts: Mapping[str, Any], sidecar: str, write: Callable[[Path], None]
) -> dict[str, Any]:
    """Fill a folder, put the facts into it and tell what is there.

    Args:
        dir: the folder, as `check_place` allows it.
        facts: plain values with ``format``; what `write` adds is written too.
        sidecar: the file they go to.
        write: fills the folder.

    Returns:
        ``format``, ``folder``, ``files`` (their names) and ``bytes``.

    Raises:
        RunError: the folder cannot be written.
    """
    folder = Path(dir).resolve()
    with files.new_folder(folder) as part:
        write(part)
        files.write_text(part / sidecar, json.dumps(facts, indent=1) + "\n")
    written = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        "format": facts["format"],
        "folder": str(dir),
        "files": [file.relative_to(folder).as_posix() for file in written],
        "bytes": sum(file.stat().st_size for file in written),
    }


def check_place(dir: Path, facts: Mapping[str, Any], sidecar: str, what: str) -> None:
    """Refuse to write over, or into, what is no earlier export of the same product.

    Args:
        dir: the folder.
        facts: ``format`` and ``fingerprint`` of the product.
        sidecar: name of the file that holds them in an export.
        what: the product in an error.

    Raises:
        RunError: the folder holds something else.
    """
    folder = dir.resolve()
    choose = "choose another folder with --out"
    if folder.is_file():
        raise RunError(f"{folder} is a file; {choose}")
    for above in folder.parents:
        checked = any((above / name).is_file() for name in (FACTS, *SIDECARS))
        if checked and (above / files.MANIFEST).is_file():
            raise RunError(f"{folder} lies inside {above}, which is whole as it is; {choose}")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / sidecar).is_file() or any(folder.rglob(".*")):
        raise RunError(f"{folder} holds something else than an export; {choose}")
    try:
        files.check_folder(folder)
    except CorruptFileError as error:
        raise RunError(
            f"the export in {folder} was changed by hand ({error}); {choose}, or delete it"
        ) from None
    there = json.loads((folder / sidecar).read_text())
    for name, other in (("format", "another format"), ("fingerprint", f"another {what}")):
        if there.get(name) != facts[name]:
            raise RunError(f"{folder} holds the export of {other}; {choose}, or delete it")
