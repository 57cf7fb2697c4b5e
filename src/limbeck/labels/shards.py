"""Shards: a long table of rows on disk, a few files that are whole or absent, read through maps."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limbeck import files, locks
from limbeck.errors import CorruptFileError, RunError

SHARD_BYTES, BLOCK = 64 << 20, 256
WAIT_SECONDS = 0.02
Places = npt.NDArray[np.int64]
Rows = Mapping[str, Tensor]
# From the positions of a block to its rows.
Make = Callable[[Places], Rows]


class Shards:
    """A table of a known number of rows, filled once, by one or several processes.

    Rows are made in blocks of fixed borders, so that a row is the same to the last bit however
    often a filling process was stopped and whoever went on. A shard that was cut short or altered
    is made anew.

    Args:
        folder: where the shards lie; made when the first is written.
        count: N, how many rows there are.
        row_bytes: of one row over all columns; decides how many rows a shard has.
        block: how many rows are made at once.

    Example:
        >>> import tempfile
        >>> shards = Shards(Path(tempfile.mkdtemp()), 4, row_bytes=8)
        >>> shards.fill(lambda places: {"square": torch.from_numpy(places**2)})
        >>> shards.take(np.array([3, 0]))["square"].tolist()
        [9, 0]
    """

    def __init__(self, folder: Path, count: int, row_bytes: int, block: int = BLOCK) -> None:
        self._folder, self._count, self._block = folder, count, block
        blocks = max(1, SHARD_BYTES // (row_bytes * block))
        self._size = min(blocks * block, count)
        self._open: list[dict[str, Tensor]] = []

    @property
    def paths(self) -> list[Path]:
        """The files, there or not yet there."""
        count = -(-self._count // self._size)
        return [self._folder / f"{number:05d}.safetensors" for number in range(count)]

    @property
    def whole(self) -> bool:
        """Whether every shard is there."""
        return all(path.exists() for path in self.paths)

    @property
    def bytes(self) -> int:
        """What the shards take on disk."""
        return sum(path.stat().st_size for path in self.paths if path.exists())

    def fill(self, make: Make, done: Callable[[int], None] = lambda rows: None) -> None:
        """Make the rows that are missing and open the table.

        A process leaves a shard that another one is making to it, and waits for it in the end.

        Args:
            make: from positions ``(M,)``, M at most a block, to named tensors with M rows.
            done: told how many more rows are there.

        Raises:
            RunError: the disk is full or the folder cannot be written; whole shards stay.
        """
        waiting = dict(enumerate(self.paths))
        found: dict[int, dict[str, Tensor]] = {}
        while waiting:
            for number, path in list(waiting.items()):
                with _alone(path) as alone:
                    shard = _read(path)
                    if shard is None and not alone:
                        continue
                    if shard is None:
                        files.save_tensors(path, self._make(number, make), {})
                        shard = files.map_tensors(path)[0]
                found[number] = shard
                del waiting[number]
                done(len(next(iter(shard.values()))))
            if waiting:
                time.sleep(WAIT_SECONDS)
        self._open = [found[number] for number in sorted(found)]

    def open(self) -> None:
        """Open the table, all of whose rows must be there.

        Raises:
            CorruptFileError: a shard is missing or was altered.
        """
        if not self._open:
            self._open = [files.map_tensors(path)[0] for path in self.paths]

    def __getstate__(self) -> dict[str, object]:
        # Another process opens the files itself: sending the map would send all it shows.
        return {**self.__dict__, "_open": []}

    def take(self, positions: Places) -> dict[str, Tensor]:
        """Rows at positions ``(M,)``, a tensor a column, in memory of their own."""
        self.open()
        if len(self._open) == 1:
            index = torch.from_numpy(positions)
            return {name: column[index] for name, column in self._open[0].items()}
        home = positions // self._size
        rows: dict[str, Tensor] = {}
        for number in np.unique(home):
            here = torch.from_numpy(np.flatnonzero(home == number))
            index = torch.from_numpy(positions - number * self._size)[here]
            for name, column in self._open[number].items():
                if name not in rows:
                    rows[name] = column.new_empty(len(positions), *column.shape[1:])
                rows[name][here] = column[index]
        return rows

    def _make(self, number: int, make: Make) -> dict[str, Tensor]:
        start = number * self._size
        stop = min(start + self._size, self._count)
        blocks = [
            make(np.arange(low, min(low + self._block, stop), dtype=np.int64))
            for low in range(start, stop, self._block)
        ]
        return {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}


def _read(path: Path) -> dict[str, Tensor] | None:
    try:
        return files.map_tensors(path)[0]
    except (CorruptFileError, RunError):
        return None


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether no other process makes this file; it belongs to this one inside the block."""
    handle = locks.try_lock(path.with_suffix(".lock"))
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)
