"""Densities: sets of points in a plane made into pictures that people can look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from torch import Tensor

from limbeck.run.exhibits import Gallery
from limbeck.run.galleries import Images, encoded

Extent = tuple[float, float, float, float]
# Cells a side, pixels a cell, and how far beyond the real points a picture reaches.
CELLS, ENLARGED, MARGIN = 64, 3, 0.25


def extent_of(points: Tensor) -> Extent:
    """The square that holds points ``(N, 2)`` with a margin: left, right, bottom, top."""
    low, high = points.amin(0), points.amax(0)
    half = float((high - low).max()) / 2 * (1 + MARGIN)
    x, y = ((low + high) / 2).tolist()
    return x - half, x + half, y - half, y + half


def density(points: Tensor, extent: Extent, *, cells: int = CELLS) -> Images:
    """How many points fall into each cell of a square, the fuller the darker.

    Shades follow the square root of the count, so that thin parts are seen. What lies outside is
    left out.

    Args:
        points: ``(N, 2)``.
        extent: left, right, bottom, top.
        cells: a side.

    Returns:
        One grey image, uint8 ``(H, W, 1)``, the second coordinate upwards.

    Example:
        >>> import torch
        >>> image = density(torch.zeros(5, 2), (-1, 1, -1, 1), cells=3)
        >>> image[:, :, 0].min(), image.shape
        (np.uint8(0), (9, 9, 1))
    """
    left, right, bottom, top = extent
    x, y = points.double().numpy().T
    counts, _, _ = np.histogram2d(y, x, bins=cells, range=((bottom, top), (left, right)))
    shares = np.sqrt(counts / max(1.0, counts.max()))
    shades = (255 * (1 - shares)).round().astype(np.uint8)[::-1, :, None]
    return shades.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)


def densities(
    title: str,
    sets: Mapping[str, Tensor],
    groups: Mapping[str, Tensor],
    extent: Extent,
    *,
    caption: str,
) -> Gallery:
    """Sets of points side by side, a row for each group.

    Args:
        title: above them.
        sets: points ``(N, 2)`` by the name of their column.
        groups: which of the points ``(N,)`` stand in a row, by its name.
        extent: left, right, bottom, top of every picture.
        caption: what is to be seen.

    Returns:
        The gallery.
    """
    pictures = [
        [encoded(density(points[chosen], extent)) for points in sets.values()]
        for chosen in groups.values()
    ]
    return Gallery(title, caption, _names(sets), _names(groups), pictures)


def _names(table: Iterable[str]) -> list[str]:
    return list(table)
