"""Ranges: samples of a data set in the space of models that were trained on another."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import torch
from torch import Tensor

from limbeck.data.data import Data
from limbeck.data.space import InputSpace
from limbeck.data.splits import Indices, Split
from limbeck.fingerprint import fingerprint

# Ranges that say what values mean. Others are the least and the largest that a set happened to
# hold, which tells nothing of how its values compare with those of another.
PICTURES = ((0.0, 1.0), (0.0, 255.0))


class Ranged:
    """A split whose inputs are multiplied, to lie in another range that begins at 0 too.

    Args:
        split: where they come from.
        factor: by how much; bytes are shares of 255 first.
    """

    def __init__(self, split: Split, factor: float) -> None:
        self._split, self._factor = split, factor
        self.ids = split.ids

    def __len__(self) -> int:
        return len(self._split)

    @property
    def y(self) -> Tensor | None:
        return self._split.y

    @property
    def finite(self) -> Tensor | None:
        """Which samples have no NaN or infinity in ``"x"``; None where that is not known."""
        return getattr(self._split, "finite", None)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self._split.fingerprint, self._factor)

    def take(self, indices: Indices) -> dict[str, Tensor]:
        columns = self._split.take(indices)
        x = columns["x"]
        columns["x"] = (x.float() / 255 if x.dtype == torch.uint8 else x) * self._factor
        return columns


def in_space(data: Data, space: InputSpace) -> Data:
    """A data set whose inputs are read as those of another space.

    Values of pictures from 0 to 1 and from 0 to 255 are brought from one to the other; those of
    any other range are taken as they are.

    Args:
        data: whose inputs have the shape of the space.
        space: what models were trained on.

    Returns:
        The data set in that space.

    Example:
        >>> import numpy as np
        >>> from limbeck.data import from_arrays
        >>> levels = np.full((30, 1, 2, 2), 255.0)
        >>> data = from_arrays(levels, np.arange(30) % 2)
        >>> seen = in_space(data, InputSpace(size=(2, 2), channels=1))
        >>> seen.columns(seen.test, np.arange(1))["x"].unique().item()
        1.0
    """
    given = data.input_space
    moved = dataclasses.replace(data, input_space=space)
    if given is None or given.range == space.range:
        return moved
    if given.range not in PICTURES or space.range not in PICTURES:
        return moved
    factor = space.range[1] / given.range[1]
    return dataclasses.replace(
        moved,
        train=Ranged(data.train, factor),
        validation=Ranged(data.validation, factor),
        test=Ranged(data.test, factor),
        rest=None if data.rest is None else Ranged(data.rest, factor),
    )
