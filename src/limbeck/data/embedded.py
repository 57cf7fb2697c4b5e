"""Data sets that travel with the libraries limbeck needs: no file, no download."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from limbeck import keyed
from limbeck.data.data import VALIDATION_SHARE, Data, assemble
from limbeck.data.problems import PROBLEMS
from limbeck.data.splits import Subset, TensorSplit, hold_out

DIGITS_TEST_SHARE = 0.25
SHIFTED_SIDE, SHIFTED_TEST, SHIFTED_COPIES = 12, 500, 4


def digits() -> Data:
    """1797 handwritten digits of 8x8 pixels in ten classes.

    The order of the source (by writer) is mixed once, with a fixed key, before a quarter of every
    class is set aside for test.

    Returns:
        The data set; inputs have one channel.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998, as
    shipped with scikit-learn.

    Example:
        >>> digits()
        Data('digits', classification, 10 outputs, train=1211, validation=136, test=450)
    """
    pixels, y = _digits()
    mixed = TensorSplit({"x": pixels, "y": y})
    train, test = hold_out(Subset(mixed, np.arange(len(y))), DIGITS_TEST_SHARE, "test")
    return assemble(train, test, standardise=True, name="digits")


def shifted_digits() -> Data:
    """The handwritten digits at random places of a 12x12 canvas, harder than as they are.

    Every digit is pasted at offsets from 0 to 4, drawn once with a fixed key, into a canvas of the
    lowest value: 500 digits twice for test, the other 1297 four times. All copies of a digit lie
    in one split: validation is a tenth of the 1297 by class, with its copies.

    Returns:
        The data set; inputs have one channel.

    Source: the digits of `digits`.

    Example:
        >>> shifted_digits()
        Data('shifted-digits', classification, 10 outputs, train=4672, validation=516, test=1000)
    """
    pixels, y = _digits()
    known = len(y) - SHIFTED_TEST
    sources = np.concatenate(
        [np.repeat(np.arange(known), SHIFTED_COPIES), np.repeat(np.arange(known, len(y)), 2)]
    )
    draws = keyed.uniform(keyed.key("shifted digits"), np.arange(len(sources)), 2)
    rows, columns = (draws * (SHIFTED_SIDE - pixels.shape[-1] + 1)).astype(np.int64).T
    inside = np.arange(pixels.shape[-1])
    canvas = np.zeros((len(sources), 1, SHIFTED_SIDE, SHIFTED_SIDE), dtype=np.uint8)
    each, down = np.arange(len(sources))[:, None, None], (rows[:, None] + inside)[:, :, None]
    canvas[each, 0, down, (columns[:, None] + inside)[:, None]] = pixels[sources, 0]
    copies = TensorSplit({"x": canvas, "y": y[sources]})
    # A digit that is learnt from must not come back in another place to be chosen on.
    digit = TensorSplit({"y": y[:known]})
    _, held = hold_out(digit, VALIDATION_SHARE, "validation")
    first = sources < known
    kept_out = np.isin(sources, held.ids)
    train, validation, test = (
        Subset(copies, np.flatnonzero(part)) for part in (first & ~kept_out, kept_out, ~first)
    )
    return assemble(train, test, validation, standardise=True, name="shifted-digits")


def _digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Images ``(1797, 1, 8, 8)`` and classes, in an order mixed once."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = keyed.permutation(keyed.key("digits"), len(y))
    # Sixteen grey levels; as bytes they read as 0 to 1 like any other image.
    pixels = np.rint(x.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    return pixels[order], y[order]


EMBEDDED: dict[str, Callable[..., Data]] = {
    "digits": digits,
    "shifted-digits": shifted_digits,
    **PROBLEMS,
}
