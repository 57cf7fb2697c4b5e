"""Networks of graphs learn from what is drawn, and go on in the same bits."""

import dataclasses

import numpy as np
import pytest
import torch

from limbeck.data.motif_graphs import motif_graphs
from limbeck.loops.graph_training import (
    GraphTraining,
    fresh_graph_network,
    graph_embeddings,
    graph_logits,
    trained_graph_network,
)
from limbeck.run.run import Run

pytest.importorskip("torch_geometric")
DATA = motif_graphs(graphs=60)


def trained(folder, data=DATA, seed=0, **options):
    network = fresh_graph_network("gin?width=8", data, 7)
    training = GraphTraining(**{"steps": 10, "batch_size": 8, **options})
    trained_graph_network(Run(folder, seed=seed), "network", network, data, training)
    return network


def test_the_seed_decides_and_finished_stages_are_read_back(tmp_path):
    first = graph_logits(trained(tmp_path / "one"), DATA.test, DATA)
    assert torch.equal(first, graph_logits(trained(tmp_path / "one"), DATA.test, DATA))
    assert torch.equal(first, graph_logits(trained(tmp_path / "two"), DATA.test, DATA))
    other = graph_logits(trained(tmp_path / "three", seed=1), DATA.test, DATA)
    assert not torch.equal(first, other)


def test_it_learns(tmp_path):
    network = trained(tmp_path, steps=150, batch_size=32, optim={"name": "adam", "lr": 0.01})
    logits = graph_logits(network, DATA.train, DATA)
    right = (logits.argmax(1) == torch.from_numpy(DATA.train.y)).double().mean()
    assert right > 0.75


def test_graphs_without_weight_are_never_drawn(tmp_path):
    weight = (DATA.train.y == 0).astype(float)
    data = dataclasses.replace(DATA, train=DATA.train.replace(weight=weight))
    optim = {"name": "adam", "lr": 0.05}
    alone = trained(tmp_path / "one", data, steps=60, optim=optim)
    assert (graph_logits(alone, DATA.test, DATA).argmax(1) == 0).all()
    both = trained(tmp_path / "two", data, steps=60, optim=optim, draw="uniform")
    assert (graph_logits(both, DATA.train, DATA).argmax(1) == 1).any()


def test_embeddings_come_in_order_whatever_the_batches():
    network = fresh_graph_network("sage?width=8", DATA, 7)
    whole = graph_embeddings(network, DATA.train, DATA)
    assert whole.shape == (48, 8)
    places = np.array([40, 3])
    alone = graph_embeddings(network, DATA.train.take(places), DATA)
    torch.testing.assert_close(alone, whole[places])
