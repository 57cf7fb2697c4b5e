"""Keyed loader: the batch of step s is a function of (seed, stage, s) and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from limbeck import keyed
from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.splits import Split
from limbeck.data.views import Views
from limbeck.errors import ArgumentError
from limbeck.fingerprint import fingerprint

Places = npt.NDArray[np.int64]


class Order:
    """Which samples the batch of a step holds: an endless stream of shuffled epochs, cut up.

    Epoch e is a permutation keyed by (seed, stage, e); a batch may span the border of two epochs,
    so every batch is full.

    Args:
        count: how many samples there are.
        batch_size: at most as many.
        seed: of the run.
        stage: name of the stage.

    Example:
        >>> places, epochs = Order(3, 2, 0, "student").at(1)
        >>> len(places), epochs.tolist()
        (2, [0, 1])
    """

    def __init__(self, count: int, batch_size: int, seed: int, stage: str) -> None:
        self._count, self._size = count, batch_size
        self._seed, self._stage = seed, stage
        self._shuffled: tuple[int, Places] = (-1, np.empty(0, dtype=np.int64))

    def at(self, step: int) -> tuple[Places, Places]:
        """Positions ``(B,)`` of a step's samples, and how often each was shown before."""
        first, start = divmod(step * self._size, self._count)
        positions = self._permutation(first)[start : start + self._size]
        epochs = np.full(self._size, first)
        if len(positions) < self._size:
            # A batch is no longer than an epoch: it lies in one or in two.
            epochs[len(positions) :] = first + 1
            rest = self._permutation(first + 1)[: self._size - len(positions)]
            positions = np.concatenate([positions, rest])
        return positions, epochs

    def _permutation(self, epoch: int) -> Places:
        if self._shuffled[0] != epoch:
            key = keyed.key(self._seed, self._stage, "order", epoch)
            self._shuffled = (epoch, keyed.permutation(key, self._count))
        return self._shuffled[1]


class Batches(Protocol):
    """What a loop asks of a source of batches: a `Loader`, or stored ones."""

    def batches(self, start: int, stop: int) -> Iterator[Batch]: ...


class Loader:
    """Batches in the order of `Order`, read, changed and normalised.

    With several processes each takes its rows of the same global batch.

    Args:
        data: tells how inputs are read and normalised.
        split: the samples, usually ``data.train``.
        batch_size: samples a step over all processes; at most the size of the split is used.
        seed: of the run.
        stage: name of the stage, so that stages see different orders.
        views: random changes of images.
        workers: processes that read ahead; 0 reads in this one. The batches are the same.
        rank: number of this process.
        world: number of processes.

    Raises:
        ArgumentError: the batch size is below 1 or no multiple of the number of processes.

    Example:
        >>> from limbeck.data import digits
        >>> data = digits()
        >>> loader = Loader(data, data.train, 32, seed=0, stage="student")
        >>> [batch["x"].shape[0] for batch in loader.batches(0, 2)]
        [32, 32]
    """

    def __init__(
        self,
        data: Data,
        split: Split,
        batch_size: int,
        *,
        seed: int = 0,
        stage: str = "",
        views: Views | None = None,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < 1:
            raise ArgumentError(f"batch_size is {batch_size}, expected at least 1")
        self.batch_size = min(batch_size, len(split))
        if self.batch_size % world:
            raise ArgumentError(
                f"batch_size is {self.batch_size} (at most the {len(split)} samples), which "
                f"{world} processes cannot share evenly; choose a multiple of {world}"
            )
        self._data, self.split, self.views = data, split, views or Views()
        self._seed, self._stage = seed, stage
        self._workers, self._rank, self._world = workers, rank, world
        self._view_key = keyed.key(seed, stage, "view")
        self._order = Order(len(split), self.batch_size, seed, stage)

    def epoch(self, step: int) -> int:
        """The epoch in which the first sample of a step lies."""
        return step * self.batch_size // len(self.split)

    def views_shown(self, steps: int) -> list[int]:
        """Numbers of the views that come again and again in so many steps; none that come once."""
        epochs = np.arange(self.epoch(steps - 1) + 1)
        if self.views.siamese or (self.views.changing and not self.views.distinct):
            return []
        return np.unique(self.views.numbers(epochs)).tolist()

    def batch(self, step: int) -> Batch:
        """Return the batch of a step (this process's rows of it)."""
        positions, epochs = self._order.at(step)
        mine = slice(self._rank, None, self._world)
        key = keyed.key(self._seed, self._stage, step)
        batch = self.read(positions[mine], self.views.numbers(epochs[mine]), key)
        if not self.views.siamese or "x" not in batch:
            return batch
        rows = np.arange(self.batch_size)[mine]
        return batch.with_columns(x=self.views.apply_batch(batch["x"], rows, key))

    def read(self, positions: Places, views: Places, key: int = 0) -> Batch:
        """Return samples of the split, each in the view of that number.

        Args:
            positions: in the split ``(N,)``.
            views: their numbers ``(N,)``.
            key: of the batch.

        Returns:
            The batch, fractions in single precision; its column ``"view"`` holds the numbers.
        """
        columns = {
            name: column.float() if column.dtype == torch.float64 else column
            for name, column in self._data.columns(self.split, positions).items()
        }
        if "x" in columns:
            ids = columns["id"].numpy()
            columns["x"] = self.views.apply(columns["x"], ids, views, self._view_key)
        columns = self._data.normalise(columns)
        columns["view"] = torch.from_numpy(views)
        return Batch(columns, key=key, space=self._data.input_space)

    @cached_property
    def fingerprint(self) -> str:
        """Short name of what `read` gives: samples, their layout, and how views are drawn."""
        drawn = (self.views, self._view_key) if self.views.changing else None
        return fingerprint(self.split.fingerprint, self._data.input_space, drawn)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps start to stop - 1."""
        if not self._workers:
            yield from map(self.batch, range(start, stop))
            return
        yield from torch.utils.data.DataLoader(
            _ByStep(self),
            batch_size=None,
            sampler=range(start, stop),
            num_workers=self._workers,
            # Torch's own would rebuild the batch without its key and space.
            collate_fn=_as_it_is,
            # Starting workers must not draw from the generator that the step was seeded with.
            generator=torch.Generator(),
        )


class _ByStep(torch.utils.data.Dataset[Batch]):
    """What torch's loader asks for a step; a whole batch comes back."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getitem__(self, step: int) -> Batch:
        return self._loader.batch(step)


def _as_it_is(batch: Any) -> Any:
    return batch


def sequential(data: Data, split: Split, batch_size: int = 512) -> Iterator[Batch]:
    """Yield every sample once, in order, without random views; the last batch may be smaller."""
    for start in range(0, len(split), batch_size):
        positions = np.arange(start, min(start + batch_size, len(split)), dtype=np.int64)
        columns = data.normalise(data.columns(split, positions))
        yield Batch(columns, key=keyed.key("sequential", start), space=data.input_space)
