"""What is MEAL V2's own: its stages, its discriminator, its aggregates."""

import json
import math

import pytest
import torch
from torch import nn

from limbeck.cache import cached
from limbeck.data import Batch, Loader, digits, from_arrays
from limbeck.errors import ArgumentError, UnusualUseWarning
from limbeck.files import load_tensors
from limbeck.functional import mean_logits, mean_probabilities, recover_soft_labels
from limbeck.methods.meal_v2.meal_v2 import Discrimination, MealV2
from limbeck.outputs import Outputs
from limbeck.run import Run
from limbeck.teachers import ensemble, teacher

FAST = {"initial_steps": 10, "steps": 15, "batch_size": 16, "teaching": {"steps": 0}}


@pytest.fixture(scope="module")
def data():
    return digits().few(60)


def network(seed=0, outputs=10):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, outputs))


def distil(folder, data, changes=None, **inputs):
    method = MealV2(**{**FAST, **(changes or {})})
    given = {"teacher": [network(1), network(2)], "student": network(3), "data": data, **inputs}
    return method.distill(Run(folder), **given)


def rows(folder, stage):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["stage"] == stage]


def test_labels_come_first_and_then_never_again(data, tmp_path):
    distil(tmp_path / "run", data)
    assert len(rows(tmp_path / "run", "initial")) == 10
    tuned = rows(tmp_path / "run", "student")
    assert len(tuned) == 15
    terms = {name for row in tuned for name in row} - {"stage", "step", "seconds", "wait_seconds"}
    assert {name for name in terms if "." not in name} == {"similarity", "discriminator"}


def test_similarity_is_the_cross_entropy_with_the_mean_softmax():
    torch.manual_seed(0)
    z, members = torch.randn(4, 10), torch.randn(3, 4, 10)
    told = Outputs(logits=mean_probabilities(members), extra={"member_logits": members})
    terms = MealV2(discriminator="off").objective(10)(Outputs(logits=z), told, Batch({}))
    expected = -(members.softmax(-1).mean(0) * z.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(terms["similarity"], expected)
    assert set(terms) == {"similarity"}


def test_modes_differ_in_the_sign_of_the_students_gradient():
    torch.manual_seed(0)
    members = torch.randn(2, 6, 10)
    told = Outputs(logits=mean_probabilities(members), extra={"member_logits": members})
    grads = {}
    for mode in ("cooperative", "adversarial", "off"):
        torch.manual_seed(1)
        part = Discrimination(10, mode, 3, False)
        z = torch.randn(6, 10, requires_grad=True)
        part(Outputs(logits=z), told, Batch({}))["discriminator"].backward()
        grads[mode] = z.grad
    torch.testing.assert_close(grads["cooperative"], -grads["adversarial"])
    assert grads["off"] is None


def test_the_discriminator_reads_the_mean_raw_logits():
    torch.manual_seed(0)
    members = torch.randn(3, 4, 10) * 5
    part = Discrimination(10, "cooperative", 3, False)
    told = Outputs(logits=mean_probabilities(members), extra={"member_logits": members})
    student = mean_logits(members)
    loss = part(Outputs(logits=student), told, Batch({}))["discriminator"]
    assert float(loss.detach()) >= math.log(2) - 1e-6


def test_the_discriminator_learns_at_its_own_rate_and_stays_behind(data, tmp_path):
    distil(tmp_path / "slow", data, {"discriminator_lr": 1e-9})
    distil(tmp_path / "same", data)
    before = []
    for name in ("slow", "same"):
        (place,) = (tmp_path / name / "checkpoints" / "student").glob("*/objective.safetensors")
        before.append(load_tensors(place)[0])
    moved = [max(float((before[0][key] - before[1][key]).abs().max()) for key in before[0]) > 1e-4]
    assert all(moved)
    product, _ = load_tensors(tmp_path / "same" / "product" / "network.safetensors")
    assert set(product) == set(network().state_dict())


def test_aggregates_show_the_student_other_targets(data, tmp_path):
    weights = {}
    for name in ("mean_probabilities", "mean_logits", "random_one"):
        made = distil(tmp_path / name, data, {"aggregate": name, "optim": {"lr": 0.3}})
        weights[name] = made.network[1].weight
    assert not torch.equal(weights["mean_probabilities"], weights["mean_logits"])
    assert not torch.equal(weights["mean_probabilities"], weights["random_one"])


def test_cutmix_changes_what_is_seen(data, tmp_path):
    plain = distil(tmp_path / "plain", data).network[1].weight
    mixed = distil(tmp_path / "mixed", data, {"cutmix": 1.0}).network[1].weight
    assert not torch.equal(plain, mixed)


def test_untrained_students_without_first_steps_are_warned_of(data, tmp_path):
    with pytest.warns(UnusualUseWarning, match="initial_steps is 0"):
        distil(tmp_path / "run", data, {"initial_steps": 0}, student="mlp?hidden=8")
    # A module is the user's: it may well be trained.
    distil(tmp_path / "module", data, {"initial_steps": 0})


def test_other_tasks_and_narrow_reductions_are_refused(tmp_path):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(60, 64, generator=generator), torch.rand(60, generator=generator)
    numbers = from_arrays(x, y)
    with pytest.raises(ArgumentError, match="is for classification"):
        distil(tmp_path / "run", numbers, teacher=network(1, 1), student=network(3, 1))
    with pytest.raises(ArgumentError, match="reduction from 1 to 3"):
        MealV2(discriminator_reduction=8).objective(10)


def test_baselines_share_the_first_steps(data, tmp_path):
    method = MealV2(**FAST)
    inputs = {"teacher": [network(1)], "student": network(3), "data": data}
    run = Run(tmp_path / "run")
    method.distill(run, **inputs)
    made = method.baselines(run, **inputs)
    assert list(made) == ["student alone", "student before"]
    assert len(rows(tmp_path / "run", "initial")) == 10
    assert len(rows(tmp_path / "run", "alone")) == len(rows(tmp_path / "run", "student"))


def test_an_ensemble_of_the_users_own_keeps_its_weights(data, tmp_path):
    both = [teacher(network(1)), teacher(network(2))]
    first = distil(tmp_path / "a", data, teacher=ensemble(*both, weights=[1, 0]))
    alone = distil(tmp_path / "b", data, {"discriminator": "off"}, teacher=ensemble(both[0]))
    weighted = distil(
        tmp_path / "c", data, {"discriminator": "off"}, teacher=ensemble(*both, weights=[1, 0])
    )
    torch.testing.assert_close(alone.network[1].weight, weighted.network[1].weight)
    assert first.width == 10


def test_the_fast_mode_learns_from_the_kept_classes(data, tmp_path):
    stored = {"steps": 0, "store": "top5", "store_dtype": "float32"}
    views = {"flip": True, "crop": 1, "distinct": 2}
    distil(tmp_path / "run", data, {"teaching": stored, "views": views})
    assert len(rows(tmp_path / "run", "student")) == 15
    shards = sorted((tmp_path / "run" / "cache").glob("*/*/*.safetensors"))
    # Two teachers, and 15 steps of 16 show each of 60 images four times, in two views.
    assert len(shards) == 4
    kept, _ = load_tensors(shards[0])
    assert kept["classes"].shape == (60, 5)


@pytest.mark.parametrize("rest", ["uniform", "renormalize"])
def test_kept_classes_are_rebuilt_by_the_published_rules(data, tmp_path, rest):
    big = teacher(network(1))
    loader = Loader(data, data.train, 16)
    told = cached(big, tmp_path, keep="top5", rest=rest, dtype="float32").bind(loader)
    batch = loader.batch(0)
    top = big(batch).logits.softmax(1).topk(5)
    expected = recover_soft_labels(top.indices, top.values, classes=10, rest=rest)
    torch.testing.assert_close(told(batch).logits.softmax(1), expected, rtol=1e-4, atol=1e-6)


def test_in_the_fast_mode_the_discriminator_sees_softmax_outputs(data):
    torch.manual_seed(0)
    z, members = torch.randn(4, 10), torch.randn(2, 4, 10)
    told = Outputs(logits=mean_probabilities(members), extra={"member_logits": members})
    shown = []
    for store in ("nothing", "top5"):
        objective = MealV2(teaching={"store": store}).objective(10)
        part = next(one for one in objective.modules() if isinstance(one, Discrimination))
        part.network.register_forward_pre_hook(lambda module, given: shown.append(given[0]))
        objective(Outputs(logits=z), told, Batch({}))
    for found, expected in zip(
        shown,
        (z, members.mean(0), z.softmax(1), members.softmax(-1).mean(0)),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)


def test_mixed_images_cannot_be_stored(data, tmp_path):
    changes = {"cutmix": 0.5, "teaching": {"steps": 0, "store": "logits"}}
    with pytest.raises(ArgumentError, match="drop the mixing or the store"):
        distil(tmp_path / "run", data, changes)
