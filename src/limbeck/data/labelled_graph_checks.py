"""What cannot be true of labelled graphs: said with the graph that it was seen in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.errors import DataError

if TYPE_CHECKING:
    from limbeck.data.labelled_graphs import Graphs


def check_whole(values: np.ndarray[Any, Any], name: str) -> None:
    """Raise `DataError` where numbers would be cut off to become whole, or are none."""
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.trunc(values))).all():
        raise DataError(
            f"{name} holds fractions, NaN or infinity, expected whole numbers; number what differs "
            "first, as assemble_graphs does"
        )


def check_graphs(graphs: Graphs) -> None:
    """Raise `DataError` where the arrays of graphs do not belong together."""
    if not np.all(graphs.counts > 0):
        place = int(np.argmin(graphs.counts))
        raise DataError(f"graph {place} has no node; leave it out")
    rows = {"node_labels": graphs.nodes, "root": graphs.nodes, "degree": graphs.nodes}
    rows |= {"edge_labels": graphs.edges, "y": len(graphs), "weight": len(graphs)}
    if graphs.nodes != graphs.counts.sum():
        raise DataError(
            f"there are {graphs.nodes} node_labels and graphs of {graphs.counts.sum()} nodes in all"
        )
    if graphs.edge_index.ndim != 2 or len(graphs.edge_index) != 2:
        raise DataError(f"edge_index has shape {graphs.edge_index.shape}, expected (2, E)")
    for name, count in rows.items():
        value = getattr(graphs, name)
        if value is None:
            continue
        if value.shape != (count,):
            raise DataError(f"{name} has shape {value.shape}, expected {(count,)}")
        if count and value.min() < 0:
            raise DataError(f"{name} holds {value.min()}, expected numbers from 0 on")
    _check_edges(graphs)


def _check_edges(graphs: Graphs) -> None:
    edges = graphs.edge_index
    if not edges.size:
        return
    if edges.min() < 0 or edges.max() >= graphs.nodes:
        raise DataError(
            f"edges join nodes {edges.min()} to {edges.max()} and there are {graphs.nodes} nodes"
        )
    across = graphs.graph[edges[0]] != graphs.graph[edges[1]]
    if across.any():
        place = int(across.argmax())
        raise DataError(
            f"edge {place} joins graphs {graphs.graph[edges[0, place]]} and "
            f"{graphs.graph[edges[1, place]]}; nodes of later graphs are numbered on"
        )


def check_labelled(graphs: Graphs, classes: int, what: str) -> None:
    """Raise `DataError` unless there are graphs and each is of a class.

    Args:
        graphs: of a split.
        classes: how many there are.
        what: their name in the error.
    """
    if not len(graphs):
        raise DataError(f"{what} has no graphs")
    if graphs.y is None:
        raise DataError(f"{what} has graphs without a class; give y, a class from 0 on for each")
    if graphs.y.max() >= classes:
        place = int(graphs.y.argmax())
        raise DataError(
            f"{what}: graph {place} is of class {graphs.y.max()} and there are {classes} classes"
        )
