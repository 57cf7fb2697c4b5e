"""How the table of a run is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck import cards
from limbeck.cli.speaking import emit, say, table
from limbeck.evaluate.words import table_cells, verdict
from limbeck.experiment import Request
from limbeck.naming import spaced
from limbeck.run.exhibits import read_exhibits


def report(
    folder: Path, request: Request, rows: Sequence[Mapping[str, Any]], json_wanted: bool
) -> None:
    """Print the table of a run, what it says, and where the product is."""
    quality_table(rows, json_wanted)
    say(verdict(rows, len(request.seeds)), json_wanted=json_wanted)
    _, sheets, _ = read_exhibits(folder / "seeds" / str(request.seeds[0]))
    for sheet in sheets:
        say(f"\n{sheet.title}: {sheet.caption}", json_wanted=json_wanted)
        table(sheet.heads, sheet.rows, json_wanted=json_wanted)
    product = f"{spaced(cards.card(request.method).gives)}: {folder / 'product'}"
    say(f"{product} (seed {request.seeds[0]})", json_wanted=json_wanted)
    if json_wanted:
        emit({"run": str(folder), "method": request.method, "rows": list(rows)})


def record(path: Path, request: Request, rows: Sequence[Mapping[str, Any]], command: str) -> None:
    """Write a table with what it came from, for the pages that show figures."""
    from limbeck import files
    from limbeck.run.environment import provenance

    facts = {
        "command": command,
        **request.identity(),
        "scale": "small",
        **provenance(),
        "rows": list(rows),
    }
    files.write_text(path, json.dumps(facts, indent=1) + "\n")


def quality_table(rows: Sequence[Mapping[str, Any]], json_wanted: bool = False) -> None:
    """Print rows of quality and cost."""
    heads, lines = table_cells(rows)
    table(heads, lines, json_wanted=json_wanted)
