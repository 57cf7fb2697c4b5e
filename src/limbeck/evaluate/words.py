"""Words and cells for people: how rows of quality and cost read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHARES = ("accuracy", "top5", "agreement", "exact", "f1", "train_accuracy")
QUALITY = ("accuracy", "exact", "f1", "rmse", "mae", "r2", "nll", "ece", "agreement")
SHOWN = (*QUALITY, "train_accuracy", "train_rmse")


def table_cells(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of a table of quality and cost; shares are shown in percent.

    Args:
        rows: as `student_rows` or `average` gives them.

    Returns:
        The heads, and one list of cells a row.
    """
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
    return heads, lines


def _figure(name: str, row: Mapping[str, Any]) -> str:
    if name not in row["quality"]:
        return ""
    scale, digits = (100, 1) if name in SHARES else (1, 3)
    text = f"{row['quality'][name] * scale:.{digits}f}"
    spread = row.get("std", {}).get(name)
    return text if spread is None else f"{text} ±{spread * scale:.{digits}f}"


def verdict(rows: Sequence[Mapping[str, Any]], seeds: int) -> str:
    """Say in one sentence whether the product is ahead of its baseline."""
    by_role = {row["role"]: row for row in reversed(rows)}
    product, alone = by_role["product"]["quality"], by_role["baseline"]["quality"]
    over = f" in the mean of {seeds} seeds" if seeds > 1 else ""
    if "accuracy" in product:
        points = (product["accuracy"] - alone["accuracy"]) * 100
        if f"{abs(points):.1f}" == "0.0":
            return f"distilled is level with the same student alone{over}"
        word = "ahead of" if points > 0 else "behind"
        return f"distilled is {abs(points):.1f} points {word} the same student alone{over}"
    better = "lower" if product["rmse"] < alone["rmse"] else "higher"
    gap = abs(product["rmse"] - alone["rmse"])
    return f"distilled has an rmse {gap:.4g} {better} than the same student alone{over}"
