"""Data sets by name: embedded, behind a prefix, or a folder of the data root."""

import os

import numpy as np
import pytest

from limbeck.data import digits
from limbeck.data.names import ROOT, resolve
from limbeck.errors import ArgumentError, DataError, UnknownNameError

DATA_ROOT = os.environ.get(ROOT)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A data root with one set under a name that limbeck has never heard of."""
    folder = tmp_path / "root" / "three-shades.v1"
    folder.mkdir(parents=True)
    x, y = np.arange(30 * 9, dtype=np.uint8).reshape(30, 3, 3), np.arange(30) % 3
    np.savez(folder / "whatever.npz", x_train=x, y_train=y, x_test=x[:6], y_test=y[:6])
    monkeypatch.setenv(ROOT, str(folder.parent))
    return folder


def test_embedded_sets_need_no_root(monkeypatch):
    monkeypatch.delenv(ROOT, raising=False)
    assert resolve("digits").fingerprint == digits().fingerprint


def test_objects_are_taken_as_they_are():
    data = digits()
    assert resolve(data) is data
    pair = (np.zeros((20, 2)), np.arange(20) % 2)
    assert resolve(pair).outputs == resolve(list(pair)).outputs == 2


def test_a_folder_of_the_root_is_found_by_its_name(root):
    data = resolve("three-shades.v1")
    assert (data.outputs, data.input_space.shape) == (3, (1, 3, 3))


def test_prefixes_read_a_path(root, monkeypatch):
    file = root / "whatever.npz"
    words = {
        resolve(f"npz:{file}").fingerprint,
        resolve(f"folder:{root}").fingerprint,
        resolve("three-shades.v1").fingerprint,
    }
    monkeypatch.chdir(root.parent)
    assert words == {resolve("folder:./three-shades.v1").fingerprint}


def test_options_ride_behind_the_name(root):
    assert resolve("three-shades.v1?size=2").input_space.size == (2, 2)
    data = resolve("digits?labels=60", seed=4)
    assert data.train.ids.tolist() == digits().few(60, seed=4).train.ids.tolist()
    both = resolve("three-shades.v1?size=2&labels=6")
    assert (both.input_space.size, len(both.train)) == ((2, 2), 6)


def test_samples_leave_nothing_for_the_teachers(root):
    data = resolve("digits?samples=60", seed=4)
    assert data.train.ids.tolist() == digits().few(60, seed=4).train.ids.tolist()
    assert data.for_teachers() is data
    both = resolve("digits?samples=60&labels=20", seed=4)
    assert (len(both.train), len(both.rest)) == (20, 40)
    assert {*both.train.ids, *both.rest.ids} == {*data.train.ids}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("three-shade.v1", r"did you mean three-shades\.v1\?.*digits"),
        ("digit", r"did you mean digits\?"),
        ("npzz:x.npz", r"no data is known under 'npzz:'; did you mean npz\?"),
        ("npz:absent.npz", r"absent\.npz does not exist"),
        ("three-shades.v1?sise=3", r"no option 'sise'; did you mean size\?"),
        ("digits?size=3", "no option 'size'"),
        ("digits?labels=many", "labels is 'many', expected a whole number"),
        ("digits?labels=true", "labels is True, expected a whole number"),
        ("digits?samples=few", "samples is 'few', expected a whole number"),
        ("digits?sample=60", r"no option 'sample'; did you mean samples\?"),
        ("digits?samples=9000", "9000 training samples cannot be kept"),
        ("..", "there is no data set"),
        ("", "there is no data set"),
    ],
)
def test_wrong_names_are_refused_with_the_nearest(root, name, words):
    with pytest.raises(DataError, match=words):
        resolve(name)


def test_without_a_root_the_message_says_so(monkeypatch):
    monkeypatch.delenv(ROOT, raising=False)
    with pytest.raises(DataError, match=r"'flowers', and LIMBECK_DATA is not set"):
        resolve("flowers")


def test_an_option_without_a_value_is_refused():
    with pytest.raises(ArgumentError, match=r"option 'labels' has no value; write \?labels=VALUE"):
        resolve("digits?labels")


def test_other_objects_are_refused():
    with pytest.raises(DataError, match=r"data is a int, expected a name.*from_datasets"):
        resolve(3)


@pytest.mark.skipif(not DATA_ROOT, reason="LIMBECK_DATA names no folder of real data sets")
@pytest.mark.parametrize(
    ("name", "shape"), [("fashion-mnist", (1, 28, 28)), ("cifar10-small", (3, 32, 32))]
)
def test_real_sets_are_read(name, shape):
    if not os.path.isdir(os.path.join(DATA_ROOT, name)):
        pytest.skip(f"LIMBECK_DATA has no folder {name}")
    data = resolve(name)
    assert (data.task, data.outputs, data.input_space.shape) == ("classification", 10, shape)
    batch = data.normalise(data.columns(data.train, np.arange(0, len(data.train), 7)))
    assert abs(float(batch["x"].mean())) < 0.05
    assert float(batch["x"].std()) == pytest.approx(1, abs=0.05)


def test_a_folder_without_its_layout_is_told_how(tmp_path):
    with pytest.raises(UnknownNameError, match="folder:"):
        resolve(str(tmp_path))
