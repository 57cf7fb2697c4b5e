"""The small networks have the layers that their names say."""

import pytest
import torch
from torch import nn

from limbeck.networks import CNN, MLP


@pytest.mark.parametrize(
    ("hidden", "count"), [([], 11 * 3), ([5], 55 + 18), ([5, 4], 55 + 24 + 15)]
)
def test_a_perceptron_has_linear_layers_of_its_widths(hidden, count):
    network = MLP(10, hidden, 3)
    assert sum(one.numel() for one in network.parameters()) == count
    assert network(torch.zeros(2, 2, 5)).shape == (2, 3)
    assert sum(isinstance(layer, nn.ReLU) for layer in network) == len(hidden)


def test_a_perceptron_is_what_is_written_out():
    network = MLP(4, [3], 2)
    x = torch.rand(5, 4)
    first, last = network[1], network[3]
    hidden = (x @ first.weight.T + first.bias).clamp(min=0)
    torch.testing.assert_close(network(x), hidden @ last.weight.T + last.bias)


def test_a_cnn_doubles_its_channels_and_halves_its_size():
    network = CNN(2, 4, 3, 5)
    shapes = []
    for layer in network.features:
        layer.register_forward_hook(lambda m, x, y: shapes.append((type(m), tuple(y.shape[1:]))))
    assert network(torch.zeros(2, 2, 16, 24)).shape == (2, 5)
    pooled = [shape for kind, shape in shapes if kind is nn.MaxPool2d]
    assert pooled == [(4, 8, 12), (8, 4, 6), (16, 2, 3)]
    convolutions = 9 * (2 * 4 + 4 * 8 + 8 * 16)
    count = sum(one.numel() for one in network.parameters())
    assert count == convolutions + 2 * (4 + 8 + 16) + 16 * 5 + 5
