"""Prepared: data whose inputs are already what networks read, with the way back to pixel values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from limbeck.data.data import Data
from limbeck.data.space import InputSpace
from limbeck.data.whitened import normalised, whitened
from limbeck.errors import ModelError
from limbeck.fingerprint import fingerprint

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.functional.whitening import Zca

# Ranges that are known to stand for the same pixel values, as fractions and as bytes.
UNITS = {(0.0, 1.0), (0.0, 255.0)}


@dataclass(frozen=True)
class Pixels:
    """The way between what networks read and pixel values from 0 to 1.

    Args:
        space: of the images before whitening; the ends of its range stand for 0 and 1. None where
            values go from 0 to 1 as they are.
        zca: the whitening of values from 0 to 1, or None for the normalisation of the space.

    Example:
        >>> import torch
        >>> pixels = Pixels(InputSpace((1, 1), channels=1, mean=(51.0,), range=(0.0, 255.0)))
        >>> x = torch.zeros(1, 1, 1, 1)
        >>> round(pixels.show(x).item(), 3), pixels.read(pixels.show(x)).item()
        (0.2, 0.0)
    """

    space: InputSpace | None = None
    zca: Zca | None = None

    def show(self, x: Tensor) -> Tensor:
        """Pixel values, not clipped, of what networks read, ``(N, C, H, W)``."""
        if self.zca is not None:
            return self.zca.restore(x)
        if self.space is None:
            return x
        low, high = self.space.range
        return (self.space.denormalise(x) - low) / (high - low)

    def read(self, values: Tensor) -> Tensor:
        """What networks read of pixel values from 0 to 1, ``(N, C, H, W)``."""
        if self.zca is not None:
            return self.zca.apply(values)
        if self.space is None:
            return values
        low, high = self.space.range
        return self.space.normalise(values * (high - low) + low)

    def same(self, other: Pixels) -> bool:
        """Whether the other way is this one."""
        if self.zca is None or other.zca is None:
            return self.zca is other.zca and self.space == other.space
        mine, theirs = self.zca, other.zca
        return self.space == other.space and (
            mine.eps == theirs.eps
            and mine.mean.equal(theirs.mean)
            and mine.values.equal(theirs.values)
            and mine.vectors.equal(theirs.vectors)
        )

    @property
    def bytes(self) -> int:
        """What the transform costs to store."""
        if self.zca is not None:
            return sum(one.nbytes for one in (self.zca.mean, self.zca.vectors, self.zca.values))
        return 0 if self.space is None else 4 * (len(self.space.mean) + len(self.space.std))


@dataclass(frozen=True)
class Prepared(Data):
    """Data that was normalised or whitened once and for all; other fields as in `Data`.

    Args:
        pixels: the way back.
    """

    pixels: Pixels = Pixels()

    @cached_property
    def fingerprint(self) -> str:
        """Short name of the content of all splits and of the way back."""
        return fingerprint(super().fingerprint, self.pixels)

    @classmethod
    def of(cls, ready: Data, pixels: Pixels) -> Prepared:
        """Data that is ready, with the way back."""
        names = [field.name for field in dataclasses.fields(Data)]
        return cls(**{name: getattr(ready, name) for name in names}, pixels=pixels)


def prepared(data: Data, pixels: Pixels) -> Prepared:
    """Bring the images of all splits into the space that other images live in.

    Args:
        data: images of the shape of ``pixels.space``, not normalised; values from 0 to 255 are
            brought to 0 to 1 and back where the space has the other.
        pixels: the way from pixel values to that space.

    Returns:
        The data set in memory.

    Raises:
        ModelError: values of the data lie in a range that is not known to stand for that of the
            space.

    Example:
        >>> from limbeck.data import digits
        >>> data = digits()
        >>> prepared(data, Pixels(data.input_space)).input_space.mean
        ()
    """
    space = None if pixels.space is None else in_units(pixels.space, data)
    given = dataclasses.replace(data, input_space=space or data.input_space)
    ready = normalised(given) if pixels.zca is None else whitened(given, pixels.zca)[0]
    return Prepared.of(ready, pixels)


def pixels_of(data: Data) -> Pixels:
    """The way between pixel values and inputs as they are before the data's own normalisation."""
    if isinstance(data, Prepared):
        return data.pixels
    if data.input_space is None:
        return Pixels()
    return Pixels(dataclasses.replace(data.input_space, mean=(), std=()))


def in_units(space: InputSpace, data: Data) -> InputSpace:
    """The same space for values in the range of the data.

    Args:
        space: of other images.
        data: whose values go from 0 to 1, or from 0 to 255, as those of the space or the other way.

    Raises:
        ModelError: the ranges are not known to stand for the same values.
    """
    given = space.range if data.input_space is None else data.input_space.range
    if given == space.range:
        return space
    if not {given, space.range} <= UNITS:
        (low, high), (least, most) = given, space.range
        raise ModelError(
            f"values of {data.name} go from {low:g} to {high:g} and the space is for {least:g} to "
            f"{most:g}; give the images as they were, and where these are the same values say so: "
            "dataclasses.replace(data, input_space=...) with that range"
        )
    share = given[1] / space.range[1]
    mean, std = (tuple(one * share for one in of) for of in (space.mean, space.std or (1.0,)))
    return dataclasses.replace(space, mean=mean, std=std, range=given)
