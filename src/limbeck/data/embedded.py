"""Data sets that travel with the libraries limbeck needs: no file, no download."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from limbeck import keyed
from limbeck.data.data import VALIDATION_SHARE, Data, assemble
from limbeck.data.problems import PROBLEMS
from limbeck.data.splits import Subset, TensorSplit, hold_out
from limbeck.errors import DataError

DIGITS_TEST_SHARE = DIABETES_TEST_SHARE = 0.25
SHIFTED_SIDE, SHIFTED_TEST, SHIFTED_COPIES = 12, 500, 4
FRIEDMAN_FEATURES, FRIEDMAN_TEST = 10, 1200


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


def diabetes() -> Data:
    """Ten measurements of 442 patients and how far their diabetes went on within a year.

    The order of the source is mixed once, with a fixed key, before a quarter is set aside for test.

    Returns:
        The data set, a regression.

    Source: Efron, Hastie, Johnstone and Tibshirani, Annals of Statistics 32, 2004, as shipped with
    scikit-learn.

    Example:
        >>> diabetes()
        Data('diabetes', regression, 1 outputs, train=299, validation=33, test=110)
    """
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    order = keyed.permutation(keyed.key("diabetes"), len(y))
    rows = TensorSplit({"x": x[order], "y": y[order]})
    train, test = hold_out(Subset(rows, np.arange(len(y))), DIABETES_TEST_SHARE, "test")
    return assemble(train, test, standardise=True, name="diabetes")


def friedman(*, rows: int = 900, noise: float = 1.5, draw: int = 0) -> Data:
    r"""A smooth function of five of ten even numbers from 0 to 1, with noise, drawn by key.

    .. math:: y = 10 \sin(\pi x_1 x_2) + 20 (x_3 - \tfrac12)^2 + 10 x_4 + 5 x_5 + \sigma \epsilon

    Args:
        rows: to learn from, of which a ninth is for validation; 1 200 others are for test.
        noise: :math:`\sigma`.
        draw: number of the draw; each number is another sample of the same problem.

    Returns:
        The data set, a regression.

    Raises:
        DataError: an option is outside its range.

    Source: Friedman, Annals of Statistics 19, 1991.

    Example:
        >>> friedman()
        Data('friedman', regression, 1 outputs, train=800, validation=100, test=1200)
    """
    if type(rows) is not int or rows < 18:
        raise DataError(f"rows is {rows!r}, expected a whole number of at least 18")
    if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not noise >= 0:
        raise DataError(f"noise is {noise!r}, expected a number of at least 0")
    if type(draw) is not int:
        raise DataError(f"draw is {draw!r}, expected a whole number, such as ?draw=1")
    count = rows + FRIEDMAN_TEST
    drawn = keyed.uniform(
        keyed.key("friedman", draw), np.arange(count, dtype=np.int64), FRIEDMAN_FEATURES + 2
    )
    x, (radius, turn) = drawn[:, :FRIEDMAN_FEATURES], drawn[:, FRIEDMAN_FEATURES:].T
    # Two even numbers make a normal one, by Box and Muller.
    normal = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * math.pi * turn)
    y = 10 * np.sin(math.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y += 10 * x[:, 3] + 5 * x[:, 4] + noise * normal
    whole = TensorSplit({"x": x, "y": y})
    first = rows - rows // 9
    train, validation, test = (
        Subset(whole, np.arange(*ends)) for ends in ((first,), (first, rows), (rows, count))
    )
    return assemble(train, test, validation, standardise=True, name="friedman")


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
    "diabetes": diabetes,
    "friedman": friedman,
    **PROBLEMS,
}
