"""Features are tapped while a block runs, and nothing of the tapping remains."""

import pytest
import torch
from torch import nn

from limbeck.errors import ModelError, UnusualUseWarning
from limbeck.features import expand, list_features, tapped


class Net(nn.Module):
    """Blocks in a stem and two stages, one of them called twice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(3, 4)
        self.stages = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(2)])
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.recurrent = nn.GRU(4, 2, batch_first=True)
        self.unused = nn.Linear(9, 9)

    def forward(self, x):
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        x = self.drop(self.norm(self.stages[0](x)))
        return self.recurrent(x[:, None])[0]


@pytest.fixture
def net():
    return Net().train()


def hooks(model):
    return sum(len(module._forward_hooks) for module in model.modules())


def test_tapped_features_are_what_modules_returned(net):
    x = torch.rand(5, 3)
    with tapped(net, ["stem", "stages.1"]) as caught:
        net(x)
    assert list(caught) == ["stem", "stages.1"]
    assert torch.equal(caught["stem"], net.stem(x))
    assert torch.equal(caught["stages.1"], net.stages[1](net.stages[0](net.stem(x))))


def test_a_module_called_twice_leaves_its_last_output(net):
    x = torch.rand(5, 3)
    with tapped(net, ["stages.0", "stages.1"]) as caught:
        net(x)
    assert list(caught) == ["stages.1", "stages.0"]
    assert torch.equal(caught["stages.0"], net.stages[0](caught["stages.1"]))


def test_of_a_tuple_the_first_tensor_is_kept(net):
    with tapped(net, ["recurrent"]) as caught:
        returned = net(torch.rand(5, 3))
    assert caught["recurrent"] is returned


def test_hooks_are_gone_after_the_block_and_after_an_error(net):
    with tapped(net, ["*"]):
        assert hooks(net) > 0
    assert hooks(net) == 0
    with pytest.raises(RuntimeError), tapped(net, ["*"]):
        net(torch.rand(5, 7))
    assert hooks(net) == 0
    with pytest.raises(ModelError), tapped(net, ["stem", "absent"]):
        pass
    assert hooks(net) == 0


def test_patterns_expand_in_the_order_of_the_model(net):
    assert expand(net, ["stages.?", "stem"]) == ["stem", "stages.0", "stages.1"]
    assert expand(net, ["*.0"]) == ["stages.0", "stages.0.0", "stages.1.0"]


def test_an_unknown_path_suggests_the_nearest(net):
    with pytest.raises(ModelError, match=r"Net has no module 'stage\.1'; did you mean stages\.1\?"):
        expand(net, ["stage.1"])


def test_the_list_names_what_is_called_with_its_shape(net):
    listed = list_features(net, torch.rand(5, 3))
    assert listed["stem"] == (5, 4)
    assert listed["recurrent"] == (5, 1, 2)
    assert "unused" not in listed
    assert "stages" not in listed
    assert list(listed).index("stem") < list(listed).index("stages.1")


def test_listing_leaves_modes_and_weights_as_they_are(net):
    net.norm.eval()
    modes = [module.training for module in net.modules()]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    list_features(net, torch.rand(5, 3))
    with pytest.raises(RuntimeError):
        list_features(net, torch.rand(5, 7))
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(one.grad is None for one in net.parameters())


def test_a_model_without_inner_modules_has_no_features():
    assert list_features(nn.Linear(2, 2), torch.zeros(1, 2)) == {}


def test_an_output_that_a_later_module_overwrites_is_pointed_out():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    with (
        pytest.warns(UnusualUseWarning, match="output of 0 was overwritten in place"),
        tapped(model, ["0", "1"]),
    ):
        model(torch.rand(5, 3))
    assert list_features(model, torch.rand(5, 3))["0"] == (5, 4)
    with torch.inference_mode(), tapped(model, ["1"]) as caught:
        model(torch.rand(5, 3))
    assert caught["1"].shape == (5, 4)


def test_inputs_can_be_caught_instead():
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
    x = torch.randn(5, 2)
    with tapped(model, ["0", "2"], inputs=True) as features:
        model(x)
    assert features["0"] is x
    torch.testing.assert_close(features["2"], model[1](model[0](x)))


def test_models_go_back_to_where_they_were():
    from limbeck.features import on_device

    model = nn.Linear(2, 2).double()
    with pytest.raises(RuntimeError, match="inside"), on_device("cpu", nn.Sequential(), model):
        raise RuntimeError("inside")
    assert model.weight.device.type == "cpu"
    assert model.weight.dtype == torch.float64
