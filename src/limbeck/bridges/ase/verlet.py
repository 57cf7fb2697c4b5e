"""Verlet lists: neighbours found a little too far out, so that they last for many steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limbeck.data.frames import Floats
from limbeck.data.neighbours import Pairs, directed, lists_of


@dataclass(frozen=True)
class Near:
    """Pairs below a cutoff.

    Args:
        ends: their atoms ``(2, P)``.
        shifts: translations of the second atoms ``(P, 3)`` in Angstrom.
        squared: lengths ``(P,)``, squared.
    """

    ends: Tensor
    shifts: Tensor
    squared: Tensor


class VerletList:
    """Edges and pairs of one frame that moves, found anew when an atom may have come within reach.

    Args:
        cutoff: of edges, in Angstrom.
        pair_cutoff: of pairs of a periodic frame; of another every pair is there.
        skin: how much further out neighbours are kept. They are found anew once two atoms may have
            come that much nearer to each other: when one has moved half of it, and in a cell that
            changes after what its shortening leaves of it.

    Example:
        >>> lists = VerletList(2.0, 2.0, 0.5)
        >>> line = np.array([[0.0, 0, 0], [1.5, 0, 0], [3.8, 0, 0]])
        >>> lists.at(line, np.zeros((3, 3)), False)[1].ends.tolist(), lists.builds
        ([[0, 1], [1, 0]], 1)
        >>> lists.at(line * 0.98, np.zeros((3, 3)), False)[1].ends.tolist(), lists.builds
        ([[0, 1], [1, 0]], 1)
    """

    def __init__(self, cutoff: float, pair_cutoff: float, skin: float) -> None:
        self.cutoff, self.pair_cutoff, self.skin = cutoff, pair_cutoff, skin
        self.builds = 0
        self._built: _Built | None = None

    def forget(self) -> None:
        """Find neighbours anew at the next step, whatever was known."""
        self._built = None

    def at(self, positions: Floats, cell: Floats, periodic: bool) -> tuple[Tensor, Near, Near]:
        """Return what a network reads of a frame.

        Args:
            positions: ``(A, 3)`` in Angstrom; atoms may lie outside the cell.
            cell: rows are cell vectors ``(3, 3)``.
            periodic: whether the frame repeats.

        Returns:
            Positions within the cell or near it, directed edges below the cutoff, and pairs.
        """
        built = self._built
        if built is None or self._is_out(built, positions, cell, periodic):
            built = self._built = self._build(positions, cell, periodic)
        inside = torch.from_numpy(positions - built.home @ cell)
        edges = built.edges.below(inside, cell, self.cutoff)
        pairs = built.pairs.below(inside, cell, self.pair_cutoff if periodic else None)
        return inside, edges, pairs

    def _build(self, positions: Floats, cell: Floats, periodic: bool) -> _Built:
        self.builds += 1
        home = np.zeros(positions.shape)
        if periodic:
            home = np.floor(positions @ np.linalg.inv(cell))
        inside = positions - home @ cell
        longest = max(self.cutoff, self.pair_cutoff) + self.skin if periodic else None
        every = lists_of(inside, cell, periodic, longest)
        squared = np.square(every.vectors(inside, cell)).sum(1)
        edges = directed(every.keep(squared < (self.cutoff + self.skin) ** 2))
        pairs = every.keep(squared < (self.pair_cutoff + self.skin) ** 2) if periodic else every
        kept = positions.copy(), cell.copy(), periodic, home
        return _Built(*kept, _Candidates.of(edges), _Candidates.of(pairs))

    def _is_out(self, built: _Built, positions: Floats, cell: Floats, periodic: bool) -> bool:
        if built.periodic != periodic or built.positions.shape != positions.shape:
            return True
        moved, shrunk = positions - built.positions, 1.0
        if periodic and not np.array_equal(cell, built.cell):
            # Atoms follow the cell, and move beyond that: two far apart come nearer by the
            # strongest shortening of the cell, and by both their motions.
            strain = np.linalg.solve(built.cell, cell)
            moved = positions - built.positions @ strain
            shrunk = float(np.linalg.svd(strain, compute_uv=False).min())
        nearer = 2 * float(np.sqrt(np.square(moved).sum(1).max()))
        reaches = (self.cutoff, self.pair_cutoff) if periodic else (self.cutoff,)
        return any(shrunk * (reach + self.skin) - nearer < reach for reach in reaches)


@dataclass(frozen=True)
class _Candidates:
    """Pairs that may come below a cutoff, as tensors; their images are few and told by number."""

    ends: Tensor
    table: Floats
    image: Tensor

    @classmethod
    def of(cls, pairs: Pairs) -> _Candidates:
        ends = torch.from_numpy(np.stack([pairs.first, pairs.second]))
        if pairs.images is None:
            return cls(ends, np.zeros((1, 3)), torch.zeros(ends.shape[1], dtype=torch.int64))
        reach = int(np.abs(pairs.images).max(initial=0))
        sides = (2 * reach + 1,) * 3
        table = np.stack(np.unravel_index(np.arange(np.prod(sides)), sides), 1) - reach
        image = np.ravel_multi_index(tuple((pairs.images + reach).T), sides)
        return cls(ends, table.astype(np.float64), torch.from_numpy(image))

    def below(self, positions: Tensor, cell: Floats, cutoff: float | None) -> Near:
        """Those that are below it now; None keeps all."""
        shifts = torch.from_numpy(self.table @ cell).index_select(0, self.image)
        first, second = (positions.index_select(0, end) for end in self.ends)
        # A product with ones sums three columns several times faster than a sum does.
        squared = (first - second - shifts).square() @ positions.new_ones(3)
        if cutoff is None:
            return Near(self.ends, shifts, squared)
        kept = torch.nonzero(squared < cutoff**2).squeeze(1)
        return Near(
            self.ends.index_select(1, kept),
            shifts.index_select(0, kept),
            squared.index_select(0, kept),
        )


@dataclass(frozen=True)
class _Built:
    """What a list was built from, and what it holds."""

    positions: Floats
    cell: Floats
    periodic: bool
    home: Floats  # in which cell each atom was (A, 3)
    edges: _Candidates
    pairs: _Candidates
