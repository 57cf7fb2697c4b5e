"""Data of graphs: splits, labels, and what is refused."""

import numpy as np
import pytest

from limbeck.data.graph_data import GraphData, assemble_graphs, spread
from limbeck.data.graph_labels import NodeLabels, numbered
from limbeck.data.labelled_graphs import Graphs
from limbeck.data.motif_graphs import motif_graphs
from limbeck.data.names import resolve
from limbeck.errors import DataError, UnusualUseWarning

PAIRS = np.concatenate([np.array([[0, 1], [1, 0]]) + 2 * n for n in range(20)], 1)
Y = [0, 1] * 10


def test_missing_splits_are_cut_by_class():
    data = assemble_graphs([1] * 100, [], [0] * 80 + [1] * 20, node_labels=np.arange(100) % 3)
    assert [np.bincount(one.y).tolist() for one in (data.train, data.validation, data.test)] == [
        [64, 16],
        [8, 2],
        [8, 2],
    ]


def test_a_split_that_is_given_is_kept():
    split = [0] * 14 + [1] * 3 + [2] * 3
    data = assemble_graphs([2] * 20, PAIRS, Y, node_labels=np.arange(40) % 2, split=split)
    assert [len(data.train), len(data.validation), len(data.test)] == [14, 3, 3]


def test_few_part_and_redrawn_keep_shares_and_repeat():
    data = motif_graphs(graphs=100)
    assert np.bincount(data.few(10).train.y).tolist() == [5, 5]
    assert data.few(10, seed=1).fingerprint != data.few(10).fingerprint
    part = data.part(40)
    assert [len(part.train), len(part.validation), len(part.test)] == [40, 5, 5]
    again = data.redrawn(3)
    assert [len(again.train), len(again.validation), len(again.test)] == [70, 10, 20]
    assert again.fingerprint == data.redrawn(3).fingerprint != data.redrawn(4).fingerprint
    with pytest.raises(DataError, match="cannot be kept"):
        data.few(80)
    with pytest.raises(DataError, match="has 2 classes"):
        data.few(1)


def test_any_beginning_has_its_share_of_classes():
    order = spread(np.array([0] * 30 + [1] * 10), 7)
    assert sorted(order.tolist()) == list(range(40))
    assert [int((order[:n] >= 30).sum()) for n in (4, 20, 40)] == [1, 5, 10]


def test_a_few_are_of_all_classes_though_one_is_rare():
    target = np.array([0] * 90 + [1] * 6 + [2] * 4)
    order = spread(target, 7, each_first=True)
    assert sorted(order.tolist()) == list(range(100))
    assert sorted(target[order[:3]].tolist()) == [0, 1, 2]
    data = assemble_graphs([1] * 100, [], target, node_labels=np.arange(100) % 3)
    assert set(data.few(4).train.y.tolist()) == {0, 1, 2}
    assert set(data.part(3).train.y.tolist()) == {0, 1, 2}


def test_rows_of_attributes_are_labels_with_values():
    rows = np.array([[0.0, 1], [1, 0]])[np.arange(40) % 2]
    data = assemble_graphs([2] * 20, PAIRS, Y, node_labels=rows)
    assert data.node_kinds == 2
    assert data.table.tolist() == [[0, 1], [1, 0]]
    assert numbered(np.array([["a"], ["b"], ["a"]])[:, 0]).labels.tolist() == [0, 1, 0]


def test_continuous_attributes_are_refused_or_cut():
    attributes = np.linspace(0, 1, 80).reshape(40, 2)
    with pytest.raises(DataError, match="bins=8"):
        assemble_graphs([2] * 20, PAIRS, Y, node_labels=attributes)
    data = assemble_graphs([2] * 20, PAIRS, Y, node_labels=attributes, labels=NodeLabels(bins=4))
    assert data.node_kinds == 4
    assert data.table.min() == 0
    assert data.table.max() == 1
    attributes[3] = np.nan
    with pytest.raises(DataError, match="NaN"):
        assemble_graphs([2] * 20, PAIRS, Y, node_labels=attributes, labels=NodeLabels(bins=4))


def test_rare_labels_are_merged_and_degrees_taken():
    words = np.repeat([7, 7, 7, 5, 4, 3], [10, 10, 10, 6, 2, 2])
    data = assemble_graphs([2] * 20, PAIRS, Y, node_labels=words, labels=NodeLabels(most=2))
    assert data.node_kinds == 3
    ring = assemble_graphs(
        [2] * 20, PAIRS[:, :38], Y, labels=NodeLabels("degree"), node_labels=words
    )
    assert ring.node_kinds == 2


def test_nodes_that_are_alike_are_said():
    with pytest.warns(UnusualUseWarning, match="node_labels=degree"):
        assemble_graphs([2] * 20, PAIRS, Y)


def test_labels_of_edges():
    said = np.repeat([10, 20], 20)
    data = assemble_graphs([2] * 20, PAIRS, Y, node_labels=np.arange(40) % 2, edge_labels=said)
    assert data.edge_kinds == 2
    assert "edge labels=2" in repr(data)
    with pytest.raises(DataError, match="edges have continuous"):
        assemble_graphs([2] * 20, PAIRS, Y, node_labels=np.arange(40) % 2, edge_labels=said / 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"y": [1] * 20}, "1 class"),
        ({"y": None}, "no classes"),
        ({"y": [0.5] * 20}, "fractions"),
        ({"counts": [0, 4] * 10}, "no node"),
        ({"node_labels": np.zeros(3)}, "3 nodes have labels"),
        ({"split": [0] * 19}, "shapes"),
        ({"split": [0] * 10 + [1] * 10}, "test split of data has no graphs"),
        ({"split": [1, 0] * 8 + [2] * 4}, "no training graph of class '0'"),
    ],
)
def test_what_cannot_be_is_said(changes, said):
    given = {"counts": [2] * 20, "y": Y, "node_labels": np.arange(40) % 2, **changes}
    with pytest.raises(DataError, match=said):
        assemble_graphs(given.pop("counts"), PAIRS, given.pop("y"), **given)


def test_labels_outside_those_known_are_said():
    one = Graphs([0, 3], [1, 1], [], y=[0, 1])
    with pytest.raises(DataError, match="go to 3 and there are 2"):
        GraphData(one, one, one, ("a", "b"), node_kinds=2)
    with pytest.raises(DataError, match="without a class"):
        GraphData(one.replace(y=None), one, one, ("a", "b"), node_kinds=4)


def test_drawn_graphs_by_name():
    data = resolve("motif-graphs?graphs=80&classes=3")
    assert data.outputs == 3
    assert data.task == "graphs"
    assert resolve(data) is data
    assert len(resolve("motif-graphs?graphs=80&samples=30").train) == 30
    with pytest.raises(DataError, match="4 motifs"):
        motif_graphs(classes=5)
    with pytest.raises(DataError, match="at least 20"):
        motif_graphs(graphs=3)


def test_splits_and_edges_of_other_kinds_are_refused():
    with pytest.raises(DataError, match="expected 0 for training"):
        assemble_graphs([1] * 20, [], Y, node_labels=np.arange(20) % 3, split=[0, 1, 2, 3] * 5)
    with pytest.raises(DataError, match=r"edge_index has shape \(3, 2\)"):
        assemble_graphs([1] * 20, np.zeros((3, 2), int), Y, node_labels=np.arange(20) % 3)
