"""The embedded set is the one that scikit-learn ships, in an order of limbeck's own."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from limbeck.data import digits


def test_digits_are_those_of_scikit_learn():
    x, y = load_digits(return_X_y=True)
    expected = sorted(zip(map(bytes, (x.astype(np.uint8))), y, strict=True))
    data, found = digits(), []
    for part in (data.train, data.validation, data.test):
        columns = data.columns(part, np.arange(len(part)))
        levels = (columns["x"] * 16).round().to(torch.uint8).flatten(1).numpy()
        found += list(zip(map(bytes, levels), columns["y"].tolist(), strict=True))
    assert sorted(found) == expected


def test_every_class_is_in_every_split_about_evenly():
    data = digits()
    for part, share in ((data.train, 0.675), (data.validation, 0.075), (data.test, 0.25)):
        counts = torch.bincount(part.y, minlength=10)
        assert counts.min() > 0.9 * share * 174
        assert counts.max() < 1.1 * share * 183 + 1


def test_digits_are_the_same_at_every_call():
    assert digits().fingerprint == digits().fingerprint
