"""Graph batches: labelled graphs laid out flat as networks read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.data.batch import Batch
from limbeck.data.graph_data import GraphData
from limbeck.data.labelled_graphs import Graphs


class LabelledBatch(Batch):
    """Graphs as loops take them: rows are graphs, though tensors have rows of nodes and edges.

    Args:
        columns: as `graph_batch` makes them.
        key: stands for (seed, stage, step).
    """

    def __init__(self, columns: Mapping[str, Tensor], *, key: int = 0) -> None:
        super().__init__({}, key=key)
        self._columns = dict(columns)

    @property
    def size(self) -> int:
        return len(self["id"])

    def with_nodes(self, nodes: Tensor) -> LabelledBatch:
        """The batch with other numbers of nodes ``(A, D)``."""
        return LabelledBatch({**self._columns, "nodes": nodes}, key=self.key)

    def to(self, device: torch.device | str) -> LabelledBatch:
        moved = {name: column.to(device) for name, column in self._columns.items()}
        return LabelledBatch(moved, key=self.key)


def graph_batch(graphs: Graphs, data: GraphData) -> LabelledBatch:
    """Lay graphs out as networks read them.

    Args:
        graphs: of any split, or made from one.
        data: tells what networks read for each label.

    Returns:
        ``"nodes"`` (A, D), ``"edges"`` (2, E), ``"edge_values"`` (E, M) one-hot where edges have
        M labels, ``"graph"`` and ``"degree"`` (A,), ``"root"`` (A,) where only some nodes count,
        ``"id"`` and, where known, ``"y"`` (N,).

    Example:
        >>> path = Graphs([0, 1], [2], [[0, 1], [1, 0]], y=[0])
        >>> batch = graph_batch(path, GraphData(*3 * [path.take([0, 0]).replace(y=[0, 1])],
        ...     ("a", "b"), node_kinds=2))
        >>> batch["nodes"].tolist(), batch["degree"].tolist(), batch.size
        ([[1.0, 0.0], [0.0, 1.0]], [1, 1], 1)
    """
    columns: dict[str, Any] = {
        "nodes": data.table[graphs.node_labels],
        "edges": graphs.edge_index,
        "graph": graphs.graph,
        "degree": graphs.degrees,
        "id": np.arange(len(graphs)),
    }
    if data.edge_kinds > 1:
        labels = graphs.edge_labels
        labels = np.zeros(graphs.edges, np.int64) if labels is None else labels
        columns["edge_values"] = np.eye(data.edge_kinds, dtype=np.float32)[labels]
    for name in ("root", "y"):
        value = getattr(graphs, name)
        if value is not None:
            columns[name] = value
    return LabelledBatch({name: torch.from_numpy(value) for name, value in columns.items()})


def graphs_in_turn(graphs: Graphs, data: GraphData, size: int = 512) -> Iterator[LabelledBatch]:
    """All graphs in order, so many at a time."""
    for begin in range(0, len(graphs), size):
        yield graph_batch(graphs.take(np.arange(begin, min(begin + size, len(graphs)))), data)
