"""``limbeck show``: what is known about one method."""

from __future__ import annotations

from typing import Annotated

import typer

from limbeck import cards
from limbeck.cli.speaking import Json, emit, say, table


def show(
    method: Annotated[str, typer.Argument(help="Name of the method; see limbeck list.")],
    json_wanted: Json = False,
) -> None:
    """Show a method's inputs, settings with their defaults, and presets."""
    card = cards.card(method)
    settings, presets = cards.settings_of(method), cards.presets(method)
    if json_wanted:
        emit(
            {
                "method": card.slug,
                "title": card.title,
                "family": card.family,
                "takes": list(card.takes),
                "gives": card.gives,
                "paper": card.paper,
                "settings": [vars(one) for one in settings],
                "presets": presets,
            }
        )
        return
    say(f"{card.slug}: {card.title} ({card.paper})\n{card.summary}\n")
    say(f"Takes {', '.join(card.takes)}; gives a {card.gives}.\n")
    say("Settings (change one with --set NAME=VALUE):")
    rows = [(f"  {one.name}", one.kind, one.default, one.meaning) for one in settings]
    table(("  NAME", "KIND", "DEFAULT", "MEANING"), rows)
    say("\nPresets (choose one with --preset NAME):")
    for name, content in presets.items():
        inputs = ", ".join(f"{key} {value}" for key, value in content.get("inputs", {}).items())
        say(f"  {name}: {inputs or 'bring your own inputs'}")
    say(f"\nRun it: limbeck run {card.slug}")
