"""File layouts are read whatever their names and classes, and what is wrong in them is named."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from limbeck.data.layouts import decode_images, read_folder, read_npz, read_parquet
from limbeck.errors import DataError

RANDOM = np.random.default_rng(0)


def grey(count, side=4):
    return RANDOM.integers(0, 256, (count, side, side), dtype=np.uint8)


def colour(count, side=4):
    return RANDOM.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def npz(folder, name="odd name.v2.npz", **arrays):
    y = np.arange(20) % 2
    usual = {"x_train": grey(20), "y_train": y, "x_test": grey(10), "y_test": y[:10]}
    np.savez(folder / name, **{k: v for k, v in {**usual, **arrays}.items() if v is not None})
    return folder / name


def png(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def parquet(folder, image="image", label="label", **splits):
    """Write train and test (or what is given) as pairs of pictures and labels."""
    y = np.arange(20) % 2
    for name, (pictures, labels) in {
        "train": (colour(20), y), "test": (colour(10), y[:10]), **splits,
    }.items():  # fmt: skip
        encoded = [one if isinstance(one, (bytes, dict)) else png(one) for one in pictures]
        pd.DataFrame({image: encoded, label: labels}).to_parquet(folder / f"{name}.parquet")
    return folder


def everything(split):
    return split.take(np.arange(len(split)))["x"].numpy()


# npz


def test_npz_is_read_as_it_was_written(tmp_path):
    x, y = grey(20), np.arange(20) % 3
    data = read_npz(npz(tmp_path, x_train=x, y_train=y, x_test=x[:5], y_test=y[:5]))
    assert (data.name, data.classes) == ("odd name.v2", ("0", "1", "2"))
    assert data.input_space.shape == (1, 4, 4)
    assert (everything(data.test) == x[:5, None]).all()
    assert sorted([*data.train.ids, *data.validation.ids]) == [*range(20)]
    assert len(data.input_space.mean) == len(data.input_space.std) == 1


def test_npz_by_other_names_with_classes_and_validation(tmp_path):
    x, y = colour(20), np.arange(20) % 2
    arrays = {"images_train": x, "label_train": y, "image_valid": x[:6], "labels_valid": y[:6]}
    names = dict.fromkeys(("x_train", "y_train"))
    data = read_npz(npz(tmp_path, class_names=np.array(["kept", "odd"]), **arrays, **names,
                        x_test=x[:4], y_test=y[:4]))  # fmt: skip
    assert data.classes == ("kept", "odd")
    assert len(data.validation) == 6
    assert data.input_space.shape == (3, 4, 4)
    assert (everything(data.train) == x.transpose(0, 3, 1, 2)).all()


def test_class_names_may_be_bytes(tmp_path):
    assert read_npz(npz(tmp_path, class_names=np.array([b"a", b"b"]))).classes == ("a", "b")


def test_vectors_are_no_images(tmp_path):
    x = RANDOM.normal(size=(20, 5))
    data = read_npz(npz(tmp_path, x_train=x, x_test=x[:10]))
    assert (data.input_space.channels, data.input_space.size) == (None, (5,))
    assert len(data.input_space.mean) == 5


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int32])
def test_npz_images_are_resized_by_averaging(tmp_path, dtype):
    x = (grey(20) / 255 if np.issubdtype(dtype, np.floating) else grey(20)).astype(dtype)
    data = read_npz(npz(tmp_path, x_train=x, x_test=x[:10]), size=2)
    expected = x[:10].astype(float).reshape(10, 1, 2, 2, 2, 2).mean((3, 5))
    error = np.abs(everything(data.test).astype(float) - expected).max()
    assert error <= (0.5 if dtype in (np.uint8, np.int32) else 1e-6)


def test_missing_arrays_are_named_with_those_found(tmp_path):
    path = npz(tmp_path, y_test=None, inputs_test=np.zeros(3))
    with pytest.raises(DataError, match=r"no arrays for test: expected x_train.*inputs_test"):
        read_npz(path)


@pytest.mark.parametrize("name", ["x_train", "y_test", "class_names"])
def test_pickled_arrays_are_refused(tmp_path, name):
    path = npz(tmp_path, **{name: np.array([{}, None], dtype=object)})
    with pytest.raises(DataError, match=f"array {name} holds pickled objects"):
        read_npz(path)


@pytest.mark.parametrize("cut", [0, 10, 700, -30])
def test_a_damaged_npz_is_named(tmp_path, cut):
    path = npz(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"odd name\.v2\.npz is no whole npz file"):
        read_npz(path)


def test_an_altered_npz_is_named(tmp_path):
    path = npz(tmp_path)
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is no whole npz file"):
        read_npz(path)


def test_a_single_array_is_no_data_set(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"one\.npy is no whole npz file"):
        read_npz(tmp_path / "one.npy")


def test_a_folder_of_several_files_asks_which(tmp_path):
    npz(tmp_path, "a.npz")
    npz(tmp_path, "b.npz")
    with pytest.raises(DataError, match=r"2 files \*\.npz, expected one; name the file"):
        read_npz(tmp_path)


# Parquet


def test_parquet_is_read_as_it_was_written(tmp_path):
    x, y = colour(20), np.arange(20) % 2
    data = read_parquet(parquet(tmp_path, train=(x, y), valid=(x[:3], y[:3])))
    assert data.input_space.shape == (3, 4, 4)
    assert (everything(data.train) == x.transpose(0, 3, 1, 2)).all()
    assert [len(part) for part in (data.train, data.validation, data.test)] == [20, 3, 10]
    assert data.train.y.tolist() == y.tolist()
    assert len(data.input_space.mean) == 3


def test_parquet_by_other_columns_with_names_and_records(tmp_path):
    x = grey(20)
    records = [{"bytes": png(one), "path": None} for one in x]
    words = [["dog", "ape", "cat"][n % 3] for n in range(20)]
    parquet(
        tmp_path,
        "img",
        "fine label",
        train=(records, words),
        test=(records[:4], ["bee", "dog"] * 2),
    )
    data = read_parquet(tmp_path, image="img", label="fine label")
    assert data.classes == ("ape", "bee", "cat", "dog")
    assert data.test.y.tolist() == [1, 3, 1, 3]
    assert data.input_space.shape == (1, 4, 4)
    assert sorted([*data.train.ids, *data.validation.ids]) == [*range(20)]


def test_grey_pictures_among_colours_are_read_as_colours(tmp_path):
    x, y = grey(10), np.arange(10) % 2
    data = read_parquet(parquet(tmp_path, test=(x, y)))
    assert (everything(data.test) == np.repeat(x[:, None], 3, 1)).all()


def test_pictures_of_different_sizes_need_a_size(tmp_path):
    pictures = [*colour(10), *colour(10, side=6)]
    parquet(tmp_path, train=(pictures, np.arange(20) % 2))
    with pytest.raises(DataError, match=r"2 different sizes, such as .*\?size=32"):
        read_parquet(tmp_path)
    assert read_parquet(tmp_path, size=5).input_space.shape == (3, 5, 5)


def test_splits_of_different_sizes_are_refused(tmp_path):
    parquet(tmp_path, test=(colour(10, side=6), np.arange(10) % 2))
    with pytest.raises(DataError, match=r"inputs of shape \(3, 6, 6\) and train \(3, 4, 4\)"):
        read_parquet(tmp_path)


@pytest.mark.parametrize(
    "broken", [b"no picture", b"", png(colour(1, 40)[0])[:900], {"bytes": None}]
)
def test_an_undecodable_picture_is_named(tmp_path, broken):
    pictures = [png(one) for one in colour(20)]
    pictures = [{"bytes": one} for one in pictures] if isinstance(broken, dict) else pictures
    pictures[13] = broken
    parquet(tmp_path, train=(pictures, np.arange(20) % 2))
    with pytest.raises(DataError, match="train: picture 13 does not decode"):
        read_parquet(tmp_path)


def test_missing_columns_and_files_are_named(tmp_path):
    parquet(tmp_path)
    with pytest.raises(DataError, match="no column img; it has image, label"):
        read_parquet(tmp_path, image="img")
    (tmp_path / "test.parquet").unlink()
    with pytest.raises(DataError, match=r"has no test\.parquet"):
        read_parquet(tmp_path)


def test_missing_labels_are_no_class(tmp_path):
    parquet(tmp_path, train=(colour(4), ["a", None, "b", "a"]), test=(colour(2), ["a", "b"]))
    with pytest.raises(DataError, match=r"train\.parquet: column label is empty in row 1"):
        read_parquet(tmp_path)


def test_a_damaged_table_is_named(tmp_path):
    parquet(tmp_path)
    path = tmp_path / "test.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"test\.parquet is no whole Parquet file"):
        read_parquet(tmp_path)


# Pictures


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_kind_of_picture_keeps_its_values(mode):
    shown = Image.fromarray(np.full((3, 3, 3), 255, np.uint8)).convert(mode)
    content = io.BytesIO()
    shown.save(content, "TIFF")
    pixels = decode_images([content.getvalue()], None, "mine")
    assert pixels.shape == (1, 1 if mode in ("1", "L", "LA") else 3, 3, 3)
    assert (pixels == 255).all()


def test_sixteen_bits_are_scaled_to_eight():
    levels = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    assert decode_images([png(levels)], None, "mine").tolist() == [[[[0, 1, 128, 255]]]]


def test_no_pictures_are_no_error():
    assert len(decode_images([], None, "mine")) == 0


# Folders


def test_a_folder_is_read_in_the_layout_it_has(tmp_path):
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for folder in (first, second, third):
        folder.mkdir()
    assert read_folder(npz(first).parent).name == "first"
    assert read_folder(parquet(second), size=3).input_space.size == (3, 3)
    (third / "notes.txt").touch()
    with pytest.raises(DataError, match=r"in no layout .* found notes\.txt"):
        read_folder(third)


@pytest.mark.parametrize("size", [0, -3, 2.5, "big", True])
def test_impossible_sizes_are_refused(tmp_path, size):
    for folder in (npz(tmp_path), parquet(tmp_path)):
        reader = read_npz if folder.is_file() else read_parquet
        with pytest.raises(DataError, match=f"size is {size!r}, expected a whole number"):
            reader(folder, size=size)
