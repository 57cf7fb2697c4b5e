"""Computation trees of graphs, frequent sets of them, and what is built of these."""

from __future__ import annotations

import numpy as np

from limbeck.data.labelled_graphs import Graphs, join_graphs, united
from limbeck.functional.computation_trees import computation_trees
from limbeck.functional.item_sets import frequent_item_sets
from limbeck.functional.readouts import root_readout as readout

from ..harness import adapter


def _whole(value):
    return np.asarray(value, np.int64)


@adapter("mirage", "computation_tree_classes")
def computation_tree_classes(inputs, params):
    graphs = join_graphs([_undirected(one) for one in inputs["graphs"]])
    found = computation_trees(
        graphs.node_labels, graphs.edge_index, params["depth"], edge_labels=graphs.edge_labels
    )
    parts = np.split(np.arange(graphs.nodes), graphs.bounds[1:-1])
    return {
        "classes": [found.classes[part].tolist() for part in parts],
        "sizes": [found.sizes[found.classes[part]].tolist() for part in parts],
    }


def _undirected(one):
    edges, labels = _whole(one["edges"]).reshape(-1, 2).T, _whole(one["edge_labels"])
    return Graphs(
        _whole(one["node_labels"]),
        [len(one["node_labels"])],
        np.concatenate([edges, edges[::-1]], 1),
        edge_labels=np.concatenate([labels, labels]),
    )


@adapter("mirage", "frequent_tree_sets")
def frequent_tree_sets(inputs, params):
    pairs = [(n, item) for n, one in enumerate(inputs["transactions"]) for item in _whole(one)]
    rows, items = np.array(pairs).T
    found = frequent_item_sets(rows, items, params["min_count"])
    sets = zip(found.sets, found.supports.tolist(), strict=True)
    return {"itemsets": [[list(one), support] for one, support in sets]}


@adapter("mirage", "forest_union")
def forest_union(inputs, params):
    trees = [one for one in inputs["trees"] if len(one["x"]) > 1]
    if not trees:
        return {"empty": True}
    # Nodes are told apart by their rows of features alone, which stand in a table.
    rows = np.concatenate([np.asarray(one["x"]) for one in trees])
    said = np.concatenate([_whole(one["edge_attr"]).reshape(-1) for one in trees])
    edges = [_whole(one["edge_index"]) for one in trees]
    begun = np.cumsum([0, *(len(one["x"]) for one in trees)])
    parts = Graphs(
        np.arange(len(rows)),
        np.diff(begun),
        np.concatenate([one + start for one, start in zip(edges, begun, strict=False)], 1),
        edge_labels=said,
        root=np.concatenate(
            [_roots(one, len(tree["x"])) for one, tree in zip(edges, trees, strict=True)]
        ),
    )
    forest = united(parts, [range(len(trees))], y=[params["label"]])
    return {
        "empty": False,
        "x": rows[forest.node_labels],
        "edge_index": forest.edge_index,
        "edge_attr": forest.edge_labels[:, None],
        "y": int(forest.y[0]),
        "root_mask": forest.root.astype(int),
    }


def _roots(edges, nodes):
    kinds = np.arange(nodes)
    return np.isin(kinds, edges[1]) & ~np.isin(kinds, edges[0])


@adapter("mirage", "root_readout")
def root_readout(inputs, params):
    x, graph = inputs["x"], inputs["batch"].long()
    root = inputs.get("root_flags")
    return {"readout": readout(x, graph, int(graph.max()) + 1, root=root, reduce=params["reduce"])}
