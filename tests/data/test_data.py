"""Data: splits that never mix, tasks and classes found, and bad input refused with the fix."""

import dataclasses
import multiprocessing

import numpy as np
import pytest
import torch

from limbeck.data import Data, TensorSplit, digits, from_arrays, from_datasets
from limbeck.errors import DataError


def arrays(count=60, classes=3, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(count, 4)).astype(np.float32), np.arange(count) % classes


def parts(data):
    return data.train, data.validation, data.test


def pairs(x, y):
    return list(zip(torch.from_numpy(x), y.tolist(), strict=True))


# Splits


@pytest.mark.parametrize("classes", [1, 3, 7])
def test_splits_share_no_sample_and_hold_every_class(classes):
    x, y = arrays(90, classes)
    data = from_arrays(x, y, classes=[str(n) for n in range(classes)])
    ids = [set(part.ids.tolist()) for part in parts(data)]
    assert set.union(*ids) == set(range(90))
    assert sum(map(len, ids)) == 90
    for part in parts(data):
        assert set(part.y.tolist()) == set(range(classes))


def test_validation_is_cut_from_train_and_test_is_what_was_given():
    x, y = arrays()
    other, labels = arrays(30, seed=1)
    data = from_arrays(x, y, test=(other, labels))
    assert torch.equal(data.test.take(np.arange(30))["x"], torch.from_numpy(other))
    kept = [part.take(np.arange(len(part)))["x"] for part in (data.train, data.validation)]
    together = torch.cat(kept).numpy()
    assert len(together) == 60
    assert {row.tobytes() for row in together} == {row.tobytes() for row in x}


def test_a_given_validation_split_leaves_train_whole():
    x, y = arrays()
    data = from_arrays(x, y, test=(x[:9], y[:9]), validation=(x[9:15], y[9:15]))
    assert [len(part) for part in parts(data)] == [60, 6, 9]


# Tasks and classes


@pytest.mark.parametrize(
    ("y", "task", "outputs"),
    [
        (np.arange(40) % 4, "classification", 4),
        (np.linspace(0, 1, 40), "regression", 1),
        (np.random.default_rng(0).normal(size=(40, 3)), "regression", 3),
        (np.random.default_rng(0).integers(0, 2, (40, 5)), "multilabel", 5),
        (np.random.default_rng(0).integers(0, 2, (40, 5)).astype(bool), "multilabel", 5),
        (np.random.default_rng(0).integers(0, 2, (40, 5)).astype(float), "multilabel", 5),
    ],
)
def test_the_task_is_read_off_the_targets(y, task, outputs):
    data = from_arrays(np.zeros((40, 2)), y)
    assert (data.task, data.outputs) == (task, outputs)
    assert len(data.classes) == (0 if task == "regression" else outputs)


def test_integer_columns_are_not_taken_for_numbers():
    """Class indices as (N, 1), as Keras stores them, must not become a regression."""
    with pytest.raises(DataError, match=r"integer targets .*class indices \(N,\)"):
        from_arrays(arrays()[0], arrays()[1][:, None])
    assert from_arrays(arrays()[0], arrays()[1][:, None], task="regression").outputs == 1


def test_class_names_are_kept_and_numbered_otherwise():
    x, y = arrays()
    assert from_arrays(x, y).classes == ("0", "1", "2")
    assert from_arrays(x, y, classes=["a", "b", "c", "d"]).outputs == 4


def test_a_class_that_only_test_has_is_counted():
    x, y = arrays()
    assert from_arrays(x, y, test=(x[:2], np.array([0, 5]))).outputs == 6


def test_images_without_channels_get_one():
    data = from_arrays(np.zeros((40, 5, 6), np.uint8), np.arange(40) % 2)
    assert data.input_space.shape == (1, 5, 6)


# Statistics


def test_standardised_vectors_have_mean_0_and_deviation_1():
    x, y = arrays(200)
    scale = np.array([1e-5, 1.0, 30.0, 1e6], dtype=np.float64)
    data = from_arrays((x + 3) * scale, y, standardise=True)
    seen = data.normalise(data.columns(data.train, np.arange(len(data.train))))["x"].double()
    torch.testing.assert_close(seen.mean(0), torch.zeros(4).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(0, correction=0), torch.ones(4).double(), rtol=1e-4, atol=0)


def test_standardised_images_are_so_per_channel_by_train_alone():
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (80, 3, 4, 4), dtype=np.uint8)
    y = np.arange(80) % 2
    data = from_arrays(x, y, test=(x[:8] // 9, y[:8]), standardise=True)
    train = data.train.take(np.arange(len(data.train)))["x"].double() / 255
    mean = train.mean((0, 2, 3)).tolist()
    std = train.std((0, 2, 3), correction=0).tolist()
    assert data.input_space.mean == pytest.approx(mean, abs=1e-6)
    assert data.input_space.std == pytest.approx(std, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_standardised_films_are_so_per_channel(dtype):
    x = np.random.default_rng(0).integers(0, 256, (40, 2, 3, 4, 4)).astype(dtype)
    data = from_arrays(x, np.arange(40) % 2, standardise=True)
    seen = data.normalise(data.columns(data.train, np.arange(len(data.train))))["x"]
    torch.testing.assert_close(seen.mean((0, 2, 3, 4)), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std((0, 2, 3, 4)), torch.ones(2), atol=1e-3, rtol=0)


def test_whole_numbers_are_standardised_as_fractions():
    x = np.random.default_rng(0).integers(0, 4, (100, 3))
    data = from_arrays(x, np.arange(100) % 2, standardise=True)
    seen = data.normalise(data.columns(data.train, np.arange(len(data.train))))["x"]
    assert seen.is_floating_point()
    torch.testing.assert_close(seen.mean(0), torch.zeros(3), atol=1e-4, rtol=0)


def test_a_constant_feature_is_only_centred():
    x = np.full((40, 2), 7.0)
    data = from_arrays(x, np.arange(40) % 2, standardise=True)
    seen = data.normalise(data.columns(data.train, np.arange(3)))["x"]
    assert seen.tolist() == [[0.0, 0.0]] * 3


def test_bytes_are_read_as_0_to_1():
    x = np.array([[[0, 255], [51, 102]]] * 20, np.uint8)
    data = from_arrays(x, np.arange(20) % 2)
    seen = data.columns(data.train, np.array([0]))["x"]
    torch.testing.assert_close(seen, torch.tensor([[[[0.0, 1.0], [0.2, 0.4]]]]))


# Few labels


@pytest.mark.parametrize("labels", [10, 37, 200])
def test_few_keeps_that_many_evenly_and_the_others_are_the_rest(labels):
    whole, data = digits(), digits().few(labels, seed=1)
    counts = torch.bincount(data.train.y, minlength=10)
    assert counts.sum() == labels
    assert counts.max() - counts.min() <= 1
    assert sorted([*data.train.ids, *data.rest.ids]) == sorted(whole.train.ids)
    assert data.validation is not None
    assert data.test.fingerprint == whole.test.fingerprint
    assert data.input_space == whole.input_space


def test_few_takes_more_of_large_classes_where_small_ones_run_out():
    y = np.array([0] * 4 + [1] * 40)
    data = from_arrays(np.zeros((44, 1)), y, test=(np.zeros((2, 1)), [0, 1])).few(12)
    assert torch.bincount(data.train.y).tolist() == [3, 9]


def test_few_replays_from_its_seed():
    ids = [digits().few(50, seed=seed).train.ids.tolist() for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("labels", [0, 9, 1211, 5000])
def test_few_refuses_impossible_numbers(labels):
    with pytest.raises(DataError, match=f"{labels} training samples.*each of 10 classes.*1211"):
        digits().few(labels)


def test_teachers_learn_from_the_rest():
    data = digits().few(50)
    assert data.for_teachers().train is data.rest
    assert digits().for_teachers().train.fingerprint == digits().train.fingerprint


# Fingerprints


def test_fingerprints_change_with_every_part():
    x, y = arrays()
    base = from_arrays(x, y)
    nudged = x.copy()
    nudged[17, 2] += 1e-3
    relabelled = y.copy()
    relabelled[59] = 0
    words = {
        base.fingerprint,
        from_arrays(nudged, y).fingerprint,
        from_arrays(x, relabelled).fingerprint,
        from_arrays(x, y, classes=["a", "b", "c"]).fingerprint,
        from_arrays(x, y, standardise=True).fingerprint,
        base.few(10).fingerprint,
        dataclasses.replace(base, validation=base.test, test=base.validation).fingerprint,
    }
    assert len(words) == 7
    assert from_arrays(x.copy(), y.copy(), name="other").fingerprint == base.fingerprint


def _fingerprint():
    return digits().few(50, seed=3).fingerprint


def test_fingerprints_are_equal_in_every_process():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_fingerprint) == _fingerprint()


# Torch data sets


def test_a_torch_data_set_gives_what_its_arrays_give():
    x, y = arrays()
    told = from_arrays(x, y, test=(x[:6], y[:6]))
    read = from_datasets(pairs(x, y), pairs(x[:6], y[:6]))
    assert (read.task, read.classes, read.input_space) == (
        told.task,
        told.classes,
        told.input_space,
    )
    for first, second in zip(parts(told), parts(read), strict=True):
        every = np.arange(len(first))
        for name, column in first.take(every).items():
            assert torch.equal(second.take(every)[name], column)


def test_a_torch_data_set_names_its_classes():
    class Named(torch.utils.data.TensorDataset):
        classes = ("cat", "dog")

    x, y = arrays(classes=2)
    named = Named(torch.from_numpy(x), torch.from_numpy(y))
    assert from_datasets(named, named).classes == ("cat", "dog")


# Bad input


def bad(x=None, y=None, **options):
    return from_arrays(arrays()[0] if x is None else x, arrays()[1] if y is None else y, **options)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 56])
def test_inputs_that_are_not_finite_are_refused(value, position):
    x = arrays()[0].copy()
    x[position, 1] = value
    with pytest.raises(DataError, match=r"1 samples with NaN or infinite values.*drop or repair"):
        bad(x)


def test_the_split_and_place_of_a_bad_sample_are_right():
    x, y = arrays()
    x[7, 1] = np.nan
    with pytest.raises(DataError, match=r"the train split .* the first has id 7"):
        bad(x)
    with pytest.raises(DataError, match=r"the test split .* the first has id 7"):
        bad(test=(x, y))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"y": np.array([-1, *[0, 1] * 29, 0])}, "labels from -1 to 1, expected 0 to"),
        ({"classes": ["a", "b"]}, "labels from 0 to 2, expected 0 to 1 for 2 classes"),
        ({"test": (np.zeros((0, 4)), np.zeros(0, int))}, "the test split is empty"),
        ({"validation": (np.zeros((0, 4)), np.zeros(0, int))}, "the validation split is empty"),
        ({"x": np.zeros((0, 4)), "y": np.zeros(0, int)}, "empty"),
        ({"y": np.zeros(59, int)}, "different numbers of rows"),
        ({"x": np.zeros(60)}, r"x has shape \(60,\), expected \(N, D\): use x\[:, None\]"),
        ({"y": np.zeros(60), "task": "classification"}, "dtype torch.float64.*integer class"),
        ({"task": "ranking"}, "task is 'ranking', expected one of classification"),
        ({"task": "multilabel"}, r"from 0 to 2, expected \(N, 1\) of 0 and 1"),
        ({"y": np.full(60, np.nan)}, "targets that are NaN or infinite"),
        ({"test": (np.zeros((5, 3)), np.zeros(5, int))}, r"shape \(3,\) .* train \(4,\)"),
        ({"test": (np.zeros((5, 4)), np.zeros(5))}, "the test split .* dtype torch.float64"),
    ],
)
def test_bad_input_is_refused_with_the_reason(given, words):
    with pytest.raises(DataError, match=words):
        bad(**given)


def test_regression_targets_must_agree_between_splits():
    x, y = arrays()[0], np.random.default_rng(0).normal(size=(60, 2))
    with pytest.raises(DataError, match=r"targets of shape \(5,\).*\(\d+, 2\)"):
        from_arrays(x, y, test=(x[:5], y[:5, 0]))


def test_multilabel_targets_must_be_0_or_1():
    y = np.zeros((60, 2))
    y[3, 1] = 0.5
    with pytest.raises(DataError, match="0 and 1"):
        bad(y=y, task="multilabel")


@pytest.mark.parametrize("missing", ["train", "validation", "test"])
def test_a_split_without_targets_is_refused(missing):
    x, y = arrays()
    splits = {name: pairs(x, y) for name in ("train", "validation", "test")}
    splits[missing] = [{"x": torch.from_numpy(row)} for row in x]
    with pytest.raises(DataError, match=f"{missing}.* has no targets: give it a column y"):
        from_datasets(**splits, name="mine")


def test_data_can_be_made_of_splits():
    split = TensorSplit({"x": np.zeros((4, 2)), "y": [0, 1, 0, 1]})
    data = Data(split, split, split, "classification", ("a", "b"), None)
    assert repr(data) == "Data('data', classification, 2 outputs, train=4, validation=4, test=4)"
