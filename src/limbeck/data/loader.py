"""Keyed loader: the batch of step s is a function of (seed, stage, s) and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

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


class Loader:
    """An endless stream of shuffled epochs, cut into batches of equal size.

    Epoch e is a permutation keyed by (seed, stage, e); a batch may span the border of two epochs,
    so every batch is full. With several processes each takes its rows of the same global batch.

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
        self._order: tuple[int, np.ndarray[Any, Any]] = (-1, np.empty(0, dtype=np.int64))

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
        count, size = len(self.split), self.batch_size
        first, start = divmod(step * size, count)
        positions = self._permutation(first)[start : start + size]
        epochs = np.full(size, first)
        if len(positions) < size:
            # A batch is no longer than an epoch: it lies in one or in two.
            epochs[len(positions) :] = first + 1
            rest = self._permutation(first + 1)[: size - len(positions)]
            positions = np.concatenate([positions, rest])
        mine = slice(self._rank, None, self._world)
        key = keyed.key(self._seed, self._stage, step)
        batch = self.read(positions[mine], self.views.numbers(epochs[mine]), key)
        if not self.views.siamese or "x" not in batch:
            return batch
        return batch.with_columns(x=self.views.apply_batch(batch["x"], np.arange(size)[mine], key))

    def read(self, positions: Places, views: Places, key: int = 0) -> Batch:
        """Return samples of the split, each in the view of that number.

        Args:
            positions: in the split ``(N,)``.
            views: their numbers ``(N,)``.
            key: of the batch.

        Returns:
            The batch; its column ``"view"`` holds the numbers.
        """
        columns = self._data.columns(self.split, positions)
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

    def _permutation(self, epoch: int) -> np.ndarray[Any, Any]:
        if self._order[0] != epoch:
            order = keyed.permutation(
                keyed.key(self._seed, self._stage, "order", epoch), len(self.split)
            )
            self._order = (epoch, order)
        return self._order[1]


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
