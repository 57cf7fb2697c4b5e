"""Batch: named columns of a few samples, and the key of the draws made for them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from limbeck.errors import DataError, nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from limbeck.data.space import InputSpace


class Batch(Mapping[str, "Tensor"]):
    """Columns of N samples: ``"id"`` (N,), ``"x"`` or one key a modality, ``"y"`` where labelled.

    Args:
        columns: tensors with N rows each.
        key: stands for (seed, stage, step); draws made for this batch derive from it.
        space: the input space that ``"x"`` lives in.

    Raises:
        DataError: columns have different numbers of rows, or an unknown column is read.

    Example:
        >>> import torch
        >>> batch = Batch({"id": torch.arange(2), "x": torch.zeros(2, 3)})
        >>> len(batch["x"]), batch.size
        (2, 2)
    """

    def __init__(
        self, columns: Mapping[str, Tensor], *, key: int = 0, space: InputSpace | None = None
    ) -> None:
        self._columns = dict(columns)
        self.key = key
        self.space = space
        rows = {name: len(column) for name, column in self._columns.items()}
        if len(set(rows.values())) > 1:
            raise DataError(f"the columns of a batch have different numbers of rows: {rows}")

    @property
    def size(self) -> int:
        """Number of samples."""
        return len(next(iter(self._columns.values()), ()))

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self._columns[name]
        except KeyError:
            raise DataError(
                f"the batch has no column {name!r}; {nearest(name, self._columns)}"
            ) from None

    def get(self, name: str, default: Any = None) -> Any:
        """Return a column, or `default` where there is none."""
        return self._columns.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in self.items())
        return f"Batch({shapes})"

    def with_columns(self, **columns: Tensor) -> Batch:
        """Return a batch with some columns replaced or added; new ``"x"`` are no view any more."""
        kept = {
            name: column
            for name, column in self._columns.items()
            if not (name == "view" and "x" in columns)
        }
        return Batch({**kept, **columns}, key=self.key, space=self.space)

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on another device, or itself if it is there."""
        import torch

        device = torch.device(device)
        if all(column.device == device for column in self._columns.values()):
            return self
        moved = {name: column.to(device) for name, column in self._columns.items()}
        return Batch(moved, key=self.key, space=self.space)

    def rows(self, index: Any) -> Batch:
        """Return the samples that a slice or index tensor names."""
        chosen = {name: column[index] for name, column in self._columns.items()}
        return Batch(chosen, key=self.key, space=self.space)

    def pieces(self, count: int) -> list[Batch]:
        """Cut the batch into `count` nearly equal parts; fewer where there are fewer samples."""
        bounds = [part * self.size // count for part in range(count + 1)]
        pairs = itertools.pairwise(bounds)
        return [self.rows(slice(low, high)) for low, high in pairs if high > low]
