"""Each level is answered by its expert, and nobody else is asked."""

import copy
import pickle

import pytest
import torch
from torch import nn

from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError
from limbeck.networks import Denoiser, NoiseSchedule, Routed
from limbeck.networks.names import build

BOUNDS = (0.7, 0.3)


class Counted(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(value)))
        self.asked = []

    def forward(self, x, time, condition):
        self.asked.append(len(x))
        return self.value + 0 * x + (0 if condition is None else condition[:, None])


def routed(conditions=0, bounds=BOUNDS):
    experts = [
        Denoiser(
            Counted(10 * number),
            NoiseSchedule(),
            prediction="x0",
            shape=(2,),
            conditions=conditions,
        )
        for number in range(len(bounds) + 1)
    ]
    return Routed(experts, bounds)


def asked(network):
    return [expert.network.asked for expert in network.experts]


def test_a_bound_belongs_to_the_cleaner_expert():
    network = routed()
    levels = torch.tensor([1.0, 0.71, 0.7, 0.31, 0.3, 0.0])
    assert network.expert_of(levels).tolist() == [0, 0, 1, 1, 2, 2]
    assert network.expert_of(levels.double()).tolist() == [0, 0, 1, 1, 2, 2]
    # A level typed is the same as a level in a batch.
    assert [int(network.expert_of(level)) for level in (0.7, 0.3)] == [1, 2]
    assert network(torch.zeros(6, 2), levels)[:, 0].tolist() == [0, 0, 10, 10, 20, 20]


def test_only_experts_that_are_needed_are_asked():
    network = routed()
    network(torch.zeros(4, 2), 0.5)
    network.predict(torch.zeros(3, 2), torch.tensor([0.9, 0.1, 0.95]))
    assert asked(network) == [[2], [4], [1]]


def test_answers_stand_where_their_samples_stood():
    network = routed(conditions=3)
    torch.manual_seed(0)
    t, ids = torch.rand(50), torch.randint(4, (50,))
    found = network(torch.zeros(50, 2), t, ids)
    assert torch.equal(found[:, 0], 10.0 * network.expert_of(t) + ids)
    x = torch.randn(50, 2)
    alone = torch.cat(
        [
            network.predict(x[row : row + 1], t[row], ids[row : row + 1], "eps", 2.0)
            for row in range(50)
        ]
    )
    torch.testing.assert_close(network.predict(x, t, ids, "eps", 2.0), alone)


def test_gradients_go_to_the_experts_that_were_asked():
    network = routed()
    network(torch.zeros(2, 2), torch.tensor([0.9, 0.1])).sum().backward()
    grads = [expert.network.value.grad for expert in network.experts]
    assert (grads[0], grads[1], grads[2]) == (2, None, 2)


def test_it_looks_like_one_denoiser():
    network = routed(conditions=3)
    first = network.experts[0]
    for name in ("schedule", "prediction", "shape", "conditions", "conditional", "null"):
        assert getattr(network, name) == getattr(first, name)
    assert network.alpha_sigma(0.25) == first.alpha_sigma(0.25)
    assert list(network.state_dict()) == [f"experts.{n}.network.value" for n in range(3)]
    assert network(torch.zeros(0, 2), torch.zeros(0)).shape == (0, 2)
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert repr(other) == repr(network)
    assert "bounds=(0.7, 0.3)" in repr(network)


def test_one_expert_needs_no_bound():
    assert routed(bounds=())(torch.zeros(1, 2), 0.5).shape == (1, 2)


def test_experts_and_bounds_must_fit():
    def made(name, outputs=2):
        return build(name, InputSpace((2,)), outputs)

    one = made("denoiser-mlp?width=8")
    for bounds in ((), (0.5, 0.2)):
        with pytest.raises(ArgumentError, match="2 experts and . bounds"):
            Routed([one, one], bounds)
    for bounds in ((1.0,), (0.0,), (1.5,)):
        with pytest.raises(ArgumentError, match="expected descending levels below 1 and above 0"):
            Routed([one, one], bounds)
    with pytest.raises(ArgumentError, match="expected descending"):
        Routed([one, one, one], (0.3, 0.7))
    with pytest.raises(ArgumentError, match="the schedule of expert 1 is .*shift=3.0"):
        Routed([one, made("denoiser-mlp?width=8&shift=3")], (0.5,))
    with pytest.raises(ArgumentError, match="the conditions of expert 1 is 3"):
        Routed([one, made("denoiser-mlp?width=8", 3)], (0.5,))
    with pytest.raises(ArgumentError, match="the prediction of expert 1 is x0"):
        Routed([one, made("denoiser-mlp?width=8&prediction=x0")], (0.5,))
