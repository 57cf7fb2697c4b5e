"""Layers see in a tree what they see of its node; GCN with the degrees of the graph."""

import numpy as np
import pytest
import torch

from limbeck.data.graph_batches import graph_batch
from limbeck.data.graph_data import assemble_graphs
from limbeck.data.motif_graphs import motif_graphs
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError
from limbeck.loops.graph_training import fresh_graph_network
from limbeck.networks.graph_networks import GraphNetwork
from limbeck.networks.names import build
from limbeck.selection.tree_sets import TreeSets

pytest.importorskip("torch_geometric")
KINDS = ("gin", "gcn", "gat", "sage")


def odd_graphs():
    """Small graphs with loops, parallel edges, isolated nodes, directions and labels of edges."""
    draws = np.random.default_rng(3)
    counts, edges, labels = [], [], []
    for _ in range(20):
        nodes = int(draws.integers(2, 9))
        pairs = draws.integers(0, nodes, (2, 10)) + sum(counts)
        edges.append(pairs)
        labels.append(draws.integers(0, 3, 10))
        counts.append(nodes)
    return assemble_graphs(
        counts,
        np.concatenate(edges, 1),
        [0, 1] * 10,
        node_labels=draws.integers(0, 3, sum(counts)),
        edge_labels=np.concatenate(labels),
    )


def said(network, graphs, data):
    batch = graph_batch(graphs, data)
    return network.embedded_nodes(batch.with_nodes(batch["nodes"].double()))


@pytest.mark.parametrize("name", [*KINDS, "gin?jump=sum", "gat?jump=sum", "gin?layers=1"])
@pytest.mark.parametrize("data", [motif_graphs(graphs=40), odd_graphs()], ids=["plain", "odd"])
def test_the_root_of_a_tree_stands_for_its_node(name, data):
    network = fresh_graph_network(name, data, 5).double().eval()
    graphs = data.train
    trees = TreeSets.of(graphs, 2, 10_000)
    whole = said(network, graphs, data)
    for tree in range(0, len(trees.trees.sizes), 3):
        one = trees.unrolled([tree])
        node = trees.trees.first[tree]
        torch.testing.assert_close(said(network, one, data)[0], whole[node], rtol=0, atol=1e-9)


def test_gcn_needs_degrees_and_deep_networks_see_further():
    data = motif_graphs(graphs=40)
    trees = TreeSets.of(data.train, 2, 1000)
    for name, bare in (("gcn", True), ("gin?layers=3", False)):
        network = fresh_graph_network(name, data, 5).double().eval()
        unrolled = trees.unrolled(range(len(trees.trees.sizes)))
        if bare:
            unrolled = unrolled.replace(degree=None)
        roots = said(network, unrolled, data)[unrolled.bounds[:-1]]
        assert (roots - said(network, data.train, data)[trees.trees.first]).abs().max() > 1e-3


def test_a_sum_counts_roots_alone():
    data = motif_graphs(graphs=40)
    network = fresh_graph_network("gin?width=8", data, 1).eval()
    graphs = data.train.take([0, 1])
    nodes = network.embedded_nodes(graph_batch(graphs, data))
    root = np.zeros(graphs.nodes, np.float32)
    root[[2, graphs.bounds[1]]] = (3, 1)
    found = network.embedded(graph_batch(graphs.replace(root=root), data))
    torch.testing.assert_close(found[0], 3 * nodes[2])
    torch.testing.assert_close(found[1], nodes[graphs.bounds[1]])


@pytest.mark.parametrize("kind", KINDS)
def test_options_shape_the_network(kind):
    data = odd_graphs()
    name = f"{kind}?layers=3&width=8&dropout=0.5&readout=mean&jump=sum&norm=batch"
    network = fresh_graph_network(name, data, 1)
    assert isinstance(network, GraphNetwork)
    assert network.layers == 3
    logits = network(graph_batch(data.train, data))
    assert logits.shape == (len(data.train), 2)
    logits.sum().backward()
    assert all(one.grad is not None for one in network.parameters())


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("mlp", ModelError, "reads no graphs; take gin"),
        ("gin?depth=3", ArgumentError, "no option 'depth'"),
        ("gin?layers=0", ArgumentError, "layers is 0"),
        ("gin?readout=max", ArgumentError, "readout is 'max'"),
        ("gin?dropout=1", ArgumentError, "dropout is 1"),
        ("gat?width=10", ArgumentError, "expected a multiple"),
    ],
)
def test_wrong_names_are_said(name, error, words):
    with pytest.raises(error, match=words):
        fresh_graph_network(name, motif_graphs(graphs=40), 0)


def test_other_data_has_no_graphs():
    with pytest.raises(ModelError, match="reads graphs"):
        build("gin", InputSpace((8, 8), 1), 2)
