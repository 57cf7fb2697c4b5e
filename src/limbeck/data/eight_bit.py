"""Eight-bit views: learned images stored as pictures, and changed as pictures are for training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import InstanceOf

from limbeck import keyed
from limbeck.data.prepared import Pixels
from limbeck.data.views import Views
from limbeck.errors import ArgumentError
from limbeck.settings import settings

if TYPE_CHECKING:
    from torch import Tensor

Recipe = Literal["none", "autoaugment", "randaugment", "imagenet", "cifar"]
# Brightness, contrast and saturation by up to this share either way, hue by this part of a turn.
JITTER, HUE = 0.4, 0.2
SHIFT_SHARE, HOLE_SHARE = 0.125, 0.5
GREY = (0.299, 0.587, 0.114)


@settings
class EightBit(Views):
    """Views of images that were learned: cut to the value range, rounded to 256 levels, changed.

    Args:
        recipe: ``"imagenet"``: crop, flip and colour jitter (0.4, 0.4, 0.4, 0.2);
            ``"cifar"``: crop, flip and one black square; ``"autoaugment"`` with the policies for
            CIFAR-10, ``"randaugment"`` with one operation, which need torchvision; ``"none"``
            rounds only.
        pixels: the way from the inputs to pixel values from 0 to 1 and back. Rounding, cutting and
            changing is done there, so that black is black in whitened images too.

    At 32 pixels crops shift by up to 4 and squares have 16, as published; at other sizes both keep
    their share of the side.

    Raises:
        ArgumentError: when applied, the inputs are no images, or torchvision is missing.

    Source: Cui et al., arXiv 2207.09639 (DC-BENCH).

    Example:
        >>> import torch
        >>> views = EightBit(recipe="none")
        >>> ids = np.zeros(1, dtype=np.int64)
        >>> found = views.apply(torch.full((1, 1, 2, 2), 1.7), ids, ids, 0)
        >>> found.max().item()
        1.0
    """

    recipe: Recipe = "none"
    pixels: InstanceOf[Pixels] = Pixels()

    @property
    def changing(self) -> bool:
        """Whether any image is changed: rounding changes all."""
        return True

    def apply(self, x: Tensor, ids: np.ndarray, numbers: np.ndarray, seed_key: int) -> Tensor:
        """Change images ``(N, C, H, W)`` with draws keyed as in `Views`."""
        if x.ndim != 4:
            raise ArgumentError(
                f"the inputs have shape {tuple(x.shape)} and only images (N, C, H, W) have eight "
                "bits a pixel; choose augmentation none"
            )
        x = self.pixels.show(x).clamp(0, 1).mul(255).round().div(255)
        if self.recipe in ("autoaugment", "randaugment"):
            x = _by_torchvision(x, self.recipe, ids, numbers, seed_key)
        elif self.recipe != "none":
            side = max(x.shape[2:])
            shifting = Views(flip=True, crop=int(side * SHIFT_SHARE + 0.5))
            x = shifting.apply(x, ids, numbers, seed_key)
            key = keyed.key(seed_key, self.recipe)
            draws = keyed.uniform(key, (numbers.astype(np.int64) << 40) ^ ids, 4)
            change = _with_hole if self.recipe == "cifar" else _jittered
            x = change(x, x.new_tensor(draws))
        return self.pixels.read(x)


def _with_hole(x: Tensor, draws: Tensor) -> Tensor:
    """Black squares of half the side, whose middles lie anywhere; what sticks out is lost."""
    import torch

    inside = []
    for axis, size in ((0, x.shape[2]), (1, x.shape[3])):
        hole = int(size * HOLE_SHARE + 0.5)
        first = (draws[:, axis : axis + 1] * size).floor() - hole // 2
        places = torch.arange(size, device=x.device)
        inside.append((places >= first) & (places < first + hole))
    return x.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0.0)


def _jittered(x: Tensor, draws: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue, in this order; grey images have the first two."""
    factors = (1 + JITTER * (2 * draws - 1))[..., None, None, None]
    x = (x * factors[:, 0]).clamp(0, 1)
    colour = x.shape[1] == 3
    grey = _grey(x) if colour else x
    middle = grey.mean((1, 2, 3), keepdim=True)
    x = (middle + (x - middle) * factors[:, 1]).clamp(0, 1)
    if not colour:
        return x
    grey = _grey(x)
    x = (grey + (x - grey) * factors[:, 2]).clamp(0, 1)
    return _hue_turned(x, HUE * (2 * draws[:, 3] - 1))


def _grey(x: Tensor) -> Tensor:
    return (x * x.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)


def _hue_turned(x: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue by a part of the circle ``(N,)``; value and saturation stay."""
    import torch

    top, which = x.max(1)
    span = top - x.amin(1)
    safe = torch.where(span > 0, span, 1.0)
    red, green, blue = x.unbind(1)
    sixths = torch.stack([(green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe])
    hue = sixths.gather(0, which[None])[0] + 6 * turn[:, None, None]
    # Each channel falls from the top by the span, by how far its own hue is away.
    places = [(offset + hue) % 6 for offset in (5, 3, 1)]
    shares = [torch.minimum(place, 4 - place).clamp(0, 1) for place in places]
    return top[:, None] - span[:, None] * torch.stack(shares, 1)


def _by_torchvision(
    x: Tensor, recipe: str, ids: np.ndarray, numbers: np.ndarray, seed_key: int
) -> Tensor:
    """Policies of torchvision, image by image: on a batch all would get the same change."""
    import torch

    try:
        from torchvision.transforms import v2
    except ImportError:
        raise ArgumentError(
            f"augmentation {recipe} needs torchvision; pip install 'limbeck[vision]'"
        ) from None
    policy = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
    change = policy if recipe == "autoaugment" else v2.RandAugment(num_ops=1)
    pixels = (x * 255).round().to(torch.uint8)
    changed = []
    with torch.random.fork_rng(devices=[]):
        for image, id_, number in zip(pixels, ids.tolist(), numbers.tolist(), strict=True):
            keyed.seed_torch(keyed.key(seed_key, recipe, number, id_))
            changed.append(change(image))
    return torch.stack(changed).to(x.dtype) / 255
