"""Views: augmentations that replay from their key, drawn for a whole batch at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from limbeck import keyed
from limbeck.data.siamese import Siamese, check_strategy
from limbeck.settings import settings

if TYPE_CHECKING:
    from torch import Tensor


@settings
class Views:
    """Which random changes an image gets each time it is seen; none by default.

    Args:
        flip: mirror left and right with probability one half.
        crop: shift by up to this many pixels either way, zeros (in the value range, before
            normalisation) moving in.
        distinct: how many views an image has, shown in turn; 0 draws a new one every time. Stored
            teacher outputs are reused from the second turn on.
        siamese: a strategy such as ``"color_crop_cutout_flip_scale_rotate"``: after normalisation
            every batch gets one of its operations, with numbers of its own for each image; empty
            for none. Teacher outputs of such batches cannot be stored.
    """

    flip: bool = False
    crop: Annotated[int, Field(ge=0)] = 0
    distinct: Annotated[int, Field(ge=0)] = 0
    siamese: Annotated[str, AfterValidator(check_strategy)] = ""

    @staticmethod
    def whole(given: Mapping[str, Any]) -> bool:
        """Whether a table stands alone instead of changing a default: always, as views are few."""
        return True

    @property
    def changing(self) -> bool:
        """Whether any image is changed."""
        return bool(self.flip or self.crop or self.siamese)

    def numbers(self, epochs: np.ndarray) -> np.ndarray:
        """Which of its views a sample shows in an epoch.

        Args:
            epochs: how often each sample was seen before ``(N,)``.

        Returns:
            Numbers ``(N,)``; all 0 where nothing is changed.

        Example:
            >>> Views(flip=True, distinct=2).numbers(np.array([0, 1, 2])).tolist()
            [0, 1, 0]
        """
        if not self.changing:
            return np.zeros_like(epochs)
        return epochs % self.distinct if self.distinct else epochs

    def apply(self, x: Tensor, ids: np.ndarray, numbers: np.ndarray, seed_key: int) -> Tensor:
        """Change images; the same key, id and number give the same change.

        Args:
            x: images ``(N, C, H, W)``, not yet normalised.
            ids: stable sample ids ``(N,)``.
            numbers: of the views ``(N,)``.
            seed_key: stands for (seed, stage).

        Returns:
            Images ``(N, C, H, W)``.
        """
        if not (self.flip or self.crop) or x.ndim != 4:
            return x
        import torch

        moments = (numbers.astype(np.int64) << 40) ^ ids
        draws = torch.from_numpy(keyed.uniform(seed_key, moments, 3))
        count, _, height, width = x.shape
        columns = torch.arange(width).expand(count, width)
        if self.flip:
            mirrored = (draws[:, :1] < 0.5).to(torch.long)
            columns = torch.where(mirrored == 1, width - 1 - columns, columns)
        rows = torch.arange(height).expand(count, height)
        if self.crop:
            x = torch.nn.functional.pad(x, (self.crop,) * 4)
            shifts = (draws[:, 1:] * (2 * self.crop + 1)).long()
            rows, columns = rows + shifts[:, :1], columns + shifts[:, 1:]
        rows, columns = rows.to(x.device), columns.to(x.device)
        sample = torch.arange(count, device=x.device)[:, None, None]
        # Advanced indices on both sides of the channel axis move that axis last.
        return x[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()

    def apply_batch(self, x: Tensor, rows: np.ndarray, batch_key: int) -> Tensor:
        """Change a whole batch of images; the same key gives the same change.

        Args:
            x: normalised images ``(N, C, H, W)``; inputs of another shape are left alone.
            rows: which rows of the batch these are ``(N,)``.
            batch_key: stands for (seed, stage, step).

        Returns:
            Images ``(N, C, H, W)``.
        """
        if not self.siamese or x.ndim != 4:
            return x
        # The key of a batch also mixes it: each has draws of its own.
        return Siamese(self.siamese).apply(x, keyed.key(batch_key, "siamese"), rows=rows)
