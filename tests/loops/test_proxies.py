"""Proxies of networks: what they read, and that they leave a network as it is."""

import pytest
import torch
from torch import nn

from limbeck.data import InputSpace
from limbeck.errors import SettingsError
from limbeck.features import find_last_layer
from limbeck.fingerprint import fingerprint
from limbeck.functional.zero_cost import activation_pattern_score
from limbeck.loops.proxies import PROXIES, proxy_scores
from limbeck.networks.initialised import initialised
from limbeck.networks.names import build

SPACE = InputSpace(size=(8, 8), channels=1)


def of(name, names=tuple(PROXIES), **options):
    x = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network = build(name, SPACE, 4)
    before = fingerprint(network)
    found = proxy_scores(names, network, find_last_layer(network, x, 4), x, torch.arange(8) % 4, 3)
    assert fingerprint(network) == before
    return found


def test_all_are_numbers_that_replay():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = of("resnet?blocks=1x1&width=4")
        torch.manual_seed(0)
        assert of("resnet?blocks=1x1&width=4") == first
    assert set(first) == set(PROXIES)
    assert all(abs(one) < float("inf") for one in first.values())


def test_deeper_lets_more_flow():
    flow = [of(f"resnet?blocks={depth}x1&width=4", ["synflow"])["synflow"] for depth in (1, 5)]
    assert flow[0] < flow[1]


def test_a_network_without_units_has_no_patterns():
    network, x = nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), torch.randn(4, 1, 8, 8)
    last = find_last_layer(network, x, 4)
    found = proxy_scores(["nwot"], network, last, x, torch.arange(4), 0)
    assert found == {"nwot": -float("inf")}
    with pytest.raises(SettingsError, match="did you mean nwot"):
        proxy_scores(["nwto"], network, last, x, torch.arange(4), 0)


def test_what_a_network_was_shown_before_does_not_count():
    torch.manual_seed(0)
    network, x = build("resnet?blocks=1x1&width=4", SPACE, 4), 9 + 3 * torch.randn(8, 1, 8, 8)
    last, y = find_last_layer(network, x, 4), torch.arange(8) % 4
    before = proxy_scores(tuple(PROXIES), network, last, x, y, 0)
    network.train()(x)
    assert proxy_scores(tuple(PROXIES), network, last, x, y, 0) == before


def test_all_units_have_patterns_however_they_are_called():
    class Twice(nn.Module):
        def __init__(self, calls):
            super().__init__()
            self.calls, self.unit = calls, nn.ReLU(inplace=True)
            self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x):
            one, other = self.calls(self)
            return other(self.second(one(self.first(x))))

    torch.manual_seed(0)
    x, y = torch.randn(8, 6), torch.arange(8) % 4
    ways = [
        lambda net: (net.unit, net.unit),
        lambda net: (torch.relu, lambda given: given.relu_()),
        lambda net: (nn.functional.relu, nn.ReLU()),
    ]
    network = Twice(ways[0])
    found = []
    for way in ways:
        network.calls = way
        found.append(proxy_scores(["nwot"], network, None, x, y, 0)["nwot"])
    assert found[0] == found[1] == found[2]
    one = network.first(x).relu()
    patterns = [one > 0, network.second(one) > 0]
    assert found[0] == activation_pattern_score(patterns).item()


def test_numbers_that_overflow_are_none():
    layers = [nn.Linear(64, 64) for _ in range(60)]
    network = nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, 4))
    x, y = torch.randn(4, 1, 8, 8), torch.arange(4)
    last = find_last_layer(network, x, 4)
    found = proxy_scores(["zen"], initialised(network, "normal", 0), last, x, y, 0)
    assert found == {"zen": -float("inf")}
