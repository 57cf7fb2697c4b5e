"""Frames from ASE's atoms and back: eV and e A there, kcal/mol and Debye here."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from limbeck.data.elements import symbols
from limbeck.data.frame_checks import check_frames
from limbeck.data.frames import LABELS, PER_ATOM, Floats, Frames
from limbeck.data.science import science
from limbeck.errors import DataError, UnusualUseWarning
from limbeck.functional.units import DEBYE, EV

# Names that files give to one thing.
CHARGE = ("charge", "total_charge")
MOLECULE = ("mol", "molecule", "molecule_id", "mol_id")
UNITS = {"energy": EV, "forces": EV, "virial": EV, "charges": 1.0, "dipole": 1 / DEBYE}
# What a force field cannot do without, where a frame has any label.
NEEDED = ("energy", "forces")

FreeAtoms = Mapping[int, float]


def from_atoms(
    atoms: Sequence[Any],
    *,
    free_atoms: FreeAtoms | None = None,
    check: bool = True,
    what: str = "atoms",
) -> Frames:
    """Make frames of ASE's `Atoms`, with the labels of their calculators or files.

    Labels are read of results (``energy``, ``forces``, ``charges``, ``dipole``, ``stress`` for the
    virial), and of ``info`` and ``arrays`` under the same names. The total charge is ``charge`` or
    ``total_charge`` of ``info``, else the sum of initial charges; molecules are numbered by the
    array ``mol`` or ``molecule``. A dipole of a charged frame depends on the origin: it is told
    about the centre of mass.

    Args:
        atoms: frames in eV, Angstrom and e.
        free_atoms: energies in eV by atomic number, taken off; None where that was done before.
        check: look for overlapping atoms, impossible cells and energies that cannot be.
        what: their name in errors.

    Returns:
        The frames. Labels other than energies and forces that not all have are left out.

    Raises:
        DataError: a frame is periodic in some directions only, has no energy or no forces where
            others have them, or an element whose free atom is not known; or as `check_frames`.

    Example:
        >>> from ase.build import molecule
        >>> from_atoms([molecule("H2O"), molecule("CH4")])
        Frames(2, atoms=8, elements=H C O)
    """
    frames = list(atoms)
    if not frames:
        raise DataError(f"{what}: there are no atoms to make frames of")
    periodic = [_is_periodic(one, f"{what}: frame {place}") for place, one in enumerate(frames)]
    arrays: dict[str, Any] = {
        "species": np.concatenate([one.numbers for one in frames]),
        "positions": np.concatenate([one.positions for one in frames]),
        "counts": [len(one) for one in frames],
        "charge": [_charge(one) for one in frames],
        "cell": [np.asarray(one.cell) * one.pbc.all() for one in frames],
        "periodic": periodic,
    }
    molecules = [_first(one.arrays, MOLECULE) for one in frames]
    if not any(one is None for one in molecules):
        arrays["molecule"] = np.concatenate(molecules)
    for name in LABELS:
        values = _label(name, frames, what)
        if values is not None:
            stacked = np.concatenate(values) if name in PER_ATOM else np.stack(values)
            arrays[name] = stacked * UNITS[name]
    made = Frames(**arrays)
    if made.energy is not None and free_atoms is not None:
        made = made.replace(energy=made.energy - EV * free_energy(made, free_atoms, what))
    if made.dipole is not None:
        made = made.replace(dipole=made.dipole - made.charge[:, None] * centres(made) / DEBYE)
    return check_frames(made, what) if check else made


def to_atoms(frames: Frames, *, free_atoms: FreeAtoms | None = None) -> list[Any]:
    """Make ASE's `Atoms` of frames, with their labels as results, in eV, Angstrom and e.

    Args:
        frames: of any kind.
        free_atoms: energies in eV by atomic number that are added to the energies.

    Returns:
        One for each frame.
    """
    ase = science("ase")
    results = science("ase.calculators.singlepoint").SinglePointCalculator
    energies = free_energy(frames, free_atoms, "frames") if free_atoms else np.zeros(len(frames))
    middle = centres(frames) if frames.dipole is not None else None
    made = []
    for place in range(len(frames)):
        one = frames.one(place)
        atoms = ase.Atoms(
            one["species"], one["positions"], cell=one["cell"], pbc=bool(one["periodic"])
        )
        atoms.info["charge"] = _plain(one["charge"])
        if "molecule" in one:
            atoms.set_array("mol", one["molecule"])
        found = {name: one[name] / UNITS[name] for name in LABELS if name in one}
        if "energy" in found:
            found["energy"] = float(found["energy"] + energies[place])
        if middle is not None:
            found["dipole"] = found["dipole"] + one["charge"] * middle[place]
        virial = found.pop("virial", None)
        if virial is not None:
            atoms.info["virial"] = virial
        if found:
            atoms.calc = results(atoms, **found)
        made.append(atoms)
    return made


def free_energy(frames: Frames, free_atoms: FreeAtoms, what: str = "frames") -> Floats:
    """Sum of the energies of the free atoms of each frame ``(N,)``, in the unit given.

    Raises:
        DataError: an element is not among the free atoms.
    """
    missing = [number for number in frames.elements if number not in free_atoms]
    if missing:
        raise DataError(
            f"{what}: there is no energy of a free atom of {', '.join(symbols(missing))}, only of "
            f"{', '.join(symbols(free_atoms))}; add it, in eV"
        )
    table = np.zeros(max(frames.elements) + 1)
    for number in frames.elements:
        table[number] = free_atoms[number]
    return np.add.reduceat(table[frames.species], frames.bounds[:-1])


def masses(frames: Frames) -> Floats:
    """Mass of each atom ``(A,)`` in atomic units."""
    return science("ase.data").atomic_masses[frames.species]


def centres(frames: Frames) -> Floats:
    """Centre of mass of each frame ``(N, 3)`` in Angstrom."""
    mass = masses(frames)
    starts = frames.bounds[:-1]
    moments = np.add.reduceat(frames.positions * mass[:, None], starts)
    return moments / np.add.reduceat(mass, starts)[:, None]


def _is_periodic(atoms: Any, what: str) -> bool:
    if atoms.pbc.all() or not atoms.pbc.any():
        return bool(atoms.pbc.all())
    raise DataError(
        f"{what} is periodic in some directions only ({atoms.pbc.tolist()}); set pbc to all or "
        "none, with an empty layer in the cell where a surface is meant"
    )


def _charge(atoms: Any) -> float:
    given = _first(atoms.info, CHARGE)
    if given is None:
        given = atoms.get_initial_charges().sum()
    return float(given)


def _label(name: str, frames: Sequence[Any], what: str) -> list[Any] | None:
    """A label of all frames, or None where not all have it."""
    values = [_of_one(name, one) for one in frames]
    lost = [place for place, value in enumerate(values) if value is None]
    if not lost:
        return values
    if len(lost) == len(frames):
        return None
    words = f"{what}: frame {lost[0]} has no {name} ({len(lost)} of {len(frames)} frames have none)"
    if name in NEEDED:
        raise DataError(f"{words}; label it, or leave it out")
    warnings.warn(f"{words}: {name} is left out", UnusualUseWarning, stacklevel=4)
    return None


def _of_one(name: str, atoms: Any) -> Any:
    results = getattr(atoms.calc, "results", {})
    for place in (results, atoms.info, atoms.arrays):
        if name in place:
            value = np.asarray(place[name], dtype=np.float64)
            return value.reshape(3, 3) if name == "virial" else value
    if name != "virial" or not atoms.pbc.all():
        return None
    stress = results.get("stress", atoms.info.get("stress"))
    if stress is None:
        return None
    full = np.asarray(stress, dtype=np.float64).reshape(-1)
    if len(full) == 6:
        full = full[[0, 5, 4, 5, 1, 3, 4, 3, 2]]
    return -atoms.get_volume() * full.reshape(3, 3)


def _first(table: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((table[name] for name in names if name in table), None)


def _plain(charge: float) -> int | float:
    return int(charge) if float(charge).is_integer() else float(charge)
