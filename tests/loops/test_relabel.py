"""Relabel: weighted committees, and the statistics of what a teacher sees."""

import dataclasses

import pytest
import torch

from limbeck import keyed
from limbeck.data import InputSpace
from limbeck.errors import ArgumentError, RunError
from limbeck.labels.views import LabelViews
from limbeck.loops.relabel import Relabelling, batch_logits, relabelled
from limbeck.networks.names import build
from limbeck.run import Run

SPACE = InputSpace((8, 8), channels=1, mean=(0.5,), std=(0.25,))
LABELS = torch.arange(6)
VIEWS = LabelViews(steps=5, batch_size=6, low=0.4)


def pictures():
    torch.manual_seed(2)
    return torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)


def network(seed=0):
    with keyed.torch_seeded(seed):
        made = build("convnet-d2?norm=batch&width=4", SPACE, 6).train()
        made(torch.randn(32, 1, 8, 8))
    return made.eval().requires_grad_(False)


def told(folder, networks, weights=None, **changes):
    relabelling = Relabelling(**{"views": VIEWS, **changes})
    store = relabelled(
        Run(folder), "labels", pictures(), LABELS, SPACE, 6, networks, weights, relabelling
    )
    return store.replay(pictures(), LABELS, SPACE).batch(2)


def test_labels_are_the_weighted_mean_of_logits(tmp_path):
    networks = [network(0), network(1)]
    batch = told(tmp_path, networks, [0.8, 0.2])
    with torch.no_grad():
        first, second = (one(batch["x"]) for one in networks)
    torch.testing.assert_close(
        batch["teacher_logits"], 0.8 * first + 0.2 * second, rtol=2e-3, atol=2e-3
    )


def test_labels_on_batch_statistics_ignore_the_running_ones_and_leave_them(tmp_path):
    teacher = network()
    before = {name: one.clone() for name, one in teacher.state_dict().items()}
    own = told(tmp_path / "own", [teacher], batch_statistics=True, pieces=2)
    assert all(torch.equal(one, before[name]) for name, one in teacher.state_dict().items())
    assert not teacher.training
    for module in teacher.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean += 3
            module.running_var *= 5
    moved = told(tmp_path / "moved", [teacher], batch_statistics=True, pieces=2)
    assert torch.equal(own["teacher_logits"], moved["teacher_logits"])
    running = told(tmp_path / "running", [teacher])
    assert not torch.allclose(own["teacher_logits"], running["teacher_logits"], atol=0.01)


def test_each_part_of_a_batch_is_seen_on_its_own(tmp_path):
    teacher = network()
    batch = told(tmp_path, [teacher], batch_statistics=True, pieces=2)
    teacher.train()
    with torch.no_grad():
        halves = [teacher(part) for part in batch["x"].split(3)]
    torch.testing.assert_close(batch["teacher_logits"], torch.cat(halves), rtol=2e-3, atol=2e-3)


def test_parts_of_a_single_image_have_no_statistics(tmp_path):
    for size, pieces in ((3, 2), (1, 1)):
        views = dataclasses.replace(VIEWS, batch_size=size)
        with pytest.raises(ArgumentError, match="which a single image has not"):
            told(tmp_path, [network()], views=views, batch_statistics=True, pieces=pieces)


def test_labels_are_made_once(tmp_path):
    run, asked = Run(tmp_path), []

    class Counting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            asked.append(len(x))
            return self.inner(x)

    for _ in range(2):
        relabelled(
            run, "labels", pictures(), LABELS, SPACE, 6, [Counting().eval()], None,
            Relabelling(views=VIEWS),
        )  # fmt: skip
    assert asked == [6] * 5


def test_a_disk_without_room_is_told_before_the_first_batch(tmp_path, monkeypatch):
    from limbeck import files

    monkeypatch.setattr(files, "free_disk", lambda path: 10)
    with pytest.raises(RunError, match="bytes and 10 are free"):
        told(tmp_path, [network()])


def test_parts_of_a_batch_are_no_larger_than_the_next():
    seen = []

    class Watching(torch.nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return x

    batch_logits([Watching()], torch.zeros(7, 2), pieces=2)
    assert seen == [3, 4]
