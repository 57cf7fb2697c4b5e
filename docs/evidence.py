"""What the pages say of all systems at once: tables made from cards, results and benchmarks."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from limbeck import cards
from limbeck.evaluate import figures, words

ROOT = Path(__file__).resolve().parents[1]
RESULTS, BENCHMARKS = ROOT / "results", ROOT / "benchmarks"
GOLDEN = ROOT / "tests" / "golden" / "cases"
# What a peer has as much of: a choice of as many images, a sampler of as many evaluations.
AMOUNTS = ("images", "evaluations")
FAMILIES = {
    "model": "a student",
    "ensemble": "one predictor of many",
    "data": "a small data set",
    "generator": "a few-step generator",
    "search": "a short list",
}


def figure(value: Any) -> str:
    """A figure as the pages show it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(figure(one) for one in value)
    if isinstance(value, dict):
        return "; ".join(f"{name}: {figure(one)}" for name, one in value.items())
    return str(value)


def table(heads: list[str], lines: list[list[str]]) -> str:
    """A table of a page."""
    rule = ["---"] * len(heads)
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, rule, *lines])


def systems() -> str:
    """The table of all systems."""
    heads = ["system", "family", "goes in", "comes out", "paper", "claims held", "golden cases"]
    lines = []
    for slug in cards.slugs():
        card = cards.card(slug)
        golden = GOLDEN / f"{slug}.json"
        cases = str(len(json.loads(golden.read_text())["cases"])) if golden.exists() else ""
        takes = ", ".join([*card.takes, *(f"({name})" for name in _models(card.optional))])
        link = f"[`{slug}`](src/limbeck/methods/{card.folder.name}/README.md)"
        lines.append([link, card.family, takes, card.gives, card.paper, held(slug), cases])
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
    """The systems by what one has: what goes in, and of which task."""
    groups: dict[tuple[str, str], list[cards.Card]] = {}
    for slug in cards.slugs():
        card = cards.card(slug)
        tasks = ", ".join(card.contract.get("tasks", ["classification"]))
        groups.setdefault((", ".join(card.takes), tasks), []).append(card)
    lines = []
    for (takes, tasks), found in sorted(groups.items()):
        for card in sorted(found, key=lambda one: (one.family, one.slug)):
            link = f"[`{card.slug}`](../src/limbeck/methods/{card.folder.name}/README.md)"
            made = f"{FAMILIES.get(card.family, card.family)}: `{card.gives}`"
            lines.append([takes, tasks, link, made, card.summary])
    return table(["you have", "data for", "system", "you get", "how"], lines) + "\n"


def paper_presets() -> str:
    """Published settings of all systems."""
    lines = []
    for slug in cards.slugs():
        link = f"[`{slug}`](../src/limbeck/methods/{cards.card(slug).folder.name}/README.md)"
        names = [name for name in cards.presets(slug) if name.startswith("paper")]
        lines.append([link, ", ".join(f"`{name}`" for name in names)])
    return table(["system", "presets"], lines) + "\n"


def results() -> str:
    """Every recorded run beside the best of its peers, what papers print, what did not hold."""
    heads = ["system", "run", "figure", "ours", "best peer of the run", "claims held"]
    lines, printed, missed = [], [], []
    for slug in cards.slugs():
        folder = cards.card(slug).folder
        link = f"[`{slug}`](../src/limbeck/methods/{folder.name}/README.md)"
        lines += [[link, *cells, held(slug)] for cells in _runs(slug)]
        said = _published(folder / "README.md")
        printed += [f"- {link}: {said}"] if said else []
        path = RESULTS / f"{slug}.json"
        claims = json.loads(path.read_text())["claims"] if path.exists() else []
        missed += [f"- {link}, {c['claim']}: {c['text']}" for c in claims if not c["held"]]
    parts = [table(heads, lines), "### What the papers print", "\n".join(printed)]
    parts += ["### What did not hold", "\n".join(missed) or "Nothing that was tested."]
    return "\n\n".join(parts) + "\n"


def _runs(slug: str) -> Iterator[list[str]]:
    for path in sorted(RESULTS.glob(f"run-{slug}-*.json")):
        facts = json.loads(path.read_text())
        # A longer name may begin with this one.
        if facts["method"] != slug:
            continue
        rows = facts["rows"]
        product = next(row for row in rows if row["role"] == "product")
        name = figures.main_figure([product])
        peers = [row for row in rows if _is_peer(row, product) and name in row["quality"]]
        order = max if figures.figure(name).higher else min
        best = order(peers, key=lambda row: row["quality"][name]) if peers else None
        peer = f"{best['name']} {_told(best, name)}" if best else ""
        run = path.stem.removeprefix(f"run-{slug}-")
        called = figures.figure(name).said.partition(" ")[2] or name
        yield [run, called, _told(product, name), peer.replace("|", "\\|")]


def _is_peer(row: Mapping[str, Any], product: Mapping[str, Any]) -> bool:
    if row["role"] != "reference":
        return row["role"] == "baseline"
    # The product itself, judged on networks of other kinds, is no peer of its.
    own = row["name"].startswith(f"{product['name']} ")
    return not own and all(row["cost"].get(one) == product["cost"].get(one) for one in AMOUNTS)


def _told(row: Mapping[str, Any], name: str) -> str:
    one = {"mean": row["quality"][name], "std": words.spread_of(row, name)}
    return words.with_spread(name, one)


def _published(card: Path) -> str:
    """The sentence of a card that says what its paper prints."""
    numbers = card.read_text().partition("\n## Numbers\n")[2].partition("<!--")[0]
    found = next((one for one in numbers.split("\n\n") if one.strip().startswith("Published")), "")
    return " ".join(found.split()).removesuffix(" limbeck has not run at this scale.")


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
    lines = [[f"`{name}`", value] for name, value in _flat(facts["figure"])]
    place = facts.get("device") or f"{facts['threads']} threads of a processor"
    aims = "; ".join(f"{name} at most {value}" for name, value in _flat(facts["target"]))
    word = "held" if facts["held"] else "**not held**"
    said = f"On {place}, beside {facts['baseline']}. Aim: {aims}: {word}."
    return f"{table(['', 'figure'], lines)}\n\n{said}"


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _flat(one, f"{name} {key}".strip())
    else:
        yield name, figure(value)
