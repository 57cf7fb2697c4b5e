"""Cards: what is known about each method without importing it."""

from __future__ import annotations

import ast
import functools
import importlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limbeck.errors import SettingsError, nearest
from limbeck.plain import unworded

METHODS = Path(__file__).parent / "methods"
REQUIRED = ("title", "class", "family", "takes", "gives", "paper", "summary")
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
class Setting:
    """One setting as its source writes it: name, kind, default, and what it means."""

    name: str
    kind: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Card:
    """What `card.toml` says of a method.

    Args:
        slug: name on the command line.
        title: name of the system.
        class_name: name of the class in Python.
        family: model, data, generator, ensemble or search.
        takes: names of the inputs.
        gives: what comes out.
        paper: where it is published.
        summary: one sentence.
        phases: settings that together count the optimiser steps of the student.
        contract: facts that the contract reads, such as whether two processes equal one.
        expected_failures: checks of the contract that do not hold, with the reason.
    """

    slug: str
    title: str
    class_name: str
    family: str
    takes: tuple[str, ...]
    gives: str
    paper: str
    summary: str
    phases: tuple[str, ...] = ("steps",)
    contract: dict[str, Any] = field(default_factory=dict)
    expected_failures: dict[str, str] = field(default_factory=dict)

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of inputs that may be left out."""
        return tuple(self.contract.get("optional", ()))

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
        gives=facts["gives"],
        paper=facts["paper"],
        summary=facts["summary"],
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


def settings_of(slug: str) -> list[Setting]:
    """Read a method's settings from its source, without importing it.

    Example:
        >>> [one.name for one in settings_of("kd")][:2]
        ['temperature', 'weight']
    """
    known = card(slug)
    source = known.folder / f"{slug.replace('-', '_')}.py"
    tree = ast.parse(source.read_text())
    owner = next(
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == known.class_name
    )
    meanings = _meanings(ast.get_docstring(owner) or "")
    found = []
    for node in owner.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            default = ast.unparse(node.value) if node.value is not None else "needed"
            name = node.target.id
            found.append(Setting(name, _kind(node.annotation), default, meanings.get(name, "")))
    return found


def _kind(annotation: ast.expr) -> str:
    """A kind without its bounds, which the class checks and no reader of a list needs."""
    if isinstance(annotation, ast.BinOp):
        return f"{_kind(annotation.left)} | {_kind(annotation.right)}"
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":
        assert isinstance(annotation.slice, ast.Tuple)
        return ast.unparse(annotation.slice.elts[0])
    return ast.unparse(annotation)


def _meanings(docstring: str) -> dict[str, str]:
    """Read ``name: meaning`` lines of the Args section, joining continued lines."""
    meanings: dict[str, str] = {}
    name, inside = "", False
    for line in docstring.splitlines():
        if not line.startswith(" ") and line.strip():
            inside = line.strip() == "Args:"
            continue
        text = line.strip()
        if not inside or not text:
            continue
        if line.startswith("    ") and not line.startswith("     ") and ":" in text:
            name, _, meaning = text.partition(":")
            meanings[name] = meaning.strip()
        elif name:
            meanings[name] += f" {text}"
    return meanings
