"""``limbeck show``: what is known about one method."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from limbeck import cards
from limbeck.cli.speaking import Json, MethodName, emit, say


def show(
    method: MethodName,
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
    for one in settings:
        say(f"  {one.name}: {one.kind} = {one.default}")
        say(f"      {one.meaning.replace('``', '')}")
    say("\nPresets (choose one with --preset NAME):")
    for name, content in presets.items():
        say(f"  {name}: {_inputs(content.get('inputs', {})) or 'bring your own inputs'}")
    say(f"\nRun it: limbeck run {card.slug}")


def _inputs(given: Mapping[str, Any]) -> str:
    """Inputs of a preset as they are typed.

    Example:
        >>> _inputs({"data": "digits", "teacher": ["mlp", "cnn"]})
        '--data digits --teacher mlp --teacher cnn'
    """
    pairs = [
        (name, one)
        for name, value in given.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    return " ".join(f"--{name} {shlex.quote(str(one))}" for name, one in pairs)
