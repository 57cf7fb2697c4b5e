"""Drawn graphs whose class is told by what is planted in them: graphs without files."""

from __future__ import annotations

import functools

import numpy as np

from limbeck import keyed
from limbeck.data.frames import Integers
from limbeck.data.graph_data import GraphData, assemble_graphs
from limbeck.errors import DataError

# Labels of the nodes of each class's motif: a ring is closed, the others are paths.
MOTIFS: tuple[tuple[tuple[int, ...], bool], ...] = (
    ((1, 2, 1, 2, 1, 2), True),
    ((3, 4, 4, 3), False),
    ((2, 3, 2, 3), True),
    ((4, 1, 4), False),
)
LABELS, SIZES = 5, (8, 16)
# Shares of graphs in which the motif of another class is planted too, and their own is not.
MISLED, BARE = 0.3, 0.1
# Edges of the tree that other nodes form, and beyond it.
EXTRA = 0.15


def motif_graphs(*, graphs: int = 400, classes: int = 2, draw: int = 0) -> GraphData:
    """Random labelled graphs; the class is that of the motif that is planted in them.

    Other nodes form a tree with a few edges more, with labels by chance. In some graphs the motif
    of another class stands too, and some have not their own, so that none tells all apart.

    Args:
        graphs: how many in all; a tenth is for validation and a tenth for test.
        classes: how many, at most four.
        draw: number of the draw.

    Returns:
        The data set.

    Raises:
        DataError: an option is outside its range.

    Example:
        >>> motif_graphs(graphs=60)
        GraphData('motif-graphs', train=48, validation=6, test=6, classes=2, node labels=5)
    """
    for name, value, least in (("graphs", graphs, 20), ("classes", classes, 2), ("draw", draw, 0)):
        if type(value) is not int or value < least:
            raise DataError(f"{name} is {value!r}, expected a whole number of at least {least}")
    if classes > len(MOTIFS):
        raise DataError(f"classes is {classes}, and there are {len(MOTIFS)} motifs")
    return _motif_graphs(graphs, classes, draw)


@functools.lru_cache(maxsize=4)
def _motif_graphs(graphs: int, classes: int, draw: int) -> GraphData:
    target = np.arange(graphs) % classes
    made = [_graph(int(y), classes, keyed.key("motifs", draw, n)) for n, y in enumerate(target)]
    counts = np.array([len(labels) for labels, _ in made])
    begun = np.cumsum(counts) - counts
    edges = np.concatenate([one + start for (_, one), start in zip(made, begun, strict=True)], 1)
    return assemble_graphs(
        counts,
        edges,
        target,
        node_labels=np.concatenate([labels for labels, _ in made]),
        classes=tuple(f"motif {number}" for number in range(classes)),
        name="motif-graphs",
    )


def _graph(own: int, classes: int, seed_key: int) -> tuple[Integers, Integers]:
    """Labels of nodes, and edges both ways."""
    draws = np.random.Generator(np.random.Philox(key=seed_key))
    nodes = int(draws.integers(*SIZES))
    labels = [*draws.integers(0, LABELS, nodes).tolist()]
    edges = [(child, int(draws.integers(0, child))) for child in range(1, nodes)]
    for _ in range(round(EXTRA * nodes)):
        one, other = draws.integers(0, nodes, 2).tolist()
        # Parallel edges and loops would say nothing that is planted.
        if one != other and (one, other) not in edges and (other, one) not in edges:
            edges.append((one, other))
    misled, bare = draws.random(2) < (MISLED, BARE)
    planted = [] if bare else [own]
    if misled:
        planted.append((own + 1 + int(draws.integers(0, classes - 1))) % classes)
    for kind in planted:
        words, closed = MOTIFS[kind]
        begun = len(labels)
        labels += words
        edges += [(begun + n, begun + n + 1) for n in range(len(words) - 1)]
        edges += [(begun, begun + len(words) - 1)] if closed else []
        edges.append((begun, int(draws.integers(0, nodes))))
    pairs = np.array(edges, np.int64).T
    return np.array(labels, np.int64), np.concatenate([pairs, pairs[::-1]], 1)
