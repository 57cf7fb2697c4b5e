"""Sets of graphs judged: what fresh networks that learn from a set alone reach on real graphs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from limbeck import keyed
from limbeck.data.graph_data import GraphData
from limbeck.errors import ArgumentError
from limbeck.evaluate.cost import weights
from limbeck.evaluate.quality import Figures, quality
from limbeck.fingerprint import fingerprint
from limbeck.functional.detection import auroc
from limbeck.loops.graph_training import (
    GraphTraining,
    fresh_graph_network,
    graph_logits,
    trained_graph_network,
)
from limbeck.naming import split_name
from limbeck.run.run import Run
from limbeck.settings import settings

JUDGED = "judged"
QUALITY = ("accuracy", "auc", "nll")


@settings
class GraphJudging:
    """How a set of graphs is judged: fresh networks learn from it and are tested on real graphs.

    Args:
        networks: names of the networks; the table is sorted by the first.
        repeats: fresh networks of each name.
        training: how they learn.
    """

    networks: tuple[str, ...] = ("gin", "gcn", "gat", "sage")
    repeats: Annotated[int, Field(ge=1)] = 3
    training: GraphTraining = GraphTraining()

    def check(self, data: GraphData) -> dict[str, int]:
        """Layers of each network, made once so that a wrong name is told before any work.

        Raises:
            ModelError: a name is of no network of graphs.
            ArgumentError: there is no network, or an option is wrong.
        """
        if not self.networks:
            raise ArgumentError("judging.networks is empty; name at least one, such as gin")
        return {name: fresh_graph_network(name, data, 0).layers for name in self.networks}


@dataclass(frozen=True)
class JudgedGraphs:
    """What a set of graphs was found to be worth.

    Args:
        name: of the set.
        figures: by network, the main one first, for each repeat ``accuracy``, ``auc``, ``nll`` and
            ``seconds`` of training.
        cost: of the set: ``graphs``, ``nodes`` and ``bytes`` that are stored, and more.
        parameters: of each network.
    """

    name: str
    figures: Mapping[str, tuple[Figures, ...]]
    cost: Figures
    parameters: Mapping[str, int]

    def mean(self, figure: str, network: str | None = None) -> float:
        """Mean of a figure over the repeats of a network, the main one by default."""
        chosen = network or next(iter(self.figures))
        return statistics.fmean(one[figure] for one in self.figures[chosen])

    def rows(self, role: str = "product") -> list[dict[str, Any]]:
        """Rows of the table: of the main network, then of each other as a reference.

        Args:
            role: of the first row.
        """
        return [
            {
                "name": self.name if not place else f"{self.name} on {network}",
                "role": "reference" if place else role,
                "quality": self._quality(network),
                "cost": {
                    **self.cost,
                    "train_seconds": round(self.mean("seconds", network), 3),
                    "parameters": self.parameters[network],
                },
            }
            for place, network in enumerate(self.figures)
        ]

    def _quality(self, network: str) -> Figures:
        each = {name: [one[name] for one in self.figures[network]] for name in QUALITY}
        means = {name: statistics.fmean(values) for name, values in each.items()}
        return {**means, "auc_std": statistics.pstdev(each["auc"])}


def judge_graphs(
    run: Run,
    name: str,
    small: GraphData,
    judging: GraphJudging,
    cost: Figures,
    *,
    split: Literal["validation", "test"] = "test",
) -> JudgedGraphs:
    """Train fresh networks on a small set and test them on whole graphs.

    The networks are jobs of the run's executor. Their initial weights and draws depend on the run's
    seed, the network's name and the repeat, and on no set, so that sets are compared in pairs.

    Args:
        run: the folder, which keeps what is finished.
        name: of the set, in the table.
        small: its training graphs are the set; the others are real.
        judging: how.
        cost: of the set.
        split: what the figures are of.

    Raises:
        ModelError: a name is of no network of graphs.

    Example:
        >>> import tempfile
        >>> from limbeck.data import motif_graphs
        >>> judging = GraphJudging(networks=("gin?width=16",), repeats=1)
        >>> found = judge_graphs(Run(tempfile.mkdtemp()), "all", motif_graphs(), judging, {})
        >>> found.mean("auc") > 0.7
        True
    """
    jobs, names = [], []
    for network in judging.networks:
        for repeat in range(judging.repeats):
            content = small.train, getattr(small, split), small.table, small.edge_kinds
            word = fingerprint(run.seed, network, repeat, judging.training, content)
            names.append(f"{JUDGED}-{split_name(network)[1]}-{repeat}-{word}")
            jobs.append((small, judging.training, network, repeat, split))
    found = iter(run.executor.runs(_judged, names, jobs, f"networks for {name}"))
    figures = {
        network: tuple(next(found) for _ in range(judging.repeats)) for network in judging.networks
    }
    parameters = {
        network: weights([fresh_graph_network(network, small, 0)])[0] for network in figures
    }
    return JudgedGraphs(name, figures, cost, parameters)


def _judged(
    run: Run, data: GraphData, training: GraphTraining, network: str, repeat: int, split: str
) -> Figures:
    """The job: one network, in a run folder of its own."""

    def make() -> dict[str, Tensor]:
        learner = fresh_graph_network(network, data, keyed.key(run.seed, JUDGED, network, repeat))
        begun = time.perf_counter()
        trained_graph_network(run, f"{JUDGED}-{repeat}", learner, data, training)
        seconds = time.perf_counter() - begun
        scored = getattr(data, split)
        figures = graph_quality(graph_logits(learner, scored, data), torch.from_numpy(scored.y))
        found = {**figures, "seconds": seconds}
        return {name: torch.tensor(one, dtype=torch.float64) for name, one in found.items()}

    # The folder's name says what decides the figures.
    return {name: float(value) for name, value in run.stage("figures", make).items()}


def graph_quality(logits: Tensor, target: Tensor) -> Figures:
    """Accuracy, likelihood and area under the ROC curve.

    Args:
        logits: ``(N, C)``.
        target: ``(N,)``.

    Returns:
        ``accuracy``, ``auc`` (of two classes; of more the mean over each against the others, as
        far as both occur), ``nll`` and others.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]])
        >>> graph_quality(logits, torch.tensor([0, 1, 1]))["auc"]
        1.0
    """
    found = quality(logits, target, "classification")
    chances = logits.double().softmax(1)
    areas = [
        auroc(chances[target == one, one], chances[target != one, one])
        for one in range(logits.shape[1])
    ]
    # Of two classes both areas are the same.
    known = [area for area in areas if np.isfinite(area)]
    found["auc"] = statistics.fmean(known) if known else float("nan")
    return found
