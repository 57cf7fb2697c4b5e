"""Graphs read from text files of the TU collection and from packed arrays."""

import numpy as np
import pytest

from limbeck.data.layouts import read_folder
from limbeck.data.names import resolve
from limbeck.data.tu_files import is_graphs, read_graphs
from limbeck.errors import DataError, LimbeckError, UnusualUseWarning

COUNT = 20


def write_text(folder, name="SET", **changes):
    folder.mkdir(exist_ok=True)
    pairs = [(2 * n + one, 2 * n + 3 - one) for n in range(COUNT) for one in (1, 2)]
    files = {
        "A": "\n".join(f"{one}, {other}" for one, other in pairs),
        "graph_indicator": "\n".join(str(n // 2 + 1) for n in range(2 * COUNT)),
        "graph_labels": "\n".join(str(2 * (n % 2) - 1) for n in range(COUNT)),
        "node_labels": "\n".join(str(n % 3) for n in range(2 * COUNT)),
        "edge_labels": "\n".join(str(n % 2) for n in range(len(pairs))),
        **changes,
    }
    for part, text in files.items():
        if text is not None:
            (folder / f"{name}_{part}.txt").write_text(text + "\n")
    return folder


def write_npz(path, **changes):
    arrays = {
        "num_nodes": np.full(COUNT, 2),
        "num_edges": np.full(COUNT, 2),
        "edge_index": np.tile([[0, 1], [1, 0]], COUNT).astype(np.int16),
        "node_label": np.arange(2 * COUNT) % 3,
        "label": np.arange(COUNT) % 2,
        "split": np.repeat([0, 1, 2], [14, 3, 3]),
        **changes,
    }
    np.savez(path, **{name: one for name, one in arrays.items() if one is not None})
    return path


def test_text_files(tmp_path):
    data = read_graphs(write_text(tmp_path / "set"))
    assert data.classes == ("-1", "1")
    assert (data.node_kinds, data.edge_kinds, data.name) == (3, 2, "SET")
    assert data.train.edge_index[:, :2].tolist() == [[0, 1], [1, 0]]
    assert read_folder(tmp_path / "set").fingerprint == data.fingerprint
    assert resolve(f"tu:{tmp_path / 'set'}?most_labels=1&samples=10").train.nodes == 20


def test_attributes_are_refused_or_cut(tmp_path):
    values = "\n".join(f"{n / 7}, {n % 5}" for n in range(2 * COUNT))
    folder = write_text(tmp_path / "set", node_labels=None, node_attributes=values)
    with pytest.raises(DataError, match="continuous attributes"):
        read_graphs(folder)
    assert read_graphs(folder, bins=2).node_kinds == 4
    write_text(folder, node_attributes=None)
    (folder / "SET_node_attributes.txt").unlink()
    write_text(folder, edge_attributes="0.5")
    with pytest.warns(UnusualUseWarning, match="attributes of edges are left out"):
        read_graphs(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"graph_labels": None}, "graph_labels.txt is missing"),
        ({"graph_indicator": "x"}, "does not read as numbers"),
        ({"graph_indicator": "\n".join(["99"] * 40)}, "rising numbers"),
        ({"A": "1, 99"}, "join nodes"),
    ],
)
def test_broken_text_files_are_said(tmp_path, changes, said):
    with pytest.raises(DataError, match=said):
        read_graphs(write_text(tmp_path / "set", **changes))


def test_packed_arrays_keep_their_split(tmp_path):
    data = read_graphs(write_npz(tmp_path / "ONE.npz"))
    assert [len(data.train), len(data.validation), len(data.test)] == [14, 3, 3]
    assert data.test.edge_index.tolist() == [[0, 1, 2, 3, 4, 5], [1, 0, 3, 2, 5, 4]]
    assert is_graphs(tmp_path)
    assert is_graphs(tmp_path / "ONE.npz")
    assert resolve(f"folder:{tmp_path}").name == "ONE"


def test_one_of_several_sets_is_chosen(tmp_path):
    write_npz(tmp_path / "ONE.npz")
    write_npz(tmp_path / "TWO.npz", split=None)
    with pytest.raises(DataError, match=r"2 sets \(ONE, TWO\).*\?set=ONE"):
        read_graphs(tmp_path)
    assert len(read_graphs(tmp_path, set="TWO").train) == 16
    with pytest.raises(DataError, match="no set 'TOW'"):
        read_graphs(tmp_path, set="TOW")
    with pytest.raises(DataError, match="no option 'sett'"):
        resolve(f"folder:{tmp_path}?sett=ONE")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"edge_index": np.full((2, 2 * COUNT), 2)}, "that its graph does not have"),
        ({"edge_index": np.zeros((2, 3), int)}, "expected"),
        ({"num_nodes": np.zeros(COUNT, int), "edge_index": np.zeros((2, 2 * COUNT), int)}, "node"),
    ],
)
def test_broken_arrays_are_said(tmp_path, changes, said):
    with pytest.raises(LimbeckError, match=said):
        read_graphs(write_npz(tmp_path / "ONE.npz", **changes))


def test_other_folders_are_no_graphs(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=np.zeros(3))
    assert not is_graphs(tmp_path)
    with pytest.raises(DataError, match="holds no graphs"):
        read_graphs(tmp_path)
    with pytest.raises(DataError, match="node_labels is 'words'"):
        read_graphs(tmp_path, node_labels="words")
    with pytest.raises(DataError, match="bins is 1"):
        read_graphs(tmp_path, bins=1)


@pytest.mark.parametrize("part", ["graph_labels", "node_labels", "edge_labels"])
def test_labels_that_are_fractions_are_refused(tmp_path, part):
    count = {"graph_labels": COUNT}.get(part, 2 * COUNT)
    text = "\n".join(str(n % 2 + 0.5) for n in range(count))
    with pytest.raises(DataError, match=rf"{part}\.txt holds fractions"):
        read_graphs(write_text(tmp_path / "set", **{part: text}))


def test_attributes_beside_labels_are_said_to_be_left_out(tmp_path):
    values = "\n".join(f"{n / 7}" for n in range(2 * COUNT))
    folder = write_text(tmp_path / "set", node_attributes=values)
    with pytest.warns(UnusualUseWarning, match="attributes are left out; bins=8"):
        assert read_graphs(folder).node_kinds == 3
    with pytest.warns(UnusualUseWarning, match="labels are left out; without bins"):
        assert read_graphs(folder, bins=2).node_kinds == 2
