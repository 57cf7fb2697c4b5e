"""Cards: what is known about each method without importing it."""

from __future__ import annotations

import functools
import importlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limbeck.declared import Setting, declared, opened
from limbeck.errors import SettingsError, nearest
from limbeck.plain import unworded

METHODS = Path(__file__).parent / "methods"
REQUIRED = ("title", "class", "family", "takes", "reads", "gives", "paper", "summary")
# Of a method's README, in this order.
HEADINGS = (
    "What it does",
    "What goes in, what comes out",
    "Use it",
    "How it works",
    "Defaults and what moves them",
    "Numbers",
    "What must hold",
    "Limits and pitfalls",
    "Cite",
)


@dataclass(frozen=True)
class Published:
    """A figure that a paper prints.

    Args:
        setting: what was taught or distilled, and on what.
        figure: what is measured.
        paper: the system's own, as it is printed.
        source: where it stands.
        peer: the best that the paper sets beside it, with its name.
    """

    setting: str
    figure: str
    paper: str
    source: str
    peer: str = ""


@dataclass(frozen=True)
class Card:
    """What `card.toml` says of a method.

    Args:
        slug: name on the command line.
        title: name of the system.
        class_name: name of the class in Python.
        family: model, data, generator, ensemble or search.
        takes: names of the inputs.
        reads: tasks of the data that it can take.
        gives: what comes out.
        paper: where it is published.
        summary: one sentence.
        samples: what the samples of its data are, where not all will do, such as pictures.
        extra: of limbeck that has the libraries it cannot do without; empty where it needs none.
        published: figures that its paper prints.
        phases: settings that together count the optimiser steps of the student.
        contract: facts that the contract reads, such as whether two processes equal one.
        expected_failures: checks of the contract that do not hold, with the reason.
    """

    slug: str
    title: str
    class_name: str
    family: str
    takes: tuple[str, ...]
    reads: tuple[str, ...]
    gives: str
    paper: str
    summary: str
    samples: str = "samples"
    extra: str = ""
    published: tuple[Published, ...] = ()
    phases: tuple[str, ...] = ("steps",)
    contract: dict[str, Any] = field(default_factory=dict)
    expected_failures: dict[str, str] = field(default_factory=dict)

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of inputs that may be left out."""
        return tuple(self.contract.get("optional", ()))

    @property
    def install(self) -> str:
        """The command that brings what the method needs beyond limbeck itself, or nothing."""
        return f"pip install 'limbeck[{self.extra}]'" if self.extra else ""

    @property
    def folder(self) -> Path:
        """Where the method lives."""
        return METHODS / self.slug.replace("-", "_")


@functools.cache
def slugs() -> tuple[str, ...]:
    """Names of all methods, sorted.

    Example:
        >>> "kd" in slugs()
        True
    """
    return tuple(
        sorted(place.parent.name.replace("_", "-") for place in METHODS.glob("*/card.toml"))
    )


@functools.cache
def card(slug: str) -> Card:
    """Read a method's card.

    Raises:
        SettingsError: there is no such method (the nearest is suggested), or the card lacks facts.
    """
    if slug not in slugs():
        raise SettingsError(f"there is no method {slug!r}; {nearest(slug, slugs())}")
    facts = tomllib.loads((METHODS / slug.replace("-", "_") / "card.toml").read_text())
    missing = [name for name in REQUIRED if not facts.get(name)]
    if missing:
        raise SettingsError(f"the card of {slug} lacks {', '.join(missing)}")
    return Card(
        slug=slug,
        title=facts["title"],
        class_name=facts["class"],
        family=facts["family"],
        takes=tuple(facts["takes"]),
        reads=tuple(facts["reads"]),
        gives=facts["gives"],
        paper=facts["paper"],
        summary=facts["summary"],
        samples=facts.get("samples", "samples"),
        extra=facts.get("extra", ""),
        published=tuple(Published(**one) for one in facts.get("published", ())),
        phases=tuple(facts.get("phases", ["steps"])),
        contract=facts.get("contract", {}),
        expected_failures=facts.get("expected_failures", {}),
    )


def load_class(slug: str) -> type:
    """Import a method's class."""
    known = card(slug)
    module = slug.replace("-", "_")
    return getattr(importlib.import_module(f"limbeck.methods.{module}.{module}"), known.class_name)


def presets(slug: str) -> dict[str, dict[str, Any]]:
    """Read a method's presets: differences from its defaults, by name."""
    found = (card(slug).folder / "presets").glob("*.toml")
    return {path.stem: unworded(tomllib.loads(path.read_text())) for path in sorted(found)}


def preset(slug: str, name: str) -> dict[str, Any]:
    """Read one preset: tables ``settings`` and ``inputs``, and ``seeds``.

    Raises:
        SettingsError: there is none of that name.
    """
    known = presets(slug)
    if name not in known:
        raise SettingsError(f"{slug} has no preset {name!r}; {nearest(name, known)}")
    return known[name]


def settings_of(slug: str, group: str = "") -> list[Setting]:
    """Read a method's settings from its source, without importing it.

    Args:
        slug: name of the method.
        group: a setting that is a group of settings, such as ``optim``, with dots for one in
            another; empty for those of the method.

    Raises:
        SettingsError: there is no such method, or no such group.

    Example:
        >>> [one.name for one in settings_of("kd")][:2]
        ['temperature', 'weight']
        >>> settings_of("kd", "optim")[1].default
        '0.001'
    """
    known = card(slug)
    module = slug.replace("-", "_")
    found = declared(known.folder / f"{module}.py", known.class_name)
    for word in group.split(".") if group else ():
        groups = {one.name: one.group for one in found if one.group}
        if word not in groups:
            raise SettingsError(
                f"{slug} has no group of settings {group!r}; {nearest(word, list(groups))}"
            )
        found = opened(groups[word])
    return found


def check_settings(slug: str, settings: Mapping[str, Any], group: str = "") -> None:
    """Raise `SettingsError` for a setting that a method lacks, without importing the method.

    Args:
        slug: name of the method.
        settings: by name, groups as tables.
        group: that they are of, with dots.
    """
    known = {one.name: one.group for one in settings_of(slug, group)}
    for name, value in settings.items():
        place = f"{group}.{name}" if group else name
        if name not in known:
            raise SettingsError(f"{slug} has no setting {place!r}; {nearest(name, list(known))}")
        if known[name] is not None and isinstance(value, Mapping):
            check_settings(slug, value, place)
