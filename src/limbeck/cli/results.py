"""How the table of a run is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.cli.speaking import emit, say, table
from limbeck.experiment import Request

SHARES = ("accuracy", "top5", "agreement", "exact", "f1", "r2")
SHOWN = ("accuracy", "exact", "f1", "rmse", "mae", "r2", "nll", "ece", "agreement")


def report(
    folder: Path, request: Request, rows: Sequence[Mapping[str, Any]], json_wanted: bool
) -> None:
    """Print the table of a run, what it says, and where the product is."""
    quality_table(rows, json_wanted)
    say(_verdict(rows, len(request.seeds)), json_wanted=json_wanted)
    say(f"student: {folder / 'product'} (seed {request.seeds[0]})", json_wanted=json_wanted)
    if json_wanted:
        emit({"run": str(folder), "method": request.method, "rows": list(rows)})


def record(path: Path, request: Request, rows: Sequence[Mapping[str, Any]], command: str) -> None:
    """Write a table with what it came from, for the pages that show figures."""
    from limbeck import files
    from limbeck.run.environment import environment

    facts = {
        "command": command,
        **request.identity(),
        "scale": "small",
        "environment": json.loads(environment()),
        "rows": list(rows),
    }
    files.write_text(path, json.dumps(facts, indent=1) + "\n")


def quality_table(rows: Sequence[Mapping[str, Any]], json_wanted: bool = False) -> None:
    """Print rows of quality and cost."""
    names = [name for name in SHOWN if any(name in row["quality"] for row in rows)]
    heads = ["", *names, "parameters", "MACs", "ms"]
    lines = []
    for row in rows:
        label = row["name"] if row["role"] != "teacher" else f"teacher {row['name']}"
        figures = [_figure(name, row) for name in names]
        cost = row["cost"]
        lines.append(
            [
                label,
                *figures,
                f"{cost['parameters']:,.0f}",
                f"{cost['macs']:,.0f}",
                f"{cost['latency_ms']:.2f}",
            ]
        )
    table(heads, lines, json_wanted=json_wanted)


def _figure(name: str, row: Mapping[str, Any]) -> str:
    if name not in row["quality"]:
        return ""
    scale, digits = (100, 1) if name in SHARES else (1, 3)
    text = f"{row['quality'][name] * scale:.{digits}f}"
    spread = row.get("std", {}).get(name)
    return text if spread is None else f"{text} ±{spread * scale:.{digits}f}"


def _verdict(rows: Sequence[Mapping[str, Any]], seeds: int) -> str:
    by_role = {row["role"]: row for row in reversed(rows)}
    product, alone = by_role["product"]["quality"], by_role["baseline"]["quality"]
    over = f" in the mean of {seeds} seeds" if seeds > 1 else ""
    if "accuracy" in product:
        points = (product["accuracy"] - alone["accuracy"]) * 100
        word = "ahead of" if points > 0 else "behind"
        return f"distilled is {abs(points):.1f} points {word} the same student alone{over}"
    better = "lower" if product["rmse"] < alone["rmse"] else "higher"
    gap = abs(product["rmse"] - alone["rmse"])
    return f"distilled has an rmse {gap:.4g} {better} than the same student alone{over}"
