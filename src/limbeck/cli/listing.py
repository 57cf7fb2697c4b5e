"""``limbeck list``: the methods, one a line."""

from __future__ import annotations

import fnmatch
from typing import Annotated

import typer

from limbeck import cards
from limbeck.cli.speaking import Json, emit, table
from limbeck.errors import SettingsError, nearest


def list_methods(
    pattern: Annotated[str, typer.Argument(help="Only names that match, such as 'k*'.")] = "*",
    family: Annotated[str | None, typer.Option(help="Only this family, such as model.")] = None,
    json_wanted: Json = False,
) -> None:
    """List the methods: family, what goes in, what comes out, paper."""
    known = [cards.card(slug) for slug in cards.slugs()]
    families = {card.family for card in known}
    if family is not None and family not in families:
        raise SettingsError(f"--family {family!r} is unknown; {nearest(family, families)}")
    chosen = [
        card
        for card in known
        if fnmatch.fnmatch(card.slug, pattern) and family in (None, card.family)
    ]
    if not chosen:
        raise SettingsError(f"no method matches {pattern!r}; {nearest(pattern, cards.slugs())}")
    rows = [
        (card.slug, card.family, ", ".join(card.takes), card.gives, card.paper) for card in chosen
    ]
    table(("NAME", "FAMILY", "TAKES", "GIVES", "PAPER"), rows, json_wanted=json_wanted)
    if json_wanted:
        names = ("name", "family", "takes", "gives", "paper")
        emit({"methods": [dict(zip(names, row, strict=True)) for row in rows]})
