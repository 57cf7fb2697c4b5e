"""Patches: crops of real images that a network knows well, laid out as mosaics."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from limbeck import keyed, outputs
from limbeck.data.batch import Batch
from limbeck.data.cropping import DRAWS, Boxes, check_interval, crop_boxes, resized_crops
from limbeck.data.data import Data
from limbeck.errors import ArgumentError
from limbeck.features import evaluating
from limbeck.functional.supervised import cross_entropy
from limbeck.outputs import Outputs
from limbeck.selection.coresets import Floats, Indices
from limbeck.settings import settings

Difficulty = Literal["easy", "medium", "hard"]
Observer = nn.Module | Callable[[Batch], Tensor | Outputs]


def _check_scale(scale: tuple[float, float]) -> tuple[float, float]:
    return check_interval(scale, "scale", highest=1.0)


@settings
class Patches:
    """How real images are cut and which of their crops are kept.

    Args:
        factor: cells a side of a mosaic; 1 gives one crop an image.
        crops: crops tried an image, of which the one with the lowest cross-entropy counts.
        candidates: real images of a class that are looked at, at most.
        scale: lowest and highest share of an image that a crop covers.
        difficulty: which crops of a class are taken: those with the lowest cross-entropy, those
            around its median, or those with the highest.

    Source: Sun et al., arXiv 2312.03526 (RDED), with the values of LINs-lab/RDED, whose crops have
        torchvision's default scale and whose scripts take a factor of 2 for images of 128 pixels
        and more, of 1 for smaller ones. Difficulty: Shen et al., arXiv 2411.19946 (DELT).
    """

    factor: Annotated[int, Field(ge=1)] = 2
    crops: Annotated[int, Field(ge=1)] = 5
    candidates: Annotated[int, Field(ge=1)] = 300
    scale: Annotated[tuple[float, float], AfterValidator(_check_scale)] = (0.08, 1.0)
    difficulty: Difficulty = "easy"


@torch.no_grad()
def mosaics(
    data: Data,
    observer: Observer,
    per_class: int,
    patches: Patches,
    seed: int,
    *,
    batch_size: int = 512,
) -> tuple[Tensor, Tensor]:
    """Make images of crops of real images, chosen by what an observer says of them.

    Of each candidate image the crop with the lowest cross-entropy of the true class is kept; the
    kept crops of a class are ranked by it; as many as all cells of the class's mosaics are taken.
    Mosaic k shows ranks :math:`k f^2` to :math:`(k + 1) f^2 - 1` of those taken, row by row for a
    factor f: the easiest first, with ``"hard"`` the hardest first. Where f does not divide a side,
    cells differ by one pixel, so that they cover the image.

    Args:
        data: images as networks read them; crops come from its training split.
        observer: a network, asked in evaluation mode; or a teacher or any function that takes a
            `Batch` with the column ``"x"`` alone and gives logits ``(N, K)``, for instance the
            mean of several networks.
        per_class: M, how many mosaics of each class.
        patches: how images are cut and crops are chosen.
        seed: of the candidates and of where they are cut.
        batch_size: crops looked at together; at least those of one image are.

    Returns:
        Images ``(K M, C, H, W)``, normalised, in class-major order, and class indices ``(K M,)``.

    Raises:
        ArgumentError: the data are no images with classes, an image has fewer pixels a side than
            cells, or a class has too few images (it is named).

    Example:
        >>> from limbeck.data import digits
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> images, labels = mosaics(digits(), network, 3, Patches(candidates=20), seed=0)
        >>> images.shape, labels[:4].tolist()
        (torch.Size([30, 1, 8, 8]), [0, 0, 0, 1])

    Source: Sun et al., arXiv 2312.03526 (RDED), section 4. Its code shows the observer each crop
        at the size of a cell, zeros around it; here the observer sees crops at full size, as it
        saw images in training. It cuts squares out of square images; here a crop has the aspect
        ratio of its image.
    """
    images = list(class_mosaics(data, observer, per_class, patches, seed, batch_size=batch_size))
    labels = torch.arange(len(images)).repeat_interleave(per_class)
    return torch.cat(images), labels


@torch.no_grad()
def class_mosaics(
    data: Data,
    observer: Observer,
    per_class: int,
    patches: Patches,
    seed: int,
    *,
    batch_size: int = 512,
) -> Iterator[Tensor]:
    """Yield what `mosaics` gives class by class, ``(M, C, H, W)``: few of them are in memory."""
    height, width = _size(data, patches)
    needed = patches.factor**2 * per_class
    candidates = _candidates(data, needed, per_class, patches, seed)
    boxes, scores = _best_crops(
        data, observer, np.concatenate(candidates), patches, seed, batch_size
    )
    cells, start = _cells(height, width, patches.factor), 0
    for positions in candidates:
        mine = slice(start, start + len(positions))
        taken = _stretch(scores[mine], needed, patches.difficulty)
        made = _laid_out(data, positions[taken], boxes[mine][taken], cells)
        yield data.normalise({"x": made})["x"]
        start = mine.stop


def check_enough(data: Data, per_class: int, patches: Patches) -> None:
    """Raise `ArgumentError` where there can be no mosaics of so many images a class."""
    _size(data, patches)
    _candidates(data, patches.factor**2 * per_class, per_class, patches, 0)


def _size(data: Data, patches: Patches) -> tuple[int, int]:
    """Height and width of the images, or an error that says why there can be no mosaics."""
    space = data.input_space
    if data.task != "classification" or space is None or space.channels is None:
        raise ArgumentError(
            f"mosaics are made of images with classes, and {data.name} is a {data.task} task with "
            f"inputs of shape {None if space is None else space.shape}, expected (C, H, W)"
        )
    height, width = space.size
    if patches.factor > min(height, width):
        raise ArgumentError(
            f"factor is {patches.factor} and images have {height} x {width} pixels, expected at "
            "most one cell a pixel"
        )
    return height, width


def _candidates(
    data: Data, needed: int, per_class: int, patches: Patches, seed: int
) -> list[Indices]:
    """Positions of the images of each class that are looked at, in an order fixed by the seed."""
    if per_class < 1:
        raise ArgumentError(f"per_class is {per_class}, expected at least 1")
    assert data.train.y is not None
    target = data.train.y.numpy()
    found = []
    for label, name in enumerate(data.classes):
        positions = np.flatnonzero(target == label)
        order = keyed.permutation(keyed.key(seed, "patches", label), len(positions))
        found.append(positions[order[: patches.candidates]].astype(np.int64))
        if len(found[-1]) < needed:
            raise ArgumentError(
                f"class {name!r} has {len(positions)} images, of which {len(found[-1])} are looked "
                f"at (candidates is {patches.candidates}), and {needed} are needed for {per_class} "
                f"mosaics of {patches.factor} x {patches.factor} cells; lower images_per_class or "
                "factor, raise candidates, or give the class more images"
            )
    return found


def _best_crops(
    data: Data,
    observer: Observer,
    positions: Indices,
    patches: Patches,
    seed: int,
    batch_size: int,
) -> tuple[Boxes, Floats]:
    """The box of each image's best crop ``(N, 4)`` and its cross-entropy ``(N,)``."""
    assert data.train.y is not None
    key, count = keyed.key(seed, "crops"), patches.crops
    boxes, scores = [], []
    step = max(batch_size // count, 1)
    for start in range(0, len(positions), step):
        chosen = positions[start : start + step]
        columns = data.columns(data.train, chosen)
        height, width = columns["x"].shape[-2:]
        draws = keyed.uniform(key, columns["id"].numpy(), count * DRAWS).reshape(-1, DRAWS)
        # Boxes of the shape of the image: nothing is stretched when it fills the image again.
        ratio = (width / height, width / height)
        tried = crop_boxes(draws, (height, width), scale=patches.scale, ratio=ratio)
        x = resized_crops(columns["x"].repeat_interleave(count, 0), tried)
        # Without ids: what is stored about a sample is not about its crops.
        batch = Batch(data.normalise({"x": x}), key=key, space=data.input_space)
        target = data.train.y[torch.from_numpy(chosen)].repeat_interleave(count)
        losses = _losses(observer, batch, target).reshape(-1, count)
        rows, best = np.arange(len(chosen)), losses.argmin(1)
        boxes.append(tried.reshape(-1, count, 4)[rows, best])
        scores.append(losses[rows, best])
    return np.concatenate(boxes), np.concatenate(scores)


def _losses(observer: Observer, batch: Batch, target: Tensor) -> Floats:
    """Cross-entropy of every sample ``(N,)``."""
    if isinstance(observer, nn.Module):
        with evaluating(observer):
            said = outputs.of(observer, batch)
    else:
        said = outputs.parse(observer(batch), observer)
    losses: Floats = cross_entropy(
        said.read("logits").cpu().double(), target, reduction="none"
    ).numpy()
    return losses


def _stretch(scores: Floats, needed: int, difficulty: Difficulty) -> Indices:
    """Which crops are taken, in the order in which mosaics show them."""
    ranking = np.argsort(scores, kind="stable")
    if difficulty == "hard":
        return ranking[::-1][:needed]
    start = (len(ranking) - needed) // 2 if difficulty == "medium" else 0
    return ranking[start : start + needed]


def _cells(height: int, width: int, factor: int) -> list[tuple[slice, slice]]:
    """Rows and columns of each cell, row by row; together they cover the image."""
    sides = []
    for length in (height, width):
        bounds = [place * length // factor for place in range(factor + 1)]
        sides.append([slice(low, high) for low, high in itertools.pairwise(bounds)])
    return list(itertools.product(*sides))


def _laid_out(
    data: Data, positions: Indices, boxes: Boxes, cells: list[tuple[slice, slice]]
) -> Tensor:
    """Mosaics ``(M, C, H, W)``, not yet normalised; each has a run of the crops given."""
    assert data.input_space is not None
    count = len(positions) // len(cells)
    mosaic = torch.empty(count, *data.input_space.shape)
    for number, (rows, columns) in enumerate(cells):
        mine = slice(number, None, len(cells))
        x = data.columns(data.train, positions[mine])["x"]
        size = (rows.stop - rows.start, columns.stop - columns.start)
        mosaic[..., rows, columns] = resized_crops(x, boxes[mine], size)
    return mosaic
