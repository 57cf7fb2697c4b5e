"""Fresh networks have the same architecture, weights of their key alone, and leave all else."""

import pytest
import torch
from torch import nn

from limbeck import keyed
from limbeck.data import InputSpace
from limbeck.errors import ModelError
from limbeck.networks.fresh import check_stateless, fresh
from limbeck.networks.making import weights_of
from limbeck.networks.names import build

SPACE = InputSpace(size=(8, 8), channels=1)
NAMES = ["mlp?hidden=5", "cnn?width=4", "convnet?width=4"]


def own():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 3))


def equal(first, second):
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def networks():
    yield from ((name, SPACE) for name in NAMES)
    yield build("convnet?width=4", SPACE, 3), SPACE
    yield own(), SPACE


@pytest.mark.parametrize(("network", "space"), list(networks()))
def test_weights_depend_on_the_key_alone(network, space):
    first = fresh(network, space, 3, keyed.key(1))
    torch.rand(7)
    assert equal(first, fresh(network, space, 3, keyed.key(1)))
    assert not equal(first, fresh(network, space, 3, keyed.key(2)))
    assert first(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize("make", [own, lambda: build("convnet?width=4", SPACE, 3)])
def test_weights_do_not_depend_on_those_that_were_trained(make):
    network = make()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first = fresh(network, SPACE, 3, keyed.key(1))
    with torch.no_grad():
        for one in network.parameters():
            one.add_(1)
        network(torch.rand(4, 1, 8, 8))
    network.eval()
    second = fresh(network, SPACE, 3, keyed.key(1))
    assert equal(first, second)
    assert second.training
    assert not network.training
    assert not equal(network, second)
    assert before.keys() == second.state_dict().keys()


def test_the_name_goes_on():
    network = fresh(build("convnet?width=4", SPACE, 3), SPACE, 5, keyed.key(1))
    assert network.limbeck_spec == "convnet?width=4"
    assert network.head.out_features == 5


def test_the_callers_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fresh("mlp", SPACE, 3, keyed.key(1))
    assert torch.equal(torch.rand(2), expected)


def test_weights_from_a_file_are_not_kept(tmp_path):
    from safetensors.torch import save_file

    stored = build("mlp?hidden=5", SPACE, 3)
    save_file(stored.state_dict(), tmp_path / "w.safetensors")
    name = f"file:{tmp_path / 'w.safetensors'}?network=mlp?hidden=5"
    network = fresh(build(name, SPACE, 3), SPACE, 3, keyed.key(1))
    assert not equal(network, stored)
    assert network.limbeck_spec == "mlp?hidden=5"
    assert weights_of(network) == ""


def test_what_is_called_pretrained_starts_from_scratch():
    pytest.importorskip("timm")
    name = "timm:resnet10t?pretrained=true"
    network = fresh(name, SPACE, 3, keyed.key(1))
    assert weights_of(network) == ""
    assert equal(network, fresh(name, SPACE, 3, keyed.key(1)))


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))


def test_a_module_that_cannot_reset_is_named():
    network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(Scale()))
    with pytest.raises(ModelError, match=r"1\.0 \(Scale\) holds parameters and has no reset_param"):
        fresh(network, None, 2, keyed.key(1))
    with pytest.raises(ModelError, match=r"the network itself \(Scale\)"):
        fresh(Scale(), None, 2, keyed.key(1))


def test_shared_weights_stay_shared():
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    network[2].weight = network[0].weight
    check_stateless(network)
    other = fresh(network, None, 3, keyed.key(1))
    assert other[2].weight is other[0].weight
    assert other[0].weight is not network[0].weight


@pytest.mark.parametrize("name", ["convnet?norm=batch", "vgg11?norm=batch", "cnn"])
def test_running_statistics_are_refused(name):
    network = build(name, SPACE, 3)
    with pytest.raises(ModelError, match=r"features\.\d+ \(BatchNorm2d\).*norm=instance"):
        check_stateless(network)


def test_stateless_networks_pass():
    check_stateless(build("convnet?width=4", SPACE, 3))
    check_stateless(
        nn.Sequential(nn.BatchNorm2d(2, track_running_stats=False), nn.InstanceNorm2d(2))
    )
