"""Label store: what a student learns from is what the teacher was asked about, to the bit."""

import dataclasses

import pytest
import torch

from limbeck.data import InputSpace
from limbeck.errors import ArgumentError, CorruptFileError, ModelError, RunError
from limbeck.labels.kept import Kept
from limbeck.labels.store import LabelStore, labelled
from limbeck.labels.views import LabelViews

SPACE = InputSpace((6, 6), channels=1, mean=(0.4,), std=(0.3,))
PICTURES = torch.randint(
    0, 256, (7, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
)
LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2])
VIEWS = LabelViews(steps=40, batch_size=4)


def about(kept=Kept(), views=VIEWS, seed=0):  # noqa: B008
    return labelled(PICTURES, LABELS, SPACE, 4, views, seed=seed, kept=kept, teacher="one")


def told(x):
    """Logits that depend on every pixel."""
    weights = torch.linspace(-1, 1, 36 * 4).reshape(36, 4)
    return x.flatten(1) @ weights


@pytest.fixture
def store(tmp_path):
    store = LabelStore(tmp_path / "labels", about())
    store.fill(PICTURES, SPACE, told)
    return store


def test_a_batch_is_what_the_teacher_was_asked_about(tmp_path):
    asked = []

    def ask(x):
        asked.append(x.clone())
        return told(x)

    store = LabelStore(tmp_path, about())
    store.fill(PICTURES, SPACE, ask)
    replay = store.replay(PICTURES, LABELS, SPACE)
    assert replay.steps == len(asked) == 40
    for step, (x, batch) in enumerate(zip(asked, replay.batches(0, 40), strict=True)):
        assert torch.equal(batch["x"], x), step
        assert torch.equal(batch["teacher_logits"], told(x).half().float())
        assert torch.equal(batch["y"], LABELS[batch["id"]])


def test_another_batch_size_or_seed_is_refused(store):
    for name, value in (("batch_size", 3), ("seed", 1)):
        with pytest.raises(ArgumentError, match=f"{name} is {value} and the labels were made for"):
            store.replay(PICTURES, LABELS, SPACE, **{name: value})
    store.replay(PICTURES, LABELS, SPACE, batch_size=4, seed=0)


def test_other_images_labels_and_spaces_are_refused(store):
    changed = PICTURES.clone()
    changed[0, 0, 0, 0] ^= 1
    for given in (
        (changed, LABELS, SPACE),
        (PICTURES, LABELS.flip(0), SPACE),
        (PICTURES, LABELS, dataclasses.replace(SPACE, mean=(0.5,))),
        (PICTURES[:6], LABELS[:6], SPACE),
    ):
        with pytest.raises(ArgumentError, match="about other images"):
            store.replay(*given)


def test_a_step_that_was_not_labelled_is_refused(store):
    replay = store.replay(PICTURES, LABELS, SPACE)
    with pytest.raises(ArgumentError, match="labels are stored for steps 0 to 39"):
        replay.batch(40)


def test_bytes_are_known_before_the_first_is_made(tmp_path):
    store = LabelStore(tmp_path, about())
    draws, logits = (store.about.bytes[name] for name in ("draws", "logits"))
    assert logits == 40 * 4 * 4 * 2
    # Row, box, flip and partner of an image; share and cut of a batch.
    assert draws == 40 * (4 * (4 + 8 + 1 + 4) + 4 + 8)
    assert store.missing == store.bytes == draws + logits
    store.fill(PICTURES, SPACE, told)
    on_disk = sum(one.stat().st_size for one in tmp_path.glob("*.safetensors"))
    assert store.bytes <= on_disk < store.bytes + 4000
    assert store.missing == 0


def test_a_stopped_filling_goes_on_with_the_same_bytes(store, tmp_path, monkeypatch):
    from limbeck.labels import shards

    monkeypatch.setattr(shards, "SHARD_BYTES", 1)
    folders = tmp_path / "stopped", tmp_path / "whole"
    stopped, whole = (LabelStore(folder, about()) for folder in folders)
    count = 0

    def ask(x):
        nonlocal count
        count += 1
        if count == 25:
            raise KeyboardInterrupt
        return told(x)

    with pytest.raises(KeyboardInterrupt):
        stopped.fill(PICTURES, SPACE, ask)
    stopped = LabelStore(folders[0], about())
    # The first sixteen are in a file of their own.
    assert 0 < stopped.missing < stopped.bytes
    asked = []
    stopped.fill(PICTURES, SPACE, lambda x: (asked.append(1), told(x))[1])
    assert len(asked) == 24
    whole.fill(PICTURES, SPACE, told)
    for one in sorted(folders[1].glob("*.safetensors")):
        assert one.read_bytes() == (folders[0] / one.name).read_bytes()


def test_hard_labels_store_draws_alone(tmp_path):
    hard = dataclasses.replace(about(None), teacher="")
    store = LabelStore(tmp_path, hard)
    store.fill(PICTURES, SPACE, None)
    assert store.about.bytes["logits"] == 0
    assert not store.soft
    batch = store.replay(PICTURES, LABELS, SPACE).batch(5)
    assert "teacher_logits" not in batch
    assert torch.allclose(batch["label_probabilities"].sum(1), torch.ones(4))


def test_top_classes_keep_their_probabilities(tmp_path):
    store = LabelStore(tmp_path, about(Kept("top2")))
    store.fill(PICTURES, SPACE, told)
    batch = store.replay(PICTURES, LABELS, SPACE).batch(0)
    expected, found = told(batch["x"]).softmax(1), batch["teacher_logits"].softmax(1)
    top = expected.topk(2)
    assert torch.allclose(found.gather(1, top.indices), top.values, atol=2e-3)
    assert torch.allclose(found.sum(1), torch.ones(4), atol=1e-5)


def test_a_copy_reads_as_the_original(store, tmp_path):
    store.copy(tmp_path / "copy")
    again = LabelStore.load(tmp_path / "copy")
    assert again.fingerprint == store.fingerprint
    first, second = (one.replay(PICTURES, LABELS, SPACE).batch(3) for one in (store, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_altered_and_missing_files_are_told(store, tmp_path):
    path = next((tmp_path / "labels").glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="altered"):
        LabelStore.load(tmp_path / "labels").replay(PICTURES, LABELS, SPACE)
    path.unlink()
    with pytest.raises(RunError):
        LabelStore.load(tmp_path / "labels").replay(PICTURES, LABELS, SPACE)
    with pytest.raises(RunError, match="does not exist"):
        LabelStore.load(tmp_path / "nowhere")


def test_another_process_gets_the_place_and_not_the_numbers(store):
    import pickle

    store.replay(PICTURES, LABELS, SPACE)
    sent = pickle.dumps(store)
    assert len(sent) < 3000
    again = pickle.loads(sent).replay(PICTURES, LABELS, SPACE).batch(1)
    assert torch.equal(again["x"], store.replay(PICTURES, LABELS, SPACE).batch(1)["x"])


def test_logits_that_half_precision_cannot_hold_are_told(tmp_path):
    store = LabelStore(tmp_path, about())
    with pytest.raises(ModelError, match="float16 cannot hold"):
        store.fill(PICTURES, SPACE, lambda x: 1e6 * told(x))


def test_images_must_be_bytes():
    with pytest.raises(ArgumentError, match="expected uint8"):
        labelled(PICTURES.float(), LABELS, SPACE, 4, VIEWS, seed=0)
