"""A pretrained network sees what it was trained on, whatever space the data lives in."""

import pytest
import torch

from limbeck.data import Batch, InputSpace
from limbeck.networks.adapted import Adapted
from limbeck.networks.names import build
from limbeck.teachers import teacher

GREY = InputSpace((28, 28), 1, (0.3,), (0.35,))


@pytest.mark.parametrize("name", ["timm:resnet18", "torchvision:resnet18"])
def test_a_pretrained_name_keeps_its_own_space(name):
    pytest.importorskip(name.split(":")[0], reason="needs the vision extra")
    network = build(f"{name}?pretrained=true&size=32", GREY, 10, fetch=False)
    assert isinstance(network, Adapted)
    assert network.target.shape == (3, 32, 32)
    assert network.target.mean == (0.485, 0.456, 0.406)
    assert network.eval()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_torchvision_takes_grey_images():
    pytest.importorskip("torchvision", reason="needs the vision extra")
    network = build("torchvision:resnet18", GREY, 10)
    assert network.eval()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_a_teacher_of_another_space_says_what_it_says_on_its_own():
    """Grey 8x8 in one normalisation, a network for colour 16x16 in another."""
    torch.manual_seed(0)
    inner = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 5))
    own = InputSpace((16, 16), 3, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    source = InputSpace((8, 8), 1, (0.1,), (0.5,))
    pixels = torch.rand(4, 1, 8, 8)
    large = torch.nn.functional.interpolate(
        pixels, (16, 16), mode="bilinear", align_corners=False, antialias=True
    ).expand(-1, 3, -1, -1)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (own.mean, own.std))
    expected = inner((large - mean) / std)
    batch = Batch({"x": (pixels - 0.1) / 0.5}, space=source)
    said = teacher(inner, input_space=own)(batch).logits
    torch.testing.assert_close(said, expected.detach())
    torch.testing.assert_close(Adapted(inner, source, own)(batch["x"]), expected.detach())
