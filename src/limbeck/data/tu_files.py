"""Graphs in files: text files as the TU collection has them, and npz files of packed graphs."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.graph_data import GraphData, assemble_graphs
from limbeck.data.graph_labels import NodeLabels
from limbeck.data.labelled_graph_checks import check_whole
from limbeck.errors import DataError, UnusualUseWarning, nearest

EDGES = "_A.txt"
# Arrays that tell packed graphs from other npz files.
PACKED = ("num_nodes", "num_edges", "edge_index", "label")


def is_graphs(path: Path) -> bool:
    """Whether a file or folder holds graphs in a layout that `read_graphs` reads."""
    if path.is_dir():
        return bool(list(path.glob(f"*{EDGES}")) or _packed(path))
    return path.suffix == ".npz" and _is_packed(path)


def read_graphs(
    path: Path,
    *,
    set: str | None = None,
    node_labels: str = "given",
    most_labels: int | None = None,
    bins: int | None = None,
) -> GraphData:
    """Read a folder of text files as the TU collection has them, or npz files of packed graphs.

    The folder holds ``NAME_A.txt``, ``NAME_graph_indicator.txt``, ``NAME_graph_labels.txt`` and,
    where there are some, ``NAME_node_labels.txt``, ``NAME_node_attributes.txt`` and
    ``NAME_edge_labels.txt``. An npz file holds ``num_nodes`` and ``num_edges`` ``(N,)``,
    ``edge_index`` ``(2, E)`` with nodes numbered within their graph, ``label`` ``(N,)`` and, where
    there are some, ``node_label`` ``(A,)``, ``edge_label`` ``(E,)`` and ``split`` ``(N,)``, 0 for
    training, 1 for validation and 2 for test.

    Args:
        path: the folder, or one npz file.
        set: which of several sets of a folder, by the name of its file.
        node_labels: ``"given"``, or ``"degree"``: tell nodes apart by their number of edges.
        most_labels: keep that many labels of nodes, the most frequent ones; others become one.
        bins: into how many parts each continuous attribute is cut.

    Returns:
        The data set; without a split a tenth of each class is for validation, and one for test.

    Raises:
        DataError: a file is missing or damaged, there are several sets and none was chosen, or
            the graphs cannot be true.
    """
    labels = NodeLabels(node_labels, most_labels, bins)  # type: ignore[arg-type]
    chosen = _chosen(path, set)
    if chosen.suffix == ".npz":
        return _read_packed(chosen, labels)
    return _read_text(chosen.parent, chosen.name.removesuffix(EDGES), labels)


def _chosen(path: Path, set: str | None) -> Path:
    if path.is_file():
        return path
    found = {one.name.removesuffix(EDGES): one for one in path.glob(f"*{EDGES}")}
    found |= {one.stem: one for one in _packed(path)}
    if not found:
        raise DataError(f"{path} holds no graphs: expected NAME{EDGES} or npz files of graphs")
    if set is None and len(found) == 1:
        return next(iter(found.values()))
    names = sorted(found)
    if set is None:
        raise DataError(
            f"{path} holds {len(found)} sets ({', '.join(names)}); choose one behind the name: "
            f"?set={names[0]}"
        )
    if str(set) not in found:
        raise DataError(f"{path} holds no set {set!r}; {nearest(str(set), names)}")
    return found[str(set)]


def _packed(folder: Path) -> list[Path]:
    return [one for one in sorted(folder.glob("*.npz")) if _is_packed(one)]


def _is_packed(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as inside:
            return {f"{name}.npy" for name in PACKED} <= {*inside.namelist()}
    except (OSError, zipfile.BadZipFile):
        return False


def _read_packed(file: Path, labels: NodeLabels) -> GraphData:
    try:
        with np.load(file, allow_pickle=False) as content:
            arrays: dict[str, Any] = {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} is no whole npz file of graphs ({error})") from None
    counts, many = (arrays[name].astype(np.int64) for name in ("num_nodes", "num_edges"))
    edges = arrays["edge_index"].astype(np.int64)
    if edges.ndim != 2 or edges.shape[1] != many.sum():
        raise DataError(f"{file}: edge_index has shape {edges.shape}, expected (2, {many.sum()})")
    strange = (edges >= np.repeat(counts, many)).any() or edges.min(initial=0) < 0
    if strange:
        raise DataError(f"{file}: an edge leads to a node that its graph does not have")
    return assemble_graphs(
        counts,
        edges + np.repeat(np.cumsum(counts) - counts, many),
        arrays["label"],
        node_labels=arrays.get("node_label"),
        edge_labels=arrays.get("edge_label"),
        split=arrays.get("split"),
        labels=labels,
        name=file.stem,
    )


def _read_text(folder: Path, name: str, labels: NodeLabels) -> GraphData:
    def table(part: str, kind: type = np.int64) -> Any:
        file = folder / f"{name}_{part}.txt"
        if not file.exists():
            return None
        try:
            with warnings.catch_warnings():
                # A set may have no edge at all.
                warnings.filterwarnings("ignore", "loadtxt: input contained no data")
                found = np.loadtxt(file, delimiter=",", ndmin=2, dtype=np.float64)
        except ValueError as error:
            raise DataError(f"{file} does not read as numbers ({error})") from None
        if kind is np.int64:
            check_whole(found, str(file))
        return found.astype(kind)

    edges, graph, y = table("A"), table("graph_indicator"), table("graph_labels")
    for part, found in (("graph_indicator", graph), ("graph_labels", y)):
        if found is None:
            raise DataError(f"{folder / f'{name}_{part}.txt'} is missing; it belongs to the set")
    place = graph[:, 0] - 1
    if len(place) and (place.min() < 0 or place.max() >= len(y) or (np.diff(place) < 0).any()):
        raise DataError(
            f"{folder / f'{name}_graph_indicator.txt'}: expected rising numbers from 1 to {len(y)}"
        )
    if table("edge_attributes", np.float64) is not None:
        warnings.warn(
            f"{name}: attributes of edges are left out; give labels, whole numbers, in "
            f"{name}_edge_labels.txt",
            UnusualUseWarning,
            stacklevel=4,
        )
    return assemble_graphs(
        np.bincount(place, minlength=len(y)),
        edges.reshape(-1, 2).T - 1,
        y[:, 0],
        node_labels=_nodes(
            table("node_labels"), table("node_attributes", np.float64), labels, name
        ),
        edge_labels=table("edge_labels"),
        labels=labels,
        name=name,
    )


def _nodes(words: Any, attributes: Any, labels: NodeLabels, name: str) -> Any:
    """Labels where there are some; attributes where there are none, or where they are cut."""
    both = words is not None and attributes is not None
    if both and labels.source == "given":
        out, fix = "attributes", "bins=8 takes these, cut into 8 parts, in place of labels"
        if labels.bins is not None:
            out, fix = "labels", "without bins these are taken in place of attributes"
        warnings.warn(
            f"{name}: nodes have labels and attributes, and {out} are left out; {fix}",
            UnusualUseWarning,
            stacklevel=5,
        )
    if words is not None and (attributes is None or labels.bins is None):
        return words[:, 0] if words.shape[1] == 1 else words
    return attributes
