"""A synthetic set keeps its numbers to the bit, is shown as people see it, and says its cost."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.products.sets import BYTES, CLASSES, COLOUR, GREY, eight_bit, made, real, whitening
from tests.products.students import everything

import limbeck
from limbeck import InputSpace, SyntheticDataset, files, load
from limbeck.data.loader import sequential
from limbeck.errors import ArgumentError, CorruptFileError, ModelError, RunError
from limbeck.evaluate.protocol import Protocol
from limbeck.fingerprint import fingerprint

KINDS = {
    "hard": made,
    "soft": lambda: made(soft=True, rate=0.0123456789),
    "bytes": lambda: made(BYTES, rate=torch.tensor(0.5)),
    "white": lambda: made(COLOUR, soft=True, rate=0.1, zca=whitening(COLOUR)),
    "eight bits": lambda: eight_bit(soft=True, rate=0.1),
    "eight bits of bytes": lambda: eight_bit(BYTES),
    "white bytes": lambda: made(BYTES, zca=whitening(BYTES)),
}


@pytest.fixture(params=KINDS)
def small(request):
    return KINDS[request.param]()


def test_what_is_saved_comes_back_to_the_bit_and_is_the_same_again(small, tmp_path):
    small.save(tmp_path / "set")
    again = load(tmp_path / "set")
    assert type(again) is SyntheticDataset
    assert fingerprint(again.tensors()) == fingerprint(small.tensors())
    assert (again.space, again.classes, again.name) == (small.space, CLASSES, "few")
    assert again.step_size == small.step_size
    assert (again.zca is None) == (small.zca is None)
    assert torch.equal(again.pixels(), small.pixels())
    before = everything(tmp_path / "set")
    again.save(tmp_path / "set")
    assert everything(tmp_path / "set") == before
    assert str(tmp_path).encode() not in b"".join(before.values())


def test_a_run_gives_its_product_by_kind(tmp_path):
    small = made()
    small.save(tmp_path / "product")
    assert torch.equal(load(tmp_path).images, small.images)
    assert limbeck.SyntheticDataset is SyntheticDataset
    with pytest.raises(ArgumentError, match="holds no student"):
        load(tmp_path, network=torch.nn.Linear(1, 1))
    path = tmp_path / "product" / "product.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "kind": "synthetic-datsaet"}))
    with pytest.raises(RunError, match="did you mean synthetic-dataset"):
        load(tmp_path)
    path.write_text(json.dumps({**facts, "step_size": 3.0}))
    with pytest.raises(CorruptFileError, match="altered"):
        load(tmp_path)
    path.write_text("{")
    with pytest.raises(CorruptFileError, match="does not read"):
        load(tmp_path)


def test_people_see_pixels_and_bytes_are_clipped(small):
    low, high = small.space.range
    pixels, pictures = small.pixels(), small.pictures()
    if small.eight_bit:
        assert small.clipped() == 0
    else:
        assert pixels.min() < low
        assert pixels.max() > high
        assert 0 < small.clipped() < 0.3
    assert pixels.min() > low - 0.2 * (high - low)
    expected = (pixels - low).clamp(0, high - low) / (high - low) * 255
    shown = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    assert pictures.dtype == np.uint8
    assert float((shown - expected).abs().max()) <= 0.501


def test_torch_reads_pairs_or_triples():
    assert [len(one) for one in (made().as_torch()[0], made(soft=True).as_torch()[0])] == [2, 3]
    small = made(soft=True)
    x, y, soft = small.as_torch()[4]
    assert torch.equal(x, small.images[4])
    assert (int(y), soft.tolist()) == (2, small.label_logits[4].tolist())


def test_data_trains_on_the_set_and_is_tested_on_real_images(small):
    pytest.importorskip("limbeck.data.whitened")
    given = real(small.space)
    data = small.as_data(given)
    batch = next(sequential(data, data.train, 100))
    assert torch.equal(batch["x"], small.as_torch().tensors[0])
    assert ("label_logits" in batch) == (small.label_logits is not None)
    raw = given.columns(given.test, np.arange(len(given.test)))["x"]
    if small.zca is None:
        ready = small.space.normalise(raw)
    else:
        ready = small.zca.apply(raw / small.space.range[1])
    for split in ("test", "validation"):
        batch = next(sequential(data, getattr(data, split), 100))
        assert len(batch["x"]) == len(getattr(given, split))
    assert torch.allclose(next(sequential(data, data.test, 100))["x"], ready, atol=1e-4)
    assert (data.classes, data.rest, data.name) == (CLASSES, None, "few")


@pytest.mark.parametrize("space", [GREY, BYTES])
@pytest.mark.parametrize("white", [False, True])
def test_bytes_and_fractions_are_the_same_real_images(space, white):
    """Networks that learned from the set read both alike, whichever of the two the set is from."""
    small = made(space, zca=whitening(space) if white else None)
    read = [
        next(sequential(data, data.test, 100))["x"]
        for data in (small.as_data(real(GREY)), small.as_data(real(BYTES)))
    ]
    torch.testing.assert_close(*read, atol=1e-3, rtol=1e-3)
    moved = replace(real(), input_space=replace(GREY, range=(-2.0, 2.5)))
    with pytest.raises(ModelError, match="values of real go from -2 to 2.5"):
        small.as_data(moved)


def test_views_of_eight_bits_change_pictures(small):
    """What a network reads in training is a picture of the set with a black square, whitened or
    normalised again."""
    data = small.as_data(real(small.space))
    views = Protocol(augmentation="cifar").views(data)
    x, ids = small.as_torch().tensors[0], np.arange(6)
    seen = views.pixels.show(views.apply(x, ids, ids * 0, 0))
    assert float((seen.abs() < 1e-3).float().mean()) > 0.15
    assert float(seen.min()) > -1e-3
    assert float(seen.max()) < 1.001
    plain = views.pixels.show(replace(views, recipe="none").apply(x, ids, ids * 0, 0))
    expected = torch.from_numpy(small.pictures()).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(plain, expected, atol=1e-3, rtol=0)


def test_other_data_is_refused_with_the_fix():
    small = made()
    with pytest.raises(ModelError, match="with 3 outputs and real is classification with 2"):
        small.as_data(real(classes=("ant", "bee")))
    with pytest.raises(ModelError, match="class 0 is 'ant' for the synthetic set and 'asp'"):
        small.as_data(real(classes=("asp", *CLASSES[1:])))
    with pytest.raises(ModelError, match=r"\(1, 8, 8\) and real has \(3, 6, 6\); resize"):
        small.as_data(real(COLOUR))
    with pytest.raises(ModelError, match="no single input space"):
        small.as_data(replace(real(), input_space=None))


def test_bytes_are_those_of_what_is_stored(small, tmp_path):
    small.save(tmp_path / "set")
    told = small.bytes()
    stored, _ = files.load_tensors(tmp_path / "set" / "synthetic.safetensors")
    kept = sum(one.nbytes for one in stored.values())
    statistics = 0 if small.zca else 8 * small.space.channels
    assert told["total"] == kept + statistics
    assert told["total"] == told["images"] + told["labels"] + told["transform"]
    if small.zca:
        size = small.space.channels * small.space.size[0] ** 2
        assert told["transform"] == 8 * (2 * size + size**2)


def test_a_set_is_worth_what_networks_reach_that_learn_from_it():
    small = made(rate=0.05)
    small.protocol = Protocol(network="mlp?hidden=4", repeats=2, steps=5, augmentation="none")
    row = small.measure(real())
    found = small.judged(real(), name="other")
    assert (row["name"], row["role"], row["cost"]["images"]) == ("few", "product", 6)
    assert row["quality"]["accuracy"] == found.mean == small.evaluate(real())["accuracy"]
    assert found.protocol.lr == 0.05
    told = small.bytes()
    assert row["cost"]["bytes"] == told["images"] + told["labels"]
    assert row["cost"]["transform_bytes"] == told["transform"]
    assert len(found.accuracies()) == 2


def test_a_set_predicts_nothing_and_says_what_it_is_for():
    small = made(soft=True, rate=0.01)
    with pytest.raises(ModelError, match=r"holds data .* as_data\(real\) .* as_torch\(\)"):
        small.predict(real())
    assert small.summary() == (
        "few: 6 images of 1 x 8 x 8, 2 a class, soft labels, learning rate 0.01, normalised; "
        "1,664 bytes"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": torch.zeros(6, 8, 8)}, r"shape \(6, 8, 8\), expected .*\(N, 1, 8, 8\)"),
        ({"images": torch.zeros(0, 1, 8, 8)}, "one image or more"),
        ({"images": torch.full((6, 1, 8, 8), torch.nan)}, "images hold NaN"),
        ({"labels": torch.zeros(6, 3)}, "soft labels as label_logits"),
        ({"labels": torch.arange(6)}, "from 0 to 5, expected 0 to 2"),
        ({"label_logits": torch.zeros(6, 2)}, r"\(6, 2\), expected \(6, 3\)"),
        ({"label_logits": torch.full((6, 3), torch.inf)}, "label_logits hold NaN"),
        ({"space": InputSpace((64,))}, "expected one image"),
    ],
)
def test_what_does_not_belong_together_is_refused(change, said):
    parts = {"images": torch.zeros(6, 1, 8, 8), "labels": torch.zeros(6), "space": GREY}
    with pytest.raises(ArgumentError, match=said):
        SyntheticDataset(**{**parts, "classes": CLASSES, **change})


def test_images_of_bytes_stay_bytes_and_train_as_what_they_stand_for():
    small = eight_bit(COLOUR)
    assert small.images.dtype == torch.uint8
    assert small.bytes()["images"] == small.images.numel()
    assert torch.equal(small.as_torch()[0][0], COLOUR.of_bytes(small.images)[0])
    assert small.clipped() == 0
    assert np.array_equal(small.pictures(), small.images.permute(0, 2, 3, 1).numpy())
    with pytest.raises(ArgumentError, match="bytes are not whitened"):
        SyntheticDataset(small.images, small.labels, COLOUR, CLASSES, zca=whitening(COLOUR))


def test_real_images_are_made_ready_once_for_sets_of_one_space():
    small, other, data = made(), made(seed=1), real()
    ready = small.ready(data)
    assert small.ready(ready) is ready
    assert other.as_data(ready).test is ready.test
    plain = other.as_data(data)
    first, second = (one.test.take(np.arange(4))["x"] for one in (plain, other.as_data(ready)))
    assert torch.equal(first, second)
    # Another space has its own.
    white = made(zca=whitening(GREY))
    assert white.ready(data) is not ready
