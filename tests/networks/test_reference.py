"""Reference networks have the published counts at 32 pixels and take other sizes too."""

import pytest
import torch
from torch import nn

from limbeck.data import InputSpace
from limbeck.errors import ArgumentError
from limbeck.networks.names import build
from limbeck.networks.reference import REFERENCES

SIZES = [(8, 1), (12, 1), (28, 1), (28, 3), (32, 3), (64, 3)]


def space(side, channels=1):
    return InputSpace(size=(side, side), channels=channels)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mlp?hidden=128x128", 411_146),
        ("lenet", 62_006),
        ("alexnet", 1_872_202),
        ("vgg11", 9_231_114),
        ("vgg11?norm=batch", 9_231_114),
        ("resnet18", 11_173_962),
        ("resnet18?norm=batch", 11_173_962),
        ("resnet18-ap", 11_250_762),
    ],
)
def test_parameters_are_those_published(name, expected):
    network = build(name, space(32, 3), 10)
    assert sum(one.numel() for one in network.parameters()) == expected


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize(("side", "channels"), SIZES)
def test_every_size_is_classified_or_refused(name, side, channels):
    if (name, side) == ("lenet", 8):
        with pytest.raises(ArgumentError, match=r"lenet takes images of at least 12x12 .* convnet"):
            build(name, space(side, channels), 10)
        return
    network = build(name, space(side, channels), 10)
    x = torch.randn(2, channels, side, side)
    embedded = network.embed(x)
    assert isinstance(network.head, nn.Linear)
    assert network(x).shape == (2, 10)
    assert embedded.shape == (2, network.head.in_features)
    # Over a single pixel an instance norm would forget what came in.
    assert not torch.allclose(embedded[0], embedded[1])


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "resnet18-ap"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_the_norm_is_the_one_asked_for(name, norm):
    network = build(f"{name}?norm={norm}", space(8), 2)
    kinds = {type(one) for one in network.modules() if "Norm" in type(one).__name__}
    assert kinds == {nn.GroupNorm if norm == "instance" else nn.BatchNorm2d}


def test_a_resnet_halves_three_times_at_32_pixels():
    seen = []
    network = build("resnet18", space(32), 2)
    for block in network.features[3:11]:
        block.register_forward_hook(lambda m, x, y: seen.append(tuple(y.shape[1:])))
    network(torch.zeros(1, 1, 32, 32))
    assert seen[::2] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vgg11?norm=layer", "norm is 'layer', expected one of 'instance', 'batch'"),
        ("lenet?norm=batch", "lenet has no option 'norm'"),
    ],
)
def test_unknown_options_are_refused(name, words):
    with pytest.raises(ArgumentError, match=words):
        build(name, space(32), 2)


@pytest.mark.parametrize("name", REFERENCES)
def test_vectors_are_refused(name):
    with pytest.raises(ArgumentError, match=rf"a {name} takes images .* \(6,\); use mlp"):
        build(name, InputSpace(size=(6,)), 2)
