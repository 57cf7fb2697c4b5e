"""What the pages say of all systems at once: tables made from cards, results and benchmarks."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from limbeck import cards

ROOT = Path(__file__).resolve().parents[1]
RESULTS, BENCHMARKS = ROOT / "results", ROOT / "benchmarks"
GOLDEN = ROOT / "tests" / "golden" / "cases"
FAMILIES = {
    "model": "a student",
    "ensemble": "one predictor of many",
    "data": "a small data set",
    "generator": "a few-step generator",
    "search": "a short list",
}
# What data are of whose task is this, behind the word for samples.
TASKS = {
    "classification": "with classes",
    "regression": "with numbers to predict",
    "multilabel": "with several labels each",
    "forces": "frames of atoms with energies and forces",
    "graphs": "graphs with classes",
    "retrieval": "documents and queries",
}


def figure(value: Any) -> str:
    """A figure as the pages show it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(figure(one) for one in value)
    if isinstance(value, dict):
        return "; ".join(f"{name}: {figure(one)}" for name, one in value.items())
    return str(value)


def claim_figures(figures: dict[str, Any]) -> str:
    """Figures of a claim over its seeds: a mean where there is one, and the least and the most."""
    means = figures.get("mean", {})
    parts = []
    for name, value in figures.items():
        if name == "mean":
            continue
        numbers = value if isinstance(value, list) else []
        if len(numbers) > 2 and all(type(one) in (int, float) for one in numbers):
            least, most = figure(min(numbers)), figure(max(numbers))
            shown = least if least == most else f"{least} to {most}"
            if name in means and least != most:
                shown = f"{figure(means[name])} ({shown})"
        else:
            shown = figure(value)
        parts.append(f"{name}: {shown}")
    return "; ".join(parts)


def table(heads: list[str], lines: list[list[str]]) -> str:
    """A table of a page."""
    rule = ["---"] * len(heads)
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, rule, *lines])


def linked(slug: str, folder: str = "../") -> str:
    """A system's name that leads to its card.

    Args:
        slug: of the system.
        folder: from the page to the root of the checkout.
    """
    return f"[`{slug}`]({folder}src/limbeck/methods/{cards.card(slug).folder.name}/README.md)"


def golden(slug: str) -> int:
    """How many worked examples of a system's formulas the tests repeat."""
    path = GOLDEN / f"{slug}.json"
    return len(json.loads(path.read_text())["cases"]) if path.exists() else 0


def systems() -> str:
    """The table of all systems."""
    heads = ["system", "family", "goes in", "comes out", "extra", "paper", "claims held"]
    heads.append("golden cases")
    lines = []
    for slug in cards.slugs():
        card = cards.card(slug)
        extra = f"`{card.extra}`" if card.extra else ""
        takes = ", ".join([*card.takes, *(f"({name})" for name in _models(card.optional))])
        facts = [card.family, takes, card.gives, extra, card.paper, held(slug)]
        lines.append([linked(slug, ""), *facts, str(golden(slug) or "")])
    return table(heads, lines) + "\n"


def _models(names: tuple[str, ...]) -> tuple[str, ...]:
    # In the contract's order; what a person brings along by name, not parts of a method.
    return tuple(name for name in names if name in ("teacher", "student"))


def held(slug: str) -> str:
    """How many of a system's claims hold."""
    path = RESULTS / f"{slug}.json"
    if not path.exists():
        return "not tested"
    entries = json.loads(path.read_text())["claims"]
    return f"{sum(entry['held'] for entry in entries)} of {len(entries)}"


def by_inputs() -> str:
    """The systems by what one has: what goes in, and of which kind the data are."""
    groups: dict[tuple[str, str], list[cards.Card]] = {}
    for slug in cards.slugs():
        card = cards.card(slug)
        groups.setdefault((", ".join(card.takes), kind_of_data(card)), []).append(card)
    lines = []
    for (takes, kind), found in sorted(groups.items()):
        for card in sorted(found, key=lambda one: (one.family, one.slug)):
            made = f"{FAMILIES.get(card.family, card.family)}: `{card.gives}`"
            lines.append([takes, kind, linked(card.slug), made, card.summary])
    return table(["you have", "the data are", "system", "you get", "how"], lines) + "\n"


def kind_of_data(card: cards.Card) -> str:
    """What data a system can take, in words."""
    said = [TASKS[task] for task in card.reads]
    if said[0].startswith("with "):
        return f"{card.samples} {' or '.join(said)}"
    return " or ".join(said)


def paper_presets() -> str:
    """Published settings of all systems."""
    lines = []
    for slug in cards.slugs():
        names = [name for name in cards.presets(slug) if name.startswith("paper")]
        lines.append([linked(slug), ", ".join(f"`{name}`" for name in names)])
    return table(["system", "presets"], lines) + "\n"


def benchmarks(speed: Any) -> str:
    """Every benchmark with its command: those recorded with figures, then the others.

    Args:
        speed: makes the table of what a benchmark wrote as ratios.
    """
    parts, others = [], []
    for script in sorted(BENCHMARKS.glob("[a-z]*.py")):
        said = (ast.get_docstring(ast.parse(script.read_text())) or "").partition("\n\n")[0]
        command = f"python benchmarks/{script.name} --json"
        path = RESULTS / f"benchmark-{script.stem}.json"
        if not path.exists():
            others.append([f"`{command}`", said])
            continue
        facts = json.loads(path.read_text())
        parts.append(f"### {script.stem}\n\n{said}\n\n```console\n$ {command}\n```")
        parts.append(speed([script.stem]) if "ratios" in facts else _plain(facts))
    parts += ["### Not recorded here", table(["command", "what it measures"], others)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _plain(facts: Mapping[str, Any]) -> str:
    aims = dict(_flat(facts["target"]))
    lines = [
        [f"`{name}`", figure(value), *aimed(value, _aim_of(name, aims))]
        for name, value in _flat(facts["figure"])
    ]
    place = facts.get("device") or f"{facts['threads']} threads of a processor"
    said = f"On {place}, beside {facts['baseline']}."
    return f"{table(['', 'figure', 'at most', ''], lines)}\n\n{said}"


def _aim_of(name: str, aims: Mapping[str, float]) -> float | None:
    """The most that a figure may be: of its own name, or as a ratio of the group it is in."""
    for aim, most in aims.items():
        group = name.startswith(f"{aim} ") and name.endswith(" ratio")
        if group or name == aim.replace("_", " "):
            return most
    return None


def aimed(value: float, most: float | None) -> list[str]:
    """Two cells: the most that a figure may be, and whether it was kept."""
    if most is None:
        return ["", ""]
    return [f"{most:.3g}", "held" if value <= most else "**missed**"]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _flat(one, f"{name} {key}".strip())
    else:
        yield name, value
