"""Boxes aligned to measured densities: what pressure is missing, and what density comes of it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from limbeck.data.boxes import with_molecules
from limbeck.data.force_data import ForceData
from limbeck.data.frames import Frames, join
from limbeck.data.neighbours import whole_molecules
from limbeck.errors import RunError, UnusualUseWarning
from limbeck.loops.force_densities import densities_of, pressures_at
from limbeck.loops.force_frames import Places
from limbeck.loops.force_pressure import Alignment, aligned_force_field
from limbeck.run.run import Run

# Frames of boxes, and the box that each is of.
Drawn = tuple[Frames, Places]


def aligned_boxes(
    run: Run, network: nn.Module, drawn: Drawn | None, data: ForceData, alignment: Alignment
) -> dict[str, Any]:
    """Move the pressure of a network in place, to where densities of boxes are as measured.

    Args:
        run: the folder.
        network: the force field.
        drawn: frames of the boxes to do that on, and the box that each is of; None where boxes
            are held at their densities, which gives frames of its own.
        data: labelled frames, and the boxes.
        alignment: how.

    Returns:
        What `wanted_changes` and `aligned_force_field` tell, and ``density_after`` of each box by
        a last simulation where densities are given, None of one that broke off.
    """
    assert data.liquid is not None
    wanted, held = wanted_changes(run, network, data.liquid, alignment)
    if "left" in wanted:
        return wanted
    drawn = held or drawn
    assert drawn is not None
    frames, box = drawn
    whole = whole_molecules(with_molecules(frames))
    told = aligned_force_field(run, network, whole, box, data, alignment, wanted["wanted"])
    if alignment.density:
        how = alignment.densities
        jobs = [
            (network, data.liquid.take([place]), how.pressure) for place in range(len(data.liquid))
        ]
        found = densities_of(run, "after", jobs, how)
        told["density_after"] = [one if math.isfinite(one) else None for one in found]
    return {**wanted, **told}


def wanted_changes(
    run: Run, network: nn.Module, boxes: Frames, alignment: Alignment
) -> tuple[dict[str, Any], Drawn | None]:
    r"""The change of pressure that each box needs.

    .. math:: \Delta P = -(\rho^* - \rho) / (d\rho / dP)

    by densities, and :math:`P - P(\rho^*)` by pressures.

    Args:
        run: the folder.
        network: the force field.
        boxes: periodic frames.
        alignment: tells the densities that were measured, or the changes themselves.

    Returns:
        ``wanted`` in atm for each box, and where they were found by dynamics ``density`` and
        ``slope`` (in g/cm3 per atm), or ``pressure`` at the density (in atm). Where dynamics break
        off, or a density does not grow with the pressure, ``left`` alone: why no change is known,
        which a warning says too. Beside that the frames of boxes that were held at their density,
        and the box that each is of ``(N,)``.

    Raises:
        ArgumentError: there are as many boxes neither as changes nor as densities.
    """
    each = alignment.each(len(boxes))
    if not alignment.density:
        return {"wanted": each}, None
    if alignment.held:
        return _by_pressures(run, network, boxes, each, alignment)
    how = alignment.densities
    pressures = [how.pressure, how.pressure + how.step]
    places = range(len(boxes))
    jobs = [(network, boxes.take([place]), one) for place in places for one in pressures]
    found = np.array(densities_of(run, "before", jobs, how)).reshape(-1, 2)
    left = _unknown(found, pressures)
    if left is not None:
        return _left(left), None
    slopes = (found[:, 1] - found[:, 0]) / how.step
    wanted = (-(np.array(each) - found[:, 0]) / slopes).tolist()
    return {"wanted": wanted, "density": found[:, 0].tolist(), "slope": slopes.tolist()}, None


def _by_pressures(
    run: Run, network: nn.Module, boxes: Frames, each: Sequence[float], alignment: Alignment
) -> tuple[dict[str, Any], Drawn | None]:
    how = alignment.densities
    parts, pressures = zip(*pressures_at(run, "before", network, boxes, each, how), strict=True)
    if not np.isfinite(pressures).all():
        box = int(np.argmin(np.isfinite(pressures)))
        return _left(
            f"dynamics of box {box} at {each[box]:g} g/cm3 broke off, so that its pressure is not "
            "known; train for longer, or give alignment.pressure_change"
        ), None
    origin = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    chosen = frames_of_boxes(origin, len(parts), alignment.frames)
    told = {"wanted": [how.pressure - one for one in pressures], "pressure": list(pressures)}
    return told, (join(parts).take(chosen), origin[chosen])


def _left(why: str) -> dict[str, Any]:
    words = f"the force field is not aligned: {why}"
    warnings.warn(words, UnusualUseWarning, stacklevel=3)
    return {"left": why}


def _unknown(found: Any, pressures: Sequence[float]) -> str | None:
    """Why densities of boxes at two pressures do not tell a slope, if they do not."""
    if not np.isfinite(found).all():
        box, place = np.argwhere(~np.isfinite(found))[0]
        return (
            f"dynamics of box {box} at {pressures[place]:g} atm broke off or became a gas, so that "
            "its density is not known; train for longer, or let the pressure tell what is missing: "
            'alignment.densities.by = "pressure"'
        )
    worst = int(np.argmin(found[:, 1] - found[:, 0]))
    low, high = found[worst]
    if high > low:
        return None
    return (
        f"the density of box {worst} is {low:.4g} g/cm3 at {pressures[0]:g} atm and {high:.4g} at "
        f"{pressures[1]:g}, so that it does not tell which pressure is missing; raise "
        "alignment.densities.picoseconds, or give alignment.pressure_change"
    )


def frames_of_boxes(box: Places, boxes: int, most: int) -> Places:
    """Places of frames spread over those of each box.

    Args:
        box: which box each frame is of ``(N,)``.
        boxes: how many there are.
        most: frames of each.

    Raises:
        RunError: a box has no frame; it is named.

    Example:
        >>> frames_of_boxes(np.array([0, 0, 0, -1, 1]), 2, 2).tolist()
        [0, 2, 4]
    """
    chosen = []
    for number in range(boxes):
        rows = np.flatnonzero(box == number)
        if not len(rows):
            raise RunError(
                f"box {number} has no frame to be aligned on: its dynamics broke off or were "
                "shorter than sampling.every; train for longer, or raise sampling.picoseconds"
            )
        chosen.append(rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)])
    return np.concatenate(chosen)
