"""What cannot be true of atoms and their labels: said with the frame that it was seen in."""

from __future__ import annotations

import warnings

import numpy as np

from limbeck.data.frames import Floats, Frames
from limbeck.data.neighbours import lists_of
from limbeck.data.science import science
from limbeck.errors import DataError, UnusualUseWarning

# Atoms closer than this, in Angstrom, are one atom that stands twice or a broken file: the shortest
# bond there is, H2, has 0.74.
CLOSEST = 0.3
# Bonds are at most 11 eV for two atoms (CO, N2), and methods may have free atoms 10 eV too high.
BOUND = 500.0
# Deviation of energies from the sum of their atoms, over the square root of the number of atoms and
# over the mean force, is a length in Angstrom, of the order of a vibration.
SHORTEST, LONGEST = 0.003, 30.0
# How many times better energies must follow shares of elements than their counts to be said to be
# energies per atom.
BETTER = 5.0


def check_frames(frames: Frames, what: str = "frames") -> Frames:
    """Return the frames, or say what cannot be true of them.

    Args:
        frames: of any kind.
        what: their name in errors.

    Raises:
        DataError: atoms overlap, a periodic cell has no volume or is left-handed, or energies are
            no sums over the atoms in kcal/mol less free atoms.
    """
    check_cells(frames, what)
    check_distances(frames, what)
    if frames.energy is not None:
        check_scales(frames, what)
    return frames


def check_cells(frames: Frames, what: str = "frames") -> None:
    """Raise `DataError` where a periodic frame has a cell of no volume or a left-handed one."""
    volumes = np.linalg.det(frames.cell)
    wrong = frames.periodic & ~(volumes > 1e-3)
    if wrong.any():
        place = int(wrong.argmax())
        kind = "is left-handed" if volumes[place] < -1e-3 else "has no volume"
        raise DataError(
            f"{what}: the cell of frame {place} {kind} ({frames.cell[place].tolist()}); exchange "
            "two of its vectors, or say that the frame is not periodic"
        )


def check_distances(frames: Frames, what: str = "frames", closest: float = CLOSEST) -> None:
    """Raise `DataError` where two atoms of a frame, or an atom and an image, overlap."""
    for place in range(len(frames)):
        one = frames.one(place)
        pairs = lists_of(one["positions"], one["cell"], bool(one["periodic"]), closest)
        if len(pairs.first):
            names = science("ase.data").chemical_symbols
            first, second = (
                f"{atom} ({names[one['species'][atom]]})"
                for atom in (pairs.first[0], pairs.second[0])
            )
            raise DataError(
                f"{what}: atoms {first} and {second} of frame {place} are less than {closest} A "
                "apart: one of them stands twice, or positions are not in Angstrom"
            )


def check_scales(frames: Frames, what: str = "frames") -> None:
    """Say that energies are no totals, or in another unit, where their size tells.

    Raises:
        DataError: binding energies of atoms are above what any bond has.
    """
    energy, counts = frames.energy, frames.counts
    assert energy is not None
    # An ion of one atom may be any distance from the free atom.
    per_atom = np.where(counts > 1, energy / counts, 0.0)
    worst = int(np.abs(per_atom).argmax())
    if abs(per_atom[worst]) > BOUND:
        raise DataError(
            f"{what}: frame {worst} has {per_atom[worst]:.4g} kcal/mol for each of its "
            f"{counts[worst]} atoms once free atoms are taken off, beyond what any bond gives; are "
            "energies those of whole frames (not per atom), in eV in files, and free atoms of the "
            "same method?"
        )
    shares = np.stack([_sums(frames, number) for number in frames.elements], 1)
    if len(frames) < 4 * shares.shape[1] or np.ptp(counts) == 0:
        return  # too few, or all of one size: nothing tells totals from means
    total = _misfit(shares, energy)
    mean = _misfit(shares / counts[:, None], energy)
    if mean * BETTER < total:
        warnings.warn(
            f"{what}: energies follow shares of elements (to {mean:.3g} kcal/mol) and not counts "
            f"of atoms (to {total:.3g}): they look like energies per atom; give those of whole "
            "frames",
            UnusualUseWarning,
            stacklevel=3,
        )
    if frames.forces is None:
        return
    mean_force = float(np.sqrt((frames.forces**2).mean()))
    length = total / np.sqrt(counts.mean()) / max(mean_force, 1e-12)
    if total > 1e-6 and mean_force > 1e-6 and not SHORTEST < length < LONGEST:
        warnings.warn(
            f"{what}: energies vary by {total:.3g} kcal/mol among frames and forces are "
            f"{mean_force:.3g} kcal/mol/A: are both in the same units (eV and eV/A in files)?",
            UnusualUseWarning,
            stacklevel=3,
        )


def _sums(frames: Frames, number: int) -> Floats:
    """How many atoms of an element each frame has."""
    return np.bincount(frames.frame[frames.species == number], minlength=len(frames)).astype(float)


def _misfit(shares: Floats, energy: Floats) -> float:
    """How far energies are from the best sum over elements, root mean square."""
    fitted = shares @ np.linalg.lstsq(shares, energy, rcond=None)[0]
    return float(np.sqrt(np.square(energy - fitted).mean()))
