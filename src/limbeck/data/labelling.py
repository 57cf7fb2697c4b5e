"""Label sources: calculators that say energies, forces, charges and dipoles of frames."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from limbeck.data.atoms import UNITS, centres, free_energy, to_atoms
from limbeck.data.elements import symbols
from limbeck.data.frames import LABELS, Frames
from limbeck.data.science import science
from limbeck.errors import ArgumentError, DataError, UnusualUseWarning, nearest
from limbeck.fingerprint import fingerprint
from limbeck.functional.units import DEBYE, EV
from limbeck.naming import split_name

TBLITE = "tblite"
# Tighter than the library's own 1: labels are differentiated by those who fit them.
ACCURACY = 0.1
# Options of tblite that change what it says; others would change how it prints or is stored.
OPTIONS = ("method", "accuracy", "electronic_temperature", "max_iterations")


class Source:
    """A calculator that labels frames, with the energies of the free atoms that it takes off.

    Args:
        make: from a total charge to a calculator of ASE that no other frame was given to.
        name: what to call it; two sources of one name say the same.
        free_atoms: energies in eV by atomic number; None has the source compute them.

    Example:
        >>> from ase.calculators.lj import LennardJones
        >>> source = label_source(LennardJones())
        >>> pair = Frames([18, 18], [[0, 0, 0.0], [1.2, 0, 0]], [2])
        >>> labelled(pair, source).labels
        ('energy', 'forces')
    """

    def __init__(
        self,
        make: Callable[[float], Any],
        name: str,
        *,
        free_atoms: Mapping[int, float] | None = None,
    ) -> None:
        self._make, self.name = make, name
        self._given = dict(free_atoms or {})
        self._free_atoms = dict(self._given)

    @cached_property
    def fingerprint(self) -> str:
        """Short name of what it says."""
        return fingerprint("source", self.name, sorted(self._given.items()))

    def calculator(self, charge: float = 0.0) -> Any:
        """Return a fresh calculator for frames of a total charge."""
        return self._make(charge)

    def free_atoms(self, elements: tuple[int, ...]) -> dict[int, float]:
        """Energies in eV of neutral free atoms by atomic number, computed once each.

        Raises:
            DataError: the source fails on an atom.
        """
        atoms = science("ase").Atoms
        for number in elements:
            if number in self._free_atoms:
                continue
            alone = atoms([number], [(0.0, 0.0, 0.0)])
            alone.calc = self.calculator()
            try:
                self._free_atoms[number] = float(alone.get_potential_energy())
            except Exception as error:  # calculators of others fail in ways of their own
                raise DataError(
                    f"{self.name} has no energy for a free atom of {symbols([number])[0]} "
                    f"({_first_line(error)}); give free_atoms, in eV by atomic number"
                ) from None
        return {number: self._free_atoms[number] for number in elements}

    def __repr__(self) -> str:
        return f"Source({self.name!r})"


def label_source(source: Any = TBLITE, *, free_atoms: Mapping[int, float] | None = None) -> Source:
    """Return the label source that a name or object stands for.

    Args:
        source: ``tblite``, perhaps with options behind a question mark
            (``tblite?method=GFN1-xTB&accuracy=1``; GFN2-xTB by default), a calculator of ASE, or a
            `Source`.
        free_atoms: energies in eV by atomic number; None has the source compute them.

    Returns:
        The source. A calculator whose parameters name a ``charge`` is set to that of each frame.

    Raises:
        DataError: the name or an option is unknown, or a library is not installed.

    Example:
        >>> label_source("tblite?method=GFN1-xTB")
        Source('tblite?accuracy=0.1&method=GFN1-xTB')
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, str):
        return _tight_binding(source, free_atoms)
    if not hasattr(source, "calculate") or not hasattr(source, "implemented_properties"):
        raise DataError(
            f"source is a {type(source).__name__}, expected a name such as {TBLITE}, or a "
            "calculator of ASE"
        )

    def set_charge(charge: float) -> Any:
        if "charge" in getattr(source, "parameters", {}):
            source.set(charge=charge)
        elif charge:
            raise ArgumentError(
                f"the frame has charge {charge:g}, which {type(source).__name__} takes no notice of"
            )
        source.reset()
        return source

    parameters = getattr(source, "parameters", {})
    told = "&".join(f"{one}={parameters[one]}" for one in sorted(parameters) if one != "charge")
    return Source(set_charge, f"{type(source).__name__}?{told}", free_atoms=free_atoms)


def labelled(frames: Frames, source: Any = TBLITE, *, what: str = "frames") -> Frames:
    """Label frames by a source: energies less free atoms, forces, and what else it says of all.

    Args:
        frames: labels that they have are replaced.
        source: as `label_source` takes it.
        what: their name in warnings.

    Returns:
        The frames that the source has labels for; a warning names those that it fails on.

    Raises:
        DataError: the source fails on every frame, or is unknown.
    """
    chosen = label_source(source)
    told, failed = told_by(frames, chosen)
    if failed:
        place, words = next(iter(failed.items()))
        said = f"{what}: {chosen.name} has no labels for {len(failed)} of {len(frames)} frames"
        if told is None:
            raise DataError(f"{said}; of frame {place} it says: {words}")
        places = ", ".join(map(str, list(failed)[:8])) + (", ..." if len(failed) > 8 else "")
        warnings.warn(
            f"{said}, which are left out: {places}; of frame {place} it says: {words}",
            UnusualUseWarning,
            stacklevel=2,
        )
    assert told is not None
    return told


def told_by(frames: Frames, source: Source) -> tuple[Frames | None, dict[int, str]]:
    """What a source says of frames, and what it says where it has no labels.

    Args:
        frames: labels that they have are replaced.
        source: the source.

    Returns:
        The frames that it has labels for, None where it has none for any; and by the place of each
        other frame its words.
    """
    bare = frames.without_labels()
    kept: list[int] = []
    failed: dict[int, str] = {}
    rows: list[dict[str, Any]] = []
    for place, atoms in enumerate(to_atoms(bare)):
        try:
            atoms.calc = source.calculator(float(bare.charge[place]))
            rows.append(_labels_of(atoms))
            kept.append(place)
        except Exception as error:  # calculators of others fail in ways of their own
            failed[place] = _first_line(error)
    return (_with_rows(bare.take(kept), rows, source) if kept else None), failed


def _labels_of(atoms: Any) -> dict[str, Any]:
    """Labels of one frame as ASE has them, checked to be numbers."""
    found: dict[str, Any] = {
        "energy": float(atoms.get_potential_energy()),
        "forces": np.array(atoms.get_forces()),
    }
    results = atoms.calc.results
    for name in ("charges", "dipole"):
        if name in results and not (name == "dipole" and atoms.pbc.any()):
            found[name] = np.array(results[name], dtype=np.float64)
    if atoms.pbc.all() and "stress" in atoms.calc.implemented_properties:
        found["virial"] = -atoms.get_volume() * atoms.get_stress(voigt=False)
    for name, value in found.items():
        if not np.isfinite(value).all():
            raise ArgumentError(f"its {name} is not finite")
    return found


def _with_rows(frames: Frames, rows: list[dict[str, Any]], source: Source) -> Frames:
    common = [name for name in LABELS if all(name in row for row in rows)]
    labels: dict[str, Any] = {}
    for name in common:
        values = [row[name] for row in rows]
        whole = np.concatenate(values) if name in ("forces", "charges") else np.stack(values)
        labels[name] = UNITS[name] * whole
    free = free_energy(frames, source.free_atoms(frames.elements), source.name)
    labels["energy"] = labels["energy"] - EV * free
    if "dipole" in labels:
        labels["dipole"] = labels["dipole"] - frames.charge[:, None] * centres(frames) / DEBYE
    return frames.replace(**labels)


def _tight_binding(name: str, free_atoms: Mapping[int, float] | None) -> Source:
    prefix, word, options = split_name(name)
    if prefix or word != TBLITE:
        raise DataError(
            f"there is no label source {name!r}; {nearest(word, [TBLITE])}; or give a calculator "
            "of ASE"
        )
    for option in options:
        if option not in OPTIONS:
            raise DataError(f"{TBLITE} has no option {option!r}; {nearest(option, OPTIONS)}")
    settings = {"method": "GFN2-xTB", "accuracy": ACCURACY, **options}
    told = "&".join(f"{one}={settings[one]}" for one in sorted(settings))
    calculator = science("tblite.ase").TBLite

    def make(charge: float) -> Any:
        # Nothing is kept from one frame to the next: labels depend on the frame alone.
        return calculator(verbosity=0, cache_api=False, charge=charge, **settings)

    return Source(make, f"{TBLITE}?{told}", free_atoms=free_atoms)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
