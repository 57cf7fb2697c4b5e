"""Published families have their published counts, and take small images of any channels."""

import pytest
import torch
from torch import nn

from limbeck import keyed
from limbeck.data import InputSpace
from limbeck.errors import ArgumentError, ModelError
from limbeck.features import tapped
from limbeck.networks.families import FAMILIES
from limbeck.networks.fresh import fresh
from limbeck.networks.headed import Headed
from limbeck.networks.making import last_layer
from limbeck.networks.names import build

BATCH_NORMED = ["resnet18?norm=batch&", *(f"{name}?" for name in FAMILIES)]
NARROW = [f"{name}width_multiplier=0.25" for name in BATCH_NORMED]
OF_TORCHVISION = [name for name in FAMILIES if name != "resnet50"]
COUNTS = {"mobilenet-v2": 3_504_872, "shufflenet-v2": 2_278_604, "densenet121": 7_978_856}


@pytest.fixture(autouse=True)
def torchvision():
    return pytest.importorskip("torchvision", reason="needs the vision extra")


def space(side, channels=3):
    return InputSpace(size=(side, side), channels=channels)


def parameters(network):
    return sum(one.numel() for one in network.parameters())


@pytest.mark.parametrize(
    ("name", "stride", "kernel_and_channels"),
    [("mobilenet-v2", 2, (3, 32)), ("shufflenet-v2", 4, (3, 24)), ("densenet121", 4, (7, 64))],
)
def test_counts_are_published_but_for_the_kernel_of_the_stem(name, stride, kernel_and_channels):
    count = COUNTS[name]
    assert parameters(build(f"{name}?stem_stride={stride}", space(64), 1000)) == count
    kernel, wide = kernel_and_channels
    count -= 3 * wide * (kernel**2 - 3**2)
    assert parameters(build(name, space(64), 1000)) == count
    features = last_layer(build(name, space(64), 1000))[1].in_features
    count -= 990 * (features + 1)
    assert parameters(build(name, space(32), 10)) == count
    assert parameters(build(name, space(32, channels=1), 10)) == count - 2 * wide * 3**2


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("mobilenet-v2?stem_stride=2", "mobilenet_v2"),
        ("shufflenet-v2?stem_stride=4", "shufflenet_v2_x1_0"),
        ("densenet121?stem_stride=4", "densenet121"),
    ],
)
def test_the_published_stem_gives_what_torchvision_gives(torchvision, name, theirs):
    ours = build(name, space(64), 5).eval()
    other = torchvision.models.get_model(theirs, weights=None, num_classes=5).eval()
    ours.load_state_dict(
        dict(zip(ours.state_dict(), other.state_dict().values(), strict=True)), strict=True
    )
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(x), other(x))


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3), (64, 3), (32, 5)])
@pytest.mark.parametrize("stem_stride", [1, 2])
def test_small_images_are_classified_with_any_channels(name, side, channels, stem_stride):
    network = build(f"{name}&stem_stride={stem_stride}", space(side, channels), 10).eval()
    x = torch.randn(2, channels, side, side)
    embedded = network.embed(x)
    assert network(x).shape == (2, 10)
    assert embedded.shape == (2, network.head.in_features)
    assert not torch.allclose(embedded[0], embedded[1])
    assert next(one for one in network.modules() if isinstance(one, nn.Conv2d)).stride == (
        stem_stride,
        stem_stride,
    )


@pytest.mark.parametrize("name", NARROW)
def test_oblong_images_are_classified(name):
    network = build(name, InputSpace(size=(20, 33), channels=2), 4)
    assert network(torch.randn(2, 2, 20, 33)).shape == (2, 4)


@pytest.mark.parametrize("name", [one for one in NARROW if not one.startswith("mobilenet")])
def test_a_published_stem_shrinks_an_image_fourfold(name):
    network = build(f"{name}&stem_stride=4", space(32), 2)
    pools = [path for path, one in network.named_modules() if isinstance(one, nn.MaxPool2d)]
    with tapped(network, pools) as caught:
        network(torch.zeros(2, 3, 32, 32))
    assert [tuple(one.shape[2:]) for one in caught.values()] == [(8, 8)]
    plain = build(name, space(32), 2)
    assert not any(isinstance(one, nn.MaxPool2d) for one in plain.modules())


@pytest.mark.parametrize(
    ("name", "widths", "head"),
    [
        ("resnet18?norm=batch&", [16, 32, 64, 128], 128),
        ("resnet50?", [16, 32, 64, 128, 256, 512], 512),
        # Stages of 30, 58 and 116, in halves, between the stem and the last convolution.
        ("shufflenet-v2?", [6, 15, 29, 30, 58, 256], 256),
        # Growth, bottlenecks of four times as many, the stem, and the halves of three blocks.
        ("densenet121?", [8, 16, 32, 64, 128], 256),
    ],
)
def test_widths_are_multiplied(name, widths, head):
    network = build(f"{name}width_multiplier=0.25", space(32), 10)
    assert last_layer(network) == ("head", network.head)
    assert network.head.in_features == head
    convolutions = [one for one in network.modules() if isinstance(one, nn.Conv2d)]
    assert sorted({one.out_channels for one in convolutions}) == widths


@pytest.mark.parametrize(("multiplier", "last"), [(0.25, 1280), (0.33, 1280), (1.4, 1792)])
def test_a_mobilenet_has_multiples_of_eight_and_keeps_its_last_width(multiplier, last):
    network = build(f"mobilenet-v2?width_multiplier={multiplier}", space(32), 10)
    assert last_layer(network) == ("head", network.head)
    assert network.head.in_features == last
    convolutions = [one for one in network.modules() if isinstance(one, nn.Conv2d)]
    assert all(one.out_channels % 8 == 0 for one in convolutions)


def test_tiny_multipliers_leave_the_least_width():
    for name in BATCH_NORMED:
        network = build(f"{name}width_multiplier=0.001", space(32), 3)
        assert network(torch.randn(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize("name", NARROW)
def test_batch_norms_keep_running_statistics(name):
    network = build(name, space(32), 3)
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    others = (nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d)
    assert norms
    assert not any(isinstance(one, others) for one in network.modules())
    network(torch.randn(4, 3, 32, 32))
    assert all(one.num_batches_tracked == 1 and one.running_mean.any() for one in norms)


def test_the_norm_of_a_resnet50_is_the_one_asked_for():
    for norm, kind in (("instance", nn.GroupNorm), ("batch", nn.BatchNorm2d)):
        network = build(f"resnet50?norm={norm}&width_multiplier=0.25", space(8, 1), 2)
        found = {type(one) for one in network.modules() if "Norm" in type(one).__name__}
        assert found == {kind}


@pytest.mark.parametrize("name", NARROW)
def test_fresh_weights_depend_on_the_key_alone(name):
    first, same, other = (fresh(name, space(32), 3, keyed.key(one)) for one in (1, 1, 2))
    assert isinstance(first, Headed)
    for path, tensor in first.named_parameters():
        assert torch.equal(tensor, same.get_parameter(path))
    convolutions = [path for path, one in first.named_modules() if isinstance(one, nn.Conv2d)]
    for path in (*convolutions, "head"):
        mine, theirs = (one.get_submodule(path).weight for one in (first, other))
        assert not torch.equal(mine, theirs), path


@pytest.mark.parametrize("name", NARROW)
def test_gradients_reach_the_input_and_every_weight(name):
    network = build(name, space(32), 3)
    x = torch.randn(4, 3, 32, 32, requires_grad=True)
    nn.functional.cross_entropy(network(x), torch.tensor([0, 1, 2, 0])).backward()
    assert all(one.abs().sum() > 0 for one in x.grad)
    assert all(one.grad is not None for one in network.parameters())


@pytest.mark.parametrize("name", NARROW)
def test_every_feature_can_be_tapped(name):
    network = build(name, space(32), 3)
    # A feature that a later module overwrites would warn, and warnings are errors here.
    with tapped(network, ["features.*"]) as caught:
        network(torch.randn(2, 3, 32, 32))
    assert caught


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mobilenet-v2?stem_stride=4", "no max-pool .* use stem_stride=2, which is the published"),
        ("mobilenet-v2?stem_stride=3", r"stem_stride is 3, expected 1 or 2 \("),
        ("densenet121?stem_stride=3", r"stem_stride is 3, expected 1, 2 \(.*\) or 4 \("),
        ("resnet18?stem_stride=0", r"stem_stride is 0, expected 1, 2"),
        ("resnet50?norm=layer", "norm is 'layer', expected one of 'instance', 'batch'"),
        ("resnet50?width_multiplier=0", "width_multiplier is 0, expected a finite number above 0"),
        ("shufflenet-v2?width_multiplier=wide", "width_multiplier is 'wide', expected a finite"),
        ("shufflenet-v2?norm=batch", "shufflenet-v2 has no option 'norm'"),
        ("resnet18-ap?stem_stride=2", "resnet18-ap has no option 'stem_stride'"),
    ],
)
def test_wrong_options_are_refused(name, words):
    with pytest.raises(ArgumentError, match=words):
        build(name, space(32), 2)


@pytest.mark.parametrize(
    ("name", "stem_stride", "least"),
    [
        ("resnet18", 1, 2),
        ("resnet18", 4, 5),
        ("resnet50", 2, 3),
        ("mobilenet-v2", 1, 9),
        ("mobilenet-v2", 2, 17),
        ("shufflenet-v2", 1, 5),
        ("shufflenet-v2", 4, 17),
        ("densenet121", 1, 8),
        ("densenet121", 2, 15),
        ("densenet121", 4, 29),
    ],
)
def test_images_that_halvings_would_use_up_are_refused(name, stem_stride, least):
    name = f"{name}?width_multiplier=0.25&stem_stride={stem_stride}"
    network = build(name, space(least), 2)
    assert network(torch.randn(2, 3, least, least)).shape == (2, 2)
    with pytest.raises(ArgumentError, match=rf"at least {least}x{least} pixels and these have"):
        build(name, space(least - 1), 2)


@pytest.mark.parametrize("name", FAMILIES)
def test_vectors_are_refused(name):
    with pytest.raises(ArgumentError, match=rf"a {name} takes images .* \(6,\); use mlp"):
        build(name, InputSpace(size=(6,)), 2)


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_a_missing_library_is_told(name, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(ModelError, match=r"torchvision is not .*; pip install 'limbeck\[vision\]'"):
        build(name, space(32), 2)
