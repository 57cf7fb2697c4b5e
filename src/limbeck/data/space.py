"""Input spaces: what numbers a model expects, and the adapter from one space to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limbeck.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor


# Images that are turned into bytes at a time.
PART = 256


@dataclass(frozen=True)
class InputSpace:
    """How a batch of inputs is laid out and normalised.

    Args:
        size: ``(H, W)`` in pixels for images, ``(D,)`` for vectors, any shape for other tensors.
        channels: channels of an image, or None where the input is no image.
        mean: what is subtracted, one number a channel (an image) or a feature (a vector);
            empty for nothing.
        std: what it is divided by afterwards; empty for nothing.
        range: lowest and highest value before normalisation.
        names: of the features of a vector where they have names; empty for none.

    Example:
        >>> InputSpace(size=(8, 8), channels=1, mean=(0.5,), std=(0.25,)).shape
        (1, 8, 8)
    """

    size: tuple[int, ...]
    channels: int | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    range: tuple[float, float] = (0.0, 1.0)
    names: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.size if self.channels is None else (self.channels, *self.size)

    def normalise(self, x: Tensor) -> Tensor:
        """Turn values in `range` into what the model reads, ``(N, ...)``."""
        mean, std = self._statistics(x)
        x = x if mean is None else x - mean
        return x if std is None else x / std

    def denormalise(self, x: Tensor) -> Tensor:
        """Turn what the model reads back into values in `range`, ``(N, ...)``."""
        mean, std = self._statistics(x)
        x = x if std is None else x * std
        return x if mean is None else x + mean

    def clip(self, x: Tensor) -> Tensor:
        """What the model reads ``(N, ...)``, kept to values that come from `range`, by channel.

        Example:
            >>> import torch
            >>> space = InputSpace(size=(1, 1), channels=1, mean=(0.5,), std=(0.25,))
            >>> space.clip(torch.full((1, 1, 1, 1), 9.0)).item()
            2.0
        """
        ends = x.new_tensor(self.range).reshape(2, *(1,) * (x.ndim - 1))
        low, high = self.normalise(ends.expand(2, *x.shape[1:]))
        return x.clamp(low, high)

    def to_bytes(self, x: Tensor) -> Tensor:
        """What the model reads as picture bytes, 0 and 255 standing for the ends of `range`.

        Args:
            x: ``(N, C, H, W)``; values outside the range are cut off.

        Returns:
            uint8 of the same shape.

        Example:
            >>> import torch
            >>> InputSpace(size=(1, 1), channels=1).to_bytes(torch.full((1, 1, 1, 1), 0.5)).item()
            128
        """
        import torch

        low, high = self.range
        found = torch.empty(x.shape, dtype=torch.uint8, device=x.device)
        # A part at a time: the numbers on the way take eight times the room and more.
        for part, into in zip(x.split(PART), found.split(PART), strict=True):
            shares = (self.denormalise(part).double() - low) / (high - low)
            into.copy_((shares.clamp(0, 1) * 255).round())
        return found

    def of_bytes(self, pictures: Tensor) -> Tensor:
        """What the model reads of picture bytes, uint8 ``(N, C, H, W)``."""
        low, high = self.range
        return self.normalise(low + (high - low) * (pictures.float() / 255))

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> InputSpace:
        """The space whose fields were written as JSON, which has lists for tuples."""
        laid: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in facts.items()
        }
        return cls(**laid)

    def _statistics(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        # Statistics of whole numbers are fractions all the same.
        like = x if x.is_floating_point() else x.new_empty(0).float()
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean = like.new_tensor(self.mean).reshape(shape) if self.mean else None
        return mean, like.new_tensor(self.std).reshape(shape) if self.std else None


def convert(x: Tensor, source: InputSpace | None, target: InputSpace | None) -> Tensor:
    """Bring inputs from one space into another: channels, size, value range, statistics.

    Args:
        x: inputs in `source`, ``(N, C, H, W)`` for images.
        source: the space that `x` lives in, or None if unknown.
        target: the space that a model expects, or None if it takes what comes.

    Returns:
        The inputs in `target`; `x` itself where both spaces are equal or one is unknown.

    Raises:
        ArgumentError: no conversion exists, as from a vector to an image.

    Example:
        >>> import torch
        >>> grey = InputSpace(size=(2, 2), channels=1)
        >>> colour = InputSpace(size=(4, 4), channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> convert(torch.ones(1, 1, 2, 2), grey, colour).shape, colour.shape
        (torch.Size([1, 3, 4, 4]), (3, 4, 4))
    """
    if source is None or target is None or source == target:
        return x
    if source.channels is None or target.channels is None:
        if source.shape != target.shape:
            raise ArgumentError(
                f"inputs have shape {source.shape} and the model expects {target.shape}; only "
                "images are resized and given other channels"
            )
    elif source.channels != target.channels and 1 not in (source.channels, target.channels):
        raise ArgumentError(
            f"inputs have {source.channels} channels and the model expects {target.channels}; "
            "only 1 channel is spread over many, or many are averaged to 1"
        )
    x = source.denormalise(x)
    if target.channels is not None and source.channels is not None:
        if source.channels != target.channels:
            many = target.channels > 1
            x = x.expand(-1, target.channels, -1, -1) if many else x.mean(1, keepdim=True)
        if source.size != target.size:
            from torch.nn.functional import interpolate

            x = interpolate(
                x, size=target.size, mode="bilinear", align_corners=False, antialias=True
            )
    if source.range != target.range:
        (low, high), (new_low, new_high) = source.range, target.range
        x = (x - low) * ((new_high - new_low) / (high - low)) + new_low
    return target.normalise(x)
