"""Data sets that travel with the libraries limbeck needs: no file, no download."""

from __future__ import annotations

import numpy as np

from limbeck import keyed
from limbeck.data.data import Data, assemble
from limbeck.data.splits import Subset, TensorSplit, hold_out

DIGITS_TEST_SHARE = 0.25


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
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = keyed.permutation(keyed.key("digits"), len(y))
    # Sixteen grey levels; as bytes they read as 0 to 1 like any other image.
    pixels = np.rint(x.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    mixed = TensorSplit({"x": pixels[order], "y": y[order]})
    train, test = hold_out(Subset(mixed, np.arange(len(y))), DIGITS_TEST_SHARE, "test")
    return assemble(train, test, standardise=True, name="digits")


EMBEDDED = {"digits": digits}
