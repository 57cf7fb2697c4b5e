"""Exports of a synthetic set are read back by limbeck, by datasets, and to the bit."""

import csv
import io
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image
from tests.products.sets import CLASSES, COLOUR, GREY, made, whitening
from tests.products.students import ROW, everything, shown_lines

from limbeck import InputSpace, load
from limbeck.data.names import resolve
from limbeck.errors import ArgumentError, RunError
from limbeck.fingerprint import fingerprint
from limbeck.products.model_card import Origin

ROWS = [
    {
        "name": name,
        "role": role,
        "quality": {"accuracy": accuracy},
        "cost": {"images": 6, "bytes": 1664, "train_seconds": 1.25, "parameters": 10, "macs": 9},
        "std": {"accuracy": 0.01},
    }
    for name, role, accuracy in [("datm", "product", 0.6), ("random images", "baseline", 0.5)]
]
ORIGIN = Origin(ROWS, "folder:/srv/someone/insects", "datm", "Trajectories", "arXiv 2", (0,))


@pytest.mark.parametrize("space", [GREY, COLOUR])
def test_a_folder_is_read_back_by_limbeck(space, tmp_path):
    small = made(space, per_class=4, soft=True)
    told = small.export(tmp_path / "out", to="folder")
    assert told["files"][:2] == ["ant/00.png", "ant/01.png"]
    data = resolve(f"folder:{tmp_path / 'out'}")
    assert data.classes == ("ant", "bee", "cat-dog")
    assert [len(data.train), len(data.validation), len(data.test)] == [6, 3, 3]
    pixels = data.columns(data.train, np.arange(6))["x"] * 255
    pictures = torch.from_numpy(small.pictures()).permute(0, 3, 1, 2)
    assert torch.equal(pixels.round().to(torch.uint8), pictures[[0, 1, 4, 5, 8, 9]])
    rows = list(csv.reader(io.StringIO((tmp_path / "out" / "labels.csv").read_text())))
    assert rows[0] == ["file", "class", *(f"probability of {name}" for name in CLASSES)]
    assert rows[-1][:2] == ["cat-dog/11.png", "cat/dog"]
    shares = torch.tensor([[float(one) for one in row[2:]] for row in rows[1:]])
    assert torch.allclose(shares, small.label_logits.softmax(1), atol=1e-5)


def test_one_image_a_class_trains_beside_a_real_test_folder(tmp_path):
    made(per_class=1).export(tmp_path / "train", to="folder")
    made(per_class=2, seed=1).export(tmp_path / "test", to="folder")
    (tmp_path / "validation").symlink_to(tmp_path / "test")
    data = resolve(f"folder:{tmp_path}")
    assert (len(data.train), len(data.validation), len(data.test)) == (3, 6, 6)


def test_a_lone_table_called_labels_is_still_a_table(tmp_path):
    rows = "".join(f"{n},{n % 2}\n" for n in range(40))
    (tmp_path / "labels.csv").write_text(f"a,y\n{rows}")
    assert resolve(f"folder:{tmp_path}?target=y").classes == ("0", "1")


def test_class_folders_that_a_file_system_refuses_get_other_names(tmp_path):
    classes = ("a:b", "a?b", "..", "A-B")
    made(per_class=1, classes=classes).export(tmp_path / "out", to="folder")
    folders = sorted(one.name for one in (tmp_path / "out").iterdir() if one.is_dir())
    assert folders == ["1-a-b", "2-class", "3-A-B", "a-b"]


@pytest.mark.parametrize("soft", [False, True])
def test_datasets_loads_the_hub_folder(soft, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    small = made(COLOUR, soft=soft)
    small.export(tmp_path / "out", to="hf", origin=ORIGIN)
    monkeypatch.chdir(tmp_path / "out")
    named = {}
    exec(shown_lines(tmp_path / "out"), named)
    train = named["train"]
    place = str(tmp_path / "out")
    assert datasets.load_dataset(place, split="train").features == train.features
    assert train.features["label"].names == list(CLASSES)
    assert train["label"][:] == small.labels.tolist()
    shown = np.stack([np.asarray(one) for one in train["image"]])
    assert np.array_equal(shown, small.pictures())
    assert ("label_logits" in train.column_names) == soft
    if soft:
        assert torch.equal(torch.tensor(train["label_logits"][:]), small.label_logits)


def test_limbeck_reads_the_pictures_of_the_hub_folder(tmp_path):
    small = made(per_class=3)
    small.export(tmp_path / "out", to="hf")
    for split in ("train", "test"):
        table = tmp_path / "out" / "data" / "train-00000-of-00001.parquet"
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / f"{split}.parquet").write_bytes(table.read_bytes())
    data = resolve(f"parquet:{tmp_path / 'set'}")
    assert torch.equal(
        (data.columns(data.test, np.arange(9))["x"] * 255).round().byte(),
        torch.from_numpy(small.pictures()).permute(0, 3, 1, 2),
    )


def test_the_card_shows_what_was_measured_and_names_no_place(tmp_path):
    zca = whitening(COLOUR)
    small = made(COLOUR, soft=True, rate=0.0125, zca=zca)
    small.export(tmp_path / "out", to="hf", origin=ORIGIN)
    card = (tmp_path / "out" / "README.md").read_text()
    for part in (
        'pretty_name: "folder:insects in 6 images"', "tags: [limbeck, dataset-distillation, datm]",
        "size_categories: [\"n<1K\"]", "Trajectories (arXiv 2)", "ZCA-whitened", "0.0125",
        "|  | accuracy | images | KB | train s |", "| datm | 60.0 ±1.0 | 6 | 1.7 | 1.2 |",
        f"cut {small.clipped():.1%} of the values", "`label_logits`",
    ):  # fmt: skip
        assert part in card, part
    assert "someone" not in card
    small.export(tmp_path / "plain", to="hf")
    assert "Measured" not in (tmp_path / "plain" / "README.md").read_text()


def test_safetensors_holds_the_exact_numbers(tmp_path):
    zca = whitening(COLOUR)
    small = made(COLOUR, soft=True, rate=0.1, zca=zca)
    told = small.export(tmp_path / "out", to="safetensors")
    assert told["files"] == [
        "dataset.json", "manifest.json", "product.json", "synthetic.safetensors"
    ]  # fmt: skip
    again = load(tmp_path / "out")
    assert fingerprint(again.tensors()) == fingerprint(small.tensors())
    facts = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert (facts["labels"], facts["shape"]) == (list(CLASSES), [6, 3, 6, 6])
    assert (facts["learning_rate"], facts["transform"]["eps"]) == (0.1, 0.1)
    assert facts["bytes"] == small.bytes()


def test_no_export_names_a_machine_and_all_are_the_same_again(tmp_path):
    small = made(soft=True)
    for to in ("folder", "hf", "safetensors"):
        small.export(tmp_path / to, to=to, origin=ORIGIN)
        before = everything(tmp_path / to)
        small.export(tmp_path / to, to=to, origin=ORIGIN)
        assert everything(tmp_path / to) == before
        content = b"".join(before.values())
        for place in (str(tmp_path), os.getcwd()):
            assert place.encode() not in content


def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path):
    small = made()
    with pytest.raises(
        ArgumentError, match="format 'onnx' for a synthetic dataset; Valid: folder, hf, safetensors"
    ):
        small.export(tmp_path / "out", to="onnx")
    with pytest.raises(ArgumentError, match="did you mean folder"):
        small.export(tmp_path / "out", to="folders")
    with pytest.raises(ArgumentError, match="1 or 3 channels and the images have 2"):
        made(InputSpace((4, 4), channels=2)).export(tmp_path / "out", to="folder")
    assert not list(tmp_path.iterdir())
    small.export(tmp_path / "out", to="folder")
    before = everything(tmp_path)
    with pytest.raises(RunError, match="another synthetic dataset"):
        made(seed=1).export(tmp_path / "out", to="folder")
    with pytest.raises(RunError, match="another format"):
        small.export(tmp_path / "out", to="hf")
    with pytest.raises(RunError, match="lies inside"):
        small.export(tmp_path / "out" / "ant", to="hf")
    assert everything(tmp_path) == before


def test_a_picture_opens_elsewhere(tmp_path):
    made(COLOUR).export(tmp_path / "out", to="folder")
    with Image.open(tmp_path / "out" / "bee" / "2.png") as picture:
        assert (picture.mode, picture.size) == ("RGB", (6, 6))


def test_a_card_of_a_student_says_weights():
    from limbeck.products.model_card import measured

    text = measured(Origin([ROW], seeds=(3, 4)), "accuracy in percent", "weights")
    assert "the weights here are those of seed 3" in text
    assert "the set here is that of seed 3" in measured(Origin([ROW], seeds=(3, 4)), "x", "set")
