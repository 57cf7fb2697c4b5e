"""ResNets keep their published form when they are cut."""

import pytest
import torch
from torch import nn

from limbeck.networks.resnet import ResNet18, ResNet50


def parameters(network):
    return sum(one.numel() for one in network.parameters())


def test_defaults_of_a_resnet18_are_what_they_were_before_it_could_be_cut():
    torch.manual_seed(0)
    plain = ResNet18(3, (32, 32), 10)
    torch.manual_seed(0)
    told = ResNet18(3, (32, 32), 10, norm="instance", width_multiplier=1, stem_stride=1)
    assert plain.state_dict().keys() == told.state_dict().keys()
    for first, second in zip(plain.parameters(), told.parameters(), strict=True):
        assert torch.equal(first, second)
    assert list(plain.state_dict())[:3] == [
        "features.0.weight",
        "features.1.weight",
        "features.1.bias",
    ]


@pytest.mark.parametrize(("kind", "count"), [(ResNet18, 11_689_512), (ResNet50, 25_557_032)])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_counts_are_published_but_for_the_kernel_of_the_stem(kind, count, norm):
    smaller_kernel = 3 * 64 * (7 * 7 - 3 * 3)
    assert parameters(kind(3, (224, 224), 1000, norm=norm, stem_stride=4)) == count
    for stride in (1, 2):
        network = kind(3, (64, 64), 1000, norm=norm, stem_stride=stride)
        assert parameters(network) == count - smaller_kernel


def same_as_torchvision(kind, name):
    """A network of ours and torchvision's with its weights, in the order in which both run."""
    models = pytest.importorskip("torchvision", reason="needs the vision extra").models
    ours = kind(3, (64, 64), 5, norm="batch", stem_stride=4).eval()
    theirs = models.get_model(name, weights=None, num_classes=5).eval()
    for mine, other in zip(weighted(ours), weighted(theirs), strict=True):
        mine.load_state_dict(other.state_dict())
    return ours, theirs


def weighted(network):
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
    return [one for one in network.modules() if isinstance(one, kinds)]


@pytest.mark.parametrize(("kind", "name"), [(ResNet18, "resnet18"), (ResNet50, "resnet50")])
def test_the_published_stem_gives_what_torchvision_gives(kind, name):
    ours, theirs = same_as_torchvision(kind, name)
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(x), theirs(x))


def test_a_quarter_of_the_width_is_a_quarter_of_all_channels():
    network = ResNet50(3, (32, 32), 10, width_multiplier=0.25)
    wide = [one.out_channels for one in network.modules() if isinstance(one, nn.Conv2d)]
    assert wide[0] == 16
    assert sorted(set(wide)) == [16, 32, 64, 128, 256, 512]
    assert network.head.in_features == 512


@pytest.mark.parametrize("averaging", [False, True])
def test_stages_of_the_same_width_still_halve(averaging):
    network = ResNet18(1, (32, 32), 3, averaging=averaging, width_multiplier=0.01)
    x = torch.randn(2, 1, 32, 32)
    assert network(x).shape == (2, 3)
    assert network.head.in_features == (8 * 4 * 4 if averaging else 8)
    assert ResNet50(1, (32, 32), 3, width_multiplier=0.01)(x).shape == (2, 3)


@pytest.mark.parametrize("kind", [ResNet18, ResNet50])
@pytest.mark.parametrize(("side", "stem_stride"), [(2, 1), (3, 2), (5, 4), (28, 4)])
def test_no_pixel_is_left_alone_behind_an_instance_norm(kind, side, stem_stride):
    network = kind(
        1, (side, side), 3, norm="instance", width_multiplier=0.25, stem_stride=stem_stride
    )
    first, second = network.embed(torch.randn(2, 1, side, side))
    assert not torch.allclose(first, second)
