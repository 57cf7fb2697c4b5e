"""Splits: what is read from memory and from torch data sets, and how a part is held out."""

import numpy as np
import pytest
import torch

from limbeck.data import DatasetSplit, Subset, TensorSplit
from limbeck.data.splits import hold_out, named, overlap, remade
from limbeck.errors import DataError


class Items(torch.utils.data.Dataset):
    """A torch data set over a list."""

    def __init__(self, items, **attributes):
        self.items = items
        for name, value in attributes.items():
            setattr(self, name, value)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def take(split, *indices):
    return split.take(np.array(indices))


# In memory


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint32, np.uint64, bool])
@pytest.mark.parametrize("wrap", [np.asarray, lambda a: torch.from_numpy(a.astype("int32")), list])
def test_class_indices_become_the_integers_that_losses_take(dtype, wrap):
    y = wrap(np.array([0, 1, 1], dtype=dtype))
    assert TensorSplit({"y": y}).y.dtype == torch.int64
    assert TensorSplit({"y": y}).y.tolist() == [0, 1, 1]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_inputs_become_single_precision_and_targets_stay_as_precise_as_they_came(dtype):
    for wrap in (np.asarray, torch.from_numpy):
        split = TensorSplit({"x": wrap(np.ones((2, 2), dtype)), "y": wrap(np.ones(2, dtype))})
        assert split.columns["x"].dtype in (torch.float32, torch.float16)
        assert split.y.dtype == (torch.float64 if dtype == np.float64 else torch.float32)


def test_large_targets_that_differ_little_stay_apart():
    y = 1e9 + np.arange(4.0)
    assert TensorSplit({"y": y}).y.tolist() == y.tolist()
    assert DatasetSplit(Items([(torch.zeros(1), one) for one in y])).y.tolist() == y.tolist()


def test_inputs_that_are_predictions_may_stay_in_double_precision():
    x = 1e9 + np.arange(4.0)[:, None]
    assert TensorSplit({"x": x}, exact=True).columns["x"].tolist() == x.tolist()


def test_images_stay_bytes():
    assert TensorSplit({"x": np.zeros((2, 1, 3, 3), np.uint8)}).columns["x"].dtype == torch.uint8


def test_arrays_of_any_layout_are_read():
    values = np.arange(12.0).reshape(3, 4)
    frozen = np.frombuffer(values.astype(np.float32).tobytes(), np.float32).reshape(3, 4)
    for array in (
        values[:, ::-1][:, ::-1],
        values.astype(">f4"),
        np.asfortranarray(values),
        frozen,
    ):
        assert TensorSplit({"x": array}).columns["x"].tolist() == values.tolist()


def test_words_are_no_numbers():
    with pytest.raises(DataError, match="column y has dtype <U3, expected numbers"):
        TensorSplit({"x": np.zeros(2), "y": ["cat", "dog"]})


def test_unequal_lengths_are_refused():
    with pytest.raises(DataError, match=r"different numbers of rows: {'x': 3, 'y': 2}"):
        TensorSplit({"x": np.zeros((3, 2)), "y": [0, 1]})


def test_take_keeps_the_order_asked_for():
    split = TensorSplit({"x": np.arange(5.0), "y": np.arange(5)}, ids=np.arange(10, 15))
    assert take(split, 3, 0, 3)["y"].tolist() == [3, 0, 3]
    assert split.ids.tolist() == [10, 11, 12, 13, 14]


# Subsets


def test_subsets_of_subsets_keep_ids_and_targets():
    split = TensorSplit({"x": np.arange(6.0), "y": np.arange(6)}, ids=np.arange(100, 106))
    outer = Subset(Subset(split, np.array([5, 3, 1, 0])), np.array([2, 0]))
    assert outer.ids.tolist() == [101, 105]
    assert outer.y.tolist() == [1, 5]
    assert take(outer, 1, 0)["x"].tolist() == [5.0, 1.0]


def test_fingerprints_change_with_content_order_and_ids():
    x = np.arange(8.0).reshape(4, 2)
    base = TensorSplit({"x": x})
    words = {
        base.fingerprint,
        TensorSplit({"x": x + 1e-3}).fingerprint,
        TensorSplit({"x": x[::-1].copy()}).fingerprint,
        TensorSplit({"x": x}, ids=np.arange(1, 5)).fingerprint,
        TensorSplit({"z": x}).fingerprint,
        Subset(base, np.array([0, 1])).fingerprint,
        Subset(base, np.array([1, 0])).fingerprint,
    }
    assert len(words) == 7
    assert TensorSplit({"x": x.copy()}).fingerprint == base.fingerprint


# The same sample in two splits


def split_of(ids, **options):
    return TensorSplit({"x": np.random.default_rng(len(ids)).random((len(ids), 2))}, ids, **options)


def test_ids_that_were_given_tell_between_splits_that_came_by_themselves():
    first, second = split_of(np.arange(100, 110)), split_of(np.arange(108, 120))
    assert overlap(first, second).tolist() == [108, 109]
    assert overlap(Subset(first, np.arange(9)), second).tolist() == [108]
    assert overlap(remade(first, {"x": np.ones(10)}), second).tolist() == [108, 109]


def test_numbers_that_were_made_up_raise_no_alarm():
    made = TensorSplit({"x": np.zeros((5, 1))})
    other = TensorSplit({"x": np.ones((7, 1))})
    files = [split_of(np.arange(count), named=False) for count in (3, 4)]
    for pair in ((made, other), files, (made, split_of(np.arange(5)))):
        assert not len(overlap(*pair))
        copies = [remade(one, {"x": np.full(len(one), n)}) for n, one in enumerate(pair)]
        assert not len(overlap(*copies))
    assert not named(remade(made, {"x": np.zeros(5)}))
    # Within one split they tell, and so does equal content.
    assert overlap(Subset(made, [0, 1]), Subset(made, [1, 2])).tolist() == [1]
    assert len(overlap(made, TensorSplit({"x": np.zeros((5, 1))}))) == 5


# Torch data sets


def test_pairs_and_mappings_are_read_alike():
    pairs = [(torch.full((2,), float(n)), n % 2) for n in range(4)]
    mappings = [{"x": x, "y": y} for x, y in pairs]
    first, second = DatasetSplit(Items(pairs)), DatasetSplit(Items(mappings))
    for split in (first, second):
        assert take(split, 2, 1)["x"].tolist() == [[2.0, 2.0], [1.0, 1.0]]
        assert split.y.tolist() == [0, 1, 0, 1]
    assert first.fingerprint == second.fingerprint


def test_items_further_columns_come_along():
    items = [{"x": torch.zeros(1), "y": 0, "scores": torch.ones(3)} for _ in range(2)]
    assert take(DatasetSplit(Items(items)), 0, 1)["scores"].shape == (2, 3)


@pytest.mark.parametrize("label", [np.uint8(1), np.int32(1), torch.tensor(1, dtype=torch.int16)])
def test_labels_of_items_become_the_integers_that_losses_take(label):
    split = DatasetSplit(Items([(torch.zeros(1), label)] * 3))
    assert split.y.dtype == take(split, 0)["y"].dtype == torch.int64


def test_numbers_of_items_become_single_precision_but_for_targets():
    split = DatasetSplit(Items([(np.zeros(2), np.float64(0.5))] * 2))
    assert take(split, 0)["x"].dtype == torch.float32
    assert split.y.dtype == take(split, 0)["y"].dtype == torch.float64


def test_the_attribute_targets_saves_reading_every_item():
    class Unreadable(Items):
        def __getitem__(self, index):
            raise AssertionError("an item was read")

    split = DatasetSplit(Unreadable([None] * 3, targets=[2, 0, 1]))
    assert split.y.tolist() == [2, 0, 1]


def test_targets_that_items_change_are_not_believed():
    """Torchvision's target_transform changes what items give, not the attribute targets."""
    items = [(torch.zeros(1), label + 5) for label in (0, 1)]
    split = DatasetSplit(Items(items, targets=[0, 1], target_transform=lambda y: y + 5))
    assert split.y.tolist() == [5, 6]


def test_fingerprints_of_data_sets_see_every_label():
    items = [(torch.zeros(1), n % 3) for n in range(500)]
    changed = [*items[:123], (torch.zeros(1), (123 + 1) % 3), *items[124:]]
    words = [DatasetSplit(Items(one)).fingerprint for one in (items, list(items), changed)]
    assert words[0] == words[1] != words[2]


def test_items_of_different_shapes_are_refused():
    split = DatasetSplit(Items([(torch.zeros(2), 0), (torch.zeros(3), 0)]), "mine")
    with pytest.raises(
        DataError, match=r"x of the items of mine has different shapes \[\(2,\), \(3,\)\]"
    ):
        take(split, 0, 1)


@pytest.mark.parametrize("item", [torch.zeros(2), "a", (torch.zeros(2), 0, 1)])
def test_items_of_other_kinds_are_refused(item):
    with pytest.raises(DataError, match=r"item 0 of mine is a .* expected a pair"):
        take(DatasetSplit(Items([item]), "mine"), 0)


def test_pictures_and_words_in_items_are_refused():
    from PIL import Image

    for value in (Image.new("RGB", (4, 4)), "cat"):
        with pytest.raises(DataError, match=r"x of item 0 of mine is a .* such as ToTensor"):
            take(DatasetSplit(Items([(value, 0)]), "mine"), 0)


# Holding out


def test_the_last_share_of_every_class_is_cut():
    y = np.array([0] * 10 + [1] * 30 + [0] * 10)
    stays, held = hold_out(TensorSplit({"x": np.arange(50.0), "y": y}), 0.2, "test")
    assert held.ids.tolist() == [*range(34, 40), *range(46, 50)]
    assert sorted([*stays.ids, *held.ids]) == [*range(50)]


def test_a_class_of_one_stays_and_a_class_of_two_is_shared():
    stays, held = hold_out(TensorSplit({"y": np.array([0, 1, 1])}), 0.1, "test")
    assert (stays.ids.tolist(), held.ids.tolist()) == ([0, 1], [2])


def test_numbers_are_cut_at_the_same_places_each_time():
    numbers = TensorSplit({"y": np.linspace(0, 1, 100)})
    stays, held = hold_out(numbers, 0.2, "test")
    again = hold_out(numbers, 0.2, "test")[1]
    assert (len(stays), len(held)) == (80, 20)
    assert sorted([*stays.ids, *held.ids]) == [*range(100)]
    assert held.ids.tolist() == again.ids.tolist()
    # Sorted data would leave the largest targets untaught if its end were held out.
    assert held.ids.min() < 50 < held.ids.max()


@pytest.mark.parametrize("y", [[], [0], [0, 1, 2]])
def test_what_is_too_small_to_cut_is_refused(y):
    with pytest.raises(DataError, match="test split"):
        hold_out(TensorSplit({"y": np.array(y, dtype=int)}), 0.2, "test")
