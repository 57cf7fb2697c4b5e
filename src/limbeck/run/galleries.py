"""Galleries: small images of classes made into pictures that people can look at."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from limbeck.errors import ArgumentError
from limbeck.run.exhibits import Gallery

Images = np.ndarray[Any, np.dtype[np.uint8]]

# Pixels a side that an image has at least when it is shown, and the most images of a line.
READABLE, ACROSS = 48, 10
GAP, GROUND = 2, 255
# Bytes of pictures that a page carries for a set, and for how it came about.
WALL, EVOLUTION = 900_000, 450_000
ROWS, MOMENTS = 10, 5
# Higher levels take ten times as long and save nothing on noise.
LEVEL = 6
# What is tried to keep within the budget before images are left out: colours of a row.
PALETTES = (None, 256, 64)


def grid(images: Images, *, across: int = ACROSS, factor: int | None = None) -> Images:
    """Put images side by side, small ones enlarged without smoothing, large ones reduced.

    Args:
        images: uint8 ``(N, H, W, C)`` with 1 or 3 channels; others are shown by their mean.
        across: the most images in a line.
        factor: how much to enlarge, a whole number; None makes small images readable, and
            reduces those of twice that size or more by a whole number.

    Returns:
        One image, uint8 ``(H, W, C)``, with white between those it is made of.

    Example:
        >>> grid(np.zeros((3, 8, 8, 1), np.uint8), across=2).shape
        (98, 98, 1)
    """
    if images.ndim != 4 or images.dtype != np.uint8 or not len(images):
        raise ArgumentError(
            f"images have dtype {images.dtype} and shape {images.shape}, expected uint8 "
            "(N, H, W, C) with N of 1 or more"
        )
    if images.shape[3] not in (1, 3):
        images = images.mean(3, keepdims=True).round().astype(np.uint8)
    if factor is None:
        images = _reduced(images)
        factor = math.ceil(READABLE / min(images.shape[1:3]))
    large = images.repeat(factor, axis=1).repeat(factor, axis=2)
    count, height, width, channels = large.shape
    columns = min(across, count)
    lines = math.ceil(count / columns)
    shape = (lines * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels)
    whole = np.full(shape, GROUND, np.uint8)
    for place, one in enumerate(large):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        whole[top : top + height, left : left + width] = one
    return whole


def _reduced(images: Images) -> Images:
    by = min(images.shape[1:3]) // READABLE
    if by < 2:
        return images
    count, height, width, channels = images.shape
    cut = images[:, : height // by * by, : width // by * by]
    blocks = cut.reshape(count, height // by, by, width // by, by, channels)
    return blocks.mean((2, 4)).round().astype(np.uint8)


def png(image: Images, colours: int | None = None) -> bytes:
    """A PNG file of one image.

    Args:
        image: uint8 ``(H, W, C)`` with 1 or 3 channels.
        colours: keep that many, the nearest ones; None keeps all. Grey images keep theirs.

    Returns:
        The content of the file.
    """
    from PIL import Image

    content = io.BytesIO()
    shown = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
    if colours is not None and shown.mode == "RGB":
        shown = shown.quantize(colours, dither=Image.Dither.NONE)
    shown.save(content, "PNG", compress_level=LEVEL)
    return content.getvalue()


def encoded(image: Images, colours: int | None = None) -> str:
    """A PNG file of one image as the text that a `Gallery` holds; see `png`."""
    return base64.b64encode(png(image, colours)).decode()


def wall(
    title: str,
    images: Images,
    labels: Sequence[int],
    classes: Sequence[str],
    *,
    caption: str = "",
    budget: int = WALL,
) -> Gallery:
    """All images of a set, a row for each class.

    Args:
        title: above them.
        images: uint8 ``(N, H, W, C)``.
        labels: class indices, N of them.
        classes: names; those without an image are left out.
        caption: before the sentence about how many are shown.
        budget: bytes; where all images take more, each picture keeps fewer colours, and where that
            is not enough, its first images.

    Returns:
        The gallery.

    Example:
        >>> wall("All", np.zeros((2, 8, 8, 1), np.uint8), [1, 1], ["a", "b"]).rows
        ['b']
    """
    groups = _by_class(images, labels, classes)
    most = max(len(one) for one in groups.values())
    shown, colours = _fitting(groups, most, budget)
    pictures = _strips(groups, shown, colours)
    while shown > 1 and _size(pictures) > budget:
        shown = max(1, min(shown - 1, int(shown * budget / _size(pictures))))
        pictures = _strips(groups, shown, colours)
    rows = _spread(list(groups), max(1, int(len(groups) * budget / _size(pictures))))
    told = "all images" if shown == most else f"the first {shown} of up to {most} images a class"
    told += _left_out(rows, groups) + _fewer(colours, images)
    kept = [picture for name, picture in zip(groups, pictures, strict=True) if name in rows]
    return Gallery(title, _sentence(caption, told), [""], rows, kept)


def _fitting(groups: Mapping[str, Images], most: int, budget: int) -> tuple[int, int | None]:
    """About how many images of a class fit, in which colours, judged by a line of one class."""
    line = max(groups.values(), key=len)[:ACROSS]
    count = sum(len(one) for one in groups.values())
    for colours in PALETTES:
        room = budget * len(line) / len(encoded(grid(line), colours))
        if count <= room:
            return most, colours
    return max(1, int(room / len(groups))), colours


def _strips(groups: Mapping[str, Images], shown: int, colours: int | None) -> list[list[str]]:
    return [[encoded(grid(one[:shown]), colours)] for one in groups.values()]


def _size(pictures: Sequence[Sequence[str]]) -> int:
    return sum(len(text) for row in pictures for text in row)


def _left_out(rows: Sequence[str], groups: Mapping[str, Any]) -> str:
    return f", {len(rows)} of {len(groups)} classes" if len(rows) < len(groups) else ""


def evolution(
    title: str,
    moments: Mapping[str, Images],
    labels: Sequence[int],
    classes: Sequence[str],
    *,
    each: int = 3,
    caption: str = "",
    budget: int = EVOLUTION,
) -> Gallery:
    """How a set came about: a few images of each class at a few moments.

    Args:
        title: above them.
        moments: the set at each moment in order, uint8 ``(N, H, W, C)``, by what to call the
            moment; of more than five, five evenly spread ones with the first and the last.
        labels: class indices, N of them.
        classes: names; of more than ten, ten evenly spread ones.
        each: images of a class.
        caption: before the sentence about what is shown.
        budget: bytes; where the images take more, each picture keeps fewer colours, and where that
            is not enough, fewer classes are shown.

    Returns:
        The gallery.

    Example:
        >>> sets = {f"step {n}": np.zeros((2, 8, 8, 1), np.uint8) for n in range(9)}
        >>> evolution("Steps", sets, [0, 1], ["a", "b"]).columns
        ['step 0', 'step 2', 'step 4', 'step 6', 'step 8']
    """
    names = _spread(list(moments), MOMENTS)
    groups = [_by_class(moments[name], labels, classes) for name in names]
    rows = _spread(list(groups[0]), ROWS)
    for colours in PALETTES:
        pictures = [
            [encoded(grid(group[row][:each], across=each), colours) for group in groups]
            for row in rows
        ]
        if _size(pictures) <= budget:
            break
    kept = _spread(rows, max(1, int(len(rows) * budget / _size(pictures))))
    few = min(each, int(np.bincount(np.asarray(labels)).max()))
    told = f"the first {few} images of a class" if few > 1 else "the first image of a class"
    told += _left_out(kept, groups[0]) + _fewer(colours, moments[names[0]])
    shown = [row for name, row in zip(rows, pictures, strict=True) if name in kept]
    return Gallery(title, _sentence(caption, told), names, kept, shown)


def _fewer(colours: int | None, images: Images) -> str:
    return f", in {colours} colours a picture" if colours and images.shape[3] == 3 else ""


def _by_class(images: Images, labels: Sequence[int], classes: Sequence[str]) -> dict[str, Images]:
    places = np.asarray(labels)
    if len(places) != len(images):
        raise ArgumentError(f"{len(images)} images came with {len(places)} labels")
    return {name: images[places == n] for n, name in enumerate(classes) if (places == n).any()}


def _spread(names: list[str], most: int) -> list[str]:
    """Evenly spread ones, with the first and the last."""
    if len(names) <= most:
        return names
    return [names[round(place)] for place in np.linspace(0, len(names) - 1, num=most)]


def _sentence(caption: str, told: str) -> str:
    told = told[0].upper() + told[1:]
    return f"{caption.rstrip('.')}. {told}." if caption else f"{told}."
