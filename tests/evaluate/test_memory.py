"""Memory counted by hand: optimisers, what autograd keeps, what is free."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from limbeck.evaluate.memory import (
    Saved,
    content_bytes,
    free_bytes,
    left_of_container,
    optimiser_bytes,
)
from limbeck.loops import Optim

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "optim",
    [
        Optim("sgd"),
        Optim("sgd", momentum=0.9),
        Optim("sgd", momentum=0.9, nesterov=True),
        Optim("adam"),
        Optim("adamw", weight_decay=0.1),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_optimiser_keeps_what_was_foretold(optim, dtype):
    network = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 64)).to(dtype)
    network[0].requires_grad_(False)
    foretold = optimiser_bytes(optim, network.parameters())
    optimiser = optim.build(network.parameters())
    network(torch.randn(4, 6, dtype=dtype)).square().mean().backward()
    optimiser.step()
    assert foretold == content_bytes(optimiser.state_dict())
    assert (foretold > 0) == (optim.name != "sgd" or optim.momentum > 0)


def test_foretelling_touches_no_parameter():
    network = nn.Linear(3, 2)
    before = [one.detach().clone() for one in network.parameters()]
    optimiser_bytes(Optim(lr=1.0), network.parameters())
    assert all(map(torch.equal, before, network.parameters()))
    assert all(one.grad is None for one in network.parameters())


def test_what_autograd_keeps_is_counted_once_and_without_weights():
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.zeros(16, 4)
    with Saved([network]) as saved:
        # The inputs, and the outputs of the middle layer, which two layers share.
        network(x).sum().backward()
    assert saved.peak == 4 * (16 * 4 + 16 * 8)


def test_what_was_given_back_does_not_add_up():
    network = nn.Linear(4, 2)
    peaks = []
    for steps in (1, 3):
        with Saved([network]) as saved:
            for _ in range(steps):
                network(torch.zeros(16, 4)).sum().backward()
        peaks.append(saved.peak)
    assert peaks[0] == peaks[1] == 4 * 16 * 4


def test_a_limit_is_told_when_it_is_passed_and_all_is_given_back():
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.zeros(16, 4)
    with Saved([network], limit=4 * 16 * (4 + 8)):
        network(x).sum().backward()
    with Saved([network], limit=4 * 16 * (4 + 8) - 1) as saved:
        with pytest.raises(MemoryError, match="more than 767 bytes"):
            network(x)
        said = network[0](x)
    assert saved.peak == 4 * 16 * (4 + 8)
    assert said.requires_grad


def test_nothing_is_counted_after_the_block():
    with Saved([]) as saved:
        pass
    torch.zeros(8, requires_grad=True).exp().sum().backward()
    assert saved.peak == 0


def test_gradients_do_not_change():
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    x = torch.randn(5, 4)
    network(x).square().sum().backward()
    plain = [one.grad.clone() for one in network.parameters()]
    network.zero_grad()
    with Saved([network]):
        network(x).square().sum().backward()
    assert all(torch.equal(a, b.grad) for a, b in zip(plain, network.parameters(), strict=True))


# In a process of its own: this one may give memory back, or use what it holds, in between.
TAKE = """
import torch
from limbeck.evaluate.memory import held_bytes
before = held_bytes(torch.device("cpu"))
taken = torch.ones(64, 1024, 1024, dtype=torch.uint8)
print(held_bytes(torch.device("cpu")) - before)
"""


def test_what_a_process_takes_is_held_and_no_longer_free():
    told = subprocess.run([sys.executable, "-c", TAKE], capture_output=True, text=True, check=True)
    assert 0.9 * 2**26 < int(told.stdout) < 2 * 2**26
    assert free_bytes(CPU) > 0


@pytest.mark.parametrize(
    ("limit", "left"), [("1000\n", [700]), ("200\n", [0]), ("max\n", []), (None, [])]
)
def test_a_container_leaves_its_limit_less_what_is_taken(tmp_path, limit, left):
    (tmp_path / "memory.stat").write_text("anon 300\nfile 5000\n")
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    assert left_of_container(tmp_path) == left
