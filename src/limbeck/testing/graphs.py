"""What a method for the classification of graphs must refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from limbeck import keyed
from limbeck.data.graph_data import GraphData, assemble_graphs
from limbeck.data.labelled_graphs import Graphs
from limbeck.loops.graph_training import fresh_graph_network


def teachers(data: GraphData) -> list[nn.Module]:
    """Two small networks of graphs that know nothing.

    Args:
        data: whose graphs they read.
    """
    return [fresh_graph_network("gin?width=8", data, keyed.key(5, n)) for n in range(2)]


def bad_inputs(data: GraphData) -> dict[str, Callable[[], dict[str, Any]]]:
    """What a method for graphs must refuse, by what is wrong with it.

    Args:
        data: labelled graphs.
    """
    edges, y = np.array([[0, 1], [1, 0]]), [0, 1] * 10
    kinds = np.arange(40) % 2
    pairs = np.concatenate([edges + 2 * n for n in range(20)], 1)
    attributes = np.linspace(0.0, 1.0, 40)[:, None]
    alone = Graphs(
        data.train.node_labels, data.train.counts, np.empty((2, 0), np.int64), y=data.train.y
    )

    def made(counts: Any, edges: Any, y: Any, labels: Any = kinds) -> dict[str, Any]:
        return {"data": assemble_graphs(counts, edges, y, node_labels=labels)}

    return {
        "data of another task": lambda: {"data": "digits"},
        "graphs without nodes": lambda: made([0] * 20, [], y, kinds[:0]),
        "graphs without classes": lambda: made([2] * 20, pairs, None),
        "graphs of one class": lambda: made([2] * 20, pairs, [1] * 20),
        "continuous attributes": lambda: made([2] * 20, pairs, y, attributes),
        "an edge to nowhere": lambda: made([2] * 20, pairs + 1, y),
        "graphs without edges": lambda: {"data": dataclasses.replace(data, train=alone)},
    }
