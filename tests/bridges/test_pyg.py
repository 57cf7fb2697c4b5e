"""Graphs of PyG and networkx become data, and come back."""

import numpy as np
import pytest

from limbeck.bridges.pyg import from_networkx, from_pyg, to_pyg
from limbeck.data.graph_labels import NodeLabels
from limbeck.data.labelled_graphs import Graphs
from limbeck.data.motif_graphs import motif_graphs
from limbeck.errors import DataError
from limbeck.functional.computation_trees import computation_trees

torch = pytest.importorskip("torch")
pyg = pytest.importorskip("torch_geometric.data")
networkx = pytest.importorskip("networkx")


def test_a_data_set_comes_back_as_it_was():
    data = motif_graphs(graphs=60)
    sets = [data.train, data.validation, data.test]
    graphs = [one for part in sets for one in to_pyg(part, data.table)]
    split = np.repeat([0, 1, 2], [len(one) for one in sets])
    again = from_pyg(graphs, split=split)
    # Rows are numbered in rising order: one-hot vectors the other way round.
    assert again.node_kinds == data.node_kinds
    for one, other in zip(sets, [again.train, again.validation, again.test], strict=True):
        assert np.array_equal(one.edge_index, other.edge_index)
        assert np.array_equal(data.table[one.node_labels], again.table[other.node_labels])
        assert np.array_equal(one.y, other.y)


def test_batching_keeps_masks_and_degrees():
    from torch_geometric.loader import DataLoader

    tree = Graphs([0, 1, 1], [3], [[1, 2], [0, 0]], y=[1], root=[1, 0, 0], degree=[2, 5, 6])
    batch = next(iter(DataLoader(to_pyg(tree) * 3, batch_size=3)))
    assert batch.root_mask.tolist() == [1, 0, 0] * 3
    assert batch.degree.tolist() == [2, 5, 6] * 3
    assert batch.edge_attr.tolist() == [[1.0]] * 6
    assert batch.edge_index[:, -1].tolist() == [8, 6]


def test_labels_of_edges_come_one_hot():
    tree = Graphs([0, 1], [2], [[0, 1], [1, 0]], edge_labels=[1, 0])
    assert to_pyg(tree, edge_kinds=2)[0].edge_attr.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"y": None}, "graph 3 has no class"),
        ({"x": None}, "graph 3 has no x"),
        ({"x": torch.zeros(2, 5)}, "different widths"),
    ],
)
def test_what_graphs_lack_is_said(change, said):
    one = pyg.Data(x=torch.eye(2), edge_index=torch.tensor([[0, 1], [1, 0]]), y=0)
    several = [one.clone().update({"y": n % 2}) for n in range(20)]
    for name, value in change.items():
        several[3][name] = value
    with pytest.raises(DataError, match=said):
        from_pyg(several)
    with pytest.raises(DataError, match="no graphs"):
        from_pyg([])


def test_continuous_attributes_of_pyg():
    edges = torch.tensor([[0, 1], [1, 0]])
    several = [pyg.Data(x=torch.rand(2, 1), edge_index=edges, y=n % 2) for n in range(20)]
    with pytest.raises(DataError, match="continuous"):
        from_pyg(several)
    assert from_pyg(several, labels=NodeLabels(bins=3)).node_kinds == 3


def test_networkx_of_every_kind():
    kinds = [networkx.Graph, networkx.DiGraph, networkx.MultiGraph, networkx.MultiDiGraph]
    graphs = []
    for kind in kinds:
        one = kind()
        one.add_node("a", element="C")
        one.add_node("b", element="N")
        one.add_edge("a", "b", bond=1)
        one.add_edge("a", "b", bond=2)
        one.add_edge("b", "b", bond=2)
        graphs.append(one)
    data = from_networkx(
        graphs * 5,
        list("xxyy") * 5,
        node_label="element",
        edge_label="bond",
        split=[0, 1, 2, 0] * 5,
    )
    assert data.classes == ("x", "y")
    assert (data.node_kinds, data.edge_kinds) == (2, 2)
    # The first is read both ways, its loop once; the last has both parallel edges one way.
    edges = np.diff(data.train.edge_bounds)[:2].tolist()
    assert edges == [3, 3]
    found = computation_trees(data.train.node_labels, data.train.edge_index, 1)
    assert found.sizes[found.classes[:4]].tolist() == [2, 3, 1, 4]
    with pytest.raises(DataError, match="without 'mass'"):
        from_networkx(graphs, list("xyxy"), node_label="mass")


def graph(**changes):
    given = {"x": torch.eye(2), "edge_index": torch.tensor([[0, 1], [1, 0]]), "y": 0, **changes}
    return pyg.Data(**given)


def test_graphs_without_edges_have_labels_of_edges_too():
    bare = {"edge_index": torch.empty(2, 0, dtype=torch.long), "edge_attr": torch.empty(0, 2)}
    several = [graph(edge_attr=torch.eye(2)), graph(y=1, edge_attr=torch.eye(2)), graph(**bare)]
    data = from_pyg(several * 8)
    assert data.edge_kinds == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"y": torch.tensor([0.5])}, "fractions or NaN"),
        ({"y": torch.tensor([float("nan")])}, "fractions or NaN"),
        ({"y": torch.tensor([[0, 1, 1]])}, "a y of 3 numbers"),
        ({"y": torch.empty(0)}, "a y of 0 numbers"),
        ({"edge_index": None}, "graph 1 has no edge_index"),
    ],
)
def test_what_is_no_classified_graph_is_refused(changes, said):
    with pytest.raises(DataError, match=said):
        from_pyg([graph(), graph(**{"y": 1, **changes})] * 10)


@pytest.mark.parametrize(
    ("kinds", "classes", "said"),
    [
        ([None, 1], [0, 1], "without 'kind'"),
        ([(1, 0), (0, 1, 1)], [0, 1], "rows of equally many"),
        ([{}, {}], [0, 1], "kind: expected words"),
        ([1, 2], [None, 1], "such as None"),
        ([1, 2], None, "graphs have no classes"),
    ],
)
def test_networkx_attributes_that_are_no_labels_are_refused(kinds, classes, said):
    one = networkx.path_graph(2)
    networkx.set_node_attributes(one, dict(enumerate(kinds)), "kind")
    with pytest.raises(DataError, match=said):
        from_networkx([one] * 20, classes and classes * 10, node_label="kind")


def test_other_graphs_than_those_of_networkx_are_refused():
    with pytest.raises(DataError, match="graph 0 is a ndarray"):
        from_networkx([np.eye(2)] * 20, [0, 1] * 10)
