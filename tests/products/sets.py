"""Small synthetic sets of every kind."""

import sys
from dataclasses import dataclass, replace
from types import ModuleType

import torch

from limbeck import InputSpace, SyntheticDataset
from limbeck.data import from_arrays

GREY = InputSpace((8, 8), channels=1, mean=(0.4,), std=(0.3,))
COLOUR = InputSpace((6, 6), channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
BYTES = InputSpace((8, 8), channels=1, mean=(70.0,), std=(50.0,), range=(0.0, 255.0))
CLASSES = ("ant", "bee", "cat/dog")


@dataclass(frozen=True)
class StandIn:
    """A whitening with the interface of limbeck's, for a checkout that has none yet."""

    mean: torch.Tensor
    vectors: torch.Tensor
    values: torch.Tensor
    eps: float

    def apply(self, x):
        return self._turn(x.flatten(1) - self.mean, -0.5).reshape(x.shape)

    def restore(self, x):
        return (self._turn(x.flatten(1), 0.5) + self.mean).reshape(x.shape)

    def _turn(self, x, power):
        return x @ self.vectors @ torch.diag((self.values + self.eps) ** power) @ self.vectors.T


def stand_in(monkeypatch):
    """Put the stand-ins where limbeck looks, unless it has its own."""
    try:
        from limbeck.functional.whitening import Zca
    except ImportError:
        pass
    else:
        return Zca
    maths, spaces = (ModuleType(name) for name in ("whitening", "whitened"))
    maths.Zca = StandIn

    def prepared(data, turn):
        def split(one):
            columns = one.take(range(len(one)))
            x = columns["x"].float() / (255 if columns["x"].dtype == torch.uint8 else 1)
            from limbeck.data import TensorSplit

            return TensorSplit({"x": turn(x), "y": columns["y"]}, one.ids)

        parts = {name: split(getattr(data, name)) for name in ("train", "validation", "test")}
        space = replace(data.input_space, mean=(), std=())
        return replace(data, **parts, input_space=space)

    spaces.normalised = lambda data: prepared(data, data.input_space.normalise)
    spaces.whitened = lambda data, zca=None: (
        prepared(data, lambda x: zca.apply(x / data.input_space.range[1])),
        zca,
    )
    monkeypatch.setitem(sys.modules, "limbeck.functional.whitening", maths)
    monkeypatch.setitem(sys.modules, "limbeck.data.whitened", spaces)
    return StandIn


def whitening(kind, space, seed=0):
    draw = torch.Generator().manual_seed(seed)
    size = torch.Size(space.shape).numel()
    x = torch.rand(3 * size, size, generator=draw)
    values, vectors = torch.linalg.eigh(x.T.cov())
    return kind(mean=x.mean(0), vectors=vectors, values=values.clamp(min=0), eps=0.1)


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
