"""Pictures of another range are read as those that models were trained on."""

import numpy as np
import pytest
import torch

from limbeck.data import InputSpace, from_arrays
from limbeck.data.ranges import in_space
from limbeck.networks.names import build
from limbeck.products import Student

LEVELS = np.random.default_rng(0).integers(0, 256, size=(60, 1, 4, 4))
SPACE = InputSpace(size=(4, 4), channels=1, mean=(0.4,), std=(0.2,))


def pictures(x, **options):
    return from_arrays(x, np.arange(60) % 2, **options)


def read(data):
    return data.normalise(data.columns(data.test, np.arange(len(data.test))))["x"]


def test_bytes_shares_and_levels_are_the_same_pictures():
    shares, levels = LEVELS.astype(np.float32) / 255, LEVELS.astype(np.float32)
    expected = read(in_space(pictures(shares), SPACE))
    for x in (levels, LEVELS.astype(np.uint8)):
        torch.testing.assert_close(read(in_space(pictures(x), SPACE)), expected)
    wide = InputSpace(size=(4, 4), channels=1, range=(0.0, 255.0), mean=(102.0,), std=(51.0,))
    for x in (shares, levels, LEVELS.astype(np.uint8)):
        torch.testing.assert_close(read(in_space(pictures(x), wide)), expected)


def test_values_that_somebody_normalised_are_left_alone():
    """Their range is what the set happened to hold, and says nothing of their unit."""
    x = np.random.default_rng(0).normal(size=(60, 1, 4, 4)).astype(np.float32)
    data = pictures(x)
    assert data.input_space.range[0] < 0
    plain = InputSpace(size=(4, 4), channels=1)
    assert torch.equal(read(in_space(data, plain)), read(data))


def test_what_is_left_out_and_what_splits_tell_stays():
    data = pictures(LEVELS.astype(np.float32)).few(20)
    seen = in_space(data, SPACE)
    assert [len(one) for one in (seen.train, seen.rest, seen.test)] == [
        len(one) for one in (data.train, data.rest, data.test)
    ]
    assert torch.equal(seen.test.y, data.test.y)
    assert (seen.test.ids == data.test.ids).all()
    assert seen.fingerprint != data.fingerprint
    assert bool(seen.train.finite.all())


def test_products_are_evaluated_in_their_own_range():
    data = pictures(LEVELS.astype(np.float32) / 255, standardise=True)
    torch.manual_seed(0)
    student = Student.of(build("mlp?hidden=8", data.input_space, 2), data)
    other = pictures(LEVELS.astype(np.float32), standardise=True)
    assert student.evaluate(other) == pytest.approx(student.evaluate(data), abs=1e-5)
