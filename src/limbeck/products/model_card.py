"""Model card: the page of an exported student: how it loads, what it takes, what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.evaluate.words import table_cells
from limbeck.naming import without_place

LABELS = 20
FIGURES = "accuracy, agreement, exact and f1 in percent, ms for one sample"


@dataclass(frozen=True)
class Origin:
    """The run that a student comes from.

    Args:
        rows: its table, as `limbeck.evaluate.table.student_rows` or ``average`` gives it.
        data: the name of the data whose test split the rows report.
        method: slug of the method.
        title: its name.
        paper: where it is published.
        seeds: of the rows; the student is of the first.
    """

    rows: Sequence[Mapping[str, Any]] = ()
    data: str = ""
    method: str = ""
    title: str = ""
    paper: str = ""
    seeds: tuple[int, ...] = ()


def model_card(
    facts: Mapping[str, Any], origin: Origin, *, load: str, library: str, notes: Sequence[str] = ()
) -> str:
    """Write the page.

    Args:
        facts: as `limbeck.products.sidecar.describe` gives them.
        origin: what was measured, and where the student comes from.
        load: lines of Python that load the student in its folder.
        library: that the lines import.
        notes: sentences about what goes in.

    Returns:
        Markdown behind the header that model hubs read.
    """
    tags = ["limbeck", "knowledge-distillation", *filter(None, [origin.method])]
    pipeline = _pipeline(facts)
    head = [
        "---",
        f"library_name: {library}",
        *([f"pipeline_tag: {pipeline}"] if pipeline else []),
        f"tags: [{', '.join(tags)}]",
        "---",
    ]
    name = without_place(facts["network"])
    parts = [
        "\n".join(head),
        f"# {name.partition('?')[0]}, distilled" + f" with {origin.method}" * bool(origin.method),
        _sentence(name, facts, origin),
        f"## Load it\n\n```python\n{load.strip()}\n```\n\nThe lines run in this folder; elsewhere "
        "write the folder's path in place of the dot.",
        "## What goes in, what comes out\n\n"
        + "\n".join(f"- {line}" for line in [*notes, *_lines(facts)]),
        f"## Measured\n\n{measured(origin, FIGURES, 'weights')}",
    ]
    return "\n\n".join(parts) + "\n"


def _sentence(name: str, facts: Mapping[str, Any], origin: Origin) -> str:
    how = f" by {origin.title} ({origin.paper})" if origin.title else ""
    where = f" on `{without_place(origin.data)}`" if origin.data else ""
    return (
        f"`{name}`, {facts['parameters']:,} parameters, {facts['task']}: a student distilled{how}"
        f"{where} with limbeck {facts['limbeck']}. Its teachers are not in it."
    )


def _lines(facts: Mapping[str, Any]) -> list[str]:
    (output,) = facts["outputs"]
    count = output["shape"][-1]
    lines = [f"Out: {count} number{'s' * (count != 1)} a sample: {output['meaning']}."]
    labels = facts["labels"]
    if labels:
        more = f" and {len(labels) - LABELS} more" if len(labels) > LABELS else ""
        lines.append(f"Labels in order: {', '.join(map(str, labels[:LABELS]))}{more}.")
    return lines


def measured(origin: Origin, figures: str, what: str) -> str:
    """The table of the run with a sentence about it.

    Args:
        origin: with rows.
        figures: what they are, after the name of the split.
        what: of the product is that of the first seed, where there are several.

    Returns:
        Markdown.
    """
    shown = [{**row, "name": without_place(row["name"])} for row in origin.rows]
    heads, rows = table_cells(shown)
    lines = [heads, ["---"] * len(heads), *rows]
    table = "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )
    of = f" of `{without_place(origin.data)}`" if origin.data else ""
    text = f"Test split{of}; {figures}."
    if len(origin.seeds) > 1:
        verb = "are those" if what.endswith("s") else "is that"
        text = (
            f"{text} Means ± standard deviations of {len(origin.seeds)} seeds; the {what} here "
            f"{verb} of seed {origin.seeds[0]}."
        )
    return f"{text}\n\n{table}"


def _pipeline(facts: Mapping[str, Any]) -> str:
    names = {one["name"] for one in facts["inputs"]}
    classifies = facts["task"] != "regression"
    if "input_ids" in names:
        return "text-classification"
    if facts["preprocessing"].get("channels") is not None:
        return "image-classification" if classifies else ""
    if len(facts["preprocessing"].get("size", ())) == 1:
        return "tabular-classification" if classifies else "tabular-regression"
    return ""
