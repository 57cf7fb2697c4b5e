"""Mixing: images that are made of two, replayed from the key of their batch."""

from __future__ import annotations

import numpy as np

from limbeck import keyed
from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError
from limbeck.functional.mixing import mixing_box, pasted


def cutmix(batch: Batch, *, beta: float = 1.0, probability: float = 1.0) -> Batch:
    """Paste one box of another image of the batch into every image, the same box for all.

    The box covers a share 1 - lambda of the image, lambda drawn from Beta(beta, beta), and is cut
    at the border. Labels stay those of the image that was pasted into: the mixed batch is for
    losses that ask a teacher about the mixed image.

    Args:
        batch: images ``(N, C, H, W)`` in the column ``"x"``.
        beta: of the Beta distribution, above 0.
        probability: of mixing the batch at all, 0 to 1.

    Returns:
        The batch with mixed images, or as it came.

    Raises:
        ArgumentError: the batch has no images, or an option is outside its range.

    Source: Yun et al., arXiv 1905.04899, algorithm 1.
    """
    import torch

    if batch["x"].ndim != 4:
        raise ArgumentError(f"cutmix takes images (N, C, H, W), got {tuple(batch['x'].shape)}")
    if beta <= 0 or not 0 <= probability <= 1:
        raise ArgumentError(
            f"beta is {beta} and probability {probability}, expected above 0 and from 0 to 1"
        )
    draws = np.random.Generator(np.random.Philox(key=keyed.key(batch.key, "cutmix")))
    if draws.random() >= probability:
        return batch
    x = batch["x"]
    size = (x.shape[-2], x.shape[-1])
    share, places = draws.beta(beta, beta), draws.random(2)
    box = mixing_box(share, size, [int(place * of) for place, of in zip(places, size, strict=True)])
    partner = torch.from_numpy(draws.permutation(len(x))).to(x.device)
    return batch.with_columns(x=pasted(x, partner, box))
