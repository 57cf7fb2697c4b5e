"""What is measured of a simulated liquid: density, structure, motion, and how long it held."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from limbeck.data.atoms import masses
from limbeck.data.frames import Floats, Frames
from limbeck.data.neighbours import lists_of, whole_molecules
from limbeck.data.science import science
from limbeck.errors import ArgumentError
from limbeck.functional.units import DENSE

# A squared Angstrom in a picosecond, in cm2/s.
CM2_S = 1e-4
# Shares of the longest lag between which displacements are fitted: before, atoms fly freely;
# behind, few origins are averaged.
FITTED = (0.1, 0.5)


def densities(frames: Frames) -> Floats:
    """Density of each periodic frame ``(N,)`` in g/cm3.

    Raises:
        ArgumentError: a frame does not repeat.

    Example:
        >>> argon = Frames([18], [[0, 0, 0.0]], [1], cell=[np.eye(3) * 4.0], periodic=[True])
        >>> densities(argon).round(4).tolist()
        [1.0365]
    """
    _check_periodic(frames)
    weights = np.add.reduceat(masses(frames), frames.bounds[:-1])
    return DENSE * weights / np.linalg.det(frames.cell)


def radial_distribution(
    frames: Frames,
    first: str,
    second: str,
    *,
    reach: float | None = None,
    bins: int = 100,
    between: bool = False,
) -> tuple[Floats, Floats]:
    r"""How much likelier a distance is than if atoms stood anywhere.

    .. math:: g(r) = \frac{V \, n(r)}{N_1 (N_2 - \delta) \, 4 \pi r^2 \Delta r}

    with the number n of pairs in a shell, both directions counted, and δ = 1 where both elements
    are one.

    Args:
        frames: N periodic ones, whose average is taken.
        first: symbol of an element.
        second: symbol of another, or the same.
        reach: largest distance in Angstrom; None takes half the least height of the cells.
        bins: how many shells B.
        between: count pairs of different molecules alone; the frames must have them numbered.

    Returns:
        Middles of the shells in Angstrom and g, ``(B,)`` each.

    Raises:
        ArgumentError: a frame does not repeat, an element does not occur, or molecules are not
            numbered.
    """
    _check_periodic(frames)
    numbers = [_number(frames, symbol) for symbol in (first, second)]
    if between and frames.molecule is None:
        raise ArgumentError(
            "between is true and the molecules of the frames are not numbered; use "
            "frames.replace(molecule=bonded_molecules(frames))"
        )
    if between:
        # Images of a molecule that lies in one piece are other molecules.
        frames = whole_molecules(frames)
    if reach is None:
        reach = float(1 / np.linalg.norm(np.linalg.inv(frames.cell), axis=1).max() / 2)
    edges = np.linspace(0.0, reach, bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    total = np.zeros(bins)
    for place in range(len(frames)):
        one = frames.one(place)
        pairs = lists_of(one["positions"], one["cell"], True, reach)
        ends = one["species"][pairs.first], one["species"][pairs.second]
        # Each pair stands once: it counts in the directions in which its elements fit.
        counted = sum(
            (ends[a] == numbers[0]).astype(float) * (ends[1 - a] == numbers[1]) for a in (0, 1)
        )
        if between:
            apart = one["molecule"][pairs.first] != one["molecule"][pairs.second]
            counted = counted * (apart | np.any(pairs.images != 0, axis=1))
        lengths = np.linalg.norm(pairs.vectors(one["positions"], one["cell"]), axis=1)
        found, _ = np.histogram(lengths, edges, weights=counted)
        ours, theirs = (int((one["species"] == number).sum()) for number in numbers)
        partners = ours * (theirs - (numbers[0] == numbers[1]))
        total += found * np.linalg.det(one["cell"]) / (max(partners, 1) * shells)
    return (edges[:-1] + edges[1:]) / 2, total / len(frames)


def unwrapped(frames: Frames) -> Frames:
    """Undo that atoms were put back into the cell on their way.

    Args:
        frames: of one trajectory, in order, atoms moving less than half a cell between two.

    Returns:
        The frames with whole paths.
    """
    positions = _paths(frames).copy()
    if not frames.periodic.all():
        return frames
    inverse = np.linalg.inv(frames.cell)
    scaled = np.einsum("nak,nkl->nal", positions, inverse)
    jumps = np.round(np.diff(scaled, axis=0))
    scaled[1:] -= np.cumsum(jumps, axis=0)
    return frames.replace(positions=np.einsum("nak,nkl->nal", scaled, frames.cell).reshape(-1, 3))


def mean_squared_displacement(
    frames: Frames, *, elements: Sequence[str] | None = None, still: bool = True
) -> Floats:
    r"""How far atoms come in so many frames, averaged over atoms and moments of starting.

    .. math:: \mathrm{MSD}(k) = \langle |x_i(t + k) - x_i(t)|^2 \rangle_{i, t}

    Args:
        frames: N of one trajectory at even times, with whole paths (see `unwrapped`).
        elements: symbols of those that count; None counts all.
        still: take the motion of the centre of mass off.

    Returns:
        A value for every lag from 0 to N - 1 frames ``(N,)``, in squared Angstrom.

    Raises:
        ArgumentError: the frames are no trajectory, or an element does not occur.

    Source: the sums over all origins by Fourier transforms, Calandrini et al., Collection SFN 12,
    201 (2011).
    """
    paths = _paths(frames)
    count = len(frames)
    species = frames.species[: paths.shape[1]]
    if still:
        weight = masses(frames)[: paths.shape[1]]
        paths = paths - (paths * weight[:, None]).sum(1, keepdims=True) / weight.sum()
    if elements is not None:
        paths = paths[:, np.isin(species, [_number(frames, one) for one in elements])]
    # From the first frame on: large numbers would cancel.
    paths = paths - paths[:1]
    power = np.abs(np.fft.rfft(paths, n=2 * count, axis=0)) ** 2
    origins = count - np.arange(count)
    products = np.fft.irfft(power, axis=0)[:count].sum(2) / origins[:, None]
    squares = np.square(paths).sum(2)
    padded = np.concatenate([np.zeros((1, squares.shape[1])), np.cumsum(squares, axis=0)])
    # Of every lag: sums of squares over the moments of starting, and over those of arriving.
    starts = padded[count - np.arange(count)]
    arrivals = padded[count] - padded[np.arange(count)]
    return ((starts + arrivals) / origins[:, None] - 2 * products).mean(1)


def diffusion_coefficient(
    displacement: Floats, spacing: float, *, fitted: tuple[float, float] = FITTED
) -> float:
    r"""Slope of the mean squared displacement, by Einstein's relation.

    .. math:: D = \tfrac{1}{6} \frac{d\,\mathrm{MSD}}{dt}

    Args:
        displacement: as `mean_squared_displacement` gives it ``(N,)``.
        spacing: time from one frame to the next, in ps.
        fitted: between which shares of the longest lag a line is laid.

    Returns:
        D in cm2/s.

    Raises:
        ArgumentError: fewer than two lags are fitted.

    Example:
        >>> diffusion_coefficient(6 * 0.2 * np.arange(100.0), 1.0)
        2e-05
    """
    low, high = (round(share * (len(displacement) - 1)) for share in fitted)
    lags = np.arange(max(low, 1), high + 1)
    if len(lags) < 2:
        raise ArgumentError(
            f"displacement has {len(displacement)} lags, too few to fit a line from {fitted[0]:g} "
            f"to {fitted[1]:g} of the longest; keep more frames"
        )
    slope = np.polyfit(lags * spacing, displacement[lags], 1)[0]
    return float(f"{CM2_S * slope / 6:.12g}")


def energy_drift(times: Floats, totals: Floats, atoms: int) -> float:
    """How fast the total energy of a simulation without a bath grows.

    Args:
        times: of the frames ``(N,)`` in ps.
        totals: potential and kinetic energy ``(N,)`` in kcal/mol.
        atoms: how many.

    Returns:
        Slope of a line in kcal/mol for an atom and a nanosecond.

    Raises:
        ArgumentError: there are fewer than two frames.

    Example:
        >>> round(energy_drift(np.arange(5.0), 0.02 * np.arange(5.0), 10), 6)
        2.0
    """
    if len(times) < 2:
        raise ArgumentError(f"times has {len(times)} entries, expected at least 2")
    return float(np.polyfit(times - np.mean(times), totals - np.mean(totals), 1)[0]) * 1000 / atoms


def time_to_failure(times: Sequence[float], failed: Sequence[bool]) -> dict[str, float | None]:
    r"""How long simulations hold, of which some were ended before they failed.

    .. math:: \hat\tau = \frac{\sum_i t_i}{\#\,\mathrm{failures}}

    the most likely mean time where failures come at an even rate.

    Args:
        times: how long each of the N simulations went, in ps.
        failed: whether it was stopped for a fault.

    Returns:
        ``failures`` (a share), ``shortest_ps``, and ``mean_time_to_failure_ps``, None where none
        failed.

    Raises:
        ArgumentError: there is no simulation, or the lengths differ.

    Example:
        >>> time_to_failure([2.0, 10.0], [True, False])["mean_time_to_failure_ps"]
        12.0
    """
    if not len(times) or len(times) != len(failed):
        raise ArgumentError(f"times has {len(times)} entries and failed {len(failed)}")
    count = sum(map(bool, failed))
    return {
        "failures": count / len(times),
        "shortest_ps": float(min(times)),
        "mean_time_to_failure_ps": math.fsum(times) / count if count else None,
    }


def _paths(frames: Frames) -> Floats:
    """Positions by frame and atom ``(N, A, 3)``."""
    count = int(frames.counts[0])
    species = frames.species.reshape(len(frames), -1) if np.all(frames.counts == count) else None
    if species is None or not np.all(species == species[0]):
        raise ArgumentError(
            "the frames do not hold the same atoms in the same order; give those of one trajectory"
        )
    return frames.positions.reshape(len(frames), count, 3)


def _number(frames: Frames, symbol: str) -> int:
    data: Any = science("ase.data")
    number = data.atomic_numbers.get(symbol, -1)
    if number not in frames.elements:
        held = ", ".join(data.chemical_symbols[one] for one in frames.elements)
        raise ArgumentError(f"the frames hold no {symbol!r}; they hold {held}")
    return int(number)


def _check_periodic(frames: Frames) -> None:
    inside: npt.NDArray[np.bool_] = frames.periodic
    if not len(frames) or not inside.all():
        raise ArgumentError("frames must be periodic: a cluster has no volume")
