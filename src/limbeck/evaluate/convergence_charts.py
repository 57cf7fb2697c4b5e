"""Charts and the table of a convergence report, as a run brings them along."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence

from limbeck.evaluate.convergence import ConvergenceReport
from limbeck.run.exhibits import Chart, Line, Sheet

TITLE = "Convergence to the base teachers"


def convergence_exhibits(report: ConvergenceReport) -> tuple[list[Chart], list[Sheet]]:
    """What a page shows of a chain: distances with their bounds, quality, and the table.

    Args:
        report: of the chain.

    Returns:
        Charts and sheets.
    """
    anchors = report.facts["anchors"]
    places = list(range(len(report.rows)))
    left = list(itertools.accumulate((1 - a for a in anchors), operator.mul, initial=1.0))
    linear = report.facts["mixture"] == "linear"
    tv, kl = report.column("tv"), report.column("kl")
    shrinking = Line(
        "(1-alpha)^k, students without error" if linear else "(1-alpha)^k, holds near the base",
        places,
        [tv[0] * share for share in left],
        "bound",
    )
    lines = [Line("mean total variation", places, tv), shrinking]
    if linear:
        lines.append(Line("bound with the largest error", places, report.prediction.bound, "bound"))
    if report.prediction.converges:
        floor = [report.prediction.floor] * len(places)
        lines.append(Line("floor, largest error / alpha", places, floor, "floor"))
    lines.append(Line("error of each student", places, report.column("error"), "floor"))
    whole = [kl[0] * share for share in left]
    square = [kl[0] * share**2 for share in left]
    charts = [
        _chart("Mean total variation to the pool of base teachers", "total variation", lines),
        _chart(
            "Mean KL(B||S) in nats: without error below (1-alpha)^k, late falling as its square",
            "KL",
            [
                Line("mean KL(B||S)", places, kl),
                Line("(1-alpha)^k, students without error", places, whole, "bound"),
                Line("(1-alpha)^2k, late", places, square, "floor"),
            ],
        ),
        _chart(
            "Shares of samples: right, and of the same class as the pool",
            "share",
            [
                Line("accuracy", places, report.column("accuracy")),
                Line("agreement with the pool", places, report.column("agreement")),
            ],
            logarithmic=False,
        ),
    ]
    heads, cells = report.table()
    caption = (
        f"{report.verdict[0].upper()}{report.verdict[1:]}. Compared at temperature "
        f"{report.facts['temperature']:g} on {report.facts['samples']} test samples, one seed; "
        "shares in percent."
    )
    return charts, [Sheet("Generations", heads, cells, caption)]


def _chart(caption: str, label: str, lines: Sequence[Line], logarithmic: bool = True) -> Chart:
    return Chart(TITLE, caption, "generation", label, lines, logarithmic)
