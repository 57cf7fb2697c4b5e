"""Cached teachers: what a loop reads is what the teacher would say, and nothing is asked twice."""

import numpy as np
import pytest
import torch
from torch import nn

import limbeck
from limbeck.cache import cached
from limbeck.data import Batch, Loader, Views, cutmix, from_arrays, sequential
from limbeck.errors import ArgumentError, ModelError, UnusualUseWarning
from limbeck.files import load_tensors
from limbeck.functional import feature_mse_loss, mean_logits, soft_target_loss
from limbeck.keyed import torch_seeded
from limbeck.loops import Optim, fit
from limbeck.objectives import Term, label_term, named, soft_term
from limbeck.run import Run
from limbeck.teachers import ensemble, random_one, teacher

CLASSES = 5


class Counting(nn.Module):
    """A classifier of images that counts the samples it was shown."""

    def __init__(self, seed=0, classes=CLASSES, scale=1.0):
        super().__init__()
        with torch_seeded(seed):
            self.linear = nn.Linear(36, classes)
        self.scale, self.shown = scale, 0

    def forward(self, x):
        self.shown += len(x)
        return self.linear(x.flatten(1)) * self.scale


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    x = generator.random((60, 1, 6, 6)).astype(np.float32)
    y = np.arange(60) % CLASSES
    return from_arrays(x, y, test=(x[:10], y[:10]), validation=(x[10:20], y[10:20]))


def loader(data, views=None, stage="student"):
    return Loader(data, data.train, 16, seed=1, stage=stage, views=views)


def close(stored, live, tolerance):
    torch.testing.assert_close(stored.logits, live.logits, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float16", 2e-3)])
@pytest.mark.parametrize("views", [None, Views(flip=True, crop=1), Views(crop=2, distinct=2)])
def test_a_stored_epoch_is_the_online_epoch(data, tmp_path, views, dtype, tolerance):
    big = teacher(Counting())
    stored = cached(big, tmp_path, dtype=dtype).bind(loader(data, views))
    for batch in loader(data, views).batches(0, 10):
        close(stored(batch), big(batch), tolerance)


def test_views_differ_from_epoch_to_epoch_unless_they_are_few(data):
    every = Loader(data, data.train, 60, views=Views(crop=2, distinct=2))
    first, second, third = (every.batch(step) for step in range(3))
    by_id = [batch["x"][batch["id"].argsort()] for batch in (first, second, third)]
    assert not torch.equal(by_id[0], by_id[1])
    assert torch.equal(by_id[0], by_id[2])
    assert first["view"].unique().tolist() == [0]
    assert second["view"].unique().tolist() == [1]


def test_each_sample_is_asked_for_once(data, tmp_path):
    model = Counting()
    stored = cached(teacher(model), tmp_path).bind(loader(data))
    for batch in loader(data).batches(0, 20):
        stored(batch)
    # One more tells how many numbers a sample has.
    assert model.shown == 60 + 1
    again = Counting()
    other = cached(teacher(again), tmp_path).bind(loader(data, stage="another"))
    other(loader(data, stage="another").batch(0))
    assert again.shown == 1


def test_another_teacher_or_other_data_never_meet_the_store(data, tmp_path):
    for model in (Counting(0), Counting(1)):
        told = cached(teacher(model), tmp_path, dtype="float32").bind(loader(data))
        batch = loader(data).batch(0)
        close(told(batch), teacher(model)(batch), 1e-6)
    x = np.random.default_rng(5).random((60, 1, 6, 6)).astype(np.float32)
    y = np.arange(60) % CLASSES
    other = from_arrays(x, y, test=(x[:10], y[:10]), validation=(x[:10], y[:10]))
    told = cached(teacher(Counting(0)), tmp_path, dtype="float32").bind(loader(other))
    batch = loader(other).batch(0)
    close(told(batch), teacher(Counting(0))(batch), 1e-6)


def test_kept_classes_give_their_probabilities_and_the_rest_evenly(data, tmp_path):
    big = teacher(Counting(scale=4))
    stored = cached(big, tmp_path, keep="top2", dtype="float32").bind(loader(data))
    batch = loader(data).batch(0)
    live, read = big(batch).logits.softmax(1), stored(batch).logits.softmax(1)
    top = live.topk(2)
    torch.testing.assert_close(read.gather(1, top.indices), top.values, rtol=1e-5, atol=1e-6)
    even = (1 - top.values.sum(1)) / (CLASSES - 2)
    lowest = read.topk(CLASSES - 2, largest=False).values
    torch.testing.assert_close(lowest, even[:, None].expand_as(lowest), rtol=1e-4, atol=1e-6)


def test_kept_classes_can_be_scaled_to_one(data, tmp_path):
    big = teacher(Counting(scale=4))
    stored = cached(big, tmp_path, keep="top2", rest="renormalize", dtype="float32")
    batch = loader(data).batch(0)
    read = stored.bind(loader(data))(batch)
    top = big(batch).logits.softmax(1).topk(2)
    share = top.values / top.values.sum(1, keepdim=True)
    found = read.logits.softmax(1).gather(1, top.indices)
    torch.testing.assert_close(found, share, rtol=1e-4, atol=1e-5)
    student = torch.randn(len(share), CLASSES, requires_grad=True)
    loss = soft_target_loss(student, read.logits, temperature=3.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


def test_ids_take_two_bytes(data, tmp_path):
    cached(teacher(Counting(classes=400)), tmp_path, keep="top32").bind(loader(data)).fill(0)
    taken = sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    assert 60 * (32 * 4 + 2) < taken < 60 * (32 * 4 + 2) + 1000


def test_the_likeliest_classes_take_a_twelfth_of_all_at_the_most(data, tmp_path):
    taken = {}
    for keep in ("logits", "top32"):
        stored = cached(teacher(Counting(classes=1000)), tmp_path / keep, keep=keep)
        stored.bind(loader(data)).fill(0)
        shard = next((tmp_path / keep).rglob("*.safetensors"))
        taken[keep] = sum(tensor.nbytes for tensor in load_tensors(shard)[0].values())
    assert taken["top32"] * 12 <= taken["logits"]


def test_members_are_kept_raw_and_mixed_when_read(data, tmp_path):
    models = [Counting(0), Counting(1), Counting(2)]
    both = ensemble(*map(teacher, models[:2]))
    batch = loader(data).batch(0)
    close(cached(both, tmp_path, dtype="float32").bind(loader(data))(batch), both(batch), 1e-6)
    before = [model.shown for model in models]
    weighted = ensemble(*map(teacher, models[:2]), weights=[1.0, 3.0], combine=mean_logits)
    stored = cached(weighted, tmp_path, dtype="float32").bind(loader(data))
    read = stored(batch)
    assert [model.shown - was for model, was in zip(models, before, strict=True)] == [1, 1, 0]
    close(read, weighted(batch), 1e-6)
    assert read.extra["member_logits"].shape == (2, 16, CLASSES)


def test_a_route_still_chooses(data, tmp_path):
    routed = ensemble(teacher(Counting(0)), teacher(Counting(1)), route=random_one)
    stored = cached(routed, tmp_path, dtype="float32").bind(loader(data))
    for batch in loader(data).batches(0, 6):
        close(stored(batch), routed(batch), 1e-6)


def test_other_batches_are_answered_by_the_teacher(data, tmp_path):
    big = teacher(Counting())
    told = cached(big, tmp_path)
    batch = next(sequential(data, data.test))
    assert torch.equal(told(batch).logits, big(batch).logits)
    assert not any(tmp_path.iterdir())


def trained(data, tmp_path, told, name, **options):
    with torch_seeded(7):
        student = nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES))
    objective = options.pop("objective", soft_term("classification", temperature=2.0))
    optim = Optim("sgd", lr=0.1)
    fit(Run(tmp_path / name), "student", student, data, told, objective, optim, 12,
        batch_size=16, **options)  # fmt: skip
    return student[1].weight.detach()


def test_a_student_learns_the_same_from_the_store(data, tmp_path):
    big = ensemble(teacher(Counting(0)), teacher(Counting(1)))
    live = trained(data, tmp_path, big, "live")
    stored = trained(data, tmp_path, cached(big, tmp_path / "c", dtype="float32"), "stored")
    torch.testing.assert_close(stored, live, rtol=1e-5, atol=1e-6)


def test_what_is_not_kept_is_refused_before_the_first_step(data, tmp_path):
    told = cached(teacher(Counting(), features=["linear"]), tmp_path / "cache")
    hint = Term("hint", feature_mse_loss, student="logits", teacher="features.linear")
    with pytest.raises(ArgumentError, match=r"reads features\.linear .* only logits"):
        trained(data, tmp_path, told, "hint", objective=hint)
    with pytest.raises(ArgumentError, match="mix changes batches"):
        trained(data, tmp_path, told, "mixed", mix=cutmix)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("loss", ["pld", "dist", "dkd", "mse", "reverse-kl"])
def test_losses_over_all_classes_are_refused_where_the_top_ones_are_kept(data, tmp_path, loss):
    several = ensemble(teacher(Counting(0)), teacher(Counting(1)))
    for told in (several.members[0], several):
        with pytest.raises(ArgumentError, match=rf"loss '{loss}' .* keep='logits'.* kl, soft-ce"):
            trained(
                data,
                tmp_path,
                cached(told, tmp_path / "cache", keep="top2"),
                "top",
                objective=named(loss, task="classification") + label_term("classification"),
            )
    assert not (tmp_path / "cache").exists()
    whole = cached(several, tmp_path / "cache")
    trained(data, tmp_path, whole, "whole", objective=named(loss, task="classification"))


@pytest.mark.parametrize("loss", ["kl", "soft-ce", "js", "list-mle", "list-net"])
def test_losses_over_the_top_classes_read_them(data, tmp_path, loss):
    told = cached(teacher(Counting()), tmp_path / "cache", keep="top2")
    trained(data, tmp_path, told, "top", objective=named(loss, task="classification"))


def test_of_a_loss_of_ones_own_it_is_said_that_nothing_is_known(data, tmp_path):
    def own(student, teacher):
        return (student.softmax(1) - teacher.softmax(1)).square().mean()

    told = cached(teacher(Counting()), tmp_path / "cache", keep="top2")
    with pytest.warns(UnusualUseWarning, match="term 'own' needs the others is not known"):
        trained(data, tmp_path, told, "own", objective=Term("own", own))


def test_a_changed_batch_is_refused(data, tmp_path):
    stored = cached(teacher(Counting()), tmp_path).bind(loader(data))
    batch = loader(data).batch(0)
    with pytest.raises(ArgumentError, match="changed as a whole"):
        stored(batch.with_columns(x=batch["x"].flip(0)))
    strange = Batch({"id": torch.tensor([10**6]), "view": torch.tensor([0])})
    with pytest.raises(ArgumentError, match="holds others"):
        stored(strange)


def test_wrong_choices_name_the_fix(data, tmp_path):
    big = teacher(Counting(scale=1e6))
    for options, words in (({"keep": "top"}, "top32"), ({"dtype": "float8"}, "float16")):
        with pytest.raises(ArgumentError, match=words):
            cached(big, tmp_path, **options)
    with pytest.raises(ModelError, match="keep float32"):
        cached(big, tmp_path).bind(loader(data)).fill(0)
    with pytest.raises(ModelError, match="fewer classes"):
        cached(big, tmp_path, keep="top5").bind(loader(data)).fill(0)


def test_a_run_keeps_its_teachers_where_the_settings_say_so(tmp_path):
    asked = {"teacher": ["mlp?hidden=16", "mlp?hidden=8"], "student": "mlp?hidden=4"}
    method = limbeck.KD(
        steps=10, batch_size=32, teaching={"steps": 5, "store": "top3", "store_dtype": "float32"}
    )
    product = method.distill(tmp_path / "run", data="digits?labels=100", **asked)
    assert product.network is not None
    shards = list((tmp_path / "run" / "cache").rglob("*.safetensors"))
    assert len(shards) == 2


def test_siamese_views_cannot_be_stored(data, tmp_path):
    stored = cached(teacher(Counting()), tmp_path)
    with pytest.raises(
        ArgumentError, match=r"views\.siamese is 'flip'.*teaching\.store to nothing"
    ):
        stored.bind(loader(data, Views(siamese="flip")))
