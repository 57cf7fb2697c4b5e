"""The benchmark ConvNet has the layers, sizes and counts that are published."""

import pytest
import torch
from torch import nn

from limbeck.data import InputSpace
from limbeck.errors import ArgumentError, UnknownNameError
from limbeck.networks import ConvNet
from limbeck.networks.convnet import ACTIVATIONS, NORMS, POOLINGS
from limbeck.networks.names import build

VECTOR = InputSpace(size=(6,))


def space(side, channels=1):
    return InputSpace(size=(side, side), channels=channels)


def count(network):
    return sum(one.numel() for one in network.parameters())


def blocks(network):
    return sum(isinstance(layer, nn.Conv2d) for layer in network.features)


@pytest.mark.parametrize(
    ("channels", "side", "outputs", "options", "expected"),
    [
        (3, 32, 10, {}, 320_010),
        (3, 32, 100, {}, 504_420),
        (3, 64, 200, {"depth": 4}, 857_160),
        (3, 128, 10, {"depth": 5}, 615_690),
        (1, 28, 10, {}, 317_706),
        (3, 32, 10, {"width": 32}, 24_714),
    ],
)
def test_parameters_are_those_published(channels, side, outputs, options, expected):
    assert count(ConvNet(channels, (side, side), outputs, **options)) == expected


@pytest.mark.parametrize(
    ("channels", "side", "padding"), [(1, 28, 3), (1, 8, 1), (1, 32, 1), (3, 28, 1)]
)
def test_only_grey_images_of_28_pixels_are_padded_to_32(channels, side, padding):
    network = ConvNet(channels, (side, side), 10)
    assert network.features[0].padding == (padding, padding)
    assert all(layer.padding == (1, 1) for layer in network.features[4::4])
    assert network(torch.zeros(2, channels, side, side)).shape == (2, 10)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_option_runs_and_the_head_reads_the_embedding(norm, activation, pooling):
    network = ConvNet(
        2, (8, 12), 3, depth=2, width=8, norm=norm, activation=activation, pooling=pooling
    )
    x = torch.rand(4, 2, 8, 12)
    embedded = network.embed(x)
    assert embedded.shape == (4, network.head.in_features)
    torch.testing.assert_close(network(x), network.head(embedded), rtol=1e-4, atol=1e-5)


def test_instance_norm_is_one_group_a_channel_with_weights_and_no_statistics():
    network = ConvNet(1, (8, 8), 3, depth=1, width=5)
    norm = network.features[1]
    assert (norm.num_groups, norm.num_channels, norm.affine) == (5, 5, True)
    assert not list(network.buffers())


@pytest.mark.parametrize(("side", "depth"), [(8, 1), (12, 2), (28, 3), (32, 3), (64, 4), (128, 5)])
def test_the_depth_follows_the_size(side, depth):
    assert blocks(build("convnet?width=4", space(side), 2)) == depth


@pytest.mark.parametrize("depth", range(1, 7))
def test_names_with_a_depth_have_it(depth):
    network = build(f"convnet-d{depth}?width=4&norm=batch&activation=swish", space(64), 2)
    assert blocks(network) == depth
    assert network.limbeck_spec.startswith(f"convnet-d{depth}")


def test_none_behind_a_question_mark_is_the_word():
    network = build("convnet-d2?width=4&norm=none&pooling=none", space(8), 2)
    assert not any(isinstance(layer, nn.GroupNorm) for layer in network.features)
    assert network.head.in_features == 4 * 8 * 8


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("convnet?norm=instanse", ArgumentError, "norm is 'instanse', expected one of 'instance'"),
        ("convnet?activation=gelu", ArgumentError, "activation is 'gelu', expected one of"),
        ("convnet?pooling=mean", ArgumentError, "pooling is 'mean', expected one of 'avg'"),
        ("convnet?width=0", ArgumentError, "width is 0, expected a whole number of channels"),
        ("convnet?width=6&norm=group", ArgumentError, "width is 6, expected a multiple of 4"),
        ("convnet?depth=0", ArgumentError, "depth is 0, expected a whole number of blocks"),
        (
            "convnet-d4",
            ArgumentError,
            "depth is 4 and images of 8x8 pixels have 3 halvings; use at most 3, or pooling=none",
        ),
        ("convnet-d2?depth=3", ArgumentError, "convnet-d2 has no option 'depth'"),
        ("convnet-d7", UnknownNameError, "no network 'convnet-d7'; did you mean convnet"),
    ],
)
def test_what_cannot_be_built_is_refused(name, error, words):
    with pytest.raises(error, match=words):
        build(name, space(8), 2)


def test_vectors_are_refused():
    with pytest.raises(ArgumentError, match=r"a convnet takes images .* \(6,\); use mlp"):
        build("convnet", VECTOR, 2)


def test_a_single_pixel_has_no_halving():
    with pytest.raises(ArgumentError, match="have 0 halvings; use pooling=none"):
        build("convnet", space(1), 2)
