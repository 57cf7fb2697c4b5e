"""Differentiable augmentation of whole batches: every change is given by explicit numbers.

A parameter has one entry an image ``(N,)``, or one for all ``(1,)``, which is the siamese mode: the
same change for every image, and cheaper. All operations are differentiable in the image.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.checks import check_choice, check_dimensions
from limbeck.errors import ArgumentError

OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
CROP, CUTOUT, ZOOM, DEGREES = 0.125, 0.5, 1.2, 15.0
IMAGES = "images (N, C, H, W)"


def siamese_augment(x: Tensor, operation: str, draws: Tensor) -> Tensor:
    r"""Change images by one of the six operations of differentiable siamese augmentation.

    With :math:`u` the draws of an image:

    - ``"color"``: `brightness` with :math:`u_0`, `saturation` with :math:`u_1`, `contrast` with
      :math:`u_2`, in this order
    - ``"crop"``: a shift by whole pixels in :math:`[-p, p]`, :math:`p = \lfloor H/8 + 1/2 \rfloor`,
      rows by :math:`u_0` and columns by :math:`u_1`
    - ``"cutout"``: a rectangle of half the side, its centre anywhere
    - ``"flip"``: `flip` with :math:`u_0`
    - ``"scale"``: `scale` with :math:`u_0` (width) and :math:`u_1` (height)
    - ``"rotate"``: `rotate` with :math:`u_0`

    Args:
        x: normalised images ``(N, C, H, W)``.
        operation: one of `OPERATIONS`.
        draws: uniform in [0, 1), ``(N, 3)``, or ``(1, 3)`` for the same change of all images.

    Returns:
        Images ``(N, C, H, W)``.

    Raises:
        ArgumentError: the operation is unknown, or a shape does not fit.

    Example:
        >>> x = torch.arange(8.0).reshape(2, 1, 2, 2)
        >>> draws = torch.tensor([[0.1, 0.0, 0.0], [0.9, 0.0, 0.0]])
        >>> siamese_augment(x, "flip", draws).flatten(1).tolist()
        [[1.0, 0.0, 3.0, 2.0], [4.0, 5.0, 6.0, 7.0]]

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA), section 3, with the ranges of
    VICO-UoE/DatasetCondensation.
    """
    check_choice(operation, "operation", OPERATIONS)
    check_dimensions(x, "x", 4, IMAGES)
    if draws.ndim != 2 or draws.shape[1] != 3 or len(draws) not in (1, len(x)):
        raise ArgumentError(
            f"draws has shape {tuple(draws.shape)}, expected ({len(x)}, 3), or (1, 3) for the same "
            "change of all images"
        )
    first, second, third = draws.unbind(1)
    if operation == "color":
        return contrast(saturation(brightness(x, first), second), third)
    if operation == "flip":
        return flip(x, first)
    if operation == "scale":
        low = 1 / ZOOM
        return scale(x, low + first * (ZOOM - low), low + second * (ZOOM - low))
    if operation == "rotate":
        return rotate(x, (first - 0.5) * 2 * DEGREES)
    height, width = x.shape[2:]
    if operation == "crop":
        down, right = crop_reach(height), crop_reach(width)
        return crop(x, _whole(first, 2 * down + 1) - down, _whole(second, 2 * right + 1) - right)
    # An even side has its centre between two pixels: one place more.
    rows, columns = (
        _whole(u, n + 1 - cutout_side(n) % 2) for u, n in ((first, height), (second, width))
    )
    return cutout(x, rows, columns)


def brightness(x: Tensor, draws: Tensor) -> Tensor:
    """Add :math:`u - 1/2` to an image.

    Args:
        x: images ``(N, C, H, W)``.
        draws: u, uniform in [0, 1), ``(N,)`` or ``(1,)``.

    Returns:
        Images ``(N, C, H, W)``.

    Raises:
        ArgumentError: a shape does not fit.

    Example:
        >>> brightness(torch.zeros(2, 1, 1, 1), torch.tensor([0.0, 0.75])).flatten().tolist()
        [-0.5, 0.25]

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA).
    """
    return x + (_each(x, draws, "draws") - 0.5)


def saturation(x: Tensor, draws: Tensor) -> Tensor:
    r"""Scale the distance from grey, :math:`2u\,(x - m) + m` with m the mean over channels.

    Args:
        x: images ``(N, C, H, W)``; one of a single channel stays what it is.
        draws: u, uniform in [0, 1), ``(N,)`` or ``(1,)``.

    Returns:
        Images ``(N, C, H, W)``.

    Raises:
        ArgumentError: a shape does not fit.

    Example:
        >>> x = torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1)
        >>> saturation(x, torch.tensor([0.75])).flatten().tolist()
        [0.5, 3.5]

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA).
    """
    factor, grey = 2 * _each(x, draws, "draws"), x.mean(1, keepdim=True)
    return (x - grey) * factor + grey


def contrast(x: Tensor, draws: Tensor) -> Tensor:
    r"""Scale the distance from the mean m of the image, :math:`(u + 1/2)\,(x - m) + m`.

    Args:
        x: images ``(N, C, H, W)``.
        draws: u, uniform in [0, 1), ``(N,)`` or ``(1,)``.

    Returns:
        Images ``(N, C, H, W)``.

    Raises:
        ArgumentError: a shape does not fit.

    Example:
        >>> x = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2)
        >>> contrast(x, torch.tensor([0.0])).flatten().tolist()
        [1.5, 2.5]

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA).
    """
    factor, mean = _each(x, draws, "draws") + 0.5, x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * factor + mean


def crop(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Shift by whole pixels, zeros moving in: ``y[r, c] = x[r + down, c + right]``.

    Args:
        x: images ``(N, C, H, W)``.
        down: rows, whole numbers ``(N,)`` or ``(1,)``.
        right: columns, likewise.

    Returns:
        Images ``(N, C, H, W)``.

    Raises:
        ArgumentError: a shape does not fit.

    Example:
        >>> x = torch.arange(1.0, 5.0).reshape(1, 1, 2, 2)
        >>> crop(x, torch.tensor([1]), torch.tensor([0])).flatten().tolist()
        [3.0, 4.0, 0.0, 0.0]

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA).
    """
    count, channels, height, width = x.shape
    rows = torch.arange(height, device=x.device) + _each(x, down, "down")[:, 0, 0].long()
    columns = torch.arange(width, device=x.device) + _each(x, right, "right")[:, 0, 0].long()
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None
    ]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    # Two whole index tensors would cost four times as much in the backward pass.
    places = (rows[:, :, None] * width + columns[:, None]).flatten(1)[:, None]
    moved = x.flatten(2).gather(2, places.expand(count, channels, -1))
    return moved.reshape(x.shape) * inside[:, None]


def cutout(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Set a rectangle of half the sides to zero; what lies outside the image is clamped into it.

    Args:
        x: images ``(N, C, H, W)``.
        rows: of the centre, whole numbers ``(N,)`` or ``(1,)``.
        columns: of the centre, likewise.

    Returns:
        Images ``(N, C, H, W)``.

    Raises:
        ArgumentError: a shape does not fit.

    Example:
        >>> x = torch.ones(1, 1, 1, 4)
        >>> cutout(x, torch.tensor([0]), torch.tensor([4])).flatten().tolist()
        [1.0, 1.0, 1.0, 0.0]

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA).
    """
    cut = [
        _covered(_each(x, centre, name)[:, 0, 0], length)
        for centre, length, name in (
            (rows, x.shape[2], "rows"),
            (columns, x.shape[3], "columns"),
        )
    ]
    return x * ~(cut[0][:, None, :, None] & cut[1][:, None, None, :])


def flip(x: Tensor, draws: Tensor) -> Tensor:
    """Mirror left and right where :math:`u < 1/2`.

    Args:
        x: images ``(N, C, H, W)``.
        draws: u, uniform in [0, 1), ``(N,)`` or ``(1,)``.

    Returns:
        Images ``(N, C, H, W)``.

    Raises:
        ArgumentError: a shape does not fit.

    Example:
        >>> flip(torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([0.4])).flatten().tolist()
        [2.0, 1.0]

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA).
    """
    return torch.where(_each(x, draws, "draws") < 0.5, x.flip(3), x)


def scale(x: Tensor, across: Tensor, down: Tensor) -> Tensor:
    r"""Read an image on a grid stretched about its centre, between pixels by bilinear weights.

    Along an axis with centre c, output j reads :math:`c + s\,(j - c)`, weight
    :math:`\max(0, 1 - |\cdot - i|)` for input i, nothing outside.

    Args:
        x: images ``(N, C, H, W)``.
        across: s of the width, ``(N,)`` or ``(1,)``; below 1 enlarges.
        down: s of the height, likewise.

    Returns:
        Images ``(N, C, H, W)``.

    Raises:
        ArgumentError: a shape does not fit.

    Example:
        >>> x = torch.tensor([[[[0.0, 1.0, 2.0, 3.0, 4.0]]]])
        >>> scale(x, torch.tensor([0.5]), torch.tensor([1.0])).flatten().tolist()
        [1.0, 1.5, 2.0, 2.5, 3.0]

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA).
    """
    # Bilinear reading on a grid along the axes is one small matrix an axis.
    rows = _reading(_each(x, down, "down")[:, 0], x.shape[2])
    columns = _reading(_each(x, across, "across")[:, 0], x.shape[3])
    return rows[:, None] @ x @ columns[:, None].mT


def rotate(x: Tensor, degrees: Tensor) -> Tensor:
    """Read an image on a grid turned about its centre, bilinear, nothing outside.

    The grid has the corners of the image at -1 and 1, so the turn of an image that is not square is
    sheared, as published.

    Args:
        x: images ``(N, C, H, W)``.
        degrees: ``(N,)`` or ``(1,)``.

    Returns:
        Images ``(N, C, H, W)``; differentiable once, not twice.

    Raises:
        ArgumentError: a shape does not fit.

    Example:
        >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
        >>> rotate(x, torch.tensor([180.0])).round(decimals=4).flatten().tolist()
        [4.0, 3.0, 2.0, 1.0]

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA).
    """
    angle = _each(x, degrees, "degrees")[:, 0] * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    down, across = _corners(x, x.shape[2])[:, None], _corners(x, x.shape[3])
    grid = torch.stack([cos * across - sin * down, sin * across + cos * down], 3)
    # One turn for all reads every channel of every image on the same grid.
    seen = x.reshape(1, -1, *x.shape[2:]) if len(angle) == 1 else x
    return F.grid_sample(seen, grid, padding_mode="zeros", align_corners=True).reshape(x.shape)


def crop_reach(length: int) -> int:
    """Pixels that a crop of siamese augmentation moves at most along a side.

    Example:
        >>> crop_reach(32), crop_reach(8)
        (4, 1)
    """
    return int(length * CROP + 0.5)


def cutout_side(length: int) -> int:
    """Pixels of a side that a cutout of siamese augmentation covers.

    Example:
        >>> cutout_side(32), cutout_side(7)
        (16, 4)
    """
    return int(length * CUTOUT + 0.5)


def _each(x: Tensor, value: Tensor, name: str) -> Tensor:
    """A parameter as ``(N, 1, 1, 1)`` or ``(1, 1, 1, 1)``."""
    check_dimensions(x, "x", 4, IMAGES)
    if value.ndim != 1 or len(value) not in (1, len(x)):
        raise ArgumentError(
            f"{name} has shape {tuple(value.shape)} and there are {len(x)} images, expected "
            f"({len(x)},), or (1,) for the same change of all"
        )
    like = x.dtype if value.is_floating_point() else value.dtype
    return value.to(x.device, like)[:, None, None, None]


def _whole(draws: Tensor, count: int) -> Tensor:
    """Uniform draws as whole numbers from 0 to count - 1."""
    # A draw just below 1 can round up to the count in few bits.
    return (draws * count).floor().clamp(max=count - 1).long()


def _covered(centre: Tensor, length: int) -> Tensor:
    """Which pixels along an axis a cutout covers, ``(N, length)`` from centres ``(N, 1)``."""
    side = cutout_side(length)
    first = centre.long() - side // 2
    last = (first + side - 1).clamp(0, length - 1)
    pixels = torch.arange(length, device=centre.device)
    return (pixels >= first.clamp(0, length - 1)) & (pixels <= last)


def _corners(x: Tensor, length: int) -> Tensor:
    """Places of pixels with the first at -1 and the last at 1; a single one at 0."""
    pixels = torch.arange(length, dtype=x.dtype, device=x.device)
    return (2 * pixels - (length - 1)) / max(length - 1, 1)


def _reading(stretch: Tensor, length: int) -> Tensor:
    """Bilinear weights of inputs for each output: ``(N, 1, 1)`` to ``(N, length, length)``."""
    pixels = torch.arange(length, dtype=stretch.dtype, device=stretch.device)
    centre = (length - 1) / 2
    places = stretch * (pixels - centre)[:, None] + centre
    return (1 - (places - pixels).abs()).clamp(min=0)
