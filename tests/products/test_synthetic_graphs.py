"""Sets of graphs are stored in few bytes, read back whole, and say what they are."""

import json

import numpy as np
import pytest

from limbeck import load
from limbeck.data.graph_data import assemble_graphs
from limbeck.data.labelled_graphs import Graphs
from limbeck.data.motif_graphs import motif_graphs
from limbeck.data.tu_files import read_graphs
from limbeck.errors import ArgumentError, CorruptFileError, ModelError
from limbeck.evaluate.graph_sets import GraphJudging
from limbeck.products import SyntheticGraphs
from limbeck.products.graph_exhibits import charts, galleries, sheets
from limbeck.products.graph_origins import real_graph_sets
from limbeck.run.run import Options, Run
from limbeck.selection.tree_sets import TreeSets


def forests(data=None, **options):
    data = data or motif_graphs(graphs=60)
    trees = TreeSets.of(data.train, 2, 500)
    options = {"support": [9, 5, 7], "depth": 2, **options}
    return SyntheticGraphs(
        trees.unrolled([4, 2, 9]), [[0], [2, 1], [1]], [0, 1, 1], data, **options
    )


def same(one, other):
    mine, yours = one.tensors(), other.tensors()
    assert list(mine) == list(yours)
    assert all(np.array_equal(mine[name], yours[name]) for name in mine)
    assert one.graphs.fingerprint == other.graphs.fingerprint


@pytest.mark.parametrize("options", [{}, {"support": None}, {"counts": [[2.5], [1, 2], [3]]}])
def test_forests_come_back_whole(tmp_path, options):
    made = forests(**options)
    made.save(tmp_path / "one")
    again = load(tmp_path / "one")
    same(made, again)
    assert (again.depth, again.classes, again.judging) == (2, made.classes, made.judging)
    again.save(tmp_path / "two")
    names = [path.name for path in (tmp_path / "one").iterdir()]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_trees_are_stored_by_their_parents_in_bytes():
    tensors = forests().tensors()
    assert {name: str(one.dtype) for name, one in tensors.items()} == {
        "nodes": "torch.uint8",
        "labels": "torch.uint8",
        "classes": "torch.uint8",
        "parents": "torch.uint8",
        "sizes": "torch.uint8",
        "members": "torch.uint8",
        "degree": "torch.uint8",
        "support": "torch.uint8",
    }
    assert forests().bytes() == sum(one.nbytes for one in tensors.values())


@pytest.mark.parametrize("directed", [False, True])
def test_real_graphs_come_back_whole(tmp_path, directed):
    draws = np.random.default_rng(0)
    edges = draws.integers(0, 5, (2, 60)) + 5 * np.repeat(np.arange(20), 3)
    said = draws.integers(0, 3, 60)
    if not directed:
        edges = np.concatenate([edges, edges[::-1]], 1)
        said = np.tile(said, 2)
    labels = draws.integers(0, 4, 100)
    data = assemble_graphs([5] * 20, edges, [0, 1] * 10, node_labels=labels, edge_labels=said)
    made = SyntheticGraphs.of_graphs(data, [3, 1, 5])
    assert ("undirected" in made.tensors()) != directed
    made.save(tmp_path / "set")
    again = load(tmp_path / "set")
    rows = [np.stack([*one.edge_index, one.edge_labels]) for one in (made.parts, again.parts)]
    ordered = [one[:, np.lexsort(one)].tolist() for one in rows]
    assert ordered[0] == ordered[1]
    assert list(made.tensors()) == list(again.tensors())
    assert all(np.array_equal(one, again.tensors()[name]) for name, one in made.tensors().items())


def test_an_altered_file_is_refused(tmp_path):
    forests().save(tmp_path / "set")
    path = tmp_path / "set" / "graphs.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(CorruptFileError):
        load(tmp_path / "set")
    forests().save(tmp_path / "other")
    with pytest.raises(ArgumentError, match="no student"):
        load(tmp_path / "other", network=[])


def test_as_data_and_what_does_not_fit():
    data, made = motif_graphs(graphs=60), forests()
    seen = made.as_data(data)
    assert len(seen.train) == 3
    assert seen.train.weight.tolist() == [9, 5, 7]
    assert seen.test is data.test
    with pytest.raises(ModelError, match="classes"):
        made.as_data(motif_graphs(graphs=60, classes=3))
    with pytest.raises(ModelError, match="has none"):
        made.as_data("digits")
    with pytest.raises(ModelError, match="predicts nothing"):
        made.predict()


def test_exports(tmp_path):
    made = forests(counts=[[2.5], [1, 2], [3]])
    told = made.export(tmp_path / "json", to="json")
    assert told["files"] == ["graph_set.json", "graphs.json", "manifest.json"]
    rows = json.loads((tmp_path / "json" / "graphs.json").read_text())
    assert rows[0]["root_mask"][0] == 2.5
    assert [row["y"] for row in rows] == [[0], [1], [1]]
    made.export(tmp_path / "npz", to="npz")
    with np.load(tmp_path / "npz" / "graphs.npz") as arrays:
        assert arrays["weight"].tolist() == [9, 5, 7]
        assert arrays["root_mask"].sum() == 8.5
    made.export(tmp_path / "safetensors", to="safetensors")
    same(load(tmp_path / "safetensors"), made)
    with pytest.raises(ArgumentError, match="no format 'onnx'"):
        made.export(tmp_path / "onnx", to="onnx")


def test_packed_exports_are_data(tmp_path):
    data = motif_graphs(graphs=60)
    whole = SyntheticGraphs.of_graphs(data, range(48))
    whole.export(tmp_path / "npz", to="npz")
    assert len(read_graphs(tmp_path / "npz" / "graphs.npz").train) == 38


def test_pyg_reads_the_export(tmp_path):
    torch, pyg = pytest.importorskip("torch"), pytest.importorskip("torch_geometric.data")
    made = forests()
    made.export(tmp_path / "json", to="json")
    rows = json.loads((tmp_path / "json" / "graphs.json").read_text())
    for row, own in zip(rows, made.as_pyg(), strict=True):
        one = pyg.Data.from_dict({name: torch.tensor(value) for name, value in row.items()})
        assert torch.equal(one.x, own.x)
        assert torch.equal(one.edge_index, own.edge_index)
        assert torch.equal(one.root_mask, own.root_mask)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"y": [0, 1]}, "expected N of each"),
        ({"members": [[0], [1], []]}, "each needs one"),
        ({"members": [[0], [1], [3]]}, "up to 3 of 3"),
    ],
)
def test_lists_must_fit(changes, said):
    one = forests()
    given = {"members": one.members, "y": one.y, **changes}
    with pytest.raises(ArgumentError, match=said):
        SyntheticGraphs(one.parts, given["members"], given["y"], motif_graphs(graphs=60))


def test_real_sets_have_the_number_or_the_bytes(tmp_path):
    data = motif_graphs(graphs=60)
    made = forests(judging=GraphJudging(("gin?width=8",), 1, {"steps": 3}))
    run = Run(tmp_path, options=Options(executor="serial"))
    found = real_graph_sets(run, data, made)
    assert list(found) == [
        "random graphs",
        "random graphs, as many bytes",
        "herding graphs",
        "k-center graphs",
        "full data",
    ]
    for name in ("random graphs", "herding graphs", "k-center graphs"):
        assert np.bincount(found[name].y).tolist() == [1, 2]
    few = found["random graphs, as many bytes"]
    assert len(few) >= 2
    assert len(few) == 2 or few.bytes() <= made.bytes()
    assert len(found["full data"]) == 48


def test_few_bytes_are_of_all_classes_though_one_is_rare(tmp_path):
    data = assemble_graphs([2] * 200, [], [0] * 180 + [1] * 20, node_labels=np.arange(400) % 3)
    made = SyntheticGraphs.of_graphs(
        data, [0, 159], judging=GraphJudging(("gin?width=8",), 1, {"steps": 1})
    )
    found = real_graph_sets(Run(tmp_path, options=Options(executor="serial")), data, made)
    few = found["random graphs, as many bytes"]
    assert few.bytes() == made.bytes()
    assert sorted(few.as_data(data).train.y.tolist()) == [0, 1]


def test_what_is_shown():
    facts = {
        "covered": [0.5] * 9 + [1.0],
        "classes": [
            {"class": "a", "graphs": 3, "trees": 5, "threshold": 2, "sets": 1, "largest_set": 1}
        ],
    }
    made = forests(facts=facts)
    assert charts(made)[0].lines[0].y[-1] == 100
    assert sheets(made)[0].rows == [["a", "3", "5", "2", "1", "1"]]
    shown = galleries(made)[0]
    assert shown.rows == list(made.classes)
    assert all(len(row) == len(shown.columns) for row in shown.pictures)
    assert "3 forests for 2 layers" in made.summary()
    assert not galleries(SyntheticGraphs.of_graphs(motif_graphs(graphs=60), [0, 1]))


def test_data_whose_labels_stand_for_others_are_refused():
    rows = np.arange(200) % 3
    pairs = np.array([[2 * n, 2 * n + 1] for n in range(100)]).T
    data = [
        assemble_graphs([2] * 100, pairs, [0, 1] * 50, node_labels=table[rows])
        for table in (np.array([[1, 0], [0, 1], [2, 2]]), np.array([[1, 0], [0, 1], [5, 2]]))
    ]
    one = SyntheticGraphs.of_graphs(data[0], [0, 1])
    assert len(one.as_data(data[0]).train) == 2
    with pytest.raises(ModelError, match="stand for other attributes"):
        one.as_data(data[1])


def test_a_single_node_is_a_tree_too():
    data = motif_graphs(graphs=60)
    part = Graphs([3], [1], [], root=[1])
    assert SyntheticGraphs(part, [[0]], [1], data).graphs.counts.tolist() == [1]
