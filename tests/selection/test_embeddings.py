"""Embeddings are the inputs of the last linear layer, sample by sample."""

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.data import digits, sequential
from limbeck.errors import ModelError
from limbeck.networks.names import build
from limbeck.selection import embeddings


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.mark.parametrize("name", ["mlp?hidden=16x8", "cnn?width=4"])
def test_the_last_layer_makes_the_logits_of_them(data, name):
    network = build(name, data.input_space, 10)
    features = embeddings(network, data, data.test, batch_size=100)
    assert not features.requires_grad
    assert network.training
    last = [m for m in network.modules() if isinstance(m, nn.Linear)][-1]
    whole = next(iter(sequential(data, data.test, len(data.test))))
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(last(features), network(whole["x"]))


def test_of_a_single_layer_they_are_the_inputs(data):
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    assert embeddings(flat, data, data.test).shape == (450, 64)


def test_batches_do_not_matter(data):
    network = build("mlp", data.input_space, 10)
    ones, many = (embeddings(network, data, data.validation, batch_size=n) for n in (7, 512))
    torch.testing.assert_close(ones, many)


class Idle(nn.Module):
    """Its last layer takes no part."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(64, 10), nn.Linear(64, 10)

    def forward(self, x):
        return self.used(x.flatten(1))


def test_a_network_without_one_gives_what_comes_out(data):
    network = nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten())
    found = embeddings(network, data, data.test)
    x = data.normalise(data.columns(data.test, np.arange(3)))["x"]
    torch.testing.assert_close(found[:3], network(x).detach())


def test_a_layer_that_is_not_called_is_named(data):
    with pytest.raises(ModelError, match="does not call unused"):
        embeddings(Idle(), data, data.test)
