"""Neighbour lists: which atoms, and which images of them, are near each other."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limbeck.data.frames import Floats, Frames, Integers
from limbeck.data.science import science

# Bonds are at most this much longer than two covalent radii.
STRETCHED = 1.25
NONMETALS = (1, 2, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 33, 34, 35, 36, 52, 53, 54, 85, 86)


@dataclass(frozen=True)
class Pairs:
    """Unordered pairs of atoms, each once, sorted by their atoms and images.

    Args:
        first: one atom of each pair ``(P,)``.
        second: the other ``(P,)``, of a number not below.
        images: which image of the other ``(P, 3)``, in cells; None where there are none.
    """

    first: Integers
    second: Integers
    images: npt.NDArray[np.int64] | None = None

    def shifts(self, cell: Floats) -> Floats:
        """Translations of the second atoms ``(P, 3)`` in Angstrom."""
        if self.images is None:
            return np.zeros((len(self.first), 3))
        return self.images @ cell

    def vectors(self, positions: Floats, cell: Floats) -> Floats:
        """First atom less the image of the second ``(P, 3)``."""
        return positions[self.first] - positions[self.second] - self.shifts(cell)

    def keep(self, which: npt.NDArray[np.bool_]) -> Pairs:
        """Some of the pairs."""
        images = None if self.images is None else self.images[which]
        return Pairs(self.first[which], self.second[which], images)

    def narrow(self) -> Pairs:
        """The same in numbers of half the size, to be kept."""
        images: Any = None if self.images is None else self.images.astype(np.int32)
        return Pairs(self.first.astype(np.int32), self.second.astype(np.int32), images)

    @property
    def bytes(self) -> int:
        """What the numbers take."""
        images = 0 if self.images is None else self.images.nbytes
        return self.first.nbytes + self.second.nbytes + images


def lists_of(positions: Floats, cell: Floats, periodic: bool, cutoff: float | None) -> Pairs:
    r"""Find the pairs of one frame, images included, an atom's own ones too.

    The vector of a pair is :math:`x_i - x_j - s C` with the number of cells :math:`s`, for atoms
    that may lie outside their cell.

    Args:
        positions: ``(A, 3)`` in Angstrom.
        cell: rows are cell vectors ``(3, 3)``.
        periodic: whether the frame repeats.
        cutoff: in Angstrom; pairs are below it. None takes all pairs of a frame that does not
            repeat.

    Returns:
        The pairs. Cells may be smaller than the cutoff; the order depends on the frame alone.

    Raises:
        DataError: the frame is periodic and vesin is not installed.

    Example:
        >>> pairs = lists_of(np.zeros((1, 3)), np.eye(3), True, 1.1)
        >>> pairs.images.tolist()
        [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    """
    if not periodic:
        pairs = Pairs(*_all_pairs(len(positions)))
        if cutoff is None:
            return pairs
        squared = np.square(positions[pairs.first] - positions[pairs.second]).sum(1)
        return pairs.keep(squared < cutoff**2)
    assert cutoff is not None
    finder = science("vesin").NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    first, second, images, distances = finder.compute(
        np.ascontiguousarray(positions), np.ascontiguousarray(cell), True, "ijSd"
    )
    inside = distances < cutoff
    return _sorted(first[inside].astype(np.int64), second[inside].astype(np.int64), images[inside])


def directed(pairs: Pairs) -> Pairs:
    """Every pair in both directions, sorted by the first atom.

    Sums over the edges of an atom then read memory in a row.
    """
    images = None if pairs.images is None else np.concatenate([pairs.images, -pairs.images])
    first = np.concatenate([pairs.first, pairs.second])
    second = np.concatenate([pairs.second, pairs.first])
    order = np.argsort(first, kind="stable")
    return Pairs(first[order], second[order], None if images is None else images[order])


def bonded_molecules(frames: Frames) -> Integers:
    """Number the molecules of frames by their bonds, for frames that came without numbers.

    Two atoms are bonded where they are nearer than 1.25 times the sum of their covalent radii,
    and neither is a metal; atoms that bonds connect, through images too, are a molecule.

    Args:
        frames: of any kind.

    Returns:
        The number of each atom's molecule within its frame ``(A,)``.

    Example:
        >>> two = Frames([1, 1, 1, 1], [[0, 0, 0.0], [0.7, 0, 0], [5, 0, 0], [5.7, 0, 0]], [4])
        >>> bonded_molecules(two).tolist()
        [0, 0, 1, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers = []
    for place, count in enumerate(frames.counts):
        held = bonds(frames, place)
        ends = (held.first, held.second)
        linked = coo_array((np.ones(len(held.first)), ends), shape=(count, count))
        numbers.append(connected_components(linked, directed=False)[1].astype(np.int64))
    return np.concatenate(numbers)


def whole_molecules(frames: Frames) -> Frames:
    """Periodic frames whose molecules lie in one piece, as before atoms were put into the cell.

    Then an image of an atom's own molecule is told by its shift: it is another molecule.

    Args:
        frames: with molecules numbered; those that do not repeat stay as they are.

    Returns:
        The frames, atoms moved by whole cells. A molecule is strung together by its nearest atoms.

    Example:
        >>> cell = [10 * np.eye(3)]
        >>> wrapped = Frames(
        ...     [1, 1], [[0.2, 0, 0], [9.7, 0, 0]], [2], cell=cell, periodic=[True], molecule=[0, 0]
        ... )
        >>> whole_molecules(wrapped).positions[:, 0].round(6).tolist()
        [0.2, -0.3]
    """
    assert frames.molecule is not None
    positions = frames.positions.copy()
    for place in np.flatnonzero(frames.periodic):
        low, high = frames.bounds[place : place + 2]
        cell, number = frames.cell[place], frames.molecule[low:high]
        scaled = frames.positions[low:high] @ np.linalg.inv(cell)
        _, starts, belongs = np.unique(number, return_index=True, return_inverse=True)
        # Molecules that span less than half a cell are whole already.
        wide = np.abs(scaled - scaled[starts[belongs]]).max(1) >= 0.25
        for molecule in np.unique(belongs[wide]):
            rows = np.flatnonzero(belongs == molecule)
            positions[low + rows] -= _cells_apart(scaled[rows], cell) @ cell
    return frames.replace(positions=positions)


def _cells_apart(scaled: Floats, cell: Floats) -> Floats:
    """By how many cells ``(n, 3)`` atoms of one molecule lie away from their first one's piece."""
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    apart = scaled[:, None] - scaled[None]
    jumps = np.round(apart)
    lengths = np.linalg.norm((apart - jumps) @ cell, axis=-1)
    order, before = breadth_first_order(minimum_spanning_tree(lengths), 0, directed=False)
    cells = np.zeros_like(scaled)
    for atom in order[1:]:
        cells[atom] = cells[before[atom]] + jumps[atom, before[atom]]
    return cells


def bonds(frames: Frames, place: int) -> Pairs:
    """Bonds of one frame, by covalent radii; none of metals, whose ions go from one to another."""
    one = frames.one(place)
    size = science("ase.data").covalent_radii[one["species"]]
    longest = 2 * STRETCHED * float(size.max())
    pairs = lists_of(one["positions"], one["cell"], bool(one["periodic"]), longest)
    length = np.linalg.norm(pairs.vectors(one["positions"], one["cell"]), axis=1)
    held = np.isin(one["species"], NONMETALS)
    near = length < STRETCHED * (size[pairs.first] + size[pairs.second])
    return pairs.keep(near & held[pairs.first] & held[pairs.second])


def _sorted(first: Integers, second: Integers, images: npt.NDArray[np.int64]) -> Pairs:
    """Pairs in the one order and direction that depend on the frame alone."""
    images = images.astype(np.int64)
    # The first number that is not 0 says which of two opposite images comes.
    leading = np.where(images[:, 0] != 0, images[:, 0], images[:, 1])
    leading = np.where(leading != 0, leading, images[:, 2])
    turned = (first > second) | ((first == second) & (leading < 0))
    first, second = np.where(turned, second, first), np.where(turned, first, second)
    images = np.where(turned[:, None], -images, images)
    order = np.lexsort((images[:, 2], images[:, 1], images[:, 0], second, first))
    return Pairs(first[order], second[order], images[order])


@functools.lru_cache(maxsize=256)
def _all_pairs(count: int) -> tuple[Integers, Integers]:
    first, second = np.triu_indices(count, 1)
    first.flags.writeable = second.flags.writeable = False
    return first, second
