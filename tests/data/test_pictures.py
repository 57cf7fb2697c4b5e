"""Folders of pictures: read when needed, whatever their classes, sizes and kinds."""

import numpy as np
import pytest
from PIL import Image

from limbeck.data import Loader
from limbeck.data.names import resolve
from limbeck.errors import DataError, UnusualUseWarning


def write(folder, classes=("ant", "bee"), count=10, size=(12, 12), mode="RGB", suffix=".png"):
    """Pictures whose red grows with the class and whose green with the number."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = np.zeros((*size, 3), np.uint8)
            pixels[..., 0], pixels[..., 1] = 60 * (label + 1), 10 * number
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{number:02d}{suffix}")
    return folder


def test_class_folders_become_classes_and_a_test_part_is_cut(tmp_path):
    data = resolve(f"folder:{write(tmp_path / 'set')}")
    assert data.classes == ("ant", "bee")
    assert (len(data.train), len(data.validation), len(data.test)) == (14, 2, 4)
    x = data.test.take(np.arange(4))["x"]
    assert data.test.y.tolist() == [0, 0, 1, 1]
    assert x[:, 0, 0, 0].tolist() == [60, 60, 120, 120]
    assert x[:, 1, 0, 0].tolist() == [80, 90, 80, 90]


def test_given_parts_are_used_as_they_are(tmp_path):
    for part, count in (("train", 8), ("valid", 3), ("test", 5)):
        write(tmp_path / part, count=count)
    data = resolve(f"folder:{tmp_path}")
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 6, 10)


def test_a_folder_of_the_data_root_is_found_by_name(tmp_path, monkeypatch):
    write(tmp_path / "insects")
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path))
    assert resolve("insects").name == "insects"


def test_grey_stays_grey_and_mixed_kinds_become_colour(tmp_path):
    grey = resolve(f"folder:{write(tmp_path / 'grey', mode='L', suffix='.jpg')}")
    assert grey.input_space.channels == 1
    mixed = write(tmp_path / "mixed")
    write(mixed, classes=("cat",), mode="L", suffix=".bmp")
    data = resolve(f"folder:{mixed}")
    assert data.input_space.channels == 3
    assert data.train.take(np.arange(len(data.train)))["x"].shape[1:] == (3, 12, 12)


def test_other_sizes_are_refused_or_resized(tmp_path):
    folder = write(tmp_path / "set")
    write(folder, classes=("cat",), size=(20, 16))
    with pytest.raises(DataError, match="size=64"):
        resolve(f"folder:{folder}")
    assert resolve(f"folder:{folder}?size=8").input_space.size == (8, 8)


def test_a_broken_picture_is_named_or_left_out(tmp_path):
    folder = write(tmp_path / "set")
    (folder / "ant" / "03.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"03\.png does not decode"):
        resolve(f"folder:{folder}")
    with pytest.warns(UnusualUseWarning, match=r"1 of 10 pictures .* 03\.png"):
        data = resolve(f"folder:{folder}?unreadable=skip")
    assert len(data.train) + len(data.validation) + len(data.test) == 19
    with pytest.raises(DataError, match="refuse or skip"):
        resolve(f"folder:{folder}?unreadable=perhaps")


def test_empty_classes_and_strange_ones_are_named(tmp_path):
    folder = write(tmp_path / "set")
    (folder / "cat").mkdir()
    with pytest.raises(DataError, match="cat has no pictures"):
        resolve(f"folder:{folder}")
    for part, classes in (("train", ("ant", "bee")), ("test", ("ant", "wasp"))):
        write(tmp_path / "parts" / part, classes)
    with pytest.raises(DataError, match="wasp"):
        resolve(f"folder:{tmp_path / 'parts'}")


def test_workers_read_the_same_batches(tmp_path):
    data = resolve(f"folder:{write(tmp_path / 'set')}")
    here = [one["x"] for one in Loader(data, data.train, 4, seed=1).batches(0, 3)]
    there = [one["x"] for one in Loader(data, data.train, 4, seed=1, workers=2).batches(0, 3)]
    assert all((first == second).all() for first, second in zip(here, there, strict=True))


def test_the_fingerprint_follows_content_and_not_the_place(tmp_path):
    first = resolve(f"folder:{write(tmp_path / 'one' / 'set')}")
    moved = resolve(f"folder:{write(tmp_path / 'two' / 'set')}")
    assert first.fingerprint == moved.fingerprint
    (tmp_path / "two" / "set" / "ant" / "00.png").unlink()
    assert resolve(f"folder:{tmp_path / 'two' / 'set'}").fingerprint != first.fingerprint
