"""Batch views: one crop, one mirror image and one shift for a whole batch, on a schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from limbeck import keyed
from limbeck.functional.schedules import CropMode, crop_scale_bounds
from limbeck.settings import settings

if TYPE_CHECKING:
    from torch import Tensor


@settings
class BatchViews:
    """How images that are learned are changed before networks look at them.

    All images of a batch get the same change, so that it can be undone by none of them alone.

    Args:
        low: smallest share of an image that a crop takes in the end; 1 takes whole images.
        mode: how the smallest share falls from 1 to `low`, see
            `limbeck.functional.crop_scale_bounds`.
        milestone: share of the run at which it has fallen; 0 begins there.
        flip: mirror left and right with probability one half.
        roll: shift by 0 to this many pixels down and to the right, what leaves coming back on the
            other side.
        roll_back: shift up and to the left as well.

    Source: Yin, Xing and Shen, arXiv 2306.13092 (SRe2L); Yin and Shen, arXiv 2311.18838 (CDA).
    """

    low: Annotated[float, Field(gt=0, le=1)] = 0.08
    mode: CropMode = "cosine"
    milestone: Annotated[float, Field(ge=0, le=1)] = 0.0
    flip: bool = True
    roll: Annotated[int, Field(ge=0)] = 32
    roll_back: bool = False

    def apply(self, x: Tensor, at: int, whole: int, seed_key: int) -> Tensor:
        """Change a batch as it is due at a step; the same key gives the same change.

        Args:
            x: images ``(N, C, H, W)``.
            at: the step, from 0.
            whole: how many steps there are.
            seed_key: of the step.

        Returns:
            Images ``(N, C, H, W)``, with a gradient to `x`.

        Example:
            >>> import torch
            >>> views = BatchViews(low=1, flip=False, roll=1)
            >>> views.apply(torch.eye(2)[None, None], 0, 1, 6)[0, 0].sum().item()
            2.0
        """
        import torch

        low, high = crop_scale_bounds(
            at, whole, mode=self.mode, milestone=self.milestone, low=self.low
        )
        draws = keyed.uniform(keyed.key(seed_key, "views"), np.zeros(1, dtype=np.int64), 3)[0]
        if low < high:
            x = _cropped(x, (low, high), keyed.key(seed_key, "crop"))
        if self.flip and draws[0] < 0.5:
            x = x.flip(-1)
        wide = 2 * self.roll + 1 if self.roll_back else self.roll + 1
        shifts = [int(draw * wide) - self.roll * self.roll_back for draw in draws[1:]]
        return torch.roll(x, shifts, (-2, -1)) if any(shifts) else x


def _cropped(x: Tensor, scale: tuple[float, float], seed_key: int) -> Tensor:
    """One part of all images, brought back to their size."""
    from torch.nn.functional import interpolate

    from limbeck.data.cropping import DRAWS, crop_boxes

    size = (x.shape[-2], x.shape[-1])
    draws = keyed.uniform(seed_key, np.zeros(1, dtype=np.int64), DRAWS)
    top, left, height, width = crop_boxes(draws, size, scale=scale)[0].tolist()
    if (height, width) == size:
        return x
    part = x[..., top : top + height, left : left + width]
    # Growing needs no smoothing.
    return interpolate(part, size=size, mode="bilinear", align_corners=False, antialias=False)
