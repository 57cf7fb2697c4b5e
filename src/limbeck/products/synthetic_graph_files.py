"""Files of synthetic graphs: parts once each, in the shortest whole numbers that hold them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck import files
from limbeck.data.frames import Integers
from limbeck.data.graph_data import GraphData
from limbeck.data.labelled_graphs import Graphs
from limbeck.errors import CorruptFileError
from limbeck.evaluate.graph_sets import GraphJudging
from limbeck.plain import to_plain
from limbeck.products.export_folder import FACTS
from limbeck.products.synthetic_graphs import SyntheticGraphs

KIND = "synthetic-graphs"
TENSORS = "graphs.safetensors"
SHORT = (np.uint8, np.int16, np.int32, np.int64)
# How edges of parts are stored: the parent of each node of a tree, each edge without a direction
# once, or all.
TREES, UNDIRECTED, DIRECTED = "parents", "undirected", "edges"


def packed(made: SyntheticGraphs) -> dict[str, Tensor]:
    """What a set stores, by name; see `unpacked`."""
    parts, members = made.parts, made.members
    arrays: dict[str, Any] = {
        "nodes": parts.counts,
        "labels": parts.node_labels,
        "classes": made.y,
        **_edges(parts),
    }
    if len(members) != len(parts) or any(list(one) != [n] for n, one in enumerate(members)):
        arrays |= {"sizes": [len(one) for one in members], "members": np.concatenate(members)}
    if TREES not in arrays and parts.root is not None:
        arrays["root"] = parts.root
    if parts.degree is not None:
        arrays["degree"] = parts.degree
    if made.support is not None:
        arrays["support"] = made.support
    found = {name: _short(np.asarray(one)) for name, one in arrays.items()}
    if made.counts is not None:
        found["counts"] = np.concatenate(made.counts)
    return {name: torch.from_numpy(one) for name, one in found.items()}


def unpacked(tensors: dict[str, Tensor]) -> tuple[Graphs, list[Integers], dict[str, Any]]:
    """Parts, members, and options of the class that are stored beside them."""
    arrays = {name: one.numpy() for name, one in tensors.items()}
    wide = {name: one.astype(np.int64) for name, one in arrays.items() if one.dtype.kind in "iu"}
    counts = wide["nodes"]
    begun = np.cumsum(counts) - counts
    root = arrays.get("root")
    if TREES in wide:
        root = np.zeros(counts.sum(), np.float32)
        root[begun] = 1
        children = np.flatnonzero(root == 0)
        start = np.repeat(begun, counts - 1)
        edges, labels = np.stack([children, wide[TREES] + start]), wide.get("edge_labels")
    else:
        kind = UNDIRECTED if UNDIRECTED in wide else DIRECTED
        edges = wide[kind] + np.repeat(begun, wide["edges_each"])
        labels = wide.get("edge_labels")
        if kind == UNDIRECTED:
            # An edge from a node to itself stands there as often as it is.
            back = edges[0] != edges[1]
            edges = np.concatenate([edges, edges[::-1, back]], 1)
            labels = None if labels is None else np.concatenate([labels, labels[back]])
    parts = Graphs(wide["labels"], counts, edges, labels, root=root, degree=wide.get("degree"))
    sizes = wide.get("sizes", np.ones(len(counts), np.int64))
    ends = np.cumsum(sizes)[:-1]
    members = np.split(wide.get("members", np.arange(len(counts))), ends)
    each = None if "counts" not in arrays else np.split(arrays["counts"], ends)
    return parts, members, {"y": wide["classes"], "support": wide.get("support"), "counts": each}


def _edges(parts: Graphs) -> dict[str, Any]:
    """Edges of parts, in the shortest way that fits all of them."""
    labels = {} if parts.edge_labels is None else {"edge_labels": parts.edge_labels}
    begun = parts.bounds[:-1]
    local = parts.edge_index - np.repeat(begun, np.diff(parts.edge_bounds))
    first = np.zeros(parts.nodes, np.bool_)
    first[begun] = True
    rooted = parts.root is not None and np.array_equal(parts.root, first)
    if rooted and np.array_equal(parts.edge_index[0], np.flatnonzero(~first)):
        return {TREES: local[1], **labels}
    forth = parts.edge_index[0] <= parts.edge_index[1]
    kind, kept = (UNDIRECTED, forth) if _symmetric(parts) else (DIRECTED, slice(None))
    each = np.bincount(parts.graph[parts.edge_index[1, kept]], minlength=len(parts))
    labels = {name: one[kept] for name, one in labels.items()}
    return {kind: local[:, kept], "edges_each": each, **labels}


def _symmetric(parts: Graphs) -> bool:
    """Whether every edge stands there both ways, with one label."""
    said = np.zeros(parts.edges, np.int64) if parts.edge_labels is None else parts.edge_labels
    rows = np.stack([*parts.edge_index, said])
    back = rows[[1, 0, 2]]
    return np.array_equal(rows[:, np.lexsort(rows)], back[:, np.lexsort(back)])


def _short(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Whole numbers in the shortest type that holds them; others as they are."""
    if values.dtype.kind not in "iu":
        return values
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    fits = (one for one in SHORT if np.iinfo(one).min <= low and high <= np.iinfo(one).max)
    return values.astype(next(fits))


def write_graphs(made: SyntheticGraphs, part: Path) -> None:
    """Put a set's files into a folder that `limbeck.files.new_folder` makes whole."""
    facts = {
        "kind": KIND,
        "name": made.name,
        "classes": list(made.classes),
        "node_kinds": made.node_kinds,
        "edge_kinds": made.edge_kinds,
        "values": None if made.values is None else made.values.tolist(),
        "depth": made.depth,
        "judging": to_plain(made.judging),
        "facts": made.facts,
    }
    files.save_tensors(part / TENSORS, made.tensors(), {})
    files.write_text(part / FACTS, json.dumps(facts, indent=1) + "\n")


def read_graphs(dir: Path) -> SyntheticGraphs:
    """Read what `write_graphs` wrote.

    Raises:
        CorruptFileError: a file is missing or was altered.
    """
    files.check_folder(dir)
    facts = json.loads((dir / FACTS).read_text())
    if facts.get("kind") != KIND:
        raise CorruptFileError(f"{dir} holds a product of another kind than synthetic graphs")
    tensors, _ = files.load_tensors(dir / TENSORS)
    parts, members, options = unpacked(tensors)
    values = None if facts["values"] is None else np.array(facts["values"])
    return SyntheticGraphs(
        parts,
        members,
        options.pop("y"),
        _like(facts, values),
        depth=facts["depth"],
        judging=GraphJudging(**facts["judging"]),
        name=facts["name"],
        facts=facts["facts"],
        **options,
    )


def _like(facts: dict[str, Any], values: Any) -> GraphData:
    """Data of the classes and labels that a set has; its graphs stand for none."""
    classes = tuple(facts["classes"])
    count = len(classes)
    one = Graphs(
        np.zeros(count, np.int64),
        np.ones(count, np.int64),
        np.empty((2, 0), np.int64),
        y=np.arange(count),
    )
    bare = GraphData(one, one, one, classes, facts["node_kinds"], facts["edge_kinds"])
    return dataclasses.replace(bare, values=values)
