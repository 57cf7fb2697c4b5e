"""The page: stories put into one HTML file that loads nothing from the network."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck import files
from limbeck.evaluate.figures import main_figure
from limbeck.evaluate.table import joint_rows
from limbeck.evaluate.words import spread_of, table_cells, verdict
from limbeck.report import plots
from limbeck.report.story import Story, read_story, sentence
from limbeck.run.exhibits import Drawing, Gallery

TEMPLATES = Path(__file__).parent
# Letters of a name before it is broken, beside a row of pictures.
NAME = 14
# What quality is drawn against: of retrievers, of force fields, of models that answer, of sets that
# models are trained on, of generators.
COSTS = (
    {
        "flops": "multiplications of a query and a document",
        "index_bytes": "bytes of the index",
        "latency_ms": "latency of one query, ms",
    },
    {
        "force_ms": "time of energy and forces of one frame, ms",
        "parameters": "parameters",
    },
    {
        "latency_ms": "latency of one sample, ms",
        "macs": "multiply-adds of one sample",
        "parameters": "parameters",
    },
    {"images": "images to train on", "bytes": "bytes of the set"},
    {"graphs": "graphs to train on", "bytes": "bytes of the set"},
    {"evaluations": "evaluations of the network for a sample", "parameters": "parameters"},
)


def write_report(
    folders: Sequence[Path], out: Path | None = None, *, home: str | None = None
) -> Path:
    """Write one page about one or several finished runs.

    Args:
        folders: run folders; all that is shown is read from them.
        out: the file; ``report.html`` in the first folder by default.
        home: a page beside it that it leads back to; none by default.

    Returns:
        The file.

    Raises:
        RunError: a folder holds no finished run, or has no metrics.
    """
    stories = [read_story(folder) for folder in folders]
    title = stories[0].card.title if len(stories) == 1 else f"{len(stories)} runs"
    path = out or folders[0] / "report.html"
    runs = [_run(story) for story in stories]
    together = _together(stories)
    write_page(path, "page.html", title=title, home=home, together=together, runs=runs)
    return path


def write_page(path: Path, template: str, **values: Any) -> None:
    """Fill a template of this room and write it as one file that loads nothing.

    Args:
        path: the file.
        template: name of a file beside this one.
        values: what the template reads; ``title`` by the frame of all pages.
    """
    from jinja2 import Environment, FileSystemLoader

    pages = Environment(autoescape=True, trim_blocks=True, loader=FileSystemLoader(TEMPLATES))
    files.write_text(path, pages.get_template(template).render(**values))


def _together(stories: Sequence[Story]) -> dict[str, Any] | None:
    """The products of several runs on the same data in one table, and what all started from."""
    # Files of one name may differ, and settings of a method may say how a file is read.
    data = {(story.request.data, story.content) for story in stories}
    if len(stories) < 2 or len(data) > 1:
        return None
    ((name, _),) = data
    rows = joint_rows([(_heading(story), story.rows) for story in stories])
    heads, cells = table_cells(rows)
    return {
        "data": name,
        "heads": heads,
        "rows": [
            {"role": row["role"], "cells": line} for row, line in zip(rows, cells, strict=True)
        ],
        "plots": costs_drawn(rows),
    }


def _run(story: Story) -> dict[str, Any]:
    import tomli_w

    request = story.request
    heads, cells = table_cells(story.rows)
    seeds = len(request.seeds)
    return {
        "heading": _heading(story),
        "what": f"{sentence(story.card, request.inputs)}. {story.card.summary} "
        f"Source: {story.card.paper}.",
        "verdict": verdict(story.rows, seeds),
        "caption": _caption(story.rows, seeds, heads),
        "heads": heads,
        "rows": [
            {"role": row["role"], "cells": line}
            for row, line in zip(story.rows, cells, strict=True)
        ],
        "sheets": story.sheets,
        "galleries": [_gallery(one) for one in story.galleries],
        "groups": [group for group in _groups(story) if group["plots"]],
        "settings": tomli_w.dumps(request.identity()),
        "environment": json.dumps(dict(story.environment), indent=1),
    }


def _heading(story: Story) -> str:
    return f"{story.request.method}: {story.name}"


def _caption(rows: Sequence[Mapping[str, Any]], seeds: int, heads: Sequence[str]) -> str:
    spread = f"mean ± standard deviation of {seeds} seeds" if seeds > 1 else "one seed"
    if seeds == 1 and any(spread_of(row, main_figure(rows[:1])) is not None for row in rows):
        spread += ", mean ± standard deviation of its networks"
    one = [word for head, word in (("MACs", "MACs"), ("ms", "latency")) if head in heads]
    verb = "are" if "MACs" in one else "is"
    units = {"evaluations": "evaluation of the network", "of queries": "query"}
    unit = next((said for head, said in units.items() if head in heads), "sample")
    return f"Test split, {spread}." + (
        f" {' and '.join(one)} {verb} for one {unit}." if one else ""
    )


def _gallery(gallery: Gallery) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "pictures": [picture_of(*one) for one in zip(gallery.columns, row, strict=True)],
        }
        for name, row in zip(gallery.rows, gallery.pictures, strict=True)
    ]
    return {
        "title": gallery.title,
        "caption": gallery.caption,
        "columns": gallery.columns if any(gallery.columns) else [],
        "rows": rows,
        "name": min(NAME, max(len(name) for name in gallery.rows) + 1),
        "wide": max(row["pictures"][0]["width"] for row in rows),
    }


def picture_of(column: str, text: str) -> dict[str, Any]:
    """One PNG file of a gallery, with its column and its size."""
    # The sizes stand at a fixed place of every PNG file; browsers lay the page out with them.
    width, height = struct.unpack(">II", base64.b64decode(text[:32])[16:24])
    return {"column": column, "png": text, "width": width, "height": height}


def _groups(story: Story) -> list[dict[str, Any]]:
    groups = [
        {"title": "Quality against cost", "plots": costs_drawn(story.rows)},
        *_exhibits(story.charts),
        {"title": "Loss terms", "plots": _stages(story.curves, "loss")},
        {"title": "Gradient norm of each term", "plots": _stages(story.norms, "gradient norm")},
    ]
    sources = story.diagnostics.get("sources", {})
    names = [row["name"] for row in story.rows if row["role"] in ("product", "baseline")]
    if sources:
        plots_of = [_plot(plots.reliability_diagram(sources), "Reliability, first seed")]
        if len(names) > 1 and all(name in sources for name in names[:2]):
            ours, theirs = (sources[name]["class_accuracy"] for name in names[:2])
            change = plots.class_change(story.diagnostics["classes"], ours, theirs, str(names[1]))
            plots_of.append(_plot(change, "Change by class, first seed"))
        groups.append({"title": "Where it is right, and how sure", "plots": plots_of})
    return groups


def costs_drawn(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The main figure of rows against each cost that rows of their kind are drawn against."""
    costs = next((one for one in COSTS if next(iter(one)) in rows[0]["cost"]), {})
    return [
        _plot(plots.quality_against_cost(rows, name, label), label)
        for name, label in costs.items()
        if any(row["cost"].get(name) for row in rows)
    ]


def _exhibits(charts: Sequence[Drawing]) -> list[dict[str, Any]]:
    titles = dict.fromkeys(chart.title for chart in charts)
    return [
        {
            "title": f"{title}, first seed",
            "plots": [
                _plot(plots.exhibit(one), one.caption) for one in charts if one.title == title
            ],
        }
        for title in titles
    ]


def _stages(tables: Any, label: str) -> list[dict[str, str]]:
    return [_plot(plots.curves(terms, label), f"Stage {stage}") for stage, terms in tables.items()]


def _plot(svg: str, caption: str) -> dict[str, str]:
    return {"svg": svg, "caption": caption}
