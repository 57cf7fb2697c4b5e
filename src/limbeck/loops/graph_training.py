"""Networks of graphs trained on graphs that are drawn as often as their weights say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.frames import Floats
from limbeck.data.graph_batches import graph_batch, graphs_in_turn
from limbeck.data.graph_data import GraphData
from limbeck.data.labelled_graphs import Graphs
from limbeck.errors import ModelError
from limbeck.features import evaluating
from limbeck.functional import cross_entropy
from limbeck.loops.alternate import Models, alternate
from limbeck.loops.optim import Optim
from limbeck.naming import split_name, with_options
from limbeck.networks.fresh import fresh
from limbeck.networks.graph_networks import GRAPH_NETWORKS
from limbeck.objectives import Terms
from limbeck.run.run import At, Run
from limbeck.settings import settings

if TYPE_CHECKING:
    from limbeck.networks.graph_networks import GraphNetwork

# Networks whose layers see the labels of edges.
SEE_EDGES = ("gin", "gat")


@settings
class GraphTraining:
    """How a network learns to tell graphs apart.

    Args:
        steps: optimiser steps.
        batch_size: graphs a step, drawn with replacement.
        optim: how it learns.
        draw: ``"support"`` draws graphs as often as their weights say, ``"uniform"`` all alike.
    """

    steps: Annotated[int, Field(ge=1)] = 150
    batch_size: Annotated[int, Field(ge=1)] = 64
    optim: Optim = Optim("adam", lr=1e-3, weight_decay=1e-2)
    draw: Literal["support", "uniform"] = "support"

    def cumulative(self, graphs: Graphs) -> Floats:
        """The chance that a draw is of a graph or one before it ``(N,)``."""
        weights = np.ones(len(graphs))
        if self.draw == "support" and graphs.weight is not None:
            weights = graphs.weight
        summed = np.cumsum(weights)
        return summed / summed[-1]


def fresh_graph_network(name: str, data: GraphData, seed_key: int) -> GraphNetwork:
    """A network for the graphs of some data, whose weights depend on the key alone.

    Args:
        name: such as ``gin?layers=2&width=64``.
        data: tells what networks read of nodes and edges, and the classes.
        seed_key: from `limbeck.keyed.key`.

    Raises:
        ModelError: it is no network of graphs.
        ArgumentError: an option is unknown or outside its range.
    """
    if split_name(name)[1] not in GRAPH_NETWORKS:
        raise ModelError(
            f"{name} reads no graphs; take {', '.join(GRAPH_NETWORKS)}, such as gin?layers=2"
        )
    if data.edge_kinds > 1 and split_name(name)[1] in SEE_EDGES:
        name = with_options(name, {"edges": data.edge_kinds})
    return cast("GraphNetwork", fresh(name, data.input_space, data.outputs, seed_key))


def trained_graph_network(
    run: Run, stage: str, network: nn.Module, data: GraphData, training: GraphTraining
) -> None:
    """Train a network in place on the training graphs, in a memoised stage.

    Args:
        run: the folder.
        stage: name of the stage.
        network: of graphs.
        data: its training graphs have weights where they are drawn unequally often.
        training: how.
    """

    def learned(
        network: nn.Module, training: GraphTraining, **content: Any
    ) -> Mapping[str, Tensor]:
        bounds = training.cumulative(data.train)
        places = np.arange(training.batch_size)

        def step(models: Models, batch: Any, at: At) -> Terms:
            drawn = np.searchsorted(bounds, keyed.uniform(at.key, places, 1)[:, 0], "right")
            shown = graph_batch(data.train.take(drawn), data).to(run.engine.device)
            return {"loss": cross_entropy(models[stage](shown), shown["y"])}

        network.train()
        alternate(run, stage, {stage: network}, {stage: training.optim}, training.steps, step=step)
        return network.state_dict()

    found = run.stage(
        stage,
        learned,
        network=network,
        training=training,
        graphs=data.train,
        read=(data.table, data.edge_kinds),
    )
    network.load_state_dict(found)
    network.eval()


def graph_logits(network: nn.Module, graphs: Graphs, data: GraphData) -> Tensor:
    """Logits ``(N, C)`` of a network about graphs, on the CPU."""
    return _said(network, graphs, data, network)


def graph_embeddings(network: GraphNetwork, graphs: Graphs, data: GraphData) -> Tensor:
    """What a network reads out of graphs before its last layer ``(N, width)``, on the CPU."""
    return _said(network, graphs, data, network.embedded)


def _said(network: nn.Module, graphs: Graphs, data: GraphData, call: Any) -> Tensor:
    device = next((one.device for one in network.parameters()), torch.device("cpu"))
    with torch.no_grad(), evaluating(network):
        parts = [call(batch.to(device)).cpu() for batch in graphs_in_turn(graphs, data)]
    return torch.cat(parts)
