"""Draws: the random numbers of a step, of which every process takes its rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.errors import ArgumentError
from limbeck.run.run import Run


@dataclass(frozen=True)
class Draws:
    """Random numbers for a batch; torch's generator is seeded at every step of a loop.

    All processes draw for the whole batch and keep their rows, so that the batch does not depend
    on how many there are.

    Args:
        count: samples over all processes.
        device: where the numbers are drawn.
        rank: number of this process.
        world: number of processes.
        dtype: of normal and uniform numbers.

    Raises:
        ArgumentError: processes cannot share the batch evenly.

    Example:
        >>> Draws(4, torch.device("cpu")).normal(2).shape
        torch.Size([4, 2])
    """

    count: int
    device: torch.device
    rank: int = 0
    world: int = 1
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        if self.count % self.world:
            raise ArgumentError(
                f"batch_size is {self.count}, which {self.world} processes cannot share evenly; "
                f"choose a multiple of {self.world}"
            )

    @classmethod
    def of(cls, run: Run, count: int) -> Draws:
        """Those of a run's process: in double precision where the run computes in it."""
        engine, double = run.engine, run.options.precision == "64-true"
        dtype = torch.float64 if double else torch.float32
        return cls(count, engine.device, engine.rank, engine.world, dtype)

    def normal(self, *shape: int) -> Tensor:
        """Unit normal numbers ``(N, *shape)``."""
        return self._mine(torch.randn(self.count, *shape, dtype=self.dtype, device=self.device))

    def uniform(self, low: Tensor | float = 0.0, high: Tensor | float = 1.0) -> Tensor:
        """Uniform numbers between two ends ``(N,)``."""
        shares = torch.rand(self.count, dtype=self.dtype, device=self.device)
        return low + (high - low) * self._mine(shares)

    def one_of(self, values: Tensor) -> Tensor:
        """Entries of a vector, drawn with replacement, ``(N,)``."""
        places = torch.randint(len(values), (self.count,), device=self.device)
        return values.to(self.device)[self._mine(places)]

    def number(self, below: int) -> int:
        """A whole number from 0, the same for the whole batch and in every process."""
        return int(torch.randint(below, ()))

    def _mine(self, drawn: Tensor) -> Tensor:
        return drawn if self.world == 1 else drawn[self.rank :: self.world]
