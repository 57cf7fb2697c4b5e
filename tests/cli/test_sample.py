"""Sampling on the command line, from a product alone."""

import json

import numpy as np
import pytest
from PIL import Image
from tests.products.generators import made
from tests.products.sets import made as a_set

from limbeck.data.names import resolve
from limbeck.networks.names import build
from limbeck.products import Generator
from limbeck.samplers import FewStep


@pytest.fixture
def products(tmp_path):
    """Products of every kind in the folder of the test."""
    for name in ("points", "images", "one class"):
        made(name).save(tmp_path / name)
    a_set().save(tmp_path / "set")
    return tmp_path


def test_numbers_are_those_of_the_generator(products, limbeck):
    said = limbeck("sample", "images", "--count", "5", "--to", "out/five.npy", "--seed", "3")
    assert said.status == 0, said.err
    numbers = np.load(products / "out" / "five.npy")
    assert np.array_equal(numbers, made("images").sample(5, seed=3).numpy())


def test_one_picture_shows_all(products, limbeck):
    assert limbeck("sample", "images", "--count", "9", "--to", "all.png").status == 0
    # Three lines of images of 8 pixels, shown at 48, with a gap of 2 in between.
    assert Image.open(products / "all.png").size == (148, 148)
    assert limbeck("sample", "points", "--to", "points.png").status == 0
    assert Image.open(products / "points.png").size == (192, 192)


def test_a_folder_has_a_file_each_in_folders_of_classes(products, limbeck):
    said = limbeck("sample", "images", "--count", "12", "--to", "out", "--json")
    facts = json.loads(said.out)
    assert facts["classes"] == ["a", "b", "c/d"] * 4
    assert facts["files"][:3] == ["a/00.png", "b/01.png", "c-d/02.png"]
    shown = made("images").sample(12, as_bytes=True)
    for name, image in zip(facts["files"], shown, strict=True):
        assert np.array_equal(np.asarray(Image.open(products / "out" / name)), image[0].numpy())


def test_a_class_is_asked_for_by_name(products, limbeck):
    said = limbeck("sample", "images", "--count", "2", "--class", "b", "--to", "b.npy", "--json")
    assert json.loads(said.out)["classes"] == ["b", "b"]
    assert np.array_equal(np.load(products / "b.npy"), made("images").sample([1, 1]).numpy())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["set", "--to", "x.png"], "holds no generator"),
        (["images", "--class", "z", "--to", "x.png"], "no class 'z'"),
        (["one class", "--class", "all", "--to", "x.png"], "takes no classes"),
        (["images", "--to", "x.gif"], "expected .png, .npy, or a folder"),
        (["points", "--to", "folder"], "--to FILE.npy"),
        (["images", "--to", "points"], "holds something already"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_written(products, limbeck, words, told):
    before = sorted(products.rglob("*"))
    said = limbeck("sample", *words)
    assert said.status != 0
    assert told in " ".join(said.err.split())
    assert sorted(products.rglob("*")) == before


def test_predict_says_what_to_do_instead(products, limbeck):
    said = limbeck("predict", "points", "--data", "ring8-2c")
    assert said.status != 0
    assert "limbeck sample" in said.err


def test_export_and_evaluate_take_a_generator(tmp_path, limbeck, monkeypatch):
    monkeypatch.setattr("limbeck.evaluate.generators.POINTS", 50)
    data = resolve("ring8-2c")
    network = build("denoiser-mlp?width=8&depth=1", data.input_space, 2)
    Generator.of(network, FewStep(), data).save(tmp_path / "few")
    said = limbeck("evaluate", "few", "--data", "ring8-2c", "--json")
    (row,) = json.loads(said.out)["rows"]
    assert row["cost"]["evaluations"] == 4
    assert "sliced_wasserstein" in row["quality"]
    said = limbeck("export", "few", "--to", "safetensors", "--out", "out", "--json")
    assert "generator.json" in json.loads(said.out)["files"]
    said = limbeck("export", "few", "--to", "diffusers", "--out", "other")
    assert "no model of diffusers" in " ".join(said.err.split())
