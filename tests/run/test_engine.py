"""The engine places models and keeps the precision that was asked for."""

import pytest
import torch
from torch import nn

from limbeck.data import Batch
from limbeck.errors import ArgumentError
from limbeck.outputs import Outputs, unwrapped
from limbeck.run.choices import PRECISIONS
from limbeck.run.engine import Engine


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def test_one_process_is_the_first_of_one():
    engine = Engine()
    assert (engine.rank, engine.world, engine.device.type) == (0, 1, "cpu")
    value = torch.tensor(3.0)
    assert engine.mean(value) is value
    engine.barrier()


def test_a_placed_model_is_the_users_own():
    engine, model = Engine(), network()
    placed = engine.setup(model)
    assert unwrapped(placed) is model
    assert unwrapped(model) is model
    assert list(engine.state(placed)) == list(model.state_dict())
    x = torch.rand(5, 3)
    assert torch.equal(placed(x), model(x))


@pytest.mark.parametrize(
    ("precision", "weights", "said"),
    [
        ("32-true", torch.float32, torch.float32),
        ("64-true", torch.float64, torch.float64),
        ("bf16-mixed", torch.float32, torch.float32),
        ("bf16-true", torch.bfloat16, torch.float32),
    ],
)
def test_precision_is_that_of_weights_and_outputs(precision, weights, said):
    engine, model = Engine(precision=precision), network()
    placed = engine.setup(model)
    assert {one.dtype for one in model.parameters()} == {weights}
    assert placed(torch.rand(5, 3)).dtype == said
    assert torch.get_default_dtype() == torch.float32


def test_double_precision_reaches_the_gradients():
    engine, model = Engine(precision="64-true"), network()
    placed = engine.setup(model)
    x = torch.rand(5, 3, dtype=torch.float64)
    engine.backward(placed(x).square().mean())
    found = [one.grad.clone() for one in model.parameters()]
    model.zero_grad()
    model(x).square().mean().backward()
    for grad, parameter in zip(found, model.parameters(), strict=True):
        assert grad.dtype == torch.float64
        torch.testing.assert_close(grad, parameter.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_models_may_be_given_outputs_and_batches(precision):
    """As an objective with parameters of its own is."""
    given = []

    class Judge(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, said, batch, *, x):
            given.extend([said, batch, x])
            return {"loss": self.weight * said.logits.sum().to(self.weight.dtype)}

    engine, judge = Engine(precision=precision), Judge()
    said, batch = Outputs(logits=torch.ones(2, 3)), Batch({"x": torch.ones(2)}, key=7)
    terms = engine.setup(judge)(said, batch, x=torch.ones(2, dtype=torch.float64))
    assert float(terms["loss"].detach()) == 6
    assert given[0] is said
    assert given[1] is batch
    if precision.endswith("true") and precision != "32-true":
        assert given[2].dtype == judge.weight.dtype


def test_an_optimiser_trains_what_was_placed():
    # Seeded: a hidden unit that no input wakes would have no gradient.
    torch.manual_seed(0)
    engine, model = Engine(), network()
    placed = engine.setup(model)
    optimiser = engine.setup_optimiser(torch.optim.SGD(placed.parameters(), lr=0.1))
    before = [one.detach().clone() for one in model.parameters()]
    with engine.no_sync(placed, True):
        engine.backward(placed(torch.rand(5, 3)).square().mean())
    optimiser.step()
    assert all(
        not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)
    )


def test_frozen_networks_are_placed():
    model = network().requires_grad_(False)
    assert Engine().place(model) is model
    assert {one.device.type for one in model.parameters()} == {"cpu"}


def test_unknown_devices_are_refused():
    with pytest.raises(ArgumentError, match="device is 'gpu', expected cpu, cuda or auto"):
        Engine("gpu")


def test_unknown_precisions_are_refused():
    with pytest.raises(ArgumentError, match="precision is '64-ture'; did you mean 64-true"):
        Engine(precision="64-ture")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an accelerator")
def test_an_absent_accelerator_is_told():
    with pytest.raises(ArgumentError, match="torch finds none; use --device cpu"):
        Engine("cuda")
