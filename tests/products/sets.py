"""Small synthetic sets of every kind."""

from dataclasses import replace

import pytest
import torch

from limbeck import InputSpace, SyntheticDataset
from limbeck.data import from_arrays

GREY = InputSpace((8, 8), channels=1, mean=(0.4,), std=(0.3,))
COLOUR = InputSpace((6, 6), channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
BYTES = InputSpace((8, 8), channels=1, mean=(70.0,), std=(50.0,), range=(0.0, 255.0))
CLASSES = ("ant", "bee", "cat/dog")


def whitening(space, seed=0):
    fit_zca = pytest.importorskip("limbeck.functional.whitening").fit_zca
    draw = torch.Generator().manual_seed(seed)
    return fit_zca(torch.rand(200, *space.shape, generator=draw))


def made(space=GREY, per_class=2, *, soft=False, rate=None, zca=None, seed=0, classes=CLASSES):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(classes)).repeat_interleave(per_class)
    low, high = space.range
    pixels = low + (high - low) * (
        torch.rand(len(labels), *space.shape, generator=draw) * 1.2 - 0.1
    )
    white = (pixels - low) / (high - low)
    images = space.normalise(pixels) if zca is None else zca.apply(white)
    logits = torch.randn(len(labels), len(classes), generator=draw) if soft else None
    return SyntheticDataset(
        images, labels, space, classes, label_logits=logits, step_size=rate, zca=zca, name="few"
    )


def real(space=GREY, classes=CLASSES, count=60, seed=5):
    draw = torch.Generator().manual_seed(seed)
    x = torch.rand(count, *space.shape, generator=draw) * space.range[1]
    data = from_arrays(x, torch.arange(count) % len(classes), classes=classes, name="real")
    return replace(data, input_space=space)


def eight_bit(space=GREY, **options):
    """The same images as bytes."""
    small = made(space, **options)
    return SyntheticDataset(
        space.to_bytes(small.images),
        small.labels,
        space,
        small.classes,
        label_logits=small.label_logits,
        step_size=small.step_size,
        name="few",
    )
