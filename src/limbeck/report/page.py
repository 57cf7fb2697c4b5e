"""The page: stories put into one HTML file that loads nothing from the network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limbeck import files
from limbeck.evaluate.words import table_cells, verdict
from limbeck.report import plots
from limbeck.report.story import Story, read_story
from limbeck.run.exhibits import Chart

TEMPLATES = Path(__file__).parent


def write_report(folders: Sequence[Path], out: Path | None = None) -> Path:
    """Write one page about one or several finished runs.

    Args:
        folders: run folders; all that is shown is read from them.
        out: the file; ``report.html`` in the first folder by default.

    Returns:
        The file.

    Raises:
        RunError: a folder holds no finished run, or has no metrics.
    """
    stories = [read_story(folder) for folder in folders]
    title = stories[0].card.title if len(stories) == 1 else f"{len(stories)} runs"
    path = out or folders[0] / "report.html"
    write_page(path, "page.html", title=title, runs=[_run(story) for story in stories])
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


def _run(story: Story) -> dict[str, Any]:
    import tomli_w

    request = story.request
    heads, cells = table_cells(story.rows)
    teachers = request.inputs.get("teacher", [])
    several = [teachers] if isinstance(teachers, str) else list(teachers)
    seeds = len(request.seeds)
    spread = f"mean ± standard deviation of {seeds} seeds" if seeds > 1 else "one seed"
    return {
        "heading": f"{request.method}: {story.name}",
        "what": f"{', '.join(several)} distilled into {request.inputs.get('student')} on "
        f"{request.inputs.get('data')}. {story.card.summary} Source: {story.card.paper}.",
        "verdict": verdict(story.rows, seeds),
        "caption": f"Test split, {spread}. MACs and latency are for one sample.",
        "heads": heads,
        "rows": [
            {"role": row["role"], "cells": line}
            for row, line in zip(story.rows, cells, strict=True)
        ],
        "sheets": story.sheets,
        "groups": [group for group in _groups(story) if group["plots"]],
        "settings": tomli_w.dumps(request.identity()),
        "environment": json.dumps(dict(story.environment), indent=1),
    }


def _groups(story: Story) -> list[dict[str, Any]]:
    cost = [
        ("latency_ms", "latency of one sample, ms"),
        ("parameters", "parameters"),
    ]
    groups = [
        {
            "title": "Quality against cost",
            "plots": [
                _plot(plots.quality_against_cost(story.rows, name, label), label)
                for name, label in cost
            ],
        },
        *_exhibits(story.charts),
        {"title": "Loss terms", "plots": _stages(story.curves, "loss")},
        {"title": "Gradient norm of each term", "plots": _stages(story.norms, "gradient norm")},
    ]
    sources = story.diagnostics.get("sources", {})
    if sources:
        names = list(sources)
        product, alone = sources[names[0]], sources[names[2] if len(names) > 2 else names[-1]]
        change = plots.class_change(
            story.diagnostics["classes"], product["class_accuracy"], alone["class_accuracy"]
        )
        groups.append(
            {
                "title": "Where it is right, and how sure",
                "plots": [
                    _plot(plots.reliability_diagram(sources), "Reliability, first seed"),
                    _plot(change, "Change by class, first seed"),
                ],
            }
        )
    return groups


def _exhibits(charts: Sequence[Chart]) -> list[dict[str, Any]]:
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
