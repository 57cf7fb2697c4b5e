"""The cost of a prediction, counted by hand."""

import pytest
import torch
from torch import nn

from limbeck.data import Batch
from limbeck.evaluate.cost import cost
from limbeck.teachers import ensemble, teacher


def batch(*shape, count=3):
    return Batch({"id": torch.arange(count), "x": torch.zeros(count, *shape)})


def costs(model, *shape):
    one = teacher(model)
    return cost(one, one.modules, batch(*shape))


@pytest.mark.parametrize(
    ("model", "shape", "parameters", "macs"),
    [
        (nn.Linear(6, 4), (6,), 6 * 4 + 4, 6 * 4),
        (nn.Linear(6, 4, bias=False), (6,), 6 * 4, 6 * 4),
        (nn.Linear(6, 4), (5, 6), 6 * 4 + 4, 5 * 6 * 4),
        (nn.Conv2d(3, 8, 3, padding=1), (3, 10, 7), 3 * 8 * 9 + 8, 3 * 8 * 9 * 10 * 7),
        (nn.Conv2d(3, 8, 3, stride=2), (3, 11, 7), 3 * 8 * 9 + 8, 3 * 8 * 9 * 5 * 3),
        (nn.Conv2d(6, 6, 5, groups=6, padding=2), (6, 4, 4), 6 * 25 + 6, 6 * 25 * 16),
        (nn.Conv1d(2, 4, 3), (2, 9), 2 * 4 * 3 + 4, 2 * 4 * 3 * 7),
        (nn.Sequential(nn.Flatten(), nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 5)), (2, 4),
         8 * 2 + 2 + 2 * 5 + 5, 8 * 2 + 2 * 5),
        (nn.ReLU(), (4,), 0, 0),
    ],
)  # fmt: skip
def test_parameters_and_multiply_adds_are_those_counted_by_hand(model, shape, parameters, macs):
    found = costs(model, *shape)
    assert found["parameters"] == parameters
    assert found["macs"] == macs
    assert found["bytes"] == 4 * parameters
    assert found["latency_ms"] >= 0


def test_bytes_count_buffers_and_precision():
    norm = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    # Mean and variance are floats, the count of batches is a long.
    assert costs(norm, 4)["bytes"] == 4 * (15 + 6 + 6) + 8
    assert costs(nn.Linear(4, 3).bfloat16(), 4)["bytes"] == 2 * 15


def test_one_sample_is_measured_whatever_the_batch():
    model = nn.Linear(6, 4)
    seen = []
    model.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    costs(model, 6)
    assert set(seen) == {1}


def test_an_ensemble_costs_what_its_members_cost():
    models = [nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))]
    both = ensemble(*map(teacher, models))
    apart = [costs(model, 4) for model in models]
    found = cost(both, both.modules, batch(4))
    for name in ("parameters", "macs", "bytes"):
        assert found[name] == sum(one[name] for one in apart)


def test_weights_that_are_shared_count_once():
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    both = ensemble(teacher(first), teacher(second), teacher(first))
    found = cost(both, both.modules, batch(4))
    assert found["parameters"] == 16 + 4 + 4
    assert found["bytes"] == 4 * 24
    assert found["macs"] == 3 * 16


def test_measuring_leaves_no_gradient_and_no_draw():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    model = nn.Linear(4, 3)
    state = torch.get_rng_state()
    costs(model, 4)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(before, state)
    assert all(one.grad is None for one in model.parameters())
