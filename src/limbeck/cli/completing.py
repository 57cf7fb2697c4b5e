"""Completing: what a shell offers behind Tab, read from cards and folder names without torch."""

from __future__ import annotations

from pathlib import Path

import typer

from limbeck import cards

RUNS = Path("runs")
# What a run or a comparison, and what a product alone has in its folder.
MARKS = ("settings.toml", "product.json")


def methods(incomplete: str) -> list[tuple[str, str]]:
    """Names of methods that begin so, with their titles.

    Example:
        >>> methods("meal")[0][0]
        'meal-v2'
    """
    return [(slug, cards.card(slug).title) for slug in cards.slugs() if slug.startswith(incomplete)]


def entries(incomplete: str) -> list[str]:
    """Entries of a comparison, ``none,kd,...``, whose last one begins so.

    Example:
        >>> entries("none,meal")
        ['none,meal-v2']
    """
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in ("none", *cards.slugs()) if name.startswith(last)]


def presets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of presets of the method on the same line."""
    # An option that still waits for its value keeps the parser from the words before it.
    typed = next((word for word in ctx.args if word in cards.slugs()), ctx.params.get("method"))
    if typed not in cards.slugs():
        return []
    return [name for name in cards.presets(typed) if name.startswith(incomplete)]


def runs(incomplete: str) -> list[str]:
    """Folders that begin so: runs, and others, with a slash, that may hold some."""
    place = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    folders = [one for one in sorted(place.glob("*/")) if not one.name.startswith(".")]
    if not incomplete:
        folders += [one for one in sorted(RUNS.glob("*/")) if _is_run(one)]
    found = [str(one) if _is_run(one) else f"{one}/" for one in folders]
    return [path for path in found if path.startswith(incomplete)]


def _is_run(folder: Path) -> bool:
    return any((folder / mark).is_file() for mark in MARKS)
