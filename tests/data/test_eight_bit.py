"""Eight-bit views replay, stay in range, and change images as torchvision's operations do."""

import colorsys
import importlib.util

import numpy as np
import pytest
import torch

from limbeck.data import InputSpace, eight_bit
from limbeck.data.eight_bit import EightBit
from limbeck.data.prepared import Pixels
from limbeck.errors import ArgumentError
from limbeck.functional.whitening import fit_zca

vision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)
RECIPES = [
    "imagenet",
    "cifar",
    pytest.param("autoaugment", marks=vision),
    pytest.param("randaugment", marks=vision),
]


@pytest.fixture
def images():
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def shown(views, x, numbers=0, key=1, ids=None):
    ids = np.arange(len(x)) if ids is None else ids
    return views.apply(x, ids, np.full(len(x), numbers), key)


def test_values_are_cut_and_rounded_to_256_levels():
    x = torch.tensor([-0.4, 0.0, 0.5, 1.0, 7.0])[:, None, None, None].expand(-1, 1, 2, 2)
    found = shown(EightBit(), x)[:, 0, 0, 0] * 255
    assert found.tolist() == [0, 0, 128, 255, 255]
    # What was made of bytes stays as it is.
    levels = (torch.arange(256) / 255)[:, None, None, None]
    assert torch.equal(shown(EightBit(), levels), levels)


def test_another_range_is_kept(images):
    pixels = Pixels(InputSpace((16, 16), channels=3, range=(-3.0, 5.0)))
    wide = shown(EightBit(recipe="cifar", pixels=pixels), images * 8 - 3)
    torch.testing.assert_close(wide, shown(EightBit(recipe="cifar"), images) * 8 - 3)


@pytest.mark.parametrize("white", [False, True])
@pytest.mark.parametrize("recipe", ["none", *RECIPES])
def test_images_are_changed_as_pictures_and_read_again(recipe, white):
    """What networks read comes from levels of the real range, and squares are black there."""
    space = InputSpace((8, 8), channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    draw = torch.Generator().manual_seed(0)
    zca = fit_zca(torch.rand(500, 3, 8, 8, generator=draw)) if white else None
    values = torch.rand(6, 3, 8, 8, generator=draw) * 1.4 - 0.2
    pixels = Pixels(space, zca)
    found = shown(EightBit(recipe=recipe, pixels=pixels), pixels.read(values))
    seen = pixels.show(found)
    assert float(seen.min()) > -1e-4
    assert float(seen.max()) < 1.0001
    torch.testing.assert_close(seen, shown(EightBit(recipe=recipe), values), atol=0.005, rtol=0)
    if recipe == "cifar":
        assert float((seen.abs() < 1e-4).float().mean()) > 0.2


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_view_replays_whatever_stands_beside_it(images, recipe, channels):
    x = images[:, :channels]
    views = EightBit(recipe=recipe)
    state = torch.get_rng_state()
    whole = shown(views, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert whole.shape == x.shape
    assert 0 <= float(whole.min()) <= float(whole.max()) <= 1
    part = shown(views, x[[4, 2]], ids=np.array([4, 2]))
    assert torch.equal(part, whole[[4, 2]])
    others = [shown(views, x, 1), shown(views, x, key=2)]
    assert all((other != whole).any() for other in others)


def test_the_square_has_half_the_side():
    x = torch.ones(200, 1, 16, 16)
    holes = (shown(EightBit(recipe="cifar"), x)[:, 0] == 0).float()
    # Zeros that shifted in stand at the border; a whole square has 8 x 8.
    assert float(holes.sum((1, 2)).max()) >= 64
    x = torch.ones(2000, 1, 32, 32)
    draws = torch.rand(2000, 4, generator=torch.Generator().manual_seed(0))
    sizes = (eight_bit._with_hole(x, draws) == 0).sum((1, 2, 3))
    assert int(sizes.max()) == 256
    # A middle in the corner leaves a quarter of the square.
    assert 64 <= int(sizes.min()) < 90


def test_hue_as_the_colour_circle_has_it(images):
    turn = torch.tensor([0.0, 0.1, -0.2, 0.5, 0.05, 1.0])
    found = eight_bit._hue_turned(images, turn)
    for place in range(6):
        h, s, v = colorsys.rgb_to_hsv(*images[place, :, 3, 5].tolist())
        expected = colorsys.hsv_to_rgb((h + float(turn[place])) % 1, s, v)
        np.testing.assert_allclose(found[place, :, 3, 5].numpy(), expected, atol=1e-5)
    grey = torch.full((6, 3, 2, 2), 0.3)
    torch.testing.assert_close(eight_bit._hue_turned(grey, turn), grey)


@vision
def test_jitter_as_torchvision_has_it(images):
    from torchvision.transforms.v2 import functional as F

    draws = torch.rand(6, 4, generator=torch.Generator().manual_seed(1))
    found = eight_bit._jittered(images, draws)
    for place in range(6):
        brightness, contrast, saturation = (1 + 0.4 * (2 * draws[place, :3] - 1)).tolist()
        x = F.adjust_brightness(images[place], brightness)
        x = F.adjust_contrast(x, contrast)
        x = F.adjust_saturation(x, saturation)
        x = F.adjust_hue(x, float(0.2 * (2 * draws[place, 3] - 1)))
        torch.testing.assert_close(found[place], x, atol=2e-3, rtol=0)


def test_vectors_are_refused():
    with pytest.raises(ArgumentError, match="only images"):
        shown(EightBit(), torch.zeros(3, 5))


def test_a_missing_library_is_named(images, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision.transforms", None)
    with pytest.raises(ArgumentError, match=r"limbeck\[vision\]"):
        shown(EightBit(recipe="randaugment"), images)
