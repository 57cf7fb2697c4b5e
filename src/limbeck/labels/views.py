"""Label views: how small sets are shown to teacher and student, as draws that replay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from limbeck import keyed
from limbeck.data.cropping import DRAWS, crop_boxes, resized_crops
from limbeck.data.loader import Order
from limbeck.functional.mixing import blended, mixing_box, pasted
from limbeck.settings import settings

if TYPE_CHECKING:
    from limbeck.data.space import InputSpace

STAGE, BLEND = "labels", (-1, -1, -1, -1)


@dataclass(frozen=True)
class Replay:
    """Everything that was drawn for one batch of B images.

    Args:
        rows: which images of the set ``(B,)``.
        boxes: top, left, height and width of each one's crop, in pixels ``(B, 4)``.
        flips: which are mirrored ``(B,)``.
        partners: which image of the batch each is mixed with ``(B,)``.
        share: what an image keeps of itself, 0 to 1.
        cut: top, left, bottom and right of the box that is pasted; `BLEND` where images are
            blended instead.
    """

    rows: Tensor
    boxes: Tensor
    flips: Tensor
    partners: Tensor
    share: float
    cut: tuple[int, int, int, int]

    def columns(self) -> dict[str, Tensor]:
        """The draws as they are stored, a row each."""
        return {
            "rows": self.rows.int(),
            "boxes": self.boxes.short(),
            "flips": self.flips,
            "partners": self.partners.int(),
            "share": torch.tensor(self.share, dtype=torch.float32),
            "cut": torch.tensor(self.cut, dtype=torch.int16),
        }

    @classmethod
    def of_columns(cls, columns: dict[str, Tensor]) -> Replay:
        """The draws that were stored."""
        top, left, bottom, right = columns["cut"].tolist()
        return cls(
            columns["rows"].long(),
            columns["boxes"].long(),
            columns["flips"],
            columns["partners"].long(),
            float(columns["share"]),
            (top, left, bottom, right),
        )

    def show(
        self, pictures: Tensor, space: InputSpace, device: torch.device | str = "cpu"
    ) -> Tensor:
        """The batch as networks read it.

        Args:
            pictures: all images of the set as bytes ``(N, C, H, W)``, on the CPU.
            space: of the images.
            device: where the batch is put together.

        Returns:
            ``(B, C, H, W)``.
        """
        x = space.of_bytes(pictures[self.rows].to(device))
        # Crops grow to the size of the image, which needs no smoothing.
        flips = self.flips.numpy()
        x = resized_crops(x, self.boxes.numpy(), flip=flips, antialias=False)
        return self.mix(x)

    def mix(self, x: Tensor) -> Tensor:
        """Mix images that were cropped and mirrored."""
        partners = self.partners.to(x.device)
        if self.cut == BLEND:
            return blended(x, partners, self.share)
        top, left, bottom, right = self.cut
        return pasted(x, partners, (slice(top, bottom), slice(left, right)))

    def classes(self, labels: Tensor, count: int, size: tuple[int, int]) -> Tensor:
        """Hard labels of the mixed batch as probabilities ``(B, count)``.

        An image that a box was pasted into keeps the share of its pixels that is left, which is
        more than was drawn where the box was cut off at the border.

        Args:
            labels: class indices of the set ``(N,)``.
            count: how many classes there are.
            size: of the images, H and W.
        """
        given = torch.nn.functional.one_hot(labels[self.rows], count).float()
        share = self.share
        if self.cut != BLEND:
            top, left, bottom, right = self.cut
            share = 1 - (bottom - top) * (right - left) / (size[0] * size[1])
        return blended(given, self.partners, share)


@settings
class LabelViews:
    """How often, and in which views, a small set is shown: what its soft labels are about.

    Args:
        epochs: passes over the set.
        steps: batches in all instead of epochs, or None. To compare sets of different sizes fix
            the steps.
        batch_size: images in a batch, at most all; every batch is full.
        low: smallest share of an image that a crop takes; 1 takes whole images.
        flip: mirror left and right with probability one half.
        mix: ``"cutmix"`` pastes a box of another image of the batch, ``"mixup"`` blends with
            another, ``"none"`` does neither.
        beta: of the Beta distribution of what an image keeps of itself.

    Source: Shen and Xing, arXiv 2112.01528 (FKD), as used by Yin, Xing and Shen,
    arXiv 2306.13092 (SRe2L).

    Example:
        >>> LabelViews(epochs=300, batch_size=16).steps_for(100)
        1875
    """

    epochs: Annotated[int, Field(ge=1)] = 300
    steps: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] = 100
    low: Annotated[float, Field(gt=0, le=1)] = 0.08
    flip: bool = True
    mix: Literal["cutmix", "mixup", "none"] = "cutmix"
    beta: Annotated[float, Field(gt=0)] = 1.0

    def steps_for(self, images: int) -> int:
        """Batches in all for a set of so many images."""
        if self.steps is not None:
            return self.steps
        return math.ceil(self.epochs * images / self.size_for(images))

    def size_for(self, images: int) -> int:
        """Images in a batch of a set of so many."""
        return min(self.batch_size, images)

    def order(self, images: int, seed: int) -> Order:
        """Which images the batches of a set hold."""
        return Order(images, self.size_for(images), seed, STAGE)

    def draw(self, step: int, order: Order, size: tuple[int, int], seed: int) -> Replay:
        """Draw a batch.

        Args:
            step: its number.
            order: as `order` gives it.
            size: of the images, H and W.
            seed: of the draws.

        Returns:
            What was drawn, the same for the same numbers.
        """
        rows, _ = order.at(step)
        key, places = keyed.key(seed, STAGE, step), np.arange(len(rows))
        each = keyed.uniform(key, places, DRAWS + 1)
        boxes = np.tile(np.array([0, 0, *size]), (len(rows), 1))
        if self.low < 1:
            boxes = crop_boxes(each[:, 1:], size, scale=(self.low, 1.0))
        draws = np.random.Generator(np.random.Philox(key=keyed.key(key, "mix")))
        partners, share, cut = places, 1.0, (0, 0, 0, 0)
        if self.mix != "none":
            partners, share = draws.permutation(len(rows)), float(draws.beta(self.beta, self.beta))
            cut = BLEND
        if self.mix == "cutmix":
            middle = [int(draws.random() * side) for side in size]
            down, across = mixing_box(share, size, middle)
            cut = down.start, across.start, down.stop, across.stop
        return Replay(
            torch.from_numpy(rows),
            torch.from_numpy(boxes),
            torch.from_numpy((each[:, 0] < 0.5) & self.flip),
            torch.from_numpy(partners),
            # As it is stored, so that a replay is the same.
            float(np.float32(share)),
            cut,
        )
