"""Mixing: images that are made of two, replayed from the key of their batch."""

from __future__ import annotations

import numpy as np

from limbeck import keyed
from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError


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
    height, width = x.shape[-2:]
    rows, columns = box(draws.beta(beta, beta), (height, width), draws.random(2))
    partner = torch.from_numpy(draws.permutation(len(x))).to(x.device)
    mixed = x.clone()
    mixed[..., rows, columns] = x[partner][..., rows, columns]
    return batch.with_columns(x=mixed)


def box(share: float, size: tuple[int, int], centre: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the box that leaves a share of the image uncovered.

    Args:
        share: lambda, 0 to 1.
        size: height and width of the image in pixels.
        centre: where the box lies, two numbers from 0 to 1.

    Returns:
        Two slices, cut at the border.

    Example:
        >>> box(0.75, (8, 8), np.array([0.5, 0.5]))
        (slice(2, 6, None), slice(2, 6, None))
    """
    slices = []
    for length, place in zip(size, centre, strict=True):
        cut, middle = int(length * np.sqrt(1 - share)), int(place * length)
        low, high = middle - cut // 2, middle + cut // 2
        slices.append(slice(min(max(low, 0), length), min(max(high, 0), length)))
    return slices[0], slices[1]
