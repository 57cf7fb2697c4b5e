"""Trees of graphs, frequent sets and forests, beside plain versions over networkx graphs.

The plain version has canonical forms by their definition, as nested tuples; a second one numbers
them by a dictionary, level by level, as ours does by sorting. Both grow frequent sets one tree at a
time over sets of graphs, and unroll trees node by node. Drawn graphs tell how time grows with their
number.

Run it: python benchmarks/computation_trees.py [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import torch

from limbeck.data.graph_data import GraphData
from limbeck.data.labelled_graphs import Graphs, united
from limbeck.data.motif_graphs import motif_graphs
from limbeck.data.names import resolve
from limbeck.selection.tree_sets import TreeSets

DEPTH, SHARE = 2, 0.6
ROUNDS = 7
# Labels of nodes, and edges from child to parent; the trees of each graph; both with their forms.
Forest = tuple[list[int], list[tuple[int, int]]]
Held = list[set[int]]
Trees = Callable[[list[Any]], tuple[Held, dict[int, Any]]]
# Of our time over that of the plain version, of seconds on MUTAG, and of growth with the graphs.
TARGET, SECONDS, EXPONENT = 0.2, 0.3, 1.2
SIZES = (100, 300, 1000, 3000, 10_000)


def ours(data: GraphData) -> Graphs:
    """Trees, sets and forests of all classes."""
    trees = TreeSets.of(data.train, DEPTH, 2000)
    found = [
        trees.frequent(one, math.ceil(SHARE * count), max_size=None, max_sets=10_000)
        for one, count in enumerate(np.bincount(data.train.y).tolist())
    ]
    sets = [one for each in found for one in each.sets]
    used = np.unique(np.concatenate(sets))
    return united(trees.unrolled(used), [np.searchsorted(used, one) for one in sets])


def networkx_graphs(data: GraphData) -> list[Any]:
    """The training graphs as networkx has them; making them is not timed."""
    made = []
    for place in range(len(data.train)):
        one = data.train.take([place])
        graph = networkx.Graph()
        graph.add_nodes_from((n, {"label": int(k)}) for n, k in enumerate(one.node_labels))
        graph.add_edges_from(one.edge_index.T.tolist())
        made.append(graph)
    return made


def recursive(graphs: list[Any]) -> tuple[Held, dict[int, Any]]:
    """Canonical forms by their definition: a tuple of the label and the sorted forms below."""
    numbers: dict[Any, int] = {}

    def form(graph: Any, words: dict[int, int], node: int, depth: int) -> Any:
        if not depth:
            return words[node], ()
        return words[node], tuple(sorted(form(graph, words, n, depth - 1) for n in graph[node]))

    held: Held = []
    for graph in graphs:
        words = networkx.get_node_attributes(graph, "label")
        forms = [form(graph, words, node, DEPTH) for node in graph if graph.degree(node)]
        held.append({numbers.setdefault(one, len(numbers)) for one in forms})
    return held, {number: one for one, number in numbers.items()}


def numbered(graphs: list[Any]) -> tuple[Held, dict[int, Any]]:
    """Canonical forms level by level, each a tuple of the numbers of those below."""
    numbers: dict[Any, int] = {}
    below: dict[int, Any] = {}
    held: Held = []
    for graph in graphs:
        words = networkx.get_node_attributes(graph, "label")
        known = {n: numbers.setdefault((0, word), len(numbers)) for n, word in words.items()}
        below.update({known[n]: (word, ()) for n, word in words.items()})
        for level in range(1, DEPTH + 1):
            after = {}
            for node in graph:
                children = tuple(sorted(known[other] for other in graph[node]))
                after[node] = numbers.setdefault((level, words[node], children), len(numbers))
                below[after[node]] = words[node], children
            known = after
        held.append({known[node] for node in graph if graph.degree(node)})

    def form(number: int) -> Any:
        word, children = below[number]
        return word, tuple(form(one) for one in children)

    return held, {number: form(number) for number in set().union(*held)}


def plain(graphs: list[Any], classes: list[int], trees: Trees) -> list[Forest]:
    """Trees in one of two plain ways, sets grown one tree at a time, forests node by node."""
    held, forms = trees(graphs)
    forests = []
    for kind in sorted(set(classes)):
        single: dict[int, set[int]] = defaultdict(set)
        for place, own in enumerate(held):
            if classes[place] == kind:
                for tree in own:
                    single[tree].add(place)
        least = math.ceil(SHARE * classes.count(kind))
        single = {tree: rows for tree, rows in single.items() if len(rows) >= least}
        level = {(tree,): rows for tree, rows in single.items()}
        while level:
            forests += [_forest([forms[tree] for tree in one]) for one in level]
            level = {
                (*one, more): both
                for one, rows in level.items()
                for more, others in single.items()
                if more > one[-1] and len(both := rows & others) >= least
            }
    return forests


def _forest(trees: list[Any]) -> Forest:
    nodes: list[int] = []
    edges: list[tuple[int, int]] = []
    waiting: list[tuple[Any, int | None]] = [(tree, None) for tree in trees]
    while waiting:
        (word, children), parent = waiting.pop()
        nodes.append(word)
        if parent is not None:
            edges.append((len(nodes) - 1, parent))
        waiting += [(child, len(nodes) - 1) for child in children]
    return nodes, edges


def in_turn(*calls: Callable[[], Any]) -> list[float]:
    """Median processor seconds of several calls, which take turns."""
    taken: list[list[float]] = [[] for _ in calls]
    for number in range(ROUNDS + 1):
        for place, call in enumerate(calls):
            begun = time.process_time()
            call()
            if number:
                taken[place].append(time.process_time() - begun)
    return [statistics.median(one) for one in taken]


def exponent(sizes: tuple[int, ...]) -> tuple[float, list[float]]:
    """The slope of the logarithm of seconds over that of the number of graphs, and the seconds."""
    sets = [motif_graphs(graphs=round(size / 0.8)) for size in sizes]
    seconds = [in_turn(lambda data=data: ours(data))[0] for data in sets]
    slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    return float(slope), [round(one, 4) for one in seconds]


def measure(data: GraphData) -> dict[str, Any]:
    """All on the same graphs, which must give the same forests."""
    graphs, classes = networkx_graphs(data), data.train.y.tolist()
    sizes = sorted(ours(data).counts.tolist())
    for trees in (recursive, numbered):
        expected = sorted(len(nodes) for nodes, _ in plain(graphs, classes, trees))
        assert sizes == expected, f"{trees.__name__} gives other forests"
    seconds = in_turn(
        lambda: ours(data),
        lambda: plain(graphs, classes, recursive),
        lambda: plain(graphs, classes, numbered),
    )
    names = ("seconds", "plain", "numbered")
    found = {name: round(one, 5) for name, one in zip(names, seconds, strict=True)}
    return {"graphs": len(data.train), "forests": len(sizes), **found}


def main() -> int:
    """Measure and report; with ``--json`` as one line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    root = os.environ.get("LIMBECK_DATA")
    there = root is not None and (Path(root) / "tu-graphs").is_dir()
    names = {"motif-graphs": "motif-graphs?graphs=2000"}
    if there:
        names = {one: f"tu-graphs?set={one}" for one in ("MUTAG", "NCI1")} | names
    found = {name: measure(resolve(words)) for name, words in names.items()}
    slope, seconds = exponent(SIZES)
    aimed = {f"{name}, nested tuples": one["seconds"] / one["plain"] for name, one in found.items()}
    beside = {
        f"{name}, numbered by a dictionary": one["seconds"] / one["numbered"]
        for name, one in found.items()
    }
    quick = found["MUTAG"]["seconds"] < SECONDS if there else True
    each = ", ".join(
        f"{one['seconds']:.3f} s for {one['graphs']:,} graphs of {name}"
        for name, one in found.items()
    )
    grown = ", ".join(f"{one:g} s for {size:,}" for size, one in zip(SIZES, seconds, strict=True))
    report = {
        "benchmark": "computation_trees",
        "figure": max(aimed.values()),
        "baseline": max(one["plain"] for one in found.values()),
        "target": TARGET,
        "held": max(aimed.values()) <= TARGET and quick and slope <= EXPONENT,
        "threads": 1,
        "ratios": {**aimed, **beside},
        "against": "networkx graphs",
        "aimed": list(aimed),
        "exponent": slope,
        "seconds": dict(zip(map(str, SIZES), seconds, strict=True)),
        "sets": found,
        "said": (
            f"Trees, sets and forests at depth {DEPTH} and {SHARE:.0%} of each class: {each}. Of "
            f"drawn graphs {grown}: time grows with their number to the power of {slope:.2f}."
        ),
    }
    if wanted.json:
        print(json.dumps(report))
        return 0
    for name, ratio in report["ratios"].items():
        print(f"{name}: {ratio:.3f} of the time" + (f", at most {TARGET}" if name in aimed else ""))
    print(report["said"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
