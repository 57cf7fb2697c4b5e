"""What a report shows of force fields: members and what they are unsure of, and alignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from limbeck.data.frames import Frames
from limbeck.evaluate.forces import force_rmse_by_element
from limbeck.run.exhibits import Bars, Chart, Drawing, Line, Sheet

# What is told of boxes that were aligned, in the order of what was done.
ALIGNED = {
    "density_wanted": "density wanted, g/cm³",
    "density": "density before, g/cm³",
    "slope": "its slope, g/cm³ an atm",
    "pressure": "pressure at the density wanted, atm",
    "wanted": "change wanted, atm",
    "moved": "moved, atm",
    "pressure_after": "pressure at the density wanted afterwards, atm",
    "density_after": "density afterwards, g/cm³",
}
ERRORS = {"pressure": "pressure_error", "pressure_after": "pressure_error_after"}
# Atoms are put into so many groups of equal size by how far members are apart.
GROUPS = 10


def force_charts(members: Sequence[Frames], student: Frames, told: Frames) -> list[Drawing]:
    """Charts of errors by element, and of errors by how far members are apart.

    Args:
        members: what each member says of the same frames.
        student: what the student says of them.
        told: the frames with labels.
    """
    errors = force_rmse_by_element(student, told)
    title = "Errors of forces"
    caption = "root mean square error of forces on atoms of each element"
    charts: list[Drawing] = [
        Bars(title, caption, "kcal/mol/Å", list(errors), list(errors.values()))
    ]
    if len(members) > 1:
        charts.append(_by_spread(members, told, title))
    return charts


def _by_spread(members: Sequence[Frames], told: Frames, title: str) -> Chart:
    """Whether the ensemble errs where its members are apart."""
    forces = np.stack([np.asarray(one.forces) for one in members])
    apart = np.sqrt(forces.var(0, ddof=1).mean(1))
    errors = np.sqrt(np.square(forces.mean(0) - np.asarray(told.forces)).mean(1))
    groups = np.array_split(np.argsort(apart, kind="stable"), min(GROUPS, len(apart)))
    x = [float(apart[group].mean()) for group in groups]
    y = [float(np.sqrt(np.square(errors[group]).mean())) for group in groups]
    ends = [0.0, max(x)]
    return Chart(
        title,
        "error of the members' mean on atoms on which members are so far apart; dotted where both "
        "are the same",
        "deviation among members, kcal/mol/Å",
        "error, kcal/mol/Å",
        [Line("atoms by tenths", x, y), Line("equal", ends, ends, "floor")],
    )


def force_sheets(facts: Mapping[str, Any]) -> list[Sheet]:
    """Tables of how a student came about.

    Args:
        facts: of the product: ``errors``, ``spread``, ``frames``, perhaps ``apart``, ``labelled``,
            ``alignment``.
    """
    sheets = []
    if "errors" in facts:
        rows = [[f"member {place}", f"{one:.3f}"] for place, one in enumerate(facts["errors"])]
        rows.append(["deviation among them on drawn frames", f"{facts['spread']:.3f}"])
        for name, one in facts.get("apart", {}).items():
            rows.append([f"{name} to their mean, on frames kept out", f"{one:.3f}"])
        caption = (
            f"Forces in kcal/mol/Å: errors on validation frames, and how far members are apart on "
            f"the {facts['frames']} frames that were drawn."
        )
        if "labelled" in facts:
            learned, judged = facts["labelled"]
            caption += (
                f" There were {learned} labelled frames to learn from and {judged} others to judge "
                "on, those of rounds included."
            )
        sheets.append(Sheet("Members", ["", "kcal/mol/Å"], rows, caption))
    if "alignment" in facts:
        sheets.append(_alignment(facts["alignment"]))
    return sheets


def _alignment(told: Mapping[str, Any]) -> Sheet:
    title = "Alignment of the pressure between molecules"
    if "left" in told:
        return Sheet(title, ["aligned"], [["no"]], f"Left as it was: {told['left']}.")
    boxes = [f"box {place}" for place in range(len(told["wanted"]))]
    rows = [
        [words, *_cells(told[name], told.get(ERRORS.get(name, ""), []))]
        for name, words in ALIGNED.items()
        if name in told
    ]
    before, after = told["force_error_before"], told["force_error_after"]
    caption = (
        "What has moved is the pressure between molecules, on frames that were kept out as they "
        f"are; dynamics may answer with more or less. At a rate of {told['rate']:g}; errors of "
        f"forces on validation clusters went from {before:.3f} to {after:.3f} kcal/mol/Å."
    )
    if "pressure_error" in told:
        caption += (
            " ± is the standard error by blocks of a simulation, or how far simulations of a box "
            "are apart where that is more; one alone does not tell what another would."
        )
    return Sheet(title, ["", *boxes], rows, caption)


def _cells(values: Sequence[float | None], errors: Sequence[float | None]) -> list[str]:
    """Numbers as they are read, with how sure they are where that is known."""
    told = ["broke off" if one is None else f"{one:.4g}" for one in values]
    # Two digits, and no power of ten beside a number that has none.
    sure = ["" if one is None else f" ± {float(f'{one:.2g}'):g}" for one in errors]
    sure = sure or [""] * len(told)
    return [one + more for one, more in zip(told, sure, strict=True)]
