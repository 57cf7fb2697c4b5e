"""Data of force fields: splits with labels, parts of them, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.atoms import box, water

from limbeck.data.force_data import ForceData, assemble_forces
from limbeck.data.names import resolve
from limbeck.errors import DataError


def told(count):
    return water(count, energy=-200.0 - np.arange(count), forces=np.zeros((3 * count, 3)))


@pytest.fixture
def data():
    return ForceData(told(20), told(4), told(8), "puddle", box(4, species=(8, 3)))


def test_an_object_stands_for_itself(data):
    assert resolve(data) is data
    assert (data.task, data.elements) == ("forces", (1, 3, 8))


def test_few_keeps_training_frames_alone(data):
    few = data.few(5, seed=3)
    assert [len(one) for one in (few.train, few.validation, few.test)] == [5, 4, 8]
    assert few.fingerprint == data.few(5, seed=3).fingerprint
    assert few.fingerprint not in (data.few(5, seed=4).fingerprint, data.fingerprint)
    assert set(few.train.energy) <= set(data.train.energy)


def test_part_keeps_a_share_of_all(data):
    part = data.part(10)
    assert [len(one) for one in (part.train, part.validation, part.test)] == [10, 2, 4]
    assert part.liquid is data.liquid


@pytest.mark.parametrize("count", [0, 20, 30])
def test_counts_that_are_not_there(data, count):
    for keep in (data.few, data.part):
        with pytest.raises(DataError, match=f"{count} frames cannot be kept of the 20"):
            keep(count)


def test_splits_need_labels():
    with pytest.raises(DataError, match="the test split has no forces"):
        ForceData(told(2), told(2), told(2).replace(forces=None))
    with pytest.raises(DataError, match="frame 0 of the liquid is not periodic"):
        ForceData(told(2), told(2), told(2), liquid=water())


def test_cutting_needs_frames():
    assert len(assemble_forces(told(10)).test) == 2
    with pytest.raises(DataError, match="too few to cut a validation split"):
        assemble_forces(told(1), test=told(1))
