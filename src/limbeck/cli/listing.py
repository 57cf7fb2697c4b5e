"""``limbeck list``: the methods or the losses, one a line."""

from __future__ import annotations

import dataclasses
import fnmatch
from typing import Annotated

import typer

from limbeck import cards, catalogue
from limbeck.cli.speaking import Json, emit, say, table
from limbeck.errors import SettingsError, nearest


def list_methods(
    pattern: Annotated[str, typer.Argument(help="Only names that match, such as 'k*'.")] = "*",
    family: Annotated[str | None, typer.Option(help="Only this family, such as model.")] = None,
    losses: Annotated[
        bool, typer.Option("--losses", help="List losses by what they need, not methods.")
    ] = False,
    json_wanted: Json = False,
) -> None:
    """List the methods: family, what goes in, what comes out, paper; or the losses.

    \b
    Examples:
      limbeck list --family model
      limbeck list --losses
      limbeck list --losses '*kl'
    """
    if losses:
        if family is not None:
            raise SettingsError("--family is of methods and --losses lists losses; drop one")
        list_losses(pattern, json_wanted)
        return
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
        listed = [dict(zip(names, row, strict=True)) for row in rows]
        emit(
            {"methods": [{**one, "extra": c.extra} for one, c in zip(listed, chosen, strict=True)]}
        )
        return
    needing = [f"{card.slug} needs: {card.install}" for card in chosen if card.extra]
    if needing:
        say("\n" + "\n".join(needing))


def list_losses(pattern: str, json_wanted: bool) -> None:
    """List the losses: what each needs, for which tasks its name is enough, function, source."""
    known = catalogue.losses()
    chosen = [one for one in known if fnmatch.fnmatch(one.name, pattern)]
    if not chosen:
        names = [one.name for one in known]
        raise SettingsError(f"no loss matches {pattern!r}; {nearest(pattern, names)}")
    rows = [
        (one.name, one.needs, ", ".join(one.tasks) or "in Python", one.function, one.source)
        for one in chosen
    ]
    table(("NAME", "NEEDS", "BY NAME FOR", "FUNCTION", "SOURCE"), rows, json_wanted=json_wanted)
    if json_wanted:
        emit({"losses": [dataclasses.asdict(one) for one in chosen]})
