"""Frames: atoms at positions, many sets of them of unequal size, with what was computed of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from limbeck.data.elements import symbols
from limbeck.errors import DataError
from limbeck.fingerprint import fingerprint

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# A row an atom, a row a frame; the three dots stand for the rest of the shape.
PER_ATOM = {"species": (), "positions": (3,), "molecule": (), "forces": (3,), "charges": ()}
PER_FRAME = {
    "counts": (),
    "charge": (),
    "cell": (3, 3),
    "periodic": (),
    "energy": (),
    "virial": (3, 3),
    "dipole": (3,),
}
LABELS = ("energy", "forces", "virial", "charges", "dipole")
OPTIONAL = ("molecule", *LABELS)
KINDS = {"species": np.int64, "molecule": np.int64, "counts": np.int64, "periodic": np.bool_}


@dataclass(frozen=True, eq=False)
class Frames:
    """N frames of A atoms in all, laid flat, with labels where there are some.

    Energies have the energies of free atoms taken off. Units are kcal/mol, Angstrom, e and Debye.
    A label is there for all frames or for none. The arrays must not be changed.

    Args:
        species: atomic numbers ``(A,)``, the atoms of a frame in a row.
        positions: ``(A, 3)`` in Angstrom.
        counts: atoms of each frame ``(N,)``.
        charge: total charge of each frame ``(N,)`` in e; None for neutral ones.
        cell: rows are cell vectors ``(N, 3, 3)`` in Angstrom, zeros where a frame has no cell.
        periodic: whether a frame repeats in all three directions ``(N,)``, or in none; None says
            that no frame does.
        molecule: number of an atom's molecule within its frame ``(A,)``.
        energy: ``(N,)`` in kcal/mol.
        forces: ``(A, 3)`` in kcal/mol/A.
        virial: ``(N, 3, 3)`` in kcal/mol.
        charges: of atoms ``(A,)`` in e.
        dipole: ``(N, 3)`` in Debye.

    Raises:
        DataError: shapes do not belong together, a number is NaN (the frame is named), or a frame
            has no atom.

    Example:
        >>> water = Frames([8, 1, 1], [[0, 0, 0.0], [0.96, 0, 0], [-0.24, 0.93, 0]], [3])
        >>> len(water), water.atoms, water
        (1, 3, Frames(1, atoms=3, elements=H O))
        >>> len(join([water, water]).take([1]))
        1
    """

    species: Integers
    positions: Floats
    counts: Integers
    charge: Floats = None  # type: ignore[assignment]
    cell: Floats = None  # type: ignore[assignment]
    periodic: npt.NDArray[np.bool_] = None  # type: ignore[assignment]
    molecule: Integers | None = None
    energy: Floats | None = None
    forces: Floats | None = None
    virial: Floats | None = None
    charges: Floats | None = None
    dipole: Floats | None = None
    # Neighbours that were found, by cutoffs and frame: training shows frames again and again. Up
    # to a size, see `limbeck.data.graphs`.
    found: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        frames = len(np.asarray(self.counts))
        empty = {
            "charge": np.zeros(frames),
            "cell": np.zeros((frames, 3, 3)),
            "periodic": np.zeros(frames, dtype=np.bool_),
        }
        for name in (*PER_ATOM, *PER_FRAME):
            given = getattr(self, name)
            value = empty.get(name) if given is None else given
            if value is not None:
                array: Any = np.ascontiguousarray(value, dtype=KINDS.get(name, np.float64))
                object.__setattr__(self, name, array)
        if not np.all(self.counts > 0):
            raise DataError(f"frame {int(np.argmin(self.counts))} has no atom; leave it out")
        self._check_shapes()
        self._check_finite()

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def atoms(self) -> int:
        """Number of atoms of all frames."""
        return len(self.species)

    @cached_property
    def bounds(self) -> Integers:
        """Where the atoms of frames begin ``(N + 1,)``; the last is the number of all."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @cached_property
    def frame(self) -> Integers:
        """Which frame an atom belongs to ``(A,)``."""
        return np.repeat(np.arange(len(self)), self.counts)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that are there."""
        return tuple(name for name in LABELS if getattr(self, name) is not None)

    @cached_property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur, sorted."""
        return tuple(np.unique(self.species).tolist())

    @cached_property
    def fingerprint(self) -> str:
        """Short name of the content."""
        return fingerprint({name: getattr(self, name) for name in (*PER_ATOM, *PER_FRAME)})

    def take(self, places: Sequence[int] | Integers) -> Frames:
        """Return the frames at these places, in this order.

        Raises:
            DataError: there is no such frame.
        """
        rows = np.asarray(places, dtype=np.int64).reshape(-1)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise DataError(
                f"places are {rows.min()} to {rows.max()} and there are {len(self)} frames"
            )
        inside = ranges(self.bounds[:-1][rows], self.counts[rows])
        taken = {name: _at(getattr(self, name), inside) for name in PER_ATOM}
        taken |= {name: _at(getattr(self, name), rows) for name in PER_FRAME}
        return Frames(**taken)

    def one(self, place: int) -> dict[str, Any]:
        """What there is of one frame, by name; labels that are missing are left out."""
        low, high = self.bounds[place : place + 2]
        atoms = {name: getattr(self, name) for name in PER_ATOM}
        frames = {name: getattr(self, name) for name in PER_FRAME}
        return {name: value[low:high] for name, value in atoms.items() if value is not None} | {
            name: value[place] for name, value in frames.items() if value is not None
        }

    def replace(self, **arrays: Any) -> Frames:
        """Return frames with some arrays put in place of others."""
        return dataclasses.replace(self, **arrays)

    def without_labels(self) -> Frames:
        """Return the atoms alone."""
        return self.replace(**dict.fromkeys(LABELS))

    def _check_shapes(self) -> None:
        atoms = int(self.counts.sum())
        for rows, table in ((atoms, PER_ATOM), (len(self), PER_FRAME)):
            for name, rest in table.items():
                value = getattr(self, name)
                if value is not None and value.shape != (rows, *rest):
                    raise DataError(
                        f"{name} has shape {value.shape}, expected {(rows, *rest)} for "
                        f"{len(self)} frames of {atoms} atoms in all"
                    )

    def _check_finite(self) -> None:
        for name in ("positions", "charge", "cell", *LABELS):
            value = getattr(self, name)
            if value is None or np.isfinite(value).all():
                continue
            row = int(np.argmin(np.isfinite(value).reshape(len(value), -1).all(1)))
            frame = int(self.frame[row]) if name in PER_ATOM else row
            raise DataError(
                f"{name} of frame {frame} holds NaN or infinity; leave the frame out, or compute "
                "it anew"
            )

    def __repr__(self) -> str:
        words = f"atoms={self.atoms}, elements={' '.join(symbols(self.elements))}"
        labels = f", labels={' '.join(self.labels)}" if self.labels else ""
        return f"Frames({len(self)}, {words}{labels})"


def join(parts: Iterable[Frames]) -> Frames:
    """Put sets of frames behind each other; what not all of them have is left out.

    Args:
        parts: at least one set.

    Returns:
        All frames, in order.

    Raises:
        DataError: there is no set.
    """
    sets = list(parts)
    if not sets:
        raise DataError("there are no frames to join")
    joined = {}
    for name in (*PER_ATOM, *PER_FRAME):
        values = [getattr(one, name) for one in sets]
        if not any(value is None for value in values):
            joined[name] = np.concatenate(values)
    return Frames(**joined)


def ranges(starts: Integers, counts: Integers) -> Integers:
    """Whole numbers from each start on, so many of each, in a row.

    Example:
        >>> ranges(np.array([7, 2]), np.array([2, 3])).tolist()
        [7, 8, 2, 3, 4]
    """
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - (ends - counts), counts)


def _at(value: Any, rows: Integers) -> Any:
    return None if value is None else value[rows]
