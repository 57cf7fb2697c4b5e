"""Exporting synthetic graphs: lists for PyG, packed arrays, exact parts."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import limbeck
from limbeck import files
from limbeck.fingerprint import fingerprint
from limbeck.products.export_folder import check_known, check_place, write_export
from limbeck.products.synthetic_graphs import SyntheticGraphs

SIDECAR = "graph_set.json"
WHAT = "set of graphs"
Writer = Callable[[SyntheticGraphs, Path], None]


def export(made: SyntheticGraphs, dir: str | Path, *, to: str) -> dict[str, Any]:
    """Write a set as `SyntheticGraphs.export` describes it.

    Args:
        made: the set.
        dir: the folder; an export of the same set in the same format is replaced.
        to: one of `FORMATS`.

    Returns:
        ``format``, ``folder``, ``files`` (their names) and ``bytes``.

    Raises:
        ArgumentError: the format is unknown.
        RunError: the folder holds something else or cannot be written.
    """
    check_known(to, FORMATS, WHAT)
    facts = {
        "limbeck": limbeck.__version__,
        "name": made.name,
        "task": "graphs",
        "labels": list(made.classes),
        "graphs": len(made),
        "node_labels": made.node_kinds,
        "edge_labels": made.edge_kinds,
        "layers": made.depth,
        "readout": "over nodes whose root_mask is not 0; over all nodes of real graphs",
        "weight": "how often a graph is drawn in training, beside others",
        "degree": "edges into the node of the real graph, which normalised layers (GCN) need",
        "format": to,
        "fingerprint": fingerprint(made.tensors()),
    }
    check_place(Path(dir), facts, SIDECAR, WHAT)
    return write_export(dir, facts, SIDECAR, lambda part: FORMATS[to](made, part))


def _json(made: SyntheticGraphs, part: Path) -> None:
    table = np.eye(made.node_kinds) if made.values is None else made.values
    graphs, rows = made.graphs, []
    for place in range(len(graphs)):
        one = graphs.take([place])
        said = np.zeros(one.edges, np.int64) if one.edge_labels is None else one.edge_labels
        rows.append(
            {
                "x": table[one.node_labels].tolist(),
                "edge_index": one.edge_index.tolist(),
                "edge_attr": _edge_values(said, made.edge_kinds).tolist(),
                "y": [int(made.y[place])],
                "root_mask": np.ones(one.nodes).tolist() if one.root is None else one.root.tolist(),
                "degree": one.degrees.tolist(),
                "weight": [1.0 if one.weight is None else float(one.weight[0])],
            }
        )
    lines = ",\n".join(json.dumps(row) for row in rows)
    files.write_text(part / "graphs.json", f"[\n{lines}\n]\n")


def _edge_values(labels: np.ndarray[Any, Any], kinds: int) -> np.ndarray[Any, Any]:
    return np.ones((len(labels), 1)) if kinds == 1 else np.eye(kinds)[labels]


def _npz(made: SyntheticGraphs, part: Path) -> None:
    graphs = made.graphs
    many = np.diff(graphs.edge_bounds)
    root = np.ones(graphs.nodes, np.float32) if graphs.root is None else graphs.root
    arrays: dict[str, Any] = {
        "num_nodes": graphs.counts,
        "num_edges": many,
        "edge_index": graphs.edge_index - np.repeat(graphs.bounds[:-1], many),
        "node_label": graphs.node_labels,
        "label": made.y,
        "root_mask": root,
        "degree": graphs.degrees,
        "weight": np.ones(len(graphs)) if graphs.weight is None else graphs.weight,
    }
    if graphs.edge_labels is not None:
        arrays["edge_label"] = graphs.edge_labels
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    files.write_bytes(part / "graphs.npz", content.getvalue())


def _safetensors(made: SyntheticGraphs, part: Path) -> None:
    made.write(part)


FORMATS: dict[str, Writer] = {"json": _json, "npz": _npz, "safetensors": _safetensors}
