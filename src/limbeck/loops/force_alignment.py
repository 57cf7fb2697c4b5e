"""Boxes aligned to measured densities: what pressure is missing, and what comes of it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from limbeck.data.boxes import at_density, with_molecules
from limbeck.data.force_data import ForceData
from limbeck.data.frames import Frames, join
from limbeck.data.neighbours import bonded_molecules, whole_molecules
from limbeck.errors import ArgumentError, NoEffectWarning, RunError, UnusualUseWarning
from limbeck.loops.force_densities import Held, densities_of, simulated_boxes
from limbeck.loops.force_frames import Places
from limbeck.loops.force_pressure import Alignment, aligned_force_field
from limbeck.run.run import Run

# Frames of boxes, and the box that each is of.
Drawn = tuple[Frames, Places]
# A change in atm that a rehearsal takes for what dynamics would tell.
REHEARSED = -1000.0


def check_boxes(alignment: Alignment, data: ForceData) -> None:
    """Raise before anything learns unless the boxes of some data can be aligned.

    Raises:
        ArgumentError: there is no box, or another number of densities or changes; or molecules of
            a box do not stay what they are at the density that is wanted.
    """
    if alignment.densities.by == "pressure" and not alignment.density:
        warnings.warn(
            "alignment.densities.by has no effect: it finds what leads to a density, and "
            "alignment.density is not given",
            NoEffectWarning,
            stacklevel=2,
        )
    if not alignment.wanted:
        return
    if data.liquid is None:
        raise ArgumentError(
            f"a density is asked for and {data.name} has no periodic box; give one, such as "
            "--liquid H2O?count=32"
        )
    each = alignment.each(len(data.liquid))
    if not alignment.held:
        return
    for place, density in enumerate(each):
        box = data.liquid.take([place])
        moved = bonded_molecules(at_density(box, density))
        if not np.array_equal(moved, bonded_molecules(box)):
            raise ArgumentError(
                f"alignment.density is {density:g} g/cm3 for box {place}, whose molecules touch or "
                "are torn when they are brought to it; give a density of the liquid in g/cm3 and a "
                "box that is nearer to it"
            )


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
        What `wanted_changes` and `aligned_force_field` tell. Where densities are given also
        ``density_after`` of each box by a last simulation, None of one that broke off, and of boxes
        that are held ``pressure_after`` at the density, with its ``pressure_error_after``.
    """
    assert data.liquid is not None
    wanted, held = wanted_changes(run, network, data.liquid, alignment)
    if "left" in wanted:
        return wanted
    drawn = held or drawn
    assert drawn is not None
    whole = whole_molecules(with_molecules(drawn[0]))
    told = aligned_force_field(run, network, whole, drawn[1], data, alignment, wanted["wanted"])
    return {**wanted, **told, **_after(run, network, data.liquid, alignment)}


def _after(
    run: Run, network: nn.Module, boxes: Frames, alignment: Alignment
) -> dict[str, list[float | None]]:
    """What dynamics tell of an aligned network."""
    if not alignment.density:
        return {}
    jobs: list[tuple[nn.Module, Frames, float | None]] = [
        (network, boxes.take([place]), alignment.densities.pressure) for place in range(len(boxes))
    ]
    jobs += _held_boxes(network, boxes, alignment) if alignment.held else []
    found = simulated_boxes(run, "after", jobs, alignment.densities)
    free, held = found[: len(boxes)], found[len(boxes) :]
    told = {"density_after": [_known(one.density) for one in free]}
    if held:
        told["pressure_after"] = [_known(one.pressure) for one in held]
        told["pressure_error_after"] = [_known(one.error) for one in held]
    return told


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _held_boxes(
    network: nn.Module, boxes: Frames, alignment: Alignment
) -> list[tuple[nn.Module, Frames, None]]:
    """Jobs of boxes at their densities and constant volume."""
    each = enumerate(alignment.each(len(boxes)))
    return [(network, at_density(boxes.take([place]), density), None) for place, density in each]


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
        ``wanted`` in atm for each box, and where they were found by dynamics ``density_wanted`` and
        ``density`` and ``slope`` (in g/cm3 per atm), or ``pressure`` at the density wanted with its
        standard error, ``pressure_error`` (in atm). Where dynamics break off, or a density does not
        grow with the pressure, ``left`` alone: why no change is known, which a warning says too.
        Beside that the frames of boxes that were held at their density, and the box that each is
        of ``(N,)``.

    Raises:
        ArgumentError: there are as many boxes neither as changes nor as densities.
    """
    each = alignment.each(len(boxes))
    if not alignment.density:
        return {"wanted": each}, None
    how = alignment.densities
    if alignment.held:
        jobs: Any = _held_boxes(network, boxes, alignment)
        held = simulated_boxes(run, "before", jobs, how)
        told, drawn = _by_pressures(run, held, alignment, boxes)
    else:
        pressures = [how.pressure, how.pressure + how.step]
        places = range(len(boxes))
        jobs = [(network, boxes.take([place]), one) for place in places for one in pressures]
        found = np.array(densities_of(run, "before", jobs, how)).reshape(-1, 2)
        told, drawn = _by_densities(run, found, pressures, each), None
    if "left" in told:
        words = f"the force field is not aligned: {told['left']}"
        warnings.warn(words, UnusualUseWarning, stacklevel=2)
        return told, None
    return {"density_wanted": each, **told}, drawn


def _by_pressures(
    run: Run, held: Sequence[Held], alignment: Alignment, boxes: Frames
) -> tuple[dict[str, Any], Drawn | None]:
    """What pressures of boxes at their densities tell."""
    if run.trying:  # the network knows nothing, and where its boxes break off nothing is aligned
        origin = np.repeat(np.arange(len(boxes)), alignment.frames)
        return {"wanted": [REHEARSED] * len(boxes)}, (boxes.take(origin), origin)
    pressures = [one.pressure for one in held]
    if not np.isfinite(pressures).all():
        box = int(np.argmin(np.isfinite(pressures)))
        density = alignment.each(len(boxes))[box]
        words = (
            f"dynamics of box {box} at {density:g} g/cm3 broke off, so that its pressure is not "
            "known; train for longer, or give alignment.pressure_change"
        )
        return {"left": words}, None
    origin = np.repeat(np.arange(len(held)), [len(one.frames) for one in held])
    chosen = frames_of_boxes(origin, len(held), alignment.frames)
    drawn = join([one.frames for one in held]).take(chosen), origin[chosen]
    wanted = [alignment.densities.pressure - one for one in pressures]
    errors = [one.error for one in held]
    return {"wanted": wanted, "pressure": pressures, "pressure_error": errors}, drawn


def _by_densities(
    run: Run, found: Any, pressures: Sequence[float], each: Sequence[float]
) -> dict[str, Any]:
    """What densities of boxes at two pressures tell."""
    if run.trying:
        return {"wanted": [REHEARSED] * len(each)}
    left = _unknown(found, pressures)
    if left is not None:
        return {"left": left}
    slopes = (found[:, 1] - found[:, 0]) / (pressures[1] - pressures[0])
    wanted = (-(np.array(each) - found[:, 0]) / slopes).tolist()
    return {"wanted": wanted, "density": found[:, 0].tolist(), "slope": slopes.tolist()}


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
