"""Graphs: frames of unequal size as one flat set of tensors, with their neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck import keyed
from limbeck.data.atoms import centres
from limbeck.data.batch import Batch
from limbeck.data.frames import LABELS, PER_ATOM, Floats, Frames, Integers
from limbeck.data.loader import Order
from limbeck.data.neighbours import Pairs, directed, lists_of
from limbeck.errors import ArgumentError
from limbeck.fingerprint import fingerprint

Graph = Mapping[str, Tensor]
# Columns whose rows are atoms, edges or pairs; all others have a row a frame.
ATOM_ROWS = (*PER_ATOM, "frame")
LISTS = {"edges": "edge_shifts", "pairs": "pair_shifts"}
# Bytes of neighbours that a set of frames keeps; those of further frames are found each time.
KEPT = 2**30


class GraphBatch(Batch):
    """A graph as loops take it: rows are frames, though tensors have rows of atoms and edges.

    Args:
        columns: as `graph` makes them.
        key: stands for (seed, stage, step); draws made for this batch derive from it.

    Example:
        >>> water = Frames([8, 1, 1], [[0, 0, 0.0], [0.96, 0, 0], [-0.24, 0.93, 0]], [3])
        >>> batch = GraphBatch(graph(water, [0, 0, 0], cutoff=5.0, pair_cutoff=5.0))
        >>> batch.size, [part.size for part in batch.pieces(2)], batch.rows([0])["edges"].shape[1]
        (3, [1, 2], 6)
    """

    def __init__(self, columns: Mapping[str, Tensor], *, key: int = 0) -> None:
        super().__init__({}, key=key)
        self._columns = dict(columns)

    @property
    def size(self) -> int:
        return len(self["charge"])

    def with_columns(self, **columns: Tensor) -> GraphBatch:
        return GraphBatch({**self._columns, **columns}, key=self.key)

    def to(self, device: torch.device | str) -> GraphBatch:
        moved = {name: column.to(device) for name, column in self._columns.items()}
        return GraphBatch(moved, key=self.key)

    def rows(self, index: Any) -> GraphBatch:
        return GraphBatch(frames_of(self, index), key=self.key)


def graph(
    frames: Frames,
    places: Sequence[int] | Integers,
    *,
    cutoff: float,
    pair_cutoff: float,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    r"""Lay frames out flat as networks read them.

    The vector of an edge or pair is :math:`x_i - x_j - \mathrm{shift}`. Frames that do not repeat
    are put with their centre of mass at the origin, about which dipoles are told. Neighbours of a
    frame are found once for the same cutoffs, as long as those of all take less than 1 GB.

    Args:
        frames: where they come from.
        places: of the N frames there.
        cutoff: of edges, in Angstrom.
        pair_cutoff: of pairs of periodic frames; of all others every pair is there.
        dtype: of numbers that are no whole ones.

    Returns:
        ``"species"``, ``"frame"``, ``"molecule"`` where known ``(A,)``, ``"positions"`` (A, 3),
        ``"charge"``, ``"periodic"``, ``"id"`` (the places) ``(N,)``, ``"cell"`` (N, 3, 3),
        ``"edges"`` (2, E) in both directions, sorted by the receiving atom in row 0,
        ``"edge_shifts"`` (E, 3), ``"pairs"`` (2, P), ``"pair_shifts"`` (P, 3), and the labels that
        the frames have.

    Raises:
        ArgumentError: a cutoff is not above 0.
        DataError: there is no such frame.

    Example:
        >>> water = Frames([8, 1, 1], [[0, 0, 0.0], [0.96, 0, 0], [-0.24, 0.93, 0]], [3])
        >>> made = graph(water, [0, 0], cutoff=1.2, pair_cutoff=5.0)
        >>> made["frame"].tolist(), made["edges"].shape[1], made["pairs"].shape[1]
        ([0, 0, 0, 1, 1, 1], 8, 6)
    """
    if not (cutoff > 0 and pair_cutoff > 0):
        raise ArgumentError(
            f"cutoff is {cutoff} and pair_cutoff is {pair_cutoff}, expected lengths above 0"
        )
    rows = np.asarray(places, dtype=np.int64).reshape(-1)
    taken = frames.take(rows)
    lists = [_lists(frames, int(place), cutoff, pair_cutoff) for place in rows]
    columns: dict[str, Any] = {
        "species": taken.species,
        "positions": taken.positions - _middle(frames, rows)[taken.frame],
        "frame": taken.frame,
        "charge": taken.charge,
        "cell": taken.cell,
        "periodic": taken.periodic,
        "id": rows,
    }
    for which, (name, shifts) in enumerate(LISTS.items()):
        columns[name], columns[shifts] = _flat([one[which] for one in lists], taken)
    for name in ("molecule", *LABELS):
        if getattr(taken, name) is not None:
            columns[name] = getattr(taken, name)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in columns.items()}
    return {
        name: one.to(dtype) if one.is_floating_point() else one for name, one in tensors.items()
    }


def frames_of(graph: Graph, index: Any) -> dict[str, Tensor]:
    """Some frames of a graph, as a graph of its own.

    Args:
        graph: of N frames.
        index: a slice, or numbers of frames.

    Returns:
        The graph of those frames, in that order.
    """
    frame = graph["frame"]
    frames = torch.arange(len(graph["charge"]), device=frame.device)
    chosen = frames[index]
    place = torch.full_like(frames, -1)
    place[chosen] = torch.arange(len(chosen), device=frame.device)
    new_frame = place[frame]
    order = torch.argsort(new_frame, stable=True)
    atoms = order[new_frame[order] >= 0]
    renamed = torch.full_like(frame, -1)
    renamed[atoms] = torch.arange(len(atoms), device=frame.device)
    found: dict[str, Tensor] = {}
    for name, shifts in LISTS.items():
        ends = renamed[graph[name]]
        inside = torch.nonzero(ends[0] >= 0).squeeze(1)
        inside = inside[torch.argsort(ends[0, inside], stable=True)]
        found[name], found[shifts] = ends[:, inside], graph[shifts][inside]
    for name, column in graph.items():
        if name not in found:
            found[name] = column[atoms] if name in ATOM_ROWS else column[chosen]
    return found | {"frame": new_frame[atoms]}


class GraphBatches:
    """Graphs of frames in the order of `Order`: the batch of a step depends on its key alone.

    With several processes each takes its frames of the same global batch.

    Args:
        frames: to learn from.
        batch_size: frames a step over all processes; at most as many as there are.
        cutoff: of edges, in Angstrom.
        pair_cutoff: of pairs of periodic frames.
        seed: of the run.
        stage: name of the stage, so that stages see different orders.
        rank: number of this process.
        world: number of processes.
        dtype: of the tensors.

    Raises:
        ArgumentError: there are no frames, or the batch size is below 1 or no multiple of the
            number of processes.

    Example:
        >>> water = Frames([8, 1, 1], [[0, 0, 0.0], [0.96, 0, 0], [-0.24, 0.93, 0]], [3])
        >>> batches = GraphBatches(water.take([0, 0, 0]), 2, cutoff=5.0, pair_cutoff=5.0)
        >>> [batch.size for batch in batches.batches(0, 2)]
        [2, 2]
    """

    def __init__(
        self,
        frames: Frames,
        batch_size: int,
        *,
        cutoff: float,
        pair_cutoff: float,
        seed: int = 0,
        stage: str = "",
        rank: int = 0,
        world: int = 1,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if batch_size < 1 or not len(frames):
            raise ArgumentError(
                f"batch_size is {batch_size} for {len(frames)} frames, expected at least 1 of both"
            )
        self.batch_size = min(batch_size, len(frames))
        if self.batch_size % world:
            raise ArgumentError(
                f"batch_size is {self.batch_size} (at most the {len(frames)} frames), which "
                f"{world} processes cannot share evenly; choose a multiple of {world}"
            )
        self.frames, self._dtype = frames, dtype
        self._cutoffs = {"cutoff": cutoff, "pair_cutoff": pair_cutoff}
        self._seed, self._stage = seed, stage
        self._rank, self._world = rank, world
        self._order = Order(len(frames), self.batch_size, seed, stage)

    def batch(self, step: int) -> GraphBatch:
        """Return the batch of a step (this process's frames of it)."""
        places = self._order.at(step)[0][self._rank :: self._world]
        made = graph(self.frames, places, dtype=self._dtype, **self._cutoffs)
        return GraphBatch(made, key=keyed.key(self._seed, self._stage, step))

    def batches(self, start: int, stop: int) -> Iterator[GraphBatch]:
        """Yield the batches of steps start to stop - 1."""
        yield from map(self.batch, range(start, stop))

    @cached_property
    def fingerprint(self) -> str:
        """Short name of the frames and how they are laid out."""
        return fingerprint(self.frames.fingerprint, self._cutoffs, str(self._dtype))


def in_turn(
    frames: Frames,
    batch_size: int = 32,
    *,
    cutoff: float,
    pair_cutoff: float,
    dtype: torch.dtype = torch.float32,
) -> Iterator[GraphBatch]:
    """Yield every frame once, in order; the last batch may be smaller."""
    for start in range(0, len(frames), batch_size):
        places = range(start, min(start + batch_size, len(frames)))
        yield GraphBatch(
            graph(frames, places, cutoff=cutoff, pair_cutoff=pair_cutoff, dtype=dtype),
            key=keyed.key("in turn", start),
        )


def _lists(frames: Frames, place: int, cutoff: float, pair_cutoff: float) -> tuple[Pairs, Pairs]:
    """Edges and pairs of a frame, from what was found before if it was."""
    known = frames.found.setdefault((cutoff, pair_cutoff), {})
    if place in known:
        return known[place]
    one = frames.one(place)
    edges, pairs = (
        each.narrow()
        for each in edges_and_pairs(
            one["positions"], one["cell"], bool(one["periodic"]), cutoff, pair_cutoff
        )
    )
    held = frames.found.get("bytes", 0) + edges.bytes + pairs.bytes
    if held <= KEPT:
        frames.found["bytes"] = held
        known[place] = edges, pairs
    return edges, pairs


def edges_and_pairs(
    positions: Floats, cell: Floats, periodic: bool, cutoff: float, pair_cutoff: float
) -> tuple[Pairs, Pairs]:
    """Edges in both directions, and pairs, of one frame."""
    longest = max(cutoff, pair_cutoff) if periodic else None
    every = lists_of(positions, cell, periodic, longest)
    squared = np.square(every.vectors(positions, cell)).sum(1)
    pairs = every.keep(squared < pair_cutoff**2) if periodic else every
    return directed(every.keep(squared < cutoff**2)), pairs


def _middle(frames: Frames, rows: Integers) -> Floats:
    """What is taken off the positions of frames ``(N, 3)``."""
    if "middle" not in frames.found:
        # Periodic frames have no middle: their atoms may be put into any cell.
        frames.found["middle"] = np.where(frames.periodic[:, None], 0.0, centres(frames))
    return frames.found["middle"][rows]


def _flat(lists: Sequence[Pairs], frames: Frames) -> tuple[Integers, Floats]:
    """Lists of all frames, with the numbers that atoms have among all ``(2, P)``, and shifts."""
    counts = [len(one.first) for one in lists]
    first = np.repeat(frames.bounds[:-1], counts)
    ends = np.stack(
        [
            np.concatenate([one.first for one in lists]) + first,
            np.concatenate([one.second for one in lists]) + first,
        ]
    )
    shifts = np.zeros((len(first), 3))
    low = 0
    for place, (one, count) in enumerate(zip(lists, counts, strict=True)):
        if one.images is not None:
            shifts[low : low + count] = one.shifts(frames.cell[place])
        low += count
    return ends, shifts
