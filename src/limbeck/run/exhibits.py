"""Exhibits: charts, tables and pictures that a run brings along, for whoever shows the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from limbeck import files
from limbeck.errors import CorruptFileError
from limbeck.plain import finite

EXHIBITS = "exhibits.json"
Style = Literal["measured", "bound", "floor"]
Number = float | None


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Args:
        name: for the legend.
        x: places.
        y: values; None leaves a gap.
        style: ``"measured"`` is drawn with marks, ``"bound"`` dashed, ``"floor"`` dotted.
    """

    name: str
    x: Sequence[float]
    y: Sequence[Number]
    style: Style = "measured"


@dataclass(frozen=True)
class Chart:
    """Lines over one axis.

    Args:
        title: above the charts of a run.
        caption: what is to be seen.
        x_label: name of the horizontal axis.
        y_label: name of the vertical axis.
        lines: what is drawn.
        logarithmic: whether the vertical axis is; values of 0 are left out then.
    """

    title: str
    caption: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    logarithmic: bool = False


@dataclass(frozen=True)
class Bars:
    """A number for each of several names.

    Args:
        title: above the charts of a run.
        caption: what is to be seen.
        label: what the numbers are.
        names: in the order in which they are drawn.
        values: one a name; None leaves a gap.
    """

    title: str
    caption: str
    label: str
    names: Sequence[str]
    values: Sequence[Number]


@dataclass(frozen=True)
class Matrix:
    """Numbers between pairs of names, as colours.

    Args:
        title: above the charts of a run.
        caption: what is to be seen.
        names: of rows and columns.
        values: a row a name; None leaves a cell empty.
        low: what the palest colour stands for.
        high: what the darkest one stands for.
    """

    title: str
    caption: str
    names: Sequence[str]
    values: Sequence[Sequence[Number]]
    low: float
    high: float


@dataclass(frozen=True)
class Sheet:
    """A table.

    Args:
        title: above it.
        heads: of the columns.
        rows: cells as they are shown.
        caption: what they are, a sentence or two.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """Rows of pictures, each with a name beside it.

    Args:
        title: above it.
        caption: what is to be seen.
        columns: heads of the columns; a single one may be empty, and its rows then stand side by
            side where they fit.
        rows: names of the rows, such as classes.
        pictures: a PNG file as base64 text a column, for each row.
    """

    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[str]
    pictures: Sequence[Sequence[str]]


Drawing = Chart | Bars | Matrix
DRAWINGS: dict[str, type[Drawing]] = {"chart": Chart, "bars": Bars, "matrix": Matrix}


def write_exhibits(
    folder: Path,
    charts: Sequence[Drawing] = (),
    sheets: Sequence[Sheet] = (),
    galleries: Sequence[Gallery] = (),
) -> None:
    """Put charts, tables and galleries beside a run's other files, in place of earlier ones.

    Args:
        folder: of the run.
        charts: lines, bars and matrices; numbers that are not finite become gaps.
        sheets: tables.
        galleries: pictures, such as `limbeck.run.galleries` makes them.

    Example:
        >>> import math, tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> line = Line("falling", [0, 1], [1.0, math.nan])
        >>> write_exhibits(folder, [Chart("A chart", "it falls", "step", "height", [line])])
        >>> chart, = read_exhibits(folder)[0]
        >>> chart.lines[0].y
        [1.0, None]
    """
    content = {
        "charts": [{"kind": _kind(one), **finite(asdict(one))} for one in charts],
        "sheets": [asdict(one) for one in sheets],
        "galleries": [asdict(one) for one in galleries],
    }
    files.write_text(folder / EXHIBITS, json.dumps(content, allow_nan=False) + "\n")


def read_exhibits(folder: Path) -> tuple[list[Drawing], list[Sheet], list[Gallery]]:
    """Read the charts, tables and galleries of a run; none where it brings none.

    Raises:
        CorruptFileError: the file does not read.
    """
    path = folder / EXHIBITS
    if not path.exists():
        return [], [], []
    try:
        content = json.loads(path.read_text())
        charts = [_drawing(one) for one in content["charts"]]
        galleries = [Gallery(**one) for one in content.get("galleries", ())]
        return charts, [Sheet(**one) for one in content["sheets"]], galleries
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptFileError(
            f"{path} does not read ({error}); delete it and resume the run to have it made anew"
        ) from None


def _kind(drawing: Drawing) -> str:
    return next(name for name, kind in DRAWINGS.items() if type(drawing) is kind)


def _drawing(facts: Mapping[str, Any]) -> Drawing:
    kind, fields = facts.get("kind", "chart"), {n: v for n, v in facts.items() if n != "kind"}
    if kind == "chart":
        fields["lines"] = [Line(**line) for line in fields["lines"]]
    return DRAWINGS[kind](**fields)


def add_charts(folder: Path, charts: Sequence[Drawing]) -> None:
    """Put charts behind the exhibits that a run brings already, those of a title anew.

    Args:
        folder: of the run.
        charts: lines, bars and matrices.

    Raises:
        CorruptFileError: the exhibits that are there do not read.
    """
    there, sheets, galleries = read_exhibits(folder)
    titles = {one.title for one in charts}
    kept = [one for one in there if one.title not in titles]
    write_exhibits(folder, [*kept, *charts], sheets, galleries)


def add_galleries(folder: Path, galleries: Sequence[Gallery], *, first: bool = False) -> None:
    """Put galleries beside the exhibits that a run brings already, those of a title anew.

    Args:
        folder: of the run.
        galleries: pictures.
        first: put them before the others, of which the first stands for the run, not behind.

    Raises:
        CorruptFileError: the exhibits that are there do not read.
    """
    charts, sheets, there = read_exhibits(folder)
    titles = {one.title for one in galleries}
    kept = [one for one in there if one.title not in titles]
    write_exhibits(folder, charts, sheets, [*galleries, *kept] if first else [*kept, *galleries])
