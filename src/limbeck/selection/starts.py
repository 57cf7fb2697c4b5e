"""Starts: where synthetic images begin, with soft labels for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.data import Data
from limbeck.errors import ArgumentError
from limbeck.features import evaluating
from limbeck.functional.trajectories import average_correct_logits
from limbeck.selection.coresets import random_selection
from limbeck.selection.histories import right_samples

Start = Literal["correct", "real", "noise"]


def start_images(
    start: Start, data: Data, experts: Sequence[nn.Module], per_class: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the images that learning begins from.

    Args:
        start: ``"correct"`` takes for each class, in random order, images that the first expert
            gets right, and where they do not suffice goes on with the next; labels are the mean
            logits of all experts that are right. ``"real"`` takes any images and the last expert's
            logits, ``"noise"`` standard normal numbers, whose labels say nothing.
        data: images as networks read them; its training split is chosen from.
        experts: trained networks.
        per_class: M, how many of each class.
        seed: of the choice.

    Returns:
        Images ``(K M, C, H, W)`` in class-major order, label logits ``(K M, K)``, and class
        indices ``(K M,)``.

    Raises:
        ArgumentError: a class has fewer images, or fewer that an expert gets right (it is named).
    """
    key, y = keyed.key(seed, "start"), data.train.y
    assert y is not None
    chosen = random_selection(y, per_class, key)
    if start == "correct":
        order = keyed.permutation(key, len(y))
        chosen = _correct(data, experts, per_class, order)
    labels = y[torch.from_numpy(chosen)].long()
    images = data.normalise(data.columns(data.train, chosen))["x"]
    if start == "noise":
        with keyed.torch_seeded(key):
            return torch.randn(images.shape), torch.zeros(len(labels), data.outputs), labels
    if start == "real":
        return images, _said(experts[-1], images), labels
    said = torch.stack([_said(expert, images) for expert in experts])
    return images, average_correct_logits(said, labels), labels


def _correct(
    data: Data, experts: Sequence[nn.Module], per_class: int, order: np.ndarray
) -> np.ndarray:
    """The first images of each class, in an order, that one expert or the next gets right."""
    y = data.train.y
    assert y is not None
    target = y.numpy()
    found: list[list[int]] = [[] for _ in range(data.outputs)]
    for expert in experts:
        if all(len(one) == per_class for one in found):
            break
        right = right_samples(expert, data)
        for label, taken in enumerate(found):
            fitting = order[right[order] & (target[order] == label)]
            new = [int(one) for one in fitting if int(one) not in taken]
            taken.extend(new[: per_class - len(taken)])
    short = [label for label, taken in enumerate(found) if len(taken) < per_class]
    if short:
        label = short[0]
        raise ArgumentError(
            f"class {data.classes[label]!r} has {len(found[label])} images that one of "
            f"{len(experts)} experts gets right, and {per_class} are to start from; train experts "
            "longer, lower images_per_class, or take start=real"
        )
    return np.concatenate([np.array(taken, dtype=np.int64) for taken in found])


@torch.no_grad()
def _said(expert: nn.Module, images: Tensor) -> Tensor:
    with evaluating(expert):
        return torch.cat([expert(part) for part in images.split(512)])
