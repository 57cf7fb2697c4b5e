"""Networks that a search found: named ``shortlist:RUN``, read from the file of its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limbeck import files
from limbeck.errors import ArgumentError, ModelError, RunError

# Beside the facts of a product: entries from the best on, each with the name of its network.
ENTRIES = "shortlist.json"


def entries_of(folder: Path) -> list[dict[str, Any]]:
    """The entries of a shortlist, from the best on, as plain values.

    Args:
        folder: of a run or of a product.

    Raises:
        ModelError: there is no shortlist, or its file was altered.
    """
    for place in (folder, folder / "product"):
        if not (place / ENTRIES).is_file():
            continue
        try:
            return list(files.read_json(place / ENTRIES))
        except RunError as error:
            raise ModelError(str(error)) from None
    raise ModelError(
        f"{folder} holds no shortlist, expected the folder of a finished search, such as that of "
        "limbeck run diswot --out FOLDER"
    )


def shortlisted(folder: Path, options: dict[str, Any]) -> str:
    """The name of a network on a shortlist.

    Args:
        folder: of a run or of a product.
        options: ``rank``, 1 being the best.

    Raises:
        ArgumentError: an option is unknown, or there is no such rank.
        ModelError: there is no shortlist, or the entry has no name that a network is built from.
    """
    unknown = [name for name in options if name != "rank"]
    if unknown:
        raise ArgumentError(f"shortlist: has no option {unknown[0]!r}; Valid: rank")
    entries, rank = entries_of(folder), options.get("rank", 1)
    if type(rank) is not int or not 1 <= rank <= len(entries):
        raise ArgumentError(f"rank is {rank!r}, expected 1 to {len(entries)} of {folder}")
    name = entries[rank - 1]["name"]
    if not isinstance(name, str):
        raise ModelError(
            f"entry {rank} of {folder} was made by a function and has no name; call the function "
            f"with {entries[rank - 1]['choices']} and give the network, or let it return names"
        )
    return name
