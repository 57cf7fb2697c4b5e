"""The embedded set is the one that scikit-learn ships, in an order of limbeck's own."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits

from limbeck.data import diabetes, digits, friedman, shifted_digits
from limbeck.data.names import resolve
from limbeck.errors import DataError


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


def cropped(data, part):
    """Digits of a split as they are, and their offsets, found where the ink is."""
    split = getattr(data, part)
    return data.columns(split, np.arange(len(split)))["x"][:, 0]


@pytest.fixture(scope="module")
def shifted():
    return shifted_digits()


def test_shifted_digits_are_digits_somewhere_on_a_canvas(shifted):
    plain = digits()
    known = {
        bytes((image * 255).round().to(torch.uint8).numpy())
        for part in ("train", "validation", "test")
        for image in cropped(plain, part)
    }
    for image in cropped(shifted, "test")[::50]:
        levels = (image * 255).round().to(torch.uint8).numpy()
        places = [levels[r : r + 8, c : c + 8] for r in range(5) for c in range(5)]
        assert any(bytes(np.ascontiguousarray(place)) in known for place in places)
        assert levels.min() == 0


def shape_of(image):
    """The ink of an image, wherever it stands."""
    rows, columns = image.any(1).nonzero().flatten(), image.any(0).nonzero().flatten()
    ink = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return tuple(ink.shape), bytes(ink.contiguous().numpy())


def test_no_digit_lies_in_two_splits(shifted):
    parts = {
        part: {shape_of(image) for image in cropped(shifted, part)}
        for part in ("train", "validation", "test")
    }
    assert [len(parts[part]) for part in parts] == [1168, 129, 500]
    assert parts["train"].isdisjoint(parts["validation"] | parts["test"])
    assert parts["validation"].isdisjoint(parts["test"])


def test_offsets_are_spread_evenly(shifted):
    images = torch.cat([cropped(shifted, part) for part in ("train", "test")])
    # Some digits fill all 8 rows: their first row tells the offset.
    rows = images.any(2)
    full = rows[rows.sum(1) == 8].int().argmax(1)
    counts = torch.bincount(full, minlength=5).float()
    assert len(counts) == 5
    assert (counts / counts.sum() - 0.2).abs().max() < 0.03


def test_shifted_digits_are_standardised_and_always_the_same(shifted):
    x = shifted.normalise(shifted.columns(shifted.train, np.arange(len(shifted.train))))["x"]
    assert abs(float(x.mean())) < 1e-3
    assert abs(float(x.std()) - 1) < 1e-3
    assert shifted.fingerprint == resolve("shifted-digits").fingerprint


def test_diabetes_are_those_of_scikit_learn():
    x, y = load_diabetes(return_X_y=True, scaled=False)
    data = diabetes()
    parts = [
        data.columns(part, np.arange(len(part)))
        for part in (data.train, data.validation, data.test)
    ]
    found = np.concatenate([np.column_stack([one["x"], one["y"]]) for one in parts])
    expected = np.column_stack([x, y]).astype(np.float32)
    np.testing.assert_array_equal(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])


def test_friedman_without_noise_is_the_function():
    data = friedman(noise=0)
    columns = data.columns(data.test, np.arange(len(data.test)))
    x, y = columns["x"].double(), columns["y"]
    expected = 10 * torch.sin(torch.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    torch.testing.assert_close(
        y.double(), expected + 10 * x[:, 3] + 5 * x[:, 4], rtol=1e-5, atol=1e-5
    )


def test_every_draw_of_friedman_is_another_sample_with_the_noise_asked_for():
    noisy, clean = friedman(rows=4500), friedman(rows=4500, noise=0)
    left = (noisy.train.y - clean.train.y).double()
    assert abs(float(left.std()) - 1.5) < 0.05
    assert abs(float(left.mean())) < 0.1
    assert friedman(draw=1).fingerprint != friedman().fingerprint
    assert resolve("friedman?draw=1").fingerprint == friedman(draw=1).fingerprint


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rows": 3}, "rows is 3, expected a whole number of at least 18"),
        ({"noise": -1}, "noise is -1, expected a number of at least 0"),
        ({"draw": "two"}, "draw is 'two', expected a whole number"),
    ],
)
def test_options_of_friedman_are_checked(options, said):
    with pytest.raises(DataError, match=said):
        friedman(**options)
