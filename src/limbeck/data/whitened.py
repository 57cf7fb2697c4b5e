"""Whitened: a data set in memory whose images are uncorrelated or normalised once and for all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from limbeck.data.data import Data
from limbeck.data.space import InputSpace
from limbeck.data.splits import Split, remade
from limbeck.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.functional.whitening import Zca

ROWS, LARGEST = 1024, 16 << 30
Change = Callable[["Tensor"], "Tensor"]


def whitened(data: Data, zca: Zca | None = None, eps: float = 0.1) -> tuple[Data, Zca]:
    """Bring the images of all splits through ZCA whitening fitted on the training split.

    Args:
        data: images in one space; their values are brought to [0, 1] first, not normalised.
        zca: a map fitted before; None fits one.
        eps: added to the eigenvalues where one is fitted.

    Returns:
        The data set in memory as float32, with the same ids and targets and a space without mean
        and std, and the map.

    Raises:
        DataError: the data has no single image space, or the matrix would need over 16 GiB.
        ArgumentError: `zca` is for images of another shape.

    Example:
        >>> from limbeck.data import digits
        >>> white, zca = whitened(digits())
        >>> white.input_space.mean, tuple(zca.vectors.shape)
        ((), (64, 64))

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, appendix A.
    """
    space = _checked(data)
    found = zca_of(data, eps) if zca is None else zca
    low, high = space.range
    train = _read(data, data.train, lambda x: (x - low) / (high - low))
    train["x"] = _in_place(train["x"], found.apply)
    others = _splits(data, lambda x: found.apply((x - low) / (high - low)))
    return _remade(data, space, train, others), found


def zca_of(data: Data, eps: float = 0.1) -> Zca:
    """Fit ZCA whitening on the training images of a data set.

    Args:
        data: as `whitened` has it.
        eps: added to the eigenvalues.

    Raises:
        DataError: as `whitened`.
    """
    from limbeck.functional.whitening import fit_zca

    low, high = _checked(data).range
    return fit_zca(_read(data, data.train, lambda x: (x - low) / (high - low))["x"], eps)


def _checked(data: Data) -> InputSpace:
    """The space of the images, or an error that says why they are not whitened."""
    space = data.input_space
    if space is None or space.channels is None:
        raise DataError(
            f"{data.name} has no single space of images, and whitening needs one; resize the "
            "images to one size, or leave whitening out"
        )
    numbers = int(np.prod(space.shape))
    if numbers**2 * 8 > LARGEST:
        raise DataError(
            f"images of {data.name} have {numbers} numbers, and the whitening matrix would need "
            f"{numbers**2 * 8 / 2**30:.1f} GiB of at most {LARGEST >> 30}; use smaller images, "
            "such as size=64, or leave whitening out"
        )
    return space


def normalised(data: Data) -> Data:
    """Normalise the inputs of all splits once, so that nothing is left to do when they are read.

    Args:
        data: inputs in one space.

    Returns:
        The data set in memory as float32, with the same ids and targets and a space without mean
        and std.

    Raises:
        DataError: the data has no single input space.

    Example:
        >>> from limbeck.data import digits
        >>> data = normalised(digits())
        >>> round(float(data.train.take(np.arange(len(data.train)))["x"].std()), 3)
        1.0
    """
    space = data.input_space
    if space is None:
        raise DataError(f"{data.name} has no single input space to normalise by; leave it as it is")
    train = _read(data, data.train, space.normalise)
    return _remade(data, space, train, _splits(data, space.normalise))


def _splits(data: Data, change: Change) -> dict[str, Split | None]:
    parts = {"validation": data.validation, "test": data.test, "rest": data.rest}
    return {name: part and remade(part, _read(data, part, change)) for name, part in parts.items()}


def _remade(
    data: Data, space: InputSpace, train: dict[str, Tensor], others: dict[str, Split | None]
) -> Data:
    seen = float(train["x"].min()), float(train["x"].max())
    return dataclasses.replace(
        data,
        train=remade(data.train, train),
        input_space=dataclasses.replace(space, mean=(), std=(), range=seen),
        **others,  # type: ignore[arg-type]
    )


def _read(data: Data, split: Split, change: Change) -> dict[str, Tensor]:
    """All columns of a split, ``"x"`` changed; a part at a time, so that there is one copy."""
    import torch

    whole: dict[str, Tensor] = {}
    for start in range(0, len(split), ROWS):
        places = np.arange(start, min(start + ROWS, len(split)), dtype=np.int64)
        columns = data.columns(split, places)
        del columns["id"]
        columns["x"] = change(columns["x"].float())
        for name, column in columns.items():
            if name not in whole:
                whole[name] = column.new_empty(len(split), *column.shape[1:])
            whole[name][torch.from_numpy(places)] = column
    return whole


def _in_place(x: Tensor, change: Change) -> Tensor:
    for part in x.split(ROWS):
        part.copy_(change(part))
    return x
