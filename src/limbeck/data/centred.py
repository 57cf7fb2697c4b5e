"""Centred: images read from -1 to 1, as networks that denoise them expect."""

from __future__ import annotations

import dataclasses

import numpy as np

from limbeck.data.data import Data


def centred(data: Data) -> Data:
    """Let networks read images from -1 to 1, whatever statistics they were normalised by.

    Args:
        data: of any kind.

    Returns:
        The data set with another input space, whose mean is the middle of the value range and
        whose deviation is half of it; data that are no images stay as they are.

    Example:
        >>> from limbeck.data import digits
        >>> space = centred(digits()).input_space
        >>> space.mean, space.std
        ((0.5,), (0.5,))
    """
    space = data.input_space
    if space is None or space.channels is None:
        return data
    low, high = space.range
    middle, half = (low + high) / 2, (high - low) / 2
    whole = dataclasses.replace(
        space, mean=(middle,) * space.channels, std=(half,) * space.channels
    )
    return dataclasses.replace(data, input_space=whole)


def moments(data: Data, *, most: int = 4096) -> tuple[float, float]:
    """Mean and standard deviation over all numbers of training samples as networks read them.

    Args:
        data: of inputs with a shape.
        most: samples that are looked at, evenly spread.

    Returns:
        Mean and deviation.

    Example:
        >>> from limbeck.data import digits
        >>> mean, deviation = moments(centred(digits()))
        >>> round(mean, 2), round(deviation, 2)
        (-0.39, 0.75)
    """
    count = len(data.train)
    places = np.linspace(0, count - 1, num=min(count, most)).astype(np.int64)
    x = data.normalise(data.columns(data.train, places))["x"].double()
    return float(x.mean()), float(x.std(correction=0))
