"""Graph origins: real graphs that a set of synthetic ones must be compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from torch import Tensor

from limbeck import keyed
from limbeck.data.frames import Integers
from limbeck.data.graph_data import GraphData, spread
from limbeck.evaluate.graph_sets import GraphJudging
from limbeck.loops.graph_training import (
    GraphTraining,
    fresh_graph_network,
    graph_embeddings,
    trained_graph_network,
)
from limbeck.products.synthetic_graphs import SyntheticGraphs
from limbeck.run.run import Run
from limbeck.selection.coresets import herding, k_center

Choice = Callable[[Tensor, Integers, int], Integers]
CHOSEN: dict[str, Choice] = {"herding graphs": herding, "k-center graphs": k_center}


def real_graph_sets(run: Run, data: GraphData, made: SyntheticGraphs) -> dict[str, SyntheticGraphs]:
    """Real training graphs as sets, judged as a synthetic set is.

    Args:
        run: where the network that tells graphs apart is kept.
        data: the graphs.
        made: the synthetic set; of each class as many real graphs are taken as it holds, or all.

    Returns:
        By name: ``random graphs``; those of ``as many bytes``; herding and k-center in what a
        network reads out that learned from all graphs, judged by the main network alone; and
        ``full data``.
    """
    target = data.train.y
    assert target is not None
    groups = [np.flatnonzero(target == one) for one in range(data.outputs)]
    wanted = np.bincount(made.y, minlength=data.outputs)
    counts = [min(int(count), len(group)) for count, group in zip(wanted, groups, strict=True)]
    alone = dataclasses.replace(made.judging, networks=made.judging.networks[:1])

    def taken(name: str, places: Integers, judging: GraphJudging) -> SyntheticGraphs:
        return SyntheticGraphs.of_graphs(data, np.sort(places), name=name, judging=judging)

    mixed = spread(target, keyed.key(run.seed, "random graphs"), each_first=True)
    firsts = [mixed[target[mixed] == one][:count] for one, count in enumerate(counts)]
    found = {"random graphs": taken("random graphs", np.concatenate(firsts), made.judging)}
    name = "random graphs, as many bytes"
    found[name] = taken(name, mixed[: _as_many_bytes(data, mixed, made.bytes())], alone)
    features = _features(run, data, alone.networks[0], made.judging.training)
    for name, choice in CHOSEN.items():
        chosen = [
            group[choice(features[group], np.zeros(len(group), np.int64), count)]
            for group, count in zip(groups, counts, strict=True)
        ]
        found[name] = taken(name, np.concatenate(chosen), alone)
    found["full data"] = taken("full data", np.arange(len(target)), made.judging)
    return found


def _as_many_bytes(data: GraphData, order: Integers, bytes: int) -> int:
    """How many graphs of an order take at most so many bytes; one of each class, which the order
    begins with, at least."""
    low, high = data.outputs, len(order)
    while low < high:
        middle = (low + high + 1) // 2
        fits = SyntheticGraphs.of_graphs(data, order[:middle]).bytes() <= bytes
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _features(run: Run, data: GraphData, name: str, training: GraphTraining) -> Tensor:
    """What a network that learned from all training graphs reads out of each."""
    network = fresh_graph_network(name, data, keyed.key(run.seed, "embedding"))
    trained_graph_network(run, "embedding", network, data, training)
    return graph_embeddings(network, data.train, data)
