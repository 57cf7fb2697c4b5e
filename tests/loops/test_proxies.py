"""Proxies of networks: what they read, and that they leave a network as it is."""

import pytest
import torch
from torch import nn

from limbeck.data import InputSpace
from limbeck.errors import SettingsError
from limbeck.features import find_last_layer
from limbeck.fingerprint import fingerprint
from limbeck.loops.proxies import PROXIES, proxy_scores
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
