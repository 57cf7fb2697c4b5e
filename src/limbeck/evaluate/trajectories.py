"""What a simulation shows: density, structure, diffusion and drift, as figures and charts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from limbeck.data.elements import symbols
from limbeck.data.frames import Floats, Frames
from limbeck.evaluate.liquids import (
    diffusion_coefficient,
    energy_drift,
    mean_squared_displacement,
    radial_distribution,
    unwrapped,
)
from limbeck.run.exhibits import Chart, Line

# The first part of a simulation, which no average counts.
SETTLING = 0.4
# Pairs of elements whose distances are drawn, those of the commonest elements first.
DRAWN = 3
# Points of a line: more are not seen.
POINTS = 200
# Frames that distances are averaged over.
LOOKED_AT = 40


def trajectory_figures(path: Any, ensemble: str) -> dict[str, Any]:
    """What a simulation says in numbers, of its frames after the first two fifths.

    Args:
        path: a `limbeck.bridges.ase.Trajectory`.
        ensemble: that it was simulated in.

    Returns:
        ``picoseconds`` that were simulated, ``stopped`` (None, or why), mean and deviation of
        ``temperature_k``, ``drift_kcal_mol_atom_ns`` of the total energy where no bath changes it,
        ``density_g_cm3`` of periodic frames, and ``diffusion_cm2_s`` where there are frames enough.
    """
    late = slice(int(SETTLING * len(path.times)), None)
    found: dict[str, Any] = {
        "picoseconds": float(path.times[-1]),
        "stopped": path.stopped,
        "temperature_k": float(path.temperatures[late].mean()),
        "temperature_k_std": float(path.temperatures[late].std()),
    }
    if ensemble == "nve" and len(path.times) > 1:
        found["drift_kcal_mol_atom_ns"] = energy_drift(
            path.times, path.totals, int(path.frames.counts[0])
        )
    if len(path.densities):
        found["density_g_cm3"] = float(path.densities[late].mean())
        found["density_g_cm3_std"] = float(path.densities[late].std())
    frames = path.frames.take(np.arange(len(path.frames))[late])
    if len(frames) > 10 and path.frames.periodic.all():
        moved = mean_squared_displacement(unwrapped(frames))
        found["diffusion_cm2_s"] = diffusion_coefficient(moved, _spacing(path))
    return found


def trajectory_charts(path: Any, title: str) -> list[Chart]:
    """Charts of temperature, energy, and of periodic frames density, distances and motion.

    Args:
        path: a `limbeck.bridges.ase.Trajectory`.
        title: above them.
    """

    def over_time(caption: str, label: str, values: Floats) -> Chart:
        kept = np.linspace(0, len(values) - 1, min(POINTS, len(values))).astype(int)
        line = Line(label, path.times[kept].tolist(), values[kept].tolist())
        return Chart(title, caption, "time, ps", label, [line])

    atoms = int(path.frames.counts[0])
    charts = [
        over_time("temperature", "temperature, K", path.temperatures),
        over_time(
            "potential and kinetic energy, less that of the start",
            "energy, kcal/mol an atom",
            (path.totals - path.totals[0]) / atoms,
        ),
    ]
    if not path.frames.periodic.all():
        return charts
    charts.append(over_time("density", "density, g/cm³", path.densities))
    late = path.frames.take(np.arange(int(SETTLING * len(path.frames)), len(path.frames)))
    charts.append(_distances(late, title))
    if len(late) > 2:
        moved = mean_squared_displacement(unwrapped(late))
        half = moved[: max(len(moved) // 2, 2)]
        times = (np.arange(len(half)) * _spacing(path)).tolist()
        line = Line("all atoms", times, half.tolist())
        caption = "mean squared displacement, whose slope is six times the diffusion coefficient"
        charts.append(Chart(title, caption, "time, ps", "squared way, Å²", [line]))
    return charts


def _spacing(path: Any) -> float:
    return float(path.times[-1] - path.times[0]) / max(len(path.times) - 1, 1)


def _distances(frames: Frames, title: str) -> Chart:
    """Radial distributions between molecules of the commonest elements."""
    looked = frames.take(np.linspace(0, len(frames) - 1, min(LOOKED_AT, len(frames))).astype(int))
    numbers, counts = np.unique(looked.species, return_counts=True)
    order = symbols(numbers[np.argsort(-counts, kind="stable")].tolist())
    pairs = list(itertools.combinations_with_replacement(order, 2))[:DRAWN]
    apart = looked.molecule is not None
    lines = []
    for first, second in pairs:
        distances, chances = radial_distribution(looked, first, second, between=apart)
        lines.append(Line(f"{first}-{second}", distances.tolist(), chances.tolist()))
    where = "of different molecules" if apart else "of atoms, bonds among them"
    caption = f"how much likelier a distance {where} is than by chance"
    return Chart(title, caption, "distance, Å", "g(r)", lines)
