"""``limbeck show``: what is known about one method."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from limbeck import cards
from limbeck.cli.speaking import Json, MethodName, emit, say


def show(
    method: MethodName,
    group: Annotated[
        str, typer.Argument(help="A group of settings to open, such as optim.", show_default=False)
    ] = "",
    json_wanted: Json = False,
) -> None:
    """Show a method's inputs, settings with their defaults, and presets."""
    card = cards.card(method)
    settings, presets = cards.settings_of(method, group), cards.presets(method)
    if group and not json_wanted:
        say(f"Settings of {group} (change one with --set {group}.NAME=VALUE):")
        _say_settings(settings, f"{method} {group}.")
        return
    if json_wanted:
        emit(
            {
                "method": card.slug,
                "title": card.title,
                "family": card.family,
                "takes": list(card.takes),
                "reads": list(card.reads),
                "gives": card.gives,
                "extra": card.extra,
                "paper": card.paper,
                "group": group,
                "settings": [{**vars(one), "group": one.group is not None} for one in settings],
                "presets": presets,
            }
        )
        return
    say(f"{card.slug}: {card.title} ({card.paper})\n{card.summary}\n")
    say(f"Takes {', '.join(card.takes)}; gives a {card.gives}.")
    say(f"Tasks of its data: {', '.join(card.reads)}.")
    say(f"Needs: {card.install}\n" if card.extra else "")
    say("Settings (change one with --set NAME=VALUE):")
    _say_settings(settings, f"{method} ")
    say("\nPresets (choose one with --preset NAME):")
    for name, content in presets.items():
        say(f"  {name}: {_inputs(content.get('inputs', {})) or 'bring your own inputs'}")
    say(f"\nRun it: limbeck run {card.slug}")


def _say_settings(settings: Sequence[cards.Setting], before: str) -> None:
    for one in settings:
        say(f"  {one.name}: {one.kind} = {one.default}")
        more = f" Open it: limbeck show {before}{one.name}" if one.group else ""
        say(f"      {one.meaning.replace('``', '')}{more}")


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
