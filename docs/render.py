"""Put figures from ``results/`` between the markers of README and cards; nothing is typed by hand.

Run it: python docs/render.py [--check]
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import house
from evidence import (
    aimed,
    benchmarks,
    by_inputs,
    claim_figures,
    golden,
    paper_presets,
    systems,
    table,
)
from result_rows import published, results

from limbeck import cards, catalogue, files
from limbeck.evaluate import words
from limbeck.evaluate.table import joint_rows
from limbeck.report import plots

ROOT = Path(__file__).resolve().parents[1]
RESULTS, FIGURES = ROOT / "results", ROOT / "docs" / "figures"
# What products of one ensemble are drawn against.
DRAWN = {"latency_ms": "latency of one sample, ms", "macs": "multiply-adds of one sample"}
MARKER = re.compile(r"<!-- ([^/].*?) -->")
XML = '<?xml version="1.0" encoding="utf-8"?>\n'


def extra(slug: str) -> str:
    """What a method needs beyond limbeck itself."""
    command = cards.card(slug).install
    return f"Needs `{command}`.\n" if command else "Needs nothing beyond limbeck itself.\n"


def claims(slug: str) -> str:
    """The table of a method's claims, and how many golden cases it has."""
    cases = golden(slug)
    there = f"`tests/golden/cases/{slug}.json`"
    told = f"Golden cases, which the tests repeat: {cases}, in {there}.\n" if cases else ""
    path = RESULTS / f"{slug}.json"
    if not path.exists():
        return "\n".join(filter(None, ["Not tested yet.\n", told]))
    facts = json.loads(path.read_text())
    lines = ["| | claim | held | figures |", "|---|---|---|---|"]
    for entry in facts["claims"]:
        # A bar would end the cell.
        shown, said = (
            one.replace("|", "\\|") for one in (claim_figures(entry["figures"]), entry["text"])
        )
        held = "yes" if entry["held"] else "**no**"
        lines.append(f"| {entry['claim']} | {said} | {held} | {shown} |")
    count = len(facts["seeds"])
    ran = f"Small-scale evidence, {count} seeds: `limbeck check {slug}`.\n"
    return "\n".join([*lines, "", ran, *filter(None, [told])])


def rows(path: Path) -> str:
    """The table of one run."""
    facts = json.loads(path.read_text())
    shown = [
        {**row, "name": f"`{row['name']}`" if words.is_named(row) else row["name"]}
        for row in facts["rows"]
    ]
    seeds = len(facts["seeds"])
    spread = f"mean ± standard deviation of {seeds} seeds" if seeds > 1 else "one seed"
    return f"`{facts['command']}`: test split, {spread}.\n\n{table(*words.table_cells(shown))}\n"


def joint(name: str) -> str:
    """The products of all runs recorded under one name, beside what they were made from."""
    paths = sorted(RESULTS.glob(f"run-*-{name}.json"))
    if not paths:
        return "Not recorded yet.\n"
    facts = [json.loads(path.read_text()) for path in paths]
    found = joint_rows([(one["method"], one["rows"]) for one in facts])
    for cost, label in DRAWN.items():
        drawn = plots.quality_against_cost(found, cost, label)
        files.write_text(FIGURES / f"{name}-{cost}.svg", f"{XML}{drawn}")
    commands = "\n".join(one["command"] for one in facts)
    seeds = len(facts[0]["seeds"])
    pictures = " ".join(f"![{label}](figures/{name}-{cost}.svg)" for cost, label in DRAWN.items())
    return (
        f"```console\n{commands}\n```\n\n"
        f"Test split, mean ± standard deviation of {seeds} seeds.\n\n"
        f"{table(*words.table_cells(found))}\n\n{pictures}\n"
    )


def picture(name: str, cost: str) -> str:
    """A recorded run drawn as quality against one cost."""
    facts = json.loads((RESULTS / f"run-{name}.json").read_text())
    drawn = plots.quality_against_cost(facts["rows"], cost, DRAWN[cost])
    files.write_text(FIGURES / f"{name}-{cost}.svg", f"{XML}{drawn}")
    return f"![{DRAWN[cost]}: {facts['command']}](docs/figures/{name}-{cost}.svg)\n"


def comparison(path: Path) -> str:
    """The tables of one comparison and what its tests say."""
    facts = json.loads(path.read_text())
    seeds = len(facts["comparison"]["seeds"])
    parts = [f"`{facts['command']}`: test split, mean ± standard deviation of {seeds} seeds."]
    parts += [table(*words.tournament_cells(facts)), f"{words.tournament_verdict(facts)}."]
    parts += [table(*words.paired_cells(facts))]
    parts += [
        f"Failed: {one['entry']}, seed {one['seed']}: {one['error']}" for one in facts["failed"]
    ]
    return "\n\n".join(parts) + "\n"


def speed(names: list[str]) -> str:
    """What benchmarks wrote with ``--json``, as times of ours over those of others."""
    found = [RESULTS / f"benchmark-{name}.json" for name in names]
    facts = [json.loads(path.read_text()) for path in found if path.exists()]
    if not facts:
        return "Not recorded yet.\n"
    lines = []
    for one in facts:
        for name, ratio in one["ratios"].items():
            most = _of(one["target"], name) if name in one["aimed"] else None
            lines.append([name, _of(one["against"], name), f"{ratio:.3g}", *aimed(ratio, most)])
    heads = ["", "beside", "times as long", "at most", ""]
    said = [one["said"] for one in facts if one.get("said")]
    return "\n\n".join([table(heads, lines), *said]) + "\n"


def _of(said: Any, name: str) -> Any:
    """What is said of one figure, or of all of them alike."""
    return said[name] if isinstance(said, dict) else said


def losses_by_need() -> str:
    """The matrix of what one has and which losses need just that."""
    lines = ["| the teacher gives | labels | what you can use |", "|---|---|---|"]
    for teacher, labels, found in catalogue.by_what_you_have():
        names = ", ".join(f"`{one.name}`" for one in found)
        lines.append(f"| {teacher or 'no teacher'} | {labels or 'none'} | {names} |")
    return "\n".join(lines) + "\n"


def losses() -> str:
    """All losses of the catalogue."""
    lines = [
        "| name | what it asks for | needs | by name for | function | source |",
        "|---|---|---|---|---|---|",
    ]
    for one in catalogue.losses():
        options = "".join(f", {name}={value!r}" for name, value in one.options.items())
        lines.append(
            f"| `{one.name}` | {one.summary} | {one.needs} | {', '.join(one.tasks)} "
            f"| `{one.function}{options}` | {one.source} |"
        )
    return "\n".join(lines) + "\n"


def rendered(text: str, slug: str | None) -> str:
    """A page with its marked parts filled.

    Raises:
        ValueError: nothing fills a marker, or it has no end.
    """
    filled = set()

    def fill(name: str, content: str, page: str) -> str:
        pattern = re.compile(
            rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{name.split()[0]} -->)", re.S
        )
        page, count = pattern.subn(lambda found: f"{found[1]}\n{content}\n{found[2]}", page)
        if count:
            filled.add(name)
        return page

    text = fill("systems", systems(), text)
    text = fill("by-inputs", by_inputs(), text)
    text = fill("results", results(), text)
    text = fill("paper-presets", paper_presets(), text)
    text = fill("benchmarks", benchmarks(speed), text)
    if "<!-- house -->" in text:  # it reads all of the source
        text = fill("house", house.table(), text)
    tables = [comparison(path) for path in sorted(RESULTS.glob("compare-*.json"))]
    text = fill("comparisons", "\n".join(tables) or "None recorded yet.\n", text)
    text = fill("losses-by-need", losses_by_need(), text)
    text = fill("losses", losses(), text)
    for path in sorted(RESULTS.glob("run-*.json")):
        text = fill(f"numbers {path.stem.removeprefix('run-')}", rows(path), text)
    for name, cost in re.findall(r"<!-- picture (\S+) (\S+) -->", text):
        text = fill(f"picture {name} {cost}", picture(name, cost), text)
    for name in re.findall(r"<!-- joint (\S+) -->", text):
        text = fill(f"joint {name}", joint(name), text)
    for name in re.findall(r"<!-- speed (.+) -->", text):
        text = fill(f"speed {name}", speed(name.split()), text)
    if slug is not None:
        tables = [rows(path) for path in sorted(RESULTS.glob(f"run-{slug}-*.json"))]
        text = fill("numbers", "\n".join(tables) or "No runs recorded yet.\n", text)
        text = fill("claims", claims(slug), text)
        text = fill("published", published(slug), text)
        text = fill("extra", extra(slug), text)
    for name in MARKER.findall(text):
        if name not in filled:
            raise ValueError(f"nothing fills <!-- {name} -->, or it has no end")
    return text


def main() -> int:
    """Render all pages; with ``--check`` only say which are not up to date."""
    stale = []
    pages = dict.fromkeys(
        [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    ) | {cards.card(s).folder / "README.md": s for s in cards.slugs()}
    for path, slug in pages.items():
        old = path.read_text()
        try:
            new = rendered(old, slug)
        except ValueError as error:
            print(f"{path.relative_to(ROOT)}: {error}")
            return 1
        if new != old:
            stale.append(path.relative_to(ROOT).as_posix())
            if "--check" not in sys.argv:
                path.write_text(new)
    print(f"{'stale' if '--check' in sys.argv else 'rendered'}: {', '.join(stale) or 'none'}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
