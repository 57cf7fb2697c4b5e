"""Showing a shortlist: its pictures in the report of a run, and its table for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import files
from limbeck.data.data import Data
from limbeck.fingerprint import fingerprint
from limbeck.plain import finite
from limbeck.products.export_folder import check_known, check_place, write_export
from limbeck.products.shortlist import TRIVIAL, Entry, Shortlist
from limbeck.run.exhibits import Chart, Line, Sheet, write_exhibits
from limbeck.run.run import Run

SIDECAR = "search.json"
# Points of a line: candidates of about equal cost are shown as one.
POINTS = 12
CALLED = {"depth": "layers with weights", "parameters": "parameters", "macs": "multiply-adds"}


def show_shortlist(run: Run, made: Shortlist, data: Data) -> None:
    """Put a shortlist beside a run's files: its table, and the score against what it may only tell.

    Args:
        run: the folder.
        made: the shortlist.
        data: whose inputs latency is measured with.
    """
    if run.engine.rank:
        return
    table = made.facts.get("columns", {})
    charts = [_chart(name, table[name], table["score"]) for name in TRIVIAL if name in table]
    write_exhibits(run.dir, charts, [_listed(made, data), _agreement(made)])


def _chart(name: str, cost: Sequence[float], score: Sequence[float | None]) -> Chart:
    """The best, the median and the worst score of candidates of about one cost."""
    told = [(x, y) for x, y in zip(cost, score, strict=True) if y is not None]
    x, y = (np.array(one) for one in zip(*sorted(told), strict=True))
    groups = np.array_split(np.arange(len(x)), min(POINTS, len(np.unique(x))))
    places = [float(np.median(x[one])) for one in groups]
    ways: dict[str, Callable[[Any], Any]] = {"best": np.max, "median": np.median, "worst": np.min}
    return Chart(
        f"Score against {name}",
        f"A score that only rises with {name} tells no more than {name} does.",
        CALLED[name],
        "score",
        [
            Line(label, places, [float(way(y[one])) for one in groups])
            for label, way in ways.items()
        ],
    )


def _listed(made: Shortlist, data: Data) -> Sheet:
    names = [name for name in made.best.scores if name != "score"]
    heads = ("rank", "network", "score", *names, *TRIVIAL, *(f"by {one}" for one in TRIVIAL), "ms")
    rows = [
        [str(place), entry.label, *_cells(entry, ["score", *names]), *_costs(made, entry, data)]
        for place, entry in enumerate(made.entries, start=1)
    ]
    scored = made.facts.get("scored", len(rows))
    return Sheet(
        "Shortlist",
        heads,
        rows,
        f"The best of {scored} by {made.score}; beside their costs the ranks that they have by "
        "depth, parameters and multiply-adds alone.",
    )


def _cells(entry: Entry, names: Sequence[str]) -> list[str]:
    return [f"{entry.scores[name]:.5g}" for name in names]


def _costs(made: Shortlist, entry: Entry, data: Data) -> list[str]:
    costs = [f"{entry.cost[name]:,.0f}" for name in TRIVIAL]
    ranks = [str(entry.ranks[name]) for name in TRIVIAL]
    return [*costs, *ranks, f"{made.latency(entry, data):.2f}"]


def _agreement(made: Shortlist) -> Sheet:
    facts = made.facts
    rows = [[f"Kendall's tau with {name}", f"{v:.3f}"] for name, v in facts["kendall_with"].items()]
    rows += [["scored", str(facts.get("scored", ""))]]
    rows += [[f"refused, {name}", str(count)] for name, count in facts.get("rejected", {}).items()]
    return Sheet("What the score follows", ("", "all that were scored"), rows)


def export(made: Shortlist, dir: str | Path, *, to: str) -> dict[str, Any]:
    """Write a shortlist as `Shortlist.export` says.

    Raises:
        ArgumentError: the format is unknown.
        RunError: the folder holds something else or cannot be written.
    """
    check_known(to, FORMATS, "shortlist")
    facts = {"format": to, "fingerprint": fingerprint(_rows(made)), "score": made.score}
    check_place(Path(dir), facts, SIDECAR, "shortlist")
    return write_export(dir, facts, SIDECAR, lambda part: FORMATS[to](made, part))


def _rows(made: Shortlist) -> list[dict[str, Any]]:
    """A flat row an entry."""
    return [
        {
            "rank": place,
            "network": entry.label,
            **finite(dict(entry.scores)),
            **entry.cost,
            **{f"rank_by_{name}": rank for name, rank in entry.ranks.items()},
            **{f"choice_{name}": value for name, value in entry.choices.items()},
        }
        for place, entry in enumerate(made.entries, start=1)
    ]


def _csv(made: Shortlist, part: Path) -> None:
    rows, content = _rows(made), io.StringIO()
    writer = csv.DictWriter(content, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(part / "shortlist.csv", content.getvalue())


def _json(made: Shortlist, part: Path) -> None:
    entries = [finite(asdict(one)) for one in made.entries]
    files.write_text(part / "shortlist.json", json.dumps(entries, indent=1) + "\n")


FORMATS: Mapping[str, Callable[[Shortlist, Path], None]] = {"csv": _csv, "json": _json}
