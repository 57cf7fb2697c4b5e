"""Labelled graphs: many of unequal size as flat arrays, with labels of nodes, edges and graphs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from limbeck.data.frames import Floats, Integers, ranges
from limbeck.data.labelled_graph_checks import check_graphs, check_whole
from limbeck.errors import DataError
from limbeck.fingerprint import fingerprint

# A row a node, a row an edge, a row a graph.
PER_NODE = ("node_labels", "root", "degree")
PER_EDGE, PER_GRAPH = ("edge_labels",), ("y", "weight")
KINDS: dict[str, Any] = {"root": np.float32, "weight": np.float64}


@dataclass(frozen=True, eq=False)
class Graphs:
    """N graphs of A nodes and E edges in all, laid flat. The arrays must not be changed.

    Args:
        node_labels: whole numbers from 0 on ``(A,)``, the nodes of a graph in a row.
        counts: nodes of each graph ``(N,)``.
        edge_index: ``(2, E)`` from the nodes in row 0 to those in row 1, as numbers among all A
            nodes; an edge without a direction stands there both ways.
        edge_labels: whole numbers from 0 on ``(E,)``; None where edges have none.
        y: classes from 0 on ``(N,)``; None where they are not known.
        root: how often a node counts in the readout of its graph ``(A,)``; None for once each.
        degree: edges into the node that each stands for ``(A,)``, where the graphs are cut out of
            others; None where it is that of the edges there are.
        weight: how often a graph is drawn in training, beside others ``(N,)``; None for equally
            often.

    Raises:
        DataError: shapes do not belong together, a graph has no node, an edge joins two graphs,
            or labels are fractions.

    Example:
        >>> path = Graphs([6, 6, 8], [3], [[0, 1, 1, 2], [1, 0, 2, 1]], y=[1])
        >>> path, join_graphs([path, path]).take([1]).edge_index.tolist()
        (Graphs(1, nodes=3, edges=4), [[0, 1, 1, 2], [1, 0, 2, 1]])
    """

    node_labels: Integers
    counts: Integers
    edge_index: Integers
    edge_labels: Integers | None = None
    y: Integers | None = None
    root: npt.NDArray[np.float32] | None = None
    degree: Integers | None = None
    weight: Floats | None = None

    def __post_init__(self) -> None:
        edges = np.asarray(self.edge_index)
        edges = edges.reshape(2, 0) if edges.size == 0 else edges
        check_whole(edges, "edge_index")
        object.__setattr__(self, "edge_index", np.ascontiguousarray(edges, np.int64))
        for name in ("counts", *PER_NODE, *PER_EDGE, *PER_GRAPH):
            value = getattr(self, name)
            if value is not None:
                if name not in KINDS:
                    check_whole(np.asarray(value), name)
                array: Any = np.ascontiguousarray(value, KINDS.get(name, np.int64))
                object.__setattr__(self, name, array)
        check_graphs(self)
        # Edges of a graph stand in a row, in the order in which they came.
        places = self.graph[self.edge_index[1]]
        if np.any(places[1:] < places[:-1]):
            order = np.argsort(places, kind="stable")
            object.__setattr__(self, "edge_index", self.edge_index[:, order])
            if self.edge_labels is not None:
                object.__setattr__(self, "edge_labels", self.edge_labels[order])

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def nodes(self) -> int:
        """Nodes of all graphs."""
        return len(self.node_labels)

    @property
    def edges(self) -> int:
        """Edges of all graphs, each way counted."""
        return self.edge_index.shape[1]

    @cached_property
    def bounds(self) -> Integers:
        """Where the nodes of graphs begin ``(N + 1,)``; the last is the number of all."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @cached_property
    def graph(self) -> Integers:
        """Which graph a node belongs to ``(A,)``."""
        return np.repeat(np.arange(len(self)), self.counts)

    @cached_property
    def edge_bounds(self) -> Integers:
        """Where the edges of graphs begin ``(N + 1,)``."""
        counts = np.bincount(self.graph[self.edge_index[1]], minlength=len(self))
        return np.concatenate([[0], np.cumsum(counts)])

    @cached_property
    def degrees(self) -> Integers:
        """Edges into each node, or into the node that it stands for ``(A,)``."""
        if self.degree is not None:
            return self.degree
        return np.bincount(self.edge_index[1], minlength=self.nodes)

    @cached_property
    def fingerprint(self) -> str:
        """Short name of the content."""
        return fingerprint({one.name: getattr(self, one.name) for one in dataclasses.fields(self)})

    def take(self, places: Sequence[int] | Integers) -> Graphs:
        """Return the graphs at these places, in this order.

        Raises:
            DataError: there is no such graph.
        """
        rows = np.asarray(places, np.int64).reshape(-1)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise DataError(
                f"places are {rows.min()} to {rows.max()} and there are {len(self)} graphs"
            )
        counts = self.counts[rows]
        nodes = ranges(self.bounds[:-1][rows], counts)
        many = np.diff(self.edge_bounds)[rows]
        edges = ranges(self.edge_bounds[:-1][rows], many)
        begun = np.cumsum(counts) - counts
        moved = np.repeat(begun - self.bounds[:-1][rows], many)
        taken: dict[str, Any] = {}
        for names, inside in ((PER_NODE, nodes), (PER_EDGE, edges), (PER_GRAPH, rows)):
            taken |= {name: _at(getattr(self, name), inside) for name in names}
        return Graphs(counts=counts, edge_index=self.edge_index[:, edges] + moved, **taken)

    def replace(self, **arrays: Any) -> Graphs:
        """Return graphs with some arrays put in place of others."""
        return dataclasses.replace(self, **arrays)

    def __repr__(self) -> str:
        return f"Graphs({len(self)}, nodes={self.nodes}, edges={self.edges})"


def join_graphs(parts: Iterable[Graphs]) -> Graphs:
    """Put sets of graphs behind each other; what not all of them have is left out.

    Args:
        parts: at least one set.

    Raises:
        DataError: there is no set.
    """
    sets = list(parts)
    if not sets:
        raise DataError("there are no graphs to join")
    joined: dict[str, Any] = {}
    for name in ("counts", *PER_NODE, *PER_EDGE, *PER_GRAPH):
        values = [getattr(one, name) for one in sets]
        if not any(value is None for value in values):
            joined[name] = np.concatenate(values)
    begun = np.cumsum([0, *(one.nodes for one in sets)])
    edges = [one.edge_index + start for one, start in zip(sets, begun, strict=False)]
    return Graphs(edge_index=np.concatenate(edges, 1), **joined)


def united(
    parts: Graphs,
    members: Sequence[Sequence[int] | Integers],
    *,
    y: Any = None,
    weights: Sequence[Any] | None = None,
) -> Graphs:
    """Make one graph of several, as often as there are lists of them.

    Args:
        parts: what graphs are made of.
        members: of each graph the places of its parts.
        y: classes ``(N,)`` of the graphs.
        weights: how often each part counts in the readout, in lists as `members`; None for once.

    Returns:
        The graphs, whose parts share no edge.

    Raises:
        DataError: a graph has no part, or there is no part of a place.

    Example:
        >>> edge = Graphs([0, 1], [2], [[1], [0]], root=[1, 0])
        >>> united(edge, [[0, 0], [0]]).counts.tolist()
        [4, 2]
    """
    rows = [np.asarray(one, np.int64) for one in members]
    flat = parts.take(np.concatenate(rows) if rows else np.empty(0, np.int64))
    sizes = [int(parts.counts[one].sum()) for one in rows]
    root = flat.root
    if weights is not None:
        counted = np.repeat(np.concatenate([np.asarray(one) for one in weights]), flat.counts)
        root = (counted if root is None else counted * root).astype(np.float32)
    return flat.replace(counts=np.array(sizes, np.int64), y=y, root=root)


def _at(value: Any, rows: Integers) -> Any:
    return None if value is None else value[rows]
