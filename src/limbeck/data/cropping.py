"""Cropping: random resized crops as numbers, drawn and cut for a whole batch at once."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limbeck.checks import check_dimensions, check_floating
from limbeck.errors import ArgumentError

Boxes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]
Size = tuple[int, int]
RATIO: Interval = (3 / 4, 4 / 3)
TRIES = 10
# An area and an aspect ratio a try, and two numbers that place the box.
DRAWS = 2 * TRIES + 2


def crop_boxes(draws: Floats, size: Size, *, scale: Interval, ratio: Interval = RATIO) -> Boxes:
    r"""Draw a box for each sample in the way of random resized crops.

    A try draws a share :math:`s` of the area evenly from `scale` and an aspect ratio :math:`r`
    (width over height) evenly on a log scale from `ratio`; the box has
    :math:`\sqrt{s H W / r} \times \sqrt{s H W r}` pixels, rounded. The first of ten tries that
    fits into the image is placed evenly. If none fits, the box is the largest centred one whose
    aspect ratio is allowed.

    Args:
        draws: uniform in [0, 1), ``(N, DRAWS)``, from `limbeck.keyed.uniform`.
        size: ``(H, W)`` in pixels.
        scale: lowest and highest share of the area, above 0, at most 1.
        ratio: lowest and highest aspect ratio, above 0.

    Returns:
        Boxes ``(N, 4)``: top, left, height and width in pixels.

    Raises:
        ArgumentError: the shape of the draws, a size, or an interval does not fit.

    Example:
        >>> from limbeck import keyed
        >>> draws = keyed.uniform(keyed.key(0), np.arange(2), DRAWS)
        >>> crop_boxes(draws, (32, 32), scale=(1.0, 1.0)).tolist()
        [[0, 0, 32, 32], [0, 0, 32, 32]]

    Source: ``RandomResizedCrop.get_params`` of torchvision.
    """
    _check_draws(draws)
    check_interval(scale, "scale", highest=1.0)
    check_interval(ratio, "ratio")
    height, width = check_size(size, "size")
    shares, aspects = draws[:, :TRIES], draws[:, TRIES : 2 * TRIES]
    areas = height * width * _between(shares, *scale)
    aspects = np.exp(_between(aspects, math.log(ratio[0]), math.log(ratio[1])))
    heights, widths = np.rint(np.sqrt(areas / aspects)), np.rint(np.sqrt(areas * aspects))
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    rows, first = np.arange(len(draws)), fits.argmax(1)
    sizes = np.stack([heights[rows, first], widths[rows, first]], 1)
    corners = np.floor(draws[:, 2 * TRIES :] * (np.array([height, width]) - sizes + 1))
    boxes = np.concatenate([corners, sizes], 1)
    boxes[~fits.any(1)] = _largest(height, width, ratio)
    return boxes.astype(np.int64)


def resized_crops(
    x: Tensor,
    boxes: Boxes,
    size: Size | None = None,
    *,
    antialias: bool = True,
    flip: npt.NDArray[np.bool_] | None = None,
) -> Tensor:
    r"""Cut a box out of each image and resize it bilinearly, all images at once.

    Output :math:`i` of a box of :math:`c` pixels shown as :math:`n` lies at
    :math:`m = (i + 1/2) c / n` and weighs pixel :math:`j` of the box in proportion to
    :math:`\max(0, 1 - |j + 1/2 - m| / w)`. The half width :math:`w` is 1, and with `antialias`
    where a box is shrunk :math:`c / n`. Rows and columns are weighed one after the other by two
    products of matrices.

    Args:
        x: images ``(N, C, H, W)``.
        boxes: top, left, height and width ``(N, 4)``, from `crop_boxes`.
        size: ``(h, w)`` of the output; None keeps that of the images.
        antialias: average over all pixels of a box that is shrunk; without it each output looks
            at its nearest two rows and columns. It changes nothing where a box is not shrunk.
        flip: which outputs are mirrored left and right ``(N,)``; None for none.

    Returns:
        Images ``(N, C, h, w)``, differentiable in `x`; what ``F.interpolate`` with
        ``align_corners=False`` makes of each box alone.

    Raises:
        ArgumentError: `x` holds no floating-point images, or a box lies outside its image.

    Example:
        >>> x = torch.arange(16.0).reshape(1, 1, 4, 4)
        >>> box = np.array([[2, 0, 2, 2]])
        >>> resized_crops(x, box, (2, 2)).tolist()
        [[[[8.0, 9.0], [12.0, 13.0]]]]
        >>> resized_crops(x, box, (2, 2), flip=np.array([True])).tolist()
        [[[[9.0, 8.0], [13.0, 12.0]]]]
    """
    check_dimensions(x, "x", 4, "(N, C, H, W)")
    check_floating(x, "x")
    count, channels, height, width = x.shape
    tall, wide = (height, width) if size is None else check_size(size, "size")
    top, left, box_height, box_width = _checked_boxes(boxes, count, (height, width)).T
    rows = _weights(top, box_height, height, tall, x, antialias=antialias)
    columns = _weights(left, box_width, width, wide, x, antialias=antialias, flip=flip)
    # Columns first: the pixels of a row lie side by side, so nothing is copied.
    narrow = torch.bmm(x.reshape(count, -1, width), columns.mT)
    narrow = narrow.reshape(count, channels, height, wide)
    return torch.matmul(rows[:, None], narrow)


def check_interval(interval: Interval, name: str, *, highest: float = math.inf) -> Interval:
    """Return an interval of positive numbers in order, or raise `ArgumentError`."""
    low, high = interval
    if not 0 < low <= high <= highest or math.isinf(high):
        most = "" if math.isinf(highest) else f" <= {highest:g}"
        raise ArgumentError(f"{name} is ({low}, {high}), expected 0 < low <= high{most}")
    return interval


def check_size(size: Size, name: str) -> Size:
    """Return a height and a width of at least one pixel, or raise `ArgumentError`."""
    if len(size) != 2 or min(size) < 1:
        raise ArgumentError(f"{name} is {size}, expected (height, width), each at least 1 pixel")
    return size


def _between(draws: Floats, low: float, high: float) -> Floats:
    return low + (high - low) * draws


def _largest(height: int, width: int, ratio: Interval) -> tuple[int, int, int, int]:
    """The largest centred box of an allowed aspect ratio."""
    tall, wide = height, width
    # At least one pixel: a line of pixels can be too thin for any aspect ratio.
    if width / height < ratio[0]:
        tall = max(round(width / ratio[0]), 1)
    elif width / height > ratio[1]:
        wide = max(round(height * ratio[1]), 1)
    return (height - tall) // 2, (width - wide) // 2, tall, wide


def _weights(
    start: Boxes,
    length: Boxes,
    pixels: int,
    outputs: int,
    like: Tensor,
    *,
    antialias: bool,
    flip: npt.NDArray[np.bool_] | None = None,
) -> Tensor:
    """How much each output looks at each pixel of one axis, ``(N, outputs, pixels)``."""
    shrink = (length / outputs)[:, None]
    middles = (np.arange(outputs) + 0.5) * shrink
    if flip is not None:
        mirrored = _checked_flip(flip, len(start))[:, None]
        middles = np.where(mirrored, middles[:, ::-1], middles)
    half = np.maximum(shrink, 1.0) if antialias else np.ones_like(shrink)
    # Whole pixels are exact in any type and fractions lie below 1: far from the first pixel
    # float32 would lose digits of the sum of both.
    whole = np.floor(middles)
    nearest, fraction = (start[:, None] + whole)[..., None], (middles - whole)[..., None]
    wide = torch.promote_types(like.dtype, torch.float32)

    def placed(numbers: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(numbers).to(wide).to(like.device)

    pixel = torch.arange(pixels, device=like.device, dtype=wide)
    first, last = start[:, None, None], (start + length)[:, None, None]
    inside = (pixel >= placed(first)) & (pixel < placed(last))
    # In place: at 224 pixels each copy of the weights costs as much as making them.
    weights = (pixel - placed(nearest)).add_(placed(0.5 - fraction)).abs_()
    weights = weights.div_(placed(-half[..., None])).add_(1).clamp_(min=0).mul_(inside)
    return weights.div_(weights.sum(-1, keepdim=True)).to(like.dtype)


def _check_draws(draws: Floats) -> None:
    if draws.ndim != 2 or draws.shape[1] != DRAWS:
        raise ArgumentError(
            f"draws has shape {draws.shape}, expected (N, {DRAWS}); use "
            "limbeck.keyed.uniform(key, ids, DRAWS)"
        )
    if draws.size and not 0 <= draws.min() <= draws.max() < 1:
        raise ArgumentError(
            f"draws holds values from {draws.min():.4g} to {draws.max():.4g}, expected from 0 to "
            "below 1"
        )


def _checked_boxes(given: Boxes, count: int, size: Size) -> Boxes:
    boxes = np.asarray(given)
    if boxes.shape != (count, 4) or boxes.dtype.kind not in "iu":
        raise ArgumentError(
            f"boxes has shape {boxes.shape} and dtype {boxes.dtype}, expected ({count}, 4) whole "
            "numbers, a box for each image"
        )
    corners, sizes = boxes[:, :2], boxes[:, 2:]
    good = ((corners >= 0) & (sizes >= 1) & (corners + sizes <= np.array(size))).all(1)
    if not good.all():
        worst = int(good.argmin())
        raise ArgumentError(
            f"box {worst} is {boxes[worst].tolist()} (top, left, height, width) and the images "
            f"have {size[0]} x {size[1]} pixels, expected a box of at least one pixel inside"
        )
    return boxes.astype(np.int64)


def _checked_flip(flip: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.bool_]:
    found = np.asarray(flip)
    if found.shape != (count,) or found.dtype != np.bool_:
        raise ArgumentError(
            f"flip has shape {found.shape} and dtype {found.dtype}, expected ({count},) of bool"
        )
    return found
