"""Whitened and normalised data sets hold the same samples, changed once."""

import dataclasses

import numpy as np
import pytest
import torch

from limbeck.data import DatasetSplit, InputSpace, digits, from_arrays, sequential
from limbeck.data.whitened import normalised, whitened
from limbeck.errors import ArgumentError, DataError
from limbeck.functional.whitening import fit_zca

PARTS = ("train", "validation", "test", "rest")


@pytest.fixture(scope="module")
def data():
    return digits().few(300)


def images(data, part):
    split = getattr(data, part)
    return data.columns(split, np.arange(len(split)))["x"]


def read(data, part):
    """What a model would be given."""
    return torch.cat([batch["x"] for batch in sequential(data, getattr(data, part))])


@pytest.mark.parametrize("make", [lambda data: whitened(data)[0], normalised])
def test_ids_and_targets_stay(data, make):
    made = make(data)
    for part in PARTS:
        before, after = getattr(data, part), getattr(made, part)
        assert np.array_equal(before.ids, after.ids)
        assert torch.equal(before.y, after.y)
        assert images(made, part).dtype == torch.float32
    assert (made.classes, made.task, made.name) == (data.classes, data.task, data.name)
    space = made.input_space
    assert (space.size, space.channels, space.mean, space.std) == ((8, 8), 1, (), ())
    assert space.range == (images(made, "train").min(), images(made, "train").max())


def test_all_splits_are_whitened_by_the_training_split(data):
    white, zca = whitened(data)
    expected = fit_zca(images(data, "train"))
    torch.testing.assert_close(zca.values, expected.values)
    for part in PARTS:
        torch.testing.assert_close(read(white, part), expected.apply(images(data, part)))


def test_a_given_map_is_used(data):
    zca = fit_zca(images(data, "test"), 0.5)
    white, used = whitened(data, zca)
    assert used is zca
    torch.testing.assert_close(read(white, "train"), zca.apply(images(data, "train")))
    with pytest.raises(ArgumentError, match="with 4 numbers a sample"):
        whitened(data, fit_zca(torch.rand(9, 4)))


def test_values_are_brought_to_0_to_1_first():
    x = np.random.default_rng(0).random((40, 2, 3, 3)).astype(np.float32)
    y = np.arange(40) % 2
    first, _ = whitened(from_arrays(x, y))
    second, _ = whitened(from_arrays(x * 255, y))
    torch.testing.assert_close(read(first, "test"), read(second, "test"), rtol=1e-3, atol=1e-4)


def test_normalised_data_reads_as_before(data):
    made = normalised(data)
    for part in PARTS:
        assert torch.equal(read(made, part), read(data, part))


def test_splits_that_are_read_item_by_item_become_tensors():
    items = [(torch.full((1, 2, 2), float(n)), n % 2) for n in range(20)]
    split = DatasetSplit(items)
    data = from_arrays(np.zeros((20, 1, 2, 2)), np.arange(20) % 2)
    made = normalised(dataclasses.replace(data, train=split))
    assert images(made, "train")[:, 0, 0, 0].tolist() == [*range(20)]


def test_data_without_images_is_refused():
    vectors = from_arrays(np.zeros((20, 3)), np.arange(20) % 2)
    with pytest.raises(DataError, match="no single space of images"):
        whitened(vectors)
    with pytest.raises(DataError, match="no single input space"):
        normalised(dataclasses.replace(vectors, input_space=None))
    assert normalised(vectors).input_space.shape == (3,)


def test_a_matrix_that_is_too_large_is_refused(data):
    large = dataclasses.replace(data, input_space=InputSpace(size=(128, 128), channels=3))
    with pytest.raises(DataError, match=r"49152 numbers, .* 18\.0 GiB of at most 16; use smaller"):
        whitened(large)
