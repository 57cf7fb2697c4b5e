"""Closed-form second derivatives are those that torch composes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call

from limbeck.functional.second_order import closed_form


def layers(kind):
    torch.manual_seed(3)
    made = {
        "convolution": nn.Conv2d(3, 4, 3, padding=1),
        "strided and dilated": nn.Conv2d(4, 6, (3, 2), stride=(2, 1), dilation=2, groups=2),
        "without bias": nn.Conv2d(3, 4, 1, bias=False),
        "instance norm": nn.GroupNorm(4, 4),
        "average pool": nn.Sequential(nn.Conv2d(3, 2, 1), nn.Tanh(), nn.AvgPool2d(2)),
        "overlapping pool": nn.Sequential(nn.Conv2d(3, 2, 1), nn.Tanh(), nn.AvgPool2d(3, 2)),
        "group norm": nn.GroupNorm(2, 6),
        "a network": nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.GroupNorm(4, 4),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(4, 6, 3),
            nn.GroupNorm(1, 6),
            nn.Flatten(),
            nn.Linear(6 * 9, 2),
        ),
    }[kind].double()
    with torch.no_grad():
        for one in made.parameters():
            one.add_(torch.randn_like(one) * 0.3)
    channels = {"strided and dilated": 4, "instance norm": 4, "group norm": 6}.get(kind, 3)
    return made, torch.randn(5, channels, 10, 10, dtype=torch.float64)


@pytest.mark.parametrize(
    "kind",
    [
        "convolution",
        "strided and dilated",
        "without bias",
        "instance norm",
        "group norm",
        "average pool",
        "overlapping pool",
        "a network",
    ],
)
def test_first_and_second_derivatives_are_those_of_torch(kind):
    network, x = layers(kind)
    weights = {name: one.detach() for name, one in network.named_parameters()}

    def derivatives():
        held = [one.clone().requires_grad_() for one in weights.values()]
        given = x.clone().requires_grad_()
        said = functional_call(network, dict(zip(weights, held, strict=True)), (given,))
        first = torch.autograd.grad(said.tanh().sum(), [*held, given], create_graph=True)
        along = sum((one.sin() * one).sum() for one in first)
        return [said, *first, *torch.autograd.grad(along, [*held, given])]

    expected = derivatives()
    with closed_form(0):
        found = derivatives()
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_small_inputs_and_what_it_does_not_know_are_left_to_torch():
    x = torch.randn(1, 2, 6)
    with closed_form(0):
        assert nn.Conv1d(2, 3, 3)(x).shape == (1, 3, 4)
        same = nn.functional.conv2d(x[None], torch.ones(1, 1, 1, 3), padding="same")
        assert same.shape == (1, 1, 2, 6)
        assert nn.GroupNorm(1, 2, affine=False)(x).shape == x.shape
    with closed_form(0):
        image = torch.randn(1, 2, 6, 6)
        named = nn.functional.conv2d(input=image, weight=torch.ones(1, 2, 3, 3), padding=1)
        assert named.shape == (1, 1, 6, 6)
        assert torch.cat([image, image]).shape == (2, 2, 6, 6)
        pooled = nn.AvgPool2d(2)(image.requires_grad_())
        assert pooled.grad_fn.name() == "_AveragePoolBackward"
        assert nn.AvgPool2d(2, ceil_mode=True)(image[..., :5]).shape == (1, 2, 3, 3)
    with closed_form():
        assert nn.Conv2d(1, 1, 1)(x[None]).grad_fn.name() == "ConvolutionBackward0"
