"""LAMB: the formula written out, a library's, layers one by one, going on from a saved state."""

import copy

import pytest
import torch
from torch import nn

from limbeck.loops import Optim
from limbeck.loops.lamb import Lamb

SETTINGS = {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.02}


def layers(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        for shape in ((3, 4), (4,))
    ]


def descend(parameters, optimiser, steps=4):
    for _ in range(steps):
        optimiser.zero_grad()
        sum(one.sin().sum() + one.pow(4).sum() for one in parameters).backward()
        optimiser.step()
    return [one.detach().clone() for one in parameters]


def test_steps_are_those_of_the_formula():
    (weight, _), (moved, _) = layers(), layers()
    first = second = torch.zeros_like(weight)
    w = weight.detach().clone()
    for step in range(1, 5):
        slope = w.cos() + 4 * w**3
        first = 0.8 * first + 0.2 * slope
        second = 0.95 * second + 0.05 * slope**2
        direction = (first / (1 - 0.8**step)) / ((second / (1 - 0.95**step)).sqrt() + 1e-6)
        direction = direction + 0.02 * w
        w = w - 0.1 * w.norm() / direction.norm() * direction
    (found,) = descend([moved], Lamb([moved], **SETTINGS))
    torch.testing.assert_close(found, w)


def test_steps_are_those_of_timm():
    timm = pytest.importorskip("timm.optim")
    ours, theirs = layers(), layers()
    rival = timm.Lamb(theirs, **SETTINGS, eps=1e-6, max_grad_norm=None)
    for one, other in zip(
        descend(ours, Lamb(ours, **SETTINGS)), descend(theirs, rival), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_each_layer_has_a_length_of_its_own():
    small, large = layers()[0], layers()[0]
    with torch.no_grad():
        large.mul_(100)
    before = [one.detach().clone() for one in (small, large)]
    optimiser = Lamb([small, large], lr=0.1)
    (small.sum() + large.sum()).backward()
    optimiser.step()
    moves = [
        (one - was).norm() / was.norm() for one, was in zip((small, large), before, strict=True)
    ]
    torch.testing.assert_close(moves[0], moves[1])
    torch.testing.assert_close(moves[0], torch.tensor(0.1, dtype=torch.float64))


def test_weights_and_gradients_of_zero_move_as_adam_and_not_at_all():
    zero, still = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.ones(3))
    optimiser = Lamb([zero, still], lr=0.1)
    (zero.sum() + 0 * still.sum()).backward()
    optimiser.step()
    torch.testing.assert_close(zero.detach(), torch.full((3,), -0.1), rtol=1e-5, atol=0)
    assert torch.equal(still.detach(), torch.ones(3))


def test_a_saved_state_goes_on_to_the_bit():
    parameters = layers()
    optimiser = Lamb(parameters, **SETTINGS)
    descend(parameters, optimiser)
    others = copy.deepcopy(parameters)
    again = Lamb(others, **SETTINGS)
    again.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for one, other in zip(descend(parameters, optimiser), descend(others, again), strict=True):
        assert torch.equal(one, other)


def test_the_name_builds_it_with_the_settings():
    made = Optim("lamb", lr=0.3, betas=(0.5, 0.6), weight_decay=0.1).build(layers())
    assert isinstance(made, Lamb)
    group = made.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.3, (0.5, 0.6), 0.1)


def test_a_closure_is_called_and_its_loss_returned():
    (weight, _) = layers()
    optimiser = Lamb([weight], lr=0.1)

    def closure():
        loss = weight.pow(2).sum()
        loss.backward()
        return loss

    before = weight.detach().pow(2).sum()
    assert optimiser.step(closure) == before
    assert weight.detach().pow(2).sum() < before
