"""Splits: the samples of one part of a data set, read by index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limbeck import keyed
from limbeck.errors import DataError
from limbeck.fingerprint import fingerprint

Indices = npt.NDArray[np.int64]
NUMBERS = (Tensor, np.ndarray, np.generic, int, float, list, tuple)


class Split(Protocol):
    """What limbeck asks of a part of a data set."""

    def __len__(self) -> int: ...

    @property
    def ids(self) -> Indices:
        """Stable id of every sample, ``(N,)``."""

    @property
    def y(self) -> Tensor | None:
        """Targets of every sample, ``(N,)`` or ``(N, C)``, or None where there are none."""

    @property
    def fingerprint(self) -> str:
        """Short name of the content."""

    def take(self, indices: Indices) -> dict[str, Tensor]:
        """Return columns of the samples at these positions, ``"x"`` as stored."""


class TensorSplit:
    """A split held in memory, a tensor a column; images may stay uint8.

    Args:
        columns: tensors or arrays with N rows each.
        ids: stable sample ids; None numbers the samples from 0.
        named: whether the ids name samples, so that one that stands in two splits is the same
            sample; None says so where ids are given. Row numbers of a file do not.
        exact: keep fractions in double precision, as predictions that are stacked; targets always
            are.

    Raises:
        DataError: columns have different numbers of rows or an unreadable type.

    Example:
        >>> split = TensorSplit({"x": np.zeros((3, 2)), "y": np.array([0, 1, 0])})
        >>> len(split), split.take(np.array([1]))["y"].tolist()
        (3, [1])
    """

    def __init__(
        self,
        columns: Mapping[str, Any],
        ids: Indices | None = None,
        *,
        named: bool | None = None,
        exact: bool = False,
    ) -> None:
        self._columns = {name: _tensor(name, value, exact) for name, value in columns.items()}
        rows = {name: len(value) for name, value in self._columns.items()}
        if len(set(rows.values())) > 1:
            raise DataError(f"columns have different numbers of rows: {rows}")
        self._count = next(iter(rows.values()), 0)
        self.ids = np.arange(self._count, dtype=np.int64) if ids is None else ids
        self.named = ids is not None if named is None else named

    def __len__(self) -> int:
        return self._count

    @property
    def columns(self) -> dict[str, Tensor]:
        """All columns, as stored."""
        return dict(self._columns)

    @property
    def y(self) -> Tensor | None:
        return self._columns.get("y")

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self._columns, self.ids)

    @cached_property
    def finite(self) -> Tensor | None:
        """Which samples have no NaN or infinity in ``"x"``, ``(N,)``; None where none can."""
        x = self._columns.get("x")
        if x is None or not x.is_floating_point():
            return None
        return torch.isfinite(x).reshape(self._count, -1).all(1)

    def take(self, indices: Indices) -> dict[str, Tensor]:
        index = torch.from_numpy(np.ascontiguousarray(indices))
        return {name: value[index] for name, value in self._columns.items()}


class DatasetSplit:
    """A split over a torch `Dataset` whose items are ``(x, y)`` pairs or mappings.

    Items are read when a batch needs them, in the loader's worker processes if it has some. The
    items must not depend on a generator's state: limbeck's own views replay, those of the data
    set do not.

    Args:
        dataset: has ``__len__`` and ``__getitem__``.
        name: what to call it in errors.

    Raises:
        DataError: an item is neither a pair nor a mapping.
    """

    def __init__(self, dataset: Any, name: str = "dataset") -> None:
        self._dataset = dataset
        self._name = name
        self.ids = np.arange(len(dataset), dtype=np.int64)

    def __len__(self) -> int:
        return len(self._dataset)

    @cached_property
    def y(self) -> Tensor | None:
        targets = getattr(self._dataset, "targets", None)
        # What torchvision calls targets is not what items give if it transforms them.
        if targets is not None and getattr(self._dataset, "target_transform", None) is None:
            return _tensor("y", targets)
        values = [self._item(index).get("y") for index in range(len(self))]
        return None if any(value is None for value in values) else torch.stack(values)  # type: ignore[arg-type]

    @cached_property
    def fingerprint(self) -> str:
        # Inputs are sampled: reading all of a large data set to name it could take an hour.
        chosen = np.unique(np.linspace(0, len(self) - 1, num=min(len(self), 64)).astype(np.int64))
        return fingerprint(len(self), self.y, self.take(chosen) if len(chosen) else {})

    def take(self, indices: Indices) -> dict[str, Tensor]:
        items = [self._item(int(index)) for index in indices]
        columns = {}
        for name in items[0]:
            values = [item[name] for item in items]
            shapes = {tuple(value.shape) for value in values}
            if len(shapes) > 1:
                raise DataError(
                    f"{name} of the items of {self._name} has different shapes "
                    f"{sorted(shapes)}; resize them in the data set"
                )
            columns[name] = torch.stack(values)
        return columns

    def _item(self, index: int) -> dict[str, Tensor]:
        item = self._dataset[index]
        if isinstance(item, (tuple, list)) and len(item) == 2:
            item = {"x": item[0], "y": item[1]}
        if not isinstance(item, Mapping):
            raise DataError(
                f"item {index} of {self._name} is a {type(item).__name__}, expected a pair (x, y) "
                "or a mapping with the keys x and y"
            )
        for name, value in item.items():
            if not isinstance(value, NUMBERS):
                raise DataError(
                    f"{name} of item {index} of {self._name} is a {type(value).__name__}, expected "
                    "numbers; convert pictures with a transform such as ToTensor"
                )
        return {name: _tensor(name, value) for name, value in item.items()}


class Subset:
    """Some samples of another split, in a given order, with the ids they have there.

    Args:
        split: where they come from.
        indices: their positions there.
    """

    def __init__(self, split: Split, indices: Indices) -> None:
        self.source = split
        self._indices = np.asarray(indices, dtype=np.int64)
        self.ids = split.ids[self._indices]

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def y(self) -> Tensor | None:
        y = self.source.y
        return None if y is None else y[torch.from_numpy(self._indices)]

    @property
    def finite(self) -> Tensor | None:
        """Which samples have no NaN or infinity in ``"x"``; None where that is not known."""
        finite = getattr(self.source, "finite", None)
        return None if finite is None else finite[torch.from_numpy(self._indices)]

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.source.fingerprint, self._indices)

    def take(self, indices: Indices) -> dict[str, Tensor]:
        return self.source.take(self._indices[indices])


def by_class(y: Tensor | None, count: int) -> Iterator[Indices]:
    """Yield the positions of each class in order, or all positions where there are no classes."""
    if y is None or y.ndim != 1 or y.is_floating_point():
        yield np.arange(count, dtype=np.int64)
        return
    labels = y.numpy()
    for label in np.unique(labels):
        yield np.flatnonzero(labels == label).astype(np.int64)


def hold_out(split: Split, share: float, name: str) -> tuple[Split, Split]:
    """Cut the last `share` of every class off a split, or a mixed share where there is one group.

    Args:
        split: what to cut.
        share: 0 to 1; at least one sample a class is cut where the class has two or more.
        name: what the held-out part will be called in an error.

    Returns:
        What stays, and what was cut.

    Raises:
        DataError: nothing could be cut without emptying a part.
    """
    if not len(split):
        raise DataError(f"the data set is empty: no {name} split can be cut from 0 samples")
    stay, cut = [], []
    groups = list(by_class(split.y, len(split)))
    if len(groups) == 1:
        # Numbers may come sorted: the largest would be held out and never be learnt from.
        groups = [keyed.permutation(keyed.key("hold out", len(split)), len(split))]
    for positions in groups:
        count = min(max(round(len(positions) * share), 1), len(positions) - 1)
        stay.append(positions[: len(positions) - count])
        cut.append(positions[len(positions) - count :])
    kept, held = np.sort(np.concatenate(stay)), np.sort(np.concatenate(cut))
    if not len(kept) or not len(held):
        raise DataError(
            f"{len(split)} samples are too few to cut a {name} split from; give one of your own"
        )
    return Subset(split, kept), Subset(split, held)


def _tensor(name: str, value: Any, exact: bool = False) -> Tensor:
    """A column as it is kept: labels int64, fractions float32, bytes as they are.

    Targets that came in double precision keep it: large numbers may differ little.
    """
    if not isinstance(value, Tensor):
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise DataError(f"column {name} has dtype {array.dtype}, expected numbers")
        if array.dtype.kind == "u" and array.dtype != np.uint8:
            array = array.astype(np.int64)
        # Torch reads no foreign byte order, no negative stride and nothing that is read-only.
        value = torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))
    value = value.detach().cpu()
    if name == "y" and not value.is_floating_point():
        return value.to(torch.int64)
    if value.dtype == torch.float64:
        return value if exact or name == "y" else value.float()
    return value.float() if name == "y" else value


def overlap(first: Split, second: Split) -> Indices:
    """Ids of the samples that two splits share, where their ids tell.

    Ids tell where both were cut from one split, hold the same content, or were given ids; two
    splits that came without number their samples each from 0.

    Args:
        first: a split.
        second: another.

    Returns:
        The shared ids, sorted; none where ids do not tell.

    Example:
        >>> whole = TensorSplit({"x": np.zeros((4, 1))})
        >>> overlap(Subset(whole, [0, 1]), Subset(whole, [1, 2])).tolist()
        [1]
        >>> first, second = (TensorSplit({"x": [0, 1]}, np.array(ids)) for ids in ([7, 8], [8, 9]))
        >>> overlap(first, second).tolist()
        [8]
    """
    ours, theirs = _root(first), _root(second)
    # Numbers that were made up tell within one split alone.
    told = named(ours) and named(theirs)
    if not told and ours is not theirs and ours.fingerprint != theirs.fingerprint:
        return np.empty(0, dtype=np.int64)
    return np.intersect1d(first.ids, second.ids)


def named(split: Split) -> bool:
    """Whether the ids of a split name its samples in other splits too."""
    return bool(getattr(_root(split), "named", False))


def remade(split: Split, columns: Mapping[str, Any]) -> TensorSplit:
    """Other columns of the samples of a split, under the ids that they have there."""
    return TensorSplit(columns, split.ids, named=named(split))


def _root(split: Split) -> Split:
    while isinstance(split, Subset):
        split = split.source
    return split
