"""Networks of graphs: message passing by layers of PyG, and a readout over roots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError
from limbeck.functional.readouts import Reduce, root_readout
from limbeck.networks.making import library

Kind = Literal["gin", "gcn", "gat", "sage"]
Graph = Mapping[str, Tensor]


class GraphNetwork(nn.Module):
    """Layers of message passing, a readout over the roots of each graph, and a linear layer.

    A layer of `L` sees of a node what lies within L edges against their direction, so that a tree
    of that depth takes the node's place. Where a layer needs degrees (GCN), it takes those that
    come with the graph, which may be cut out of a larger one. GCN and GAT let each node see
    itself along an edge of its own beside those of the graph.

    Args:
        kind: ``"gin"`` (sums), ``"gcn"`` (sums weighed by degrees), ``"gat"`` (attention) or
            ``"sage"`` (means).
        inputs: D, numbers of a node.
        outputs: C, classes.
        edges: M, labels of edges; 1 for none. GCN and SAGE do not see them.
        layers: L.
        width: of all layers.
        dropout: share of numbers left out in training, between layers and before the last one.
        readout: ``"sum"`` or ``"mean"`` over roots.
        jump: ``"last"`` reads the last layer out, ``"sum"`` the sum of all.
        norm: ``"batch"`` normalises each layer over the nodes of a batch, ``"none"`` does not.
        heads: of GAT; they share the width.

    Raises:
        ArgumentError: an option is outside its range.
        ModelError: PyG is not installed.

    Source: Xu et al., arXiv 1810.00826 (GIN); Kipf and Welling, arXiv 1609.02907 (GCN);
        Velickovic et al., arXiv 1710.10903 (GAT); Hamilton et al., arXiv 1706.02216 (SAGE).
    """

    def __init__(
        self,
        kind: Kind,
        inputs: int,
        outputs: int,
        *,
        edges: int = 1,
        layers: int = 2,
        width: int = 64,
        dropout: float = 0.0,
        readout: Reduce = "sum",
        jump: Literal["last", "sum"] = "last",
        norm: Literal["none", "batch"] = "none",
        heads: int = 4,
    ) -> None:
        super().__init__()
        _check(layers=layers, width=width, edges=edges, heads=heads)
        words = {"readout": (readout, ("sum", "mean")), "jump": (jump, ("last", "sum"))}
        for name, (value, known) in {**words, "norm": (norm, ("none", "batch"))}.items():
            if value not in known:
                raise ArgumentError(f"{kind}: {name} is {value!r}, expected one of {known}")
        if not 0 <= dropout < 1:
            raise ArgumentError(f"{kind}: dropout is {dropout}, expected from 0 to below 1")
        self.kind, self.readout, self.jump, self.layers = kind, readout, jump, layers
        self.dropout = nn.Dropout(dropout)
        sizes = [inputs] + [width] * (layers - 1)
        seen = edges if edges > 1 else None
        self.steps = nn.ModuleList([_step(kind, size, width, seen, heads) for size in sizes])
        norms = [nn.BatchNorm1d(width) if norm == "batch" else nn.Identity() for _ in sizes]
        self.norms = nn.ModuleList(norms)
        self.head = nn.Linear(width, outputs)

    def forward(self, graph: Graph) -> Tensor:
        """Logits ``(N, C)`` of a batch that `limbeck.data.graph_batches.graph_batch` made."""
        return self.head(self.dropout(self.embedded(graph)))

    def embedded(self, graph: Graph) -> Tensor:
        """What is read out of each graph ``(N, width)``."""
        root = graph.get("root")
        nodes = self.embedded_nodes(graph)
        count = len(graph["id"])
        return root_readout(nodes, graph["graph"], count, root=root, reduce=self.readout)

    def embedded_nodes(self, graph: Graph) -> Tensor:
        """What the layers say of each node ``(A, width)``."""
        x, call = graph["nodes"], self._call(graph)
        total = None
        for number, (step, norm) in enumerate(zip(self.steps, self.norms, strict=True)):
            x = norm(call(step, x))
            if number < self.layers - 1:
                x = self.dropout(torch.relu(x))
            total = x if total is None else total + x
        return x if self.jump == "last" or total is None else total

    def _call(self, graph: Graph) -> Callable[[nn.Module, Tensor], Tensor]:
        """How layers are called on a graph."""
        edges = graph["edges"]
        said = graph.get("edge_values")
        said = None if said is None else said.to(graph["nodes"].dtype)
        if self.kind == "sage":
            return lambda step, x: step(x, edges)
        if self.kind == "gin":
            more = {} if said is None else {"edge_attr": said}
            return lambda step, x: step(x, edges, **more)
        own = torch.arange(len(graph["nodes"]), device=edges.device)
        whole = torch.cat([edges, own.repeat(2, 1)], 1)
        if self.kind == "gat":
            values = said
            if said is not None:
                values = torch.cat([said, said.new_zeros(len(own), said.shape[1])])
            return lambda step, x: step(x, whole, edge_attr=values)
        # Of the whole graph: in one that is cut out fewer edges are left.
        scale = (1 + graph["degree"].to(graph["nodes"].dtype)).rsqrt()
        weights = scale[whole[0]] * scale[whole[1]]
        return lambda step, x: step(x, whole, weights)


def _step(kind: Kind, size: int, width: int, edges: int | None, heads: int) -> nn.Module:
    """One layer of message passing."""
    layers = library("torch_geometric.nn", "graph")
    if kind == "sage":
        return layers.SAGEConv(size, width)
    if kind == "gcn":
        return layers.GCNConv(size, width, normalize=False, add_self_loops=False)
    if kind == "gat":
        if width % heads:
            raise ArgumentError(f"gat: width is {width} and heads is {heads}, expected a multiple")
        return layers.GATConv(
            size, width // heads, heads=heads, add_self_loops=False, edge_dim=edges
        )
    inner = nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, width))
    return layers.GINConv(inner) if edges is None else layers.GINEConv(inner, edge_dim=edges)


def _check(**numbers: int) -> None:
    for name, value in numbers.items():
        if type(value) is not int or value < 1:
            raise ArgumentError(f"{name} is {value!r}, expected a whole number of at least 1")


def _made(
    kind: Kind,
    space: InputSpace | None,
    outputs: int,
    *,
    edges: int = 1,
    layers: int = 2,
    width: int = 64,
    dropout: float = 0.0,
    readout: Reduce = "sum",
    jump: Literal["last", "sum"] = "last",
    norm: Literal["none", "batch"] = "none",
    heads: int = 4,
) -> nn.Module:
    """Make a `GraphNetwork`, whose options these are; runs take `edges` from their data."""
    if space is None or len(space.shape) != 1:
        raise ModelError(
            f"{kind} reads graphs, and the data holds none; take tu:PATH or motif-graphs"
        )
    return GraphNetwork(
        kind,
        space.size[0],
        outputs,
        edges=edges,
        layers=layers,
        width=width,
        dropout=dropout,
        readout=readout,
        jump=jump,
        norm=norm,
        heads=heads,
    )


KINDS: tuple[Kind, ...] = ("gin", "gcn", "gat", "sage")
GRAPH_NETWORKS: dict[str, Callable[..., Any]] = {kind: partial(_made, kind) for kind in KINDS}
