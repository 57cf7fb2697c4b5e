"""Graphs of PyG and networkx as data of limbeck, and graphs of limbeck as PyG's."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from limbeck.data.graph_data import GraphData, assemble_graphs
from limbeck.data.graph_labels import NodeLabels
from limbeck.data.labelled_graphs import Graphs
from limbeck.errors import DataError


def from_pyg(
    graphs: Iterable[Any],
    *,
    split: Any = None,
    labels: NodeLabels | None = None,
    name: str = "data",
) -> GraphData:
    """Read a data set of PyG, such as a `TUDataset`, or a list of its `Data`.

    Args:
        graphs: each with ``edge_index``, ``y``, ``x`` where nodes have attributes and
            ``edge_attr`` where edges have labels, whole numbers or one-hot.
        split: 0 for training, 1 for validation, 2 for test ``(N,)``; None cuts a tenth of each
            class for each of the last two.
        labels: how nodes are told apart; continuous attributes are refused unless it cuts them
            into bins.
        name: what to call the data set.

    Raises:
        DataError: a graph has no node or not just one class, or attributes are continuous.

    Example:
        >>> from torch_geometric.data import Data
        >>> one = Data(x=torch.eye(2), edge_index=torch.tensor([[0, 1], [1, 0]]), y=0)
        >>> from_pyg([one, one.clone().update({"y": 1})] * 10)
        GraphData('data', train=16, validation=2, test=2, classes=2, node labels=2)
    """
    several = list(graphs)
    if not several:
        raise DataError(f"{name} has no graphs")
    classes = [_class(one, f"{name}: graph {place}") for place, one in enumerate(several)]
    for place, one in enumerate(several):
        if getattr(one, "edge_index", None) is None:
            raise DataError(
                f"{name}: graph {place} has no edge_index; give one without edges an empty one (2, "
                "0)"
            )
    counts = [int(one.num_nodes or 0) for one in several]
    return assemble_graphs(
        counts,
        _edges([one.edge_index.cpu().numpy() for one in several], counts),
        classes,
        node_labels=_column(several, "x", name),
        edge_labels=_column(several, "edge_attr", name),
        split=split,
        labels=labels,
        name=name,
    )


def from_networkx(
    graphs: Iterable[Any],
    y: Sequence[Any],
    *,
    node_label: str | None = None,
    edge_label: str | None = None,
    split: Any = None,
    labels: NodeLabels | None = None,
    name: str = "data",
) -> GraphData:
    """Read graphs of networkx, of any kind: with or without directions or parallel edges.

    Args:
        graphs: `networkx.Graph` and its kin.
        y: classes, whole numbers or words ``(N,)``.
        node_label: the attribute that nodes are told apart by, whole numbers or words; None for
            nodes that are alike.
        edge_label: likewise of edges.
        split: as in `from_pyg`.
        labels: how nodes are told apart.
        name: what to call the data set.

    Raises:
        DataError: a node or edge has no such attribute, or as `from_pyg`.

    Example:
        >>> import networkx
        >>> ring, line = networkx.cycle_graph(4), networkx.path_graph(4)
        >>> from_networkx([ring, line] * 10, ["ring", "line"] * 10,
        ...     labels=NodeLabels("degree")).classes
        ('line', 'ring')
    """
    several = list(graphs)
    counts, pairs, kinds, said = [], [], [], []
    for place, one in enumerate(several):
        what = f"{name}: graph {place}"
        if not hasattr(one, "is_directed"):
            raise DataError(f"{what} is a {type(one).__name__}, expected a graph of networkx")
        numbers = {node: number for number, node in enumerate(one)}
        kinds += [_attribute(facts, node_label, what) for _, facts in one.nodes(data=True)]
        for first, second, facts in one.edges(data=True):
            ends = numbers[first], numbers[second]
            # An edge from a node to itself is one edge whichever way.
            both = not one.is_directed() and first != second
            ways = [ends, ends[::-1]] if both else [ends]
            pairs += [(begin, end, place) for begin, end in ways]
            said += [_attribute(facts, edge_label, what)] * len(ways)
        counts.append(len(one))
    begun = np.cumsum(counts) - counts
    table = np.array(pairs, np.int64).reshape(-1, 3)
    return assemble_graphs(
        counts,
        table[:, :2].T + begun[table[:, 2]],
        None if y is None else list(y),
        node_labels=None if node_label is None else _table(kinds, f"{name}, {node_label}"),
        edge_labels=None if edge_label is None else _table(said, f"{name}, {edge_label}"),
        split=split,
        labels=labels,
        name=name,
    )


def to_pyg(
    graphs: Graphs, table: npt.NDArray[Any] | None = None, *, edge_kinds: int = 1
) -> list[Any]:
    """Graphs as PyG's `Data`.

    Args:
        graphs: of any kind.
        table: what networks read for each label of nodes ``(K, D)``; None for one-hot vectors.
        edge_kinds: labels of edges, which become one-hot; with one each edge has a constant 1.

    Returns:
        For each graph ``x``, ``edge_index``, ``edge_attr``, ``degree`` (edges into the node it
        stands for, which normalised layers need), ``root_mask`` (how often a node counts in the
        readout) and, where known, ``y`` and ``weight``. Batching by PyG keeps all of them.

    Raises:
        DataError: PyG is not installed.

    Example:
        >>> path = Graphs([0, 1], [2], [[1], [0]], y=[1], root=[1, 0])
        >>> to_pyg(path)
        [Data(x=[2, 2], edge_index=[2, 1], edge_attr=[1, 1], degree=[2], root_mask=[2], y=[1])]
    """
    data = _library("torch_geometric.data").Data
    rows = np.eye(int(graphs.node_labels.max(initial=0)) + 1) if table is None else table
    root = np.ones(graphs.nodes, np.float32) if graphs.root is None else graphs.root
    said = np.zeros(graphs.edges, np.int64) if graphs.edge_labels is None else graphs.edge_labels
    values = np.ones((graphs.edges, 1)) if edge_kinds == 1 else np.eye(edge_kinds)[said]
    found = []
    for place in range(len(graphs)):
        nodes = slice(*graphs.bounds[place : place + 2])
        edges = slice(*graphs.edge_bounds[place : place + 2])
        made = data(
            x=torch.from_numpy(rows[graphs.node_labels[nodes]]).float(),
            edge_index=torch.from_numpy(graphs.edge_index[:, edges] - graphs.bounds[place]),
            edge_attr=torch.from_numpy(values[edges]).float(),
            degree=torch.from_numpy(graphs.degrees[nodes]),
            root_mask=torch.from_numpy(root[nodes].copy()),
        )
        if graphs.y is not None:
            made.y = torch.from_numpy(graphs.y[place : place + 1])
        if graphs.weight is not None:
            made.weight = torch.from_numpy(graphs.weight[place : place + 1])
        found.append(made)
    return found


def _edges(each: Sequence[npt.NDArray[Any]], counts: Sequence[int]) -> npt.NDArray[np.int64]:
    begun = np.cumsum(counts) - counts
    return np.concatenate(
        [one.reshape(2, -1) + start for one, start in zip(each, begun, strict=True)], 1
    ).astype(np.int64)


def _column(graphs: Sequence[Any], name: str, data: str) -> npt.NDArray[Any] | None:
    """A column of all graphs, or None where none of them has it."""
    found = [getattr(one, name, None) for one in graphs]
    missing = [place for place, one in enumerate(found) if one is None]
    if len(missing) == len(found):
        return None
    if missing:
        raise DataError(f"{data}: graph {missing[0]} has no {name} and others have one")
    # What has no rows has no width either.
    rows = [
        (one.flatten(1) if one.ndim > 1 else one[:, None]).detach().cpu().numpy()
        for one in found
        if one is not None
    ]
    if len({one.shape[1] for one in rows if len(one)}) > 1:
        raise DataError(f"{data}: graphs have {name} of different widths")
    return np.concatenate([one for one in rows if len(one)] or rows[:1])


def _class(graph: Any, what: str) -> float:
    """The class of a graph of PyG, which is one number."""
    y = getattr(graph, "y", None)
    if y is None:
        raise DataError(f"{what} has no class; give each a y")
    told = torch.as_tensor(y).reshape(-1)
    if len(told) != 1:
        raise DataError(
            f"{what} has a y of {len(told)} numbers, expected one class; choose one task of several"
        )
    return told.item()


def _attribute(facts: Any, name: str | None, what: str) -> Any:
    if name is None:
        return 0
    if facts.get(name) is None:
        raise DataError(f"{what} has a node or an edge without {name!r}; give all of them one")
    return facts[name]


def _table(values: Sequence[Any], what: str) -> npt.NDArray[Any]:
    """Words or numbers, or rows of equally many of them, as an array."""
    try:
        found = np.array(values)
    except ValueError:
        found = np.empty(0, object)
    if found.dtype.kind == "O":
        raise DataError(
            f"{what}: expected words, whole numbers, or rows of equally many numbers; give all the "
            "same kind"
        )
    return found


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise DataError("PyG is not installed; pip install 'limbeck[graph]'") from None
