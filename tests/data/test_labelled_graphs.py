"""Packed graphs are taken, joined and united without losing their place."""

import numpy as np
import pytest

from limbeck.data.labelled_graphs import Graphs, join_graphs, united
from limbeck.errors import DataError

EDGES = [[0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3]]


def two(**changes):
    options = {"edge_labels": [0, 0, 1, 1, 2, 2], "y": [0, 1], **changes}
    return Graphs([5, 6, 7, 8, 9], [3, 2], EDGES, **options)


def test_graphs_are_taken_in_any_order():
    graphs = two(degree=[1, 2, 1, 4, 5], weight=[0.5, 2])
    taken = graphs.take([1, 0, 1])
    assert taken.node_labels.tolist() == [8, 9, 5, 6, 7, 8, 9]
    assert taken.edge_index.tolist() == [[0, 1, 2, 3, 3, 4, 5, 6], [1, 0, 3, 2, 4, 3, 6, 5]]
    assert taken.edge_labels.tolist() == [2, 2, 0, 0, 1, 1, 2, 2]
    assert taken.degrees.tolist() == [4, 5, 1, 2, 1, 4, 5]
    assert taken.weight.tolist() == [2, 0.5, 2]
    assert len(graphs.take([])) == 0


def test_edges_that_come_mixed_are_put_in_a_row():
    mixed = Graphs([0] * 5, [3, 2], np.array(EDGES)[:, [4, 0, 5, 1, 2, 3]], [9, 1, 8, 2, 3, 4])
    assert mixed.edge_index.tolist() == [[0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3]]
    assert mixed.edge_labels.tolist() == [1, 2, 3, 4, 9, 8]
    assert mixed.edge_bounds.tolist() == [0, 4, 6]


def test_joining_is_the_reverse_of_taking():
    graphs = two()
    again = join_graphs([graphs.take([0]), graphs.take([1])])
    assert again.fingerprint == graphs.fingerprint
    assert join_graphs([graphs, graphs.replace(y=None)]).y is None


def test_graphs_are_made_of_parts():
    made = united(two(root=[1, 0, 0, 1, 0]), [[1, 0], [1]], y=[3, 4], weights=[[2, 5], [7]])
    assert made.counts.tolist() == [5, 2]
    assert made.node_labels.tolist() == [8, 9, 5, 6, 7, 8, 9]
    assert made.root.tolist() == [2, 0, 5, 0, 0, 7, 0]
    assert made.edge_index[:, -1].tolist() == [6, 5]
    assert made.y.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([0, 0], [2, 0], []), "graph 1 has no node"),
        (([0, 0], [3], []), "2 node_labels and graphs of 3 nodes"),
        (([0, 0], [2], [[0], [2]]), "join nodes 0 to 2 and there are 2"),
        (([0, 0], [1, 1], [[0], [1]]), "joins graphs 0 and 1"),
        (([0, -1], [2], []), "node_labels holds -1"),
        (([0, 0], [2], [[0, 1]]), r"expected \(2, E\)"),
        (([0, 0], [2], [[0], [1]], [1, 2]), r"edge_labels has shape \(2,\)"),
    ],
)
def test_what_cannot_be_is_said(arguments, said):
    with pytest.raises(DataError, match=said):
        Graphs(*arguments)


def test_places_that_are_not_there():
    with pytest.raises(DataError, match="there are 2 graphs"):
        two().take([2])
    with pytest.raises(DataError, match="no graphs to join"):
        join_graphs([])


@pytest.mark.parametrize(
    "changes", [{"node_labels": [0.2, 0.7]}, {"y": [0.9]}, {"edge_labels": [0.5, 1]}]
)
def test_fractions_are_no_labels(changes):
    given = {"node_labels": [0, 1], "counts": [2], "edge_index": [[0, 1], [1, 0]], **changes}
    with pytest.raises(DataError, match=f"{next(iter(changes))} holds fractions"):
        Graphs(**given)
