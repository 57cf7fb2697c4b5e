"""Trees are told apart exactly, whatever graphs look like."""

import numpy as np
import pytest

from limbeck.errors import ArgumentError
from limbeck.functional.computation_trees import LARGEST, computation_trees


def both(pairs):
    edges = np.array(pairs, np.int64).reshape(-1, 2).T
    return np.concatenate([edges, edges[::-1]], 1)


def canonical(labels, edges, said, node, depth):
    """The tree below a node as nested tuples, unrolled."""
    if depth == 0:
        return (labels[node],)
    below = [
        (said[place], canonical(labels, edges, said, source, depth - 1))
        for place, (source, target) in enumerate(edges.T.tolist())
        if target == node
    ]
    return labels[node], tuple(sorted(below))


def size(tree):
    return 1 + sum(size(below) for _, below in tree[1]) if len(tree) > 1 else 1


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_numbers_are_those_of_unrolled_trees(seed, depth):
    draws = np.random.default_rng(seed)
    nodes = int(draws.integers(1, 12))
    labels = draws.integers(0, 3, nodes)
    # With loops, parallel edges, isolated nodes and directions.
    edges = draws.integers(0, nodes, (2, int(draws.integers(0, 18))))
    said = draws.integers(0, 2, edges.shape[1])
    found = computation_trees(labels, edges, depth, edge_labels=said)
    plain, kinds = labels.tolist(), said.tolist()
    trees = [canonical(plain, edges, kinds, node, depth) for node in range(nodes)]
    order = {tree: number for number, tree in enumerate(dict.fromkeys(trees))}
    assert found.classes.tolist() == [order[tree] for tree in trees]
    assert found.sizes.tolist() == [size(tree) for tree in order]
    assert found.first.tolist() == [trees.index(tree) for tree in order]


@pytest.mark.parametrize("seed", range(8))
def test_what_is_unrolled_has_the_tree_that_it_was_unrolled_from(seed):
    draws = np.random.default_rng(seed)
    labels, edges = draws.integers(0, 2, 8), both(draws.integers(0, 8, (9, 2)))
    said = np.tile(draws.integers(0, 3, 9), 2)
    found = computation_trees(labels, edges, 3, edge_labels=said)
    for number in range(len(found.sizes)):
        tree = found.unrolled(number)
        assert len(tree.nodes) == found.sizes[number]
        assert tree.edges.shape == (2, len(tree.nodes) - 1)
        again = canonical(labels[tree.nodes], tree.edges, tree.edge_labels.tolist(), 0, 3)
        assert again == canonical(labels.tolist(), edges, said.tolist(), found.first[number], 3)


def test_a_ring_and_two_triangles_are_alike():
    ring = [(n, (n + 1) % 6) for n in range(6)]
    triangles = [(6 + n, 6 + n // 3 * 3 + (n + 1) % 3) for n in range(6)]
    found = computation_trees(np.zeros(12, int), both(ring + triangles), 5)
    assert set(found.classes.tolist()) == {0}


def test_a_node_without_edges_is_a_tree_of_its_own():
    found = computation_trees([4, 4, 5], both([(0, 1)]), 2)
    assert found.sizes[found.classes].tolist() == [3, 3, 1]
    assert found.unrolled(found.classes[2]).edges.shape == (2, 0)


def test_a_loop_makes_a_node_its_own_child():
    found = computation_trees([1], [[0], [0]], 3)
    assert found.sizes.tolist() == [4]
    assert found.unrolled(0).nodes.tolist() == [0, 0, 0, 0]


def test_edges_into_a_node_are_those_that_it_sees():
    found = computation_trees([0, 0], [[0], [1]], 1)
    assert found.sizes[found.classes].tolist() == [1, 2]


def test_parallel_edges_with_other_labels_are_children_each():
    edges = [[0, 0, 2, 2], [1, 1, 3, 3]]
    same = computation_trees([0] * 4, edges, 1, edge_labels=[0, 1, 1, 0])
    other = computation_trees([0] * 4, edges, 1, edge_labels=[0, 1, 1, 1])
    assert same.classes[1] == same.classes[3]
    assert other.classes[1] != other.classes[3]


def test_hubs_stay_linear_until_they_are_unrolled():
    leaves = np.arange(1, 2001)
    star = both(np.stack([np.zeros_like(leaves), leaves], 1))
    found = computation_trees(np.zeros(2001, int), star, 8)
    assert len(found.sizes) == 2
    assert found.sizes.max() == pytest.approx(
        sum(2000 ** (n // 2 + n % 2) for n in range(9)), rel=1
    )
    assert computation_trees(np.zeros(2001, int), star, 30).sizes.max() == LARGEST


def test_no_graph_at_all():
    found = computation_trees(np.zeros(0, int), [], 2)
    assert found.classes.size == 0
    assert found.sizes.size == 0


@pytest.mark.parametrize(
    ("labels", "edges", "options", "said"),
    [
        ([0.5, 1.0], [], {}, "number the rows"),
        ([0, 1], [[0], [2]], {}, "joins nodes 0 to 2 and there are 2"),
        ([0, 1], [[0, 1]], {}, r"\(2, E\)"),
        ([0, 1], [[0], [1]], {"edge_labels": [0, 1]}, "there are 1 edges"),
        ([0, 1], [[0], [1]], {"edge_labels": [0.5]}, "float64"),
        ([0, 1], [[0], [1]], {"depth": -1}, "depth is -1"),
    ],
)
def test_what_cannot_be_is_said(labels, edges, options, said):
    with pytest.raises(ArgumentError, match=said):
        computation_trees(labels, edges, options.pop("depth", 1), **options)
