"""Mixing: images that are made of two, from numbers that can be stored and replayed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from limbeck.errors import ArgumentError

Slices = tuple[slice, slice]


def mixing_box(share: float, size: tuple[int, int], centre: Sequence[int]) -> Slices:
    r"""Rows and columns of a box that leaves about a share of the image uncovered.

    Its sides are :math:`\lfloor H \sqrt{1 - \lambda} \rfloor` and the same of W; what sticks out
    of the image is cut off, and the share is not corrected for that.

    Args:
        share: :math:`\lambda`, 0 to 1.
        size: H and W in pixels.
        centre: row and column of its middle.

    Returns:
        Two slices.

    Raises:
        ArgumentError: the share lies outside 0 to 1.

    Example:
        >>> mixing_box(0.75, (8, 8), (4, 4))
        (slice(2, 6, None), slice(2, 6, None))

    Source: Yun et al., arXiv 1905.04899 (CutMix), algorithm 1.
    """
    if not 0 <= share <= 1:
        raise ArgumentError(f"share is {share}, expected a number from 0 to 1")
    slices = []
    for length, middle in zip(size, centre, strict=True):
        half = int(length * math.sqrt(1 - share)) // 2
        low, high = middle - half, middle + half
        slices.append(slice(min(max(low, 0), length), min(max(high, 0), length)))
    return slices[0], slices[1]


def pasted(x: Tensor, partner: Tensor, box: Slices) -> Tensor:
    """Put a box of each image's partner into the image; all have the same box.

    Args:
        x: images ``(N, C, H, W)``.
        partner: position of each image's partner ``(N,)``.
        box: rows and columns.

    Returns:
        New images.

    Example:
        >>> import torch
        >>> x = torch.arange(2.0).reshape(2, 1, 1, 1).expand(2, 1, 2, 2)
        >>> pasted(x, torch.tensor([1, 0]), (slice(0, 1), slice(0, 2)))[0].tolist()
        [[[1.0, 1.0], [0.0, 0.0]]]
    """
    rows, columns = box
    mixed = x.clone()
    mixed[..., rows, columns] = x[..., rows, columns][partner]
    return mixed


def blended(x: Tensor, partner: Tensor, share: float) -> Tensor:
    r"""Blend each image with its partner, :math:`\lambda x + (1 - \lambda) x_p`.

    Args:
        x: images ``(N, C, H, W)``, or anything else with a row a sample, such as labels.
        partner: position of each row's partner ``(N,)``.
        share: :math:`\lambda`, 0 to 1.

    Returns:
        New rows.

    Example:
        >>> import torch
        >>> blended(torch.tensor([[0.0], [4.0]]), torch.tensor([1, 0]), 0.75).tolist()
        [[1.0], [3.0]]

    Source: Zhang et al., arXiv 1710.09412 (mixup).
    """
    return share * x + (1 - share) * x[partner]
