"""The page of a comparison: table, paired differences, ranks with their critical difference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.evaluate.words import (
    paired_cells,
    possible,
    table_cells,
    tournament_cells,
    tournament_verdict,
)
from limbeck.naming import without_place
from limbeck.report import plots
from limbeck.report.page import write_page
from limbeck.report.story import shown


def write_comparison(facts: Mapping[str, Any], path: Path, title: str) -> None:
    """Write the page of a comparison.

    Args:
        facts: as `limbeck.comparison.Outcome.facts` gives them, with ``"environment"``; at least
            one row.
        path: the file.
        title: of the page.
    """
    import tomli_w

    tests, seeds = facts["tests"], facts["comparison"]["seeds"]
    inputs = {name: shown(value) for name, value in facts["inputs"].items()}
    # Of predictions the members that made them teach.
    teachers = inputs.get("teacher", "the members")
    several = [teachers] if isinstance(teachers, str) else teachers
    heads, rows = tournament_cells(facts)
    paired_heads, paired_rows = paired_cells(facts)
    named = [{**row, "name": without_place(row["name"])} for row in facts["teachers"]]
    teacher_heads, teacher_rows = table_cells(named)
    tables = ("comparison", "options", "entries")
    settings = {"inputs": inputs, **{name: facts[name] for name in tables}}
    write_page(
        path,
        "comparison.html",
        title=title,
        what=f"{inputs['student']} taught by {', '.join(several)} on {inputs['data']}: the same "
        f"splits, teachers, first weights and {facts['comparison']['steps']:,} optimiser steps "
        "for every entry.",
        verdict=tournament_verdict(facts),
        caption=f"Test split, mean ± standard deviation of {len(seeds)} seeds; the interval is "
        "that of the mean by Student's t. MACs and latency (ms) are for one sample.",
        heads=heads,
        rows=rows,
        failed=facts["failed"],
        plots=_plots(facts),
        paired_caption=f"{tests['figure']}, seed by seed, over the seeds that both finished. p of "
        "the paired t-test, and adjusted by Holm's method for the number of pairs.",
        paired_heads=paired_heads,
        paired_rows=paired_rows,
        teacher_heads=teacher_heads,
        teacher_rows=teacher_rows,
        settings=tomli_w.dumps(settings),
        environment=json.dumps(facts["environment"], indent=1),
    )


def _ends(name: str, one: Mapping[str, Any]) -> tuple[float | None, float | None]:
    return (None, None) if one["low"] is None else possible(name, one)


def _plots(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    tests = facts["tests"]
    main, ranks = tests["figure"], tests["ranks"]
    values = {
        name: [row["quality"][main] for row in facts["rows"] if row["entry"] == name]
        for name in facts["standing"]["quality"]
    }
    ends = {
        name: (one[main]["mean"], *_ends(main, one[main]))
        for name, one in facts["standing"]["quality"].items()
    }
    drawn = [
        {
            "svg": plots.intervals(values, ends, main),
            "caption": "Each seed, the mean and its 95 % interval",
        }
    ]
    if ranks is not None:
        drawn.append(
            {
                "svg": plots.rank_diagram(
                    ranks["mean_ranks"], ranks["critical_difference"], ranks["tiers"]
                ),
                "caption": "Mean ranks, 1 is best; a bar joins entries that the Nemenyi test does "
                "not tell apart",
            }
        )
    return drawn
