"""CDA: its parts in order, SRe2L as a special case, bad input told before it costs anything."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

import limbeck
from limbeck import cards, files, keyed
from limbeck.data import digits, from_arrays
from limbeck.errors import ArgumentError, LimbeckError, ModelError, RunError, SettingsError
from limbeck.loops.recover import planned, recovered
from limbeck.loops.relabel import batch_logits
from limbeck.method import complete
from limbeck.methods.cda.cda import CDA
from limbeck.networks.names import build
from limbeck.run import Run

TINY = cards.preset("cda", "tiny")["settings"]


def method(**changes):
    return CDA(**{**TINY, **changes})


def network(name="convnet-d1?norm=batch&width=4", seed=0):
    data = digits()
    with keyed.torch_seeded(seed):
        made = build(name, data.input_space, 10).train()
        made(data.normalise(data.columns(data.train, torch.arange(64).numpy()))["x"])
    return made.eval()


def test_images_are_those_that_the_engine_recovers_and_labels_those_of_the_network(tmp_path):
    data, teacher = digits(), network()
    made = method().distill(Run(tmp_path / "run"), teacher=teacher, data=data)
    expected, _ = recovered(
        Run(tmp_path / "engine"),
        [teacher],
        planned(10, 1, 100),
        data.input_space,
        method().recovery,
    )
    assert torch.equal(made.images, expected)
    assert made.labels.tolist() == list(range(10))
    batch = made.replay().batch(3)
    told = batch_logits([teacher], batch["x"]).half().float()
    assert torch.equal(batch["teacher_logits"], told)


def test_sre2l_takes_small_crops_from_the_start(tmp_path):
    views = {"low": 0.3, "roll": 1, "flip": False}
    images = {}
    for milestone in (0.0, 1.0):
        recovery = {**TINY["recovery"], "steps": 1, "views": {**views, "milestone": milestone}}
        run = Run(tmp_path / str(milestone))
        images[milestone] = (
            method(recovery=recovery).distill(run, teacher=network(), data=digits()).images
        )
    # At the first step of a curriculum the crop is the whole image.
    assert not torch.equal(images[0.0], images[1.0])


def test_images_may_start_from_crops_of_real_ones(tmp_path):
    still = {**TINY["recovery"], "steps": 1, "optim": {"name": "adam", "lr": 1e-9}}
    made, others, _ = complete(
        method(start="mosaic", recovery=still), tmp_path, {"teacher": network(), "data": digits()}
    )
    assert torch.equal(made.images, others["mosaics"].images)


def test_every_set_has_the_same_images_a_class_and_the_same_batches(tmp_path):
    made, others, _ = complete(
        method(images_per_class=2), tmp_path, {"teacher": network(), "data": digits()}
    )
    assert list(others) == [
        "random images", "k-means images", "k-center images", "mosaics", "noise images",
        "hard labels",
    ]  # fmt: skip
    first = made.replay().batch(2)
    for name, one in others.items():
        batch = one.replay().batch(2)
        assert torch.equal(one.labels, made.labels), name
        assert torch.equal(batch["id"], first["id"]), name
        assert ("label_probabilities" in batch) == (name == "hard labels")
    assert torch.equal(others["hard labels"].images, made.images)


def test_the_product_comes_back_with_its_labels(tmp_path):
    made = method().distill(tmp_path / "run", teacher=network(), data="digits")
    again = limbeck.load(tmp_path / "run")
    assert torch.equal(again.images, made.images)
    assert again.images.dtype == torch.uint8
    assert again.protocol == made.protocol
    first, second = made.replay().batch(1), again.replay(batch_size=5, seed=0).batch(1)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert again.bytes() == made.bytes()
    assert "replayed labels" in again.summary()
    with pytest.raises(ArgumentError, match="batch_size is 7 and the labels were made for 5"):
        again.replay(batch_size=7)
    (tmp_path / "run" / "product" / "labels" / "labels.json").write_text("{}")
    with pytest.raises(limbeck.errors.CorruptFileError):
        limbeck.load(tmp_path / "run")


def test_the_table_has_the_network_and_the_report_the_images(tmp_path):
    from limbeck.experiment import Request, perform
    from limbeck.run.exhibits import read_exhibits

    request = Request("cda", TINY, {"data": "digits", "teacher": ["convnet-d1?norm=batch&width=4"]})
    rows = perform(request, tmp_path, quiet=True)
    roles = [row["role"] for row in rows]
    assert roles == ["product", "baseline", *["reference"] * 5, "teacher"]
    assert {"accuracy", "best_accuracy"} <= set(rows[0]["quality"])
    assert rows[0]["cost"]["label_bytes"] > 0
    _, sheets, galleries = read_exhibits(tmp_path / "seeds" / "0")
    assert galleries[0].columns == ["recovered", "real"]
    assert galleries[1].columns[-1] == "end"
    assert any("replayed" in str(row) or "stored logits" in str(row) for row in sheets[0].rows)
    assert (tmp_path / "product" / "labels" / "labels.json").is_file()


def test_a_network_without_running_statistics_is_refused_before_it_is_trained(tmp_path):
    with pytest.raises(ModelError, match="no BatchNorm layer"):
        method().distill(tmp_path / "a", teacher="convnet-d1?width=4", data="digits")
    assert not list((tmp_path / "a").glob("stages/*"))
    forgetful = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.Flatten(),
                              nn.Linear(64, 10))  # fmt: skip
    with pytest.raises(ModelError, match="no running statistics"):
        method().distill(tmp_path / "b", teacher=forgetful, data="digits")


def test_a_teacher_that_was_put_in_training_mode_again_is_refused(tmp_path):
    own = limbeck.teacher(network())
    own.modules[0].train()
    with pytest.raises(ModelError, match="training mode"):
        method().distill(tmp_path, teacher=own, data="digits")


def test_several_networks_and_other_classes_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="cda recovers images from one network and got 2"):
        method().distill(tmp_path / "a", teacher=[network(), network()], data="digits")
    wrong = build("convnet-d1?norm=batch&width=4", digits().input_space, 7)
    with pytest.raises(ModelError, match="gives 7 classes"):
        method().distill(tmp_path / "b", teacher=wrong, data="digits")


def test_too_few_real_images_are_told_before_images_are_recovered(tmp_path):
    few = method(images_per_class=11)
    with pytest.raises(ArgumentError, match="lower images_per_class"):
        few.distill(tmp_path, teacher=network(), data="digits")
    assert not (tmp_path / "jobs").exists()


def test_a_disk_without_room_is_told_before_images_are_recovered(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "free_disk", lambda path: 1000)
    with pytest.raises(RunError, match="the labels of 7 sets take"):
        method().distill(tmp_path / "a", teacher=network(), data="digits")
    assert not (tmp_path / "a" / "jobs").exists()


def test_what_is_labelled_already_needs_no_room_again(tmp_path, monkeypatch):
    inputs = {"teacher": network(), "data": digits()}
    made, _, _ = complete(method(), tmp_path, inputs)
    monkeypatch.setattr(files, "free_disk", lambda path: 10)
    again, _, _ = complete(method(), tmp_path, inputs)
    assert torch.equal(again.images, made.images)


def test_data_without_images_of_one_size_is_refused(tmp_path):
    data = from_arrays(torch.randn(60, 4), torch.arange(60) % 3)
    teacher = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)).eval()
    with pytest.raises(ArgumentError, match="images"):
        method().distill(tmp_path, teacher=teacher, data=data)


def test_names_that_do_not_fit_are_told_before_any_teacher_is_trained(tmp_path):
    name = "convnet-d1?norm=batch&width=4"
    for place, (teacher, change, said) in enumerate(
        (
            ([name, name], {}, "cda recovers images from one network and got 2"),
            ([name], {"images_per_class": 11}, "lower images_per_class"),
            ([name], {"recipe": {"network": "nonsuch"}}, "there is no network 'nonsuch'"),
            ([name], {"recipe": {"others": ["nonsuch"]}}, "there is no network 'nonsuch'"),
            (
                [name],
                {"relabelling": {"batch_statistics": True, "pieces": 6}},
                "which a single image has not",
            ),
        )
    ):
        with pytest.raises(LimbeckError, match=said):
            method(**change).distill(tmp_path / str(place), teacher=teacher, data="digits")
        assert not list((tmp_path / str(place)).rglob("*.safetensors")), said


def test_tables_change_the_methods_own_defaults():
    """A person who shortens the recovery still gets the curriculum."""
    short = CDA(recovery={"steps": 5}, relabelling={"views": {"mix": "mixup"}})
    assert short.recovery.steps == 5
    assert short.recovery.views.milestone == 1.0
    assert short.recovery.optim.betas == (0.5, 0.9)
    assert short.relabelling.views.epochs == 300
    assert CDA(recovery={"optim": {"lr": 0.1}}).recovery.optim.schedule == "cosine"
    assert CDA(recovery={"optim": {"name": "sgd"}}).recovery.optim.schedule == "constant"


@pytest.mark.parametrize("slug", ["cda", "cv-dd"])
def test_presets_ask_for_no_more_crops_than_they_look_at(slug):
    for name, content in cards.presets(slug).items():
        made = cards.load_class(slug)(**content["settings"])
        needed = made.patches.factor**2 * made.images_per_class
        assert needed <= made.patches.candidates, name


def test_settings_outside_their_range_are_refused():
    for changes, said in (
        ({"images_per_class": 0}, "images_per_class"),
        ({"recovery": {"views": {"milestone": 2.0}}}, "milestone"),
        ({"start": "real"}, "start"),
        ({"recovery": {"stepz": 3}}, "steps"),
    ):
        with pytest.raises(SettingsError, match=said):
            CDA(**changes)


def test_a_stopped_recovery_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    from limbeck.errors import Interrupted
    from limbeck.loops import recover
    from limbeck.run.run import Options

    plain = recover._Step.__call__
    count = 0

    def stopping(self, values, at):
        nonlocal count
        count += 1
        if count == 4:
            raise Interrupted("stopped by this test")
        return plain(self, values, at)

    options = Options(executor="serial", checkpoint_seconds=0.0)
    long = dataclasses.replace(method().recovery, steps=8)
    monkeypatch.setattr(recover._Step, "__call__", stopping)
    run = Run(tmp_path / "stopped", options=options)
    with pytest.raises(Interrupted):
        method(recovery=long).distill(run, teacher=network(), data="digits")
    assert (run.dir / "jobs" / "block-0-0" / "checkpoints").exists()
    run = Run(tmp_path / "stopped", options=options)
    made = method(recovery=long).distill(run, teacher=network(), data="digits")
    assert count == 4 + 5
    whole = method(recovery=long).distill(tmp_path / "whole", teacher=network(), data="digits")
    assert torch.equal(made.images, whole.images)


def test_grey_and_colour_and_bytes_ranges(tmp_path):
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(120, 3, 8, 8, generator=draw) * 255
    data = from_arrays(x, torch.arange(120) % 4)
    space = dataclasses.replace(data.input_space, mean=(127.0,) * 3, std=(74.0,) * 3)
    data = dataclasses.replace(data, input_space=space)
    made = method().distill(tmp_path, teacher="convnet-d1?norm=batch&width=4", data=data)
    assert made.images.shape == (4, 3, 8, 8)
    assert made.space.range == (0.0, 255.0)
    # Networks read recovered and real images on the same scale.
    shown, real = made.replay().batch(0)["x"], made.as_data(data)
    test = real.normalise(real.columns(real.test, torch.arange(20).numpy()))["x"]
    assert 0.2 < float(shown.std() / test.std()) < 5


def test_json_of_a_plan_knows_the_labels(tmp_path):
    from limbeck.experiment import Request
    from limbeck.plan import plan

    views = {**TINY["relabelling"]["views"], "epochs": 8}
    # As many steps as a rehearsal takes at the most: it looks at late weights too.
    short = {**TINY, "relabelling": {"views": {**views, "steps": 52, "batch_size": 10}}}
    plan(Request("cda", short, {"data": "digits", "teacher": ["convnet-d1?norm=batch&width=4"]}),
         tmp_path)  # fmt: skip
    request = Request("cda", TINY, {"data": "digits", "teacher": ["convnet-d1?norm=batch&width=4"]})
    facts = plan(request, tmp_path).facts()
    stored = facts["disk"]["stored"]
    assert stored["labels of cda"] == 8 * (5 * (4 + 8 + 1 + 4 + 20) + 12)
    assert "labels of hard labels" in stored
    json.dumps(facts)


def test_pictures_of_a_folder_and_a_network_of_a_library(tmp_path):
    """The way that large data goes: files are decoded when a batch needs them."""
    pytest.importorskip("torchvision")
    pictures = pytest.importorskip("PIL.Image")
    draw = np.random.default_rng(0)
    for name, level in (("dark", 60), ("grey", 130), ("light", 200)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(14):
            pixels = np.clip(draw.normal(level, 30, (40, 48, 3)), 0, 255).astype(np.uint8)
            pictures.fromarray(pixels).save(tmp_path / "set" / name / f"{number}.png")
    made = method(
        relabelling={"views": {"steps": 4, "batch_size": 3, "low": 0.3}},
        recovery={"steps": 3, "views": {"milestone": 1.0, "roll": 2}},
        recipe={"network": "torchvision:shufflenet_v2_x0_5", "repeats": 1},
        teaching={"steps": 3, "batch_size": 16},
        patches={"factor": 2, "crops": 2, "candidates": 8},
    ).distill(
        tmp_path / "run",
        teacher="torchvision:mobilenet_v2?width_mult=0.25",
        data=f"folder:{tmp_path / 'set'}?size=32",
    )
    assert made.images.shape == (3, 3, 32, 32)
    assert made.classes == ("dark", "grey", "light")
    assert made.replay().batch(3)["teacher_logits"].shape == (3, 3)
