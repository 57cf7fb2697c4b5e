"""Plots of a report, as SVG text that stands inside the page."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.evaluate.figures import figure as told_of
from limbeck.evaluate.figures import main_figure
from limbeck.evaluate.fronts import pareto_front
from limbeck.evaluate.words import spread_of
from limbeck.run.exhibits import Bars, Chart, Drawing, Matrix

PALETTE = ("#1b6ca8", "#d1495b", "#3a7d44", "#8e6c8a", "#c98b2b", "#5b6770")
MARKERS = {"product": "D", "baseline": "s", "reference": "v", "ensemble": "^", "teacher": "o"}
STYLES: dict[str, dict[str, Any]] = {
    "measured": {"marker": "o", "markersize": 3, "linewidth": 1.4},
    "bound": {"linestyle": "--", "linewidth": 1.2},
    "floor": {"linestyle": ":", "linewidth": 1.2},
}
# Points of a line that are marked, since a line through one is not seen.
FEW_POINTS = 10
# Names of a matrix whose numbers are written into its cells.
FEW_CELLS = 14
# How far an axis may reach before the marks within its decades run into each other.
FEW_DECADES = 60
Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]


def curves(terms: Curves, label: str) -> str:
    """Values over steps, one line a term, on a logarithmic axis where all are positive."""
    figure, axes = _figure(4.6, 2.6)
    for place, (name, (steps, values)) in enumerate(terms.items()):
        colour = PALETTE[place % len(PALETTE)]
        marker = "." if len(steps) <= FEW_POINTS else None
        axes.plot(steps, values, color=colour, linewidth=1.2, marker=marker, label=name)
    if all(value > 0 for _, values in terms.values() for value in values):
        axes.set_yscale("log")
        _readable(axes.yaxis)
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def exhibit(drawing: Drawing) -> str:
    """What a run brought along, drawn as its kind is."""
    if isinstance(drawing, Bars):
        return bars(drawing)
    return matrix(drawing) if isinstance(drawing, Matrix) else chart_of(drawing)


def chart_of(chart: Chart) -> str:
    """Lines: marks where a run measured, dashes for bounds and floors."""
    figure, axes = _figure(4.6, 3.2)
    for place, line in enumerate(chart.lines):
        values = [math.nan if value is None else value for value in line.y]
        if chart.logarithmic:
            values = [value if value > 0 else math.nan for value in values]
        colour = PALETTE[place % len(PALETTE)]
        axes.plot(line.x, values, color=colour, label=line.name, **STYLES[line.style])
    if chart.logarithmic:
        axes.set_yscale("log")
        _readable(axes.yaxis)
    if all(float(x).is_integer() for line in chart.lines for x in line.x):
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=7)
    return _svg(figure)


def bars(drawing: Bars) -> str:
    """A bar a name from zero, the first on top; those below zero in another colour."""
    figure, axes = _figure(4.6, 0.6 + 0.2 * len(drawing.names))
    values = [math.nan if value is None else value for value in drawing.values]
    colours = [PALETTE[1] if value < 0 else PALETTE[0] for value in values]
    places = range(len(values))
    axes.barh(places, values, color=colours)
    axes.set_yticks(places, list(drawing.names))
    axes.invert_yaxis()
    axes.axvline(0, color="#666666", linewidth=0.8)
    axes.set_xlabel(drawing.label)
    axes.tick_params(axis="y", labelsize=7)
    return _svg(figure)


def matrix(drawing: Matrix) -> str:
    """Numbers between pairs of names as colours, written into the cells where these are few."""
    names, few = list(drawing.names), len(drawing.names) <= FEW_CELLS
    side = 1.4 + 0.28 * min(len(names), 24)
    figure, axes = _figure(side + 0.8, side)
    values = [[math.nan if one is None else one for one in row] for row in drawing.values]
    shown = axes.imshow(values, cmap="Blues", vmin=drawing.low, vmax=drawing.high)
    size = 7 if len(names) <= 24 else 4
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    middle = (drawing.low + drawing.high) / 2
    for row, column in itertools.product(range(len(names)), repeat=2) if few else ():
        value = values[row][column]
        if math.isfinite(value):
            colour = "white" if value > middle else "#1d2733"
            word = f"{value:.2f}"
            axes.text(column, row, word, ha="center", va="center", fontsize=5, color=colour)
    figure.colorbar(shown, ax=axes, shrink=0.7).ax.tick_params(labelsize=7)
    return _svg(figure)


def quality_against_cost(rows: Sequence[Mapping[str, Any]], cost: str, label: str) -> str:
    """The main figure of each row against one cost on a logarithmic axis.

    A line joins the rows that no other beats in both.
    """
    figure, axes = _figure(4.6, 2.8)
    name = main_figure(rows[:1])
    drawn = [row for row in rows if cost in row["cost"] and name in row["quality"]]
    front = [drawn[place] for place in _front(drawn, cost, name)]
    if len(front) > 1:
        paid, found = [row["cost"][cost] for row in front], [row["quality"][name] for row in front]
        axes.plot(paid, found, color="#999999", linewidth=0.8, zorder=0)
    for place, row in enumerate(drawn):
        spread = spread_of(row, name) or 0
        axes.errorbar(
            [row["cost"][cost]],
            [row["quality"][name]],
            yerr=[spread],
            fmt=MARKERS[row["role"]],
            color=PALETTE[place % len(PALETTE)],
            capsize=2,
            markersize=6,
            label=row["name"],
        )
    axes.set_xscale("log")
    _readable(axes.xaxis)
    axes.margins(x=0.2, y=0.2)
    axes.set_xlabel(label)
    axes.set_ylabel(told_of(name).said.partition(" ")[2] or name)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=7)
    return _svg(figure)


def _front(rows: Sequence[Mapping[str, Any]], cost: str, name: str) -> list[int]:
    return pareto_front(
        [row["cost"][cost] for row in rows],
        [row["quality"][name] for row in rows],
        higher_is_better=told_of(name).higher,
    )


def reliability_diagram(sources: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy against confidence; on the diagonal a source is as sure as it should be."""
    figure, axes = _figure(3.4, 3.2)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle="--")
    for place, (name, facts) in enumerate(sources.items()):
        points = [
            (confidence, accuracy)
            for count, confidence, accuracy in zip(
                facts["count"], facts["confidence"], facts["accuracy"], strict=True
            )
            if count
        ]
        axes.plot(
            *zip(*points, strict=True),
            marker="o",
            markersize=3,
            linewidth=1.2,
            color=PALETTE[place % len(PALETTE)],
            label=name,
        )
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def class_change(
    classes: Sequence[str], product: Sequence[Any], alone: Sequence[Any], baseline: str
) -> str:
    """Per-class accuracy of the product less that of the baseline, most gained first."""
    changes = [
        (name, ours - theirs)
        for name, ours, theirs in zip(classes, product, alone, strict=True)
        if ours is not None and theirs is not None
    ]
    changes.sort(key=lambda pair: pair[1])
    if len(changes) > 30:
        changes = changes[:15] + changes[-15:]
    figure, axes = _figure(4.6, 0.6 + 0.2 * len(changes))
    colours = [PALETTE[0] if change >= 0 else PALETTE[1] for _, change in changes]
    axes.barh([name for name, _ in changes], [change for _, change in changes], color=colours)
    axes.axvline(0, color="#666666", linewidth=0.8)
    axes.set_xlabel(f"accuracy, product less {baseline}")
    axes.tick_params(axis="y", labelsize=8)
    return _svg(figure)


def intervals(
    values: Mapping[str, Sequence[float]],
    ends: Mapping[str, tuple[float, float | None, float | None]],
    label: str,
) -> str:
    """Values of each name as dots, their mean and its interval where there is one."""
    figure, axes = _figure(4.6, 0.9 + 0.4 * len(values))
    for place, name in enumerate(values):
        mean, low, high = ends[name]
        colour = PALETTE[place % len(PALETTE)]
        axes.plot(values[name], [place] * len(values[name]), "o", color=colour, alpha=0.35, ms=4)
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color=colour, linewidth=2)
        axes.plot([mean], [place], "D", color=colour, ms=6)
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()
    axes.margins(y=0.2)
    axes.set_xlabel(label)
    return _svg(figure)


def rank_diagram(
    mean_ranks: Mapping[str, float], critical_difference: float, tiers: Sequence[Sequence[str]]
) -> str:
    """Mean ranks on a line, the critical difference, and bars over those it does not tell apart."""
    order = sorted(mean_ranks, key=lambda name: mean_ranks[name])
    bars = [group for group in tiers if len(group) > 1]
    count, reach = len(order), 0.5 * len(bars)
    figure, axes = _figure(4.6, 1.5 + 0.22 * (count + len(bars)))
    axes.set_xlim(0.6, count + 0.4)
    axes.set_ylim(count + reach + 0.8, -1.9)
    axes.plot([1, count], [0, 0], color="#1d2733", linewidth=1)
    for tick in range(1, count + 1):
        axes.plot([tick, tick], [-0.15, 0.15], color="#1d2733", linewidth=1)
        axes.text(tick, -0.35, str(tick), ha="center", va="bottom", fontsize=8)
    shown = min(critical_difference, count - 1)
    clipped = ", longer than the line" if critical_difference > count - 1 else ""
    axes.plot([1, 1 + shown], [-1.3, -1.3], color=PALETTE[1], linewidth=2)
    words = f"critical difference {critical_difference:.2f}{clipped}"
    axes.text(1, -1.4, words, ha="left", va="bottom", fontsize=8)
    for level, group in enumerate(bars):
        spots = [mean_ranks[name] for name in group]
        height = 0.4 + 0.5 * level
        axes.plot(
            [min(spots) - 0.05, max(spots) + 0.05], [height, height], color=PALETTE[5], linewidth=4
        )
    for place, name in enumerate(order):
        height, rank = reach + 0.9 + place, mean_ranks[name]
        axes.plot([rank, rank], [0, height], color=PALETTE[0], linewidth=0.8)
        right = rank <= (count + 1) / 2
        axes.text(
            rank + (0.05 if right else -0.05),
            height,
            f"{name}  {rank:.2f}",
            ha="left" if right else "right",
            va="center",
            fontsize=8,
        )
    axes.set_axis_off()
    return _svg(figure)


def _readable(axis: Any) -> None:
    """Mark 1, 2 and 5 of each decade of a logarithmic axis, of many decades 1 only."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_data_interval()
    subs = (1, 2, 5) if high < FEW_DECADES * low else (1,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    """A number that stands beside others on an axis: 20000 is 20k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 10 * size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _svg(figure: Any) -> str:
    import matplotlib

    text = io.StringIO()
    # Text stays text and ids are fixed, so that a page is small, searchable and repeatable.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "limbeck"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    content = text.getvalue()
    return content[content.index("<svg") :]
