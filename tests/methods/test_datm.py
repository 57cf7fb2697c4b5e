"""DATM: a step as written out, bad input told before it costs anything."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from limbeck import cards, keyed
from limbeck.data import digits, from_arrays
from limbeck.data.siamese import Siamese
from limbeck.errors import (
    ArgumentError,
    LimbeckError,
    ModelError,
    RunError,
    SettingsError,
    UnusualUseWarning,
)
from limbeck.loops import Optim
from limbeck.loops.experts import trained_experts
from limbeck.methods.datm.datm import DATM
from limbeck.networks.flat import Flat
from limbeck.networks.names import build
from limbeck.products.origins import Origins
from limbeck.run import Run
from limbeck.run.run import Options
from limbeck.selection.starts import start_images

TINY = cards.preset("datm", "tiny")["settings"]


def method(**changes):
    return DATM(**{**TINY, **changes})


def written_out(settings, folder, network, data):
    """Soft labels, every graph kept, torch's own optimisers."""
    run = Run(folder)
    origins = Origins.of(data, whitening=settings.whitening)
    experts = trained_experts(run, network, origins.data, settings.experts)
    flat = Flat(network.train())
    images, logits, labels = start_images(
        settings.start, origins.data, experts.last(network), settings.images_per_class, 0
    )
    learned = [images, logits, torch.tensor(settings.step_size)]
    learned = [one.clone().requires_grad_() for one in learned]
    rates = (settings.image_optim, settings.label_optim, settings.step_size_optim)
    optims = [
        torch.optim.SGD([one], lr=rate.lr, momentum=rate.momentum)
        for one, rate in zip(learned, rates, strict=True)
    ]
    count = len(labels)
    for step in range(settings.steps):
        key = run.at("synthetic", step).key
        walk = keyed.key(key, 0)
        round_, place = divmod(step, len(experts))
        expert = keyed.permutation(keyed.key(0, "experts", round_), len(experts))[place]
        epoch = int(keyed.permutation(keyed.key(key, "epoch", 0), settings.max_start_epoch)[0])
        start = experts.weights(expert, epoch)
        goal = experts.weights(expert, epoch + settings.expert_epochs)
        theta = start.requires_grad_()
        for inner in range(settings.student_steps):
            chunks = -(-count // settings.batch_size)
            turn, part = divmod(inner, chunks)
            order = torch.from_numpy(keyed.permutation(keyed.key(walk, "order", turn), count))
            rows = order.split(settings.batch_size)[chunks - 1 - part]
            x = Siamese().apply(learned[0][rows], keyed.key(walk, "student", inner))
            target = learned[1][rows].softmax(1)
            loss = -(target * flat(theta, x).log_softmax(1)).sum(1).mean()
            theta = theta - learned[2] * torch.autograd.grad(loss, theta, create_graph=True)[0]
        distance = (theta - goal).square().sum() / (start.detach() - goal).square().sum()
        for optim, one, grad in zip(
            optims, learned, torch.autograd.grad(distance, learned), strict=True
        ):
            one.grad = grad
            optim.step()
    return [one.detach() for one in learned]


@pytest.mark.parametrize("gradient", ["adjoint", "unroll"])
def test_it_does_what_a_written_out_loop_does(tmp_path, gradient):
    settings = method(
        threshold=None, sequential=False, steps=8, gradient=gradient, images_per_class=2
    )
    data = digits()
    with keyed.torch_seeded(keyed.key(0, "network")):
        network = build("convnet-d1?width=4", data.input_space, 10)
    made = settings.distill(Run(tmp_path / "run"), data=data, network=network)
    images, logits, rate = written_out(settings, tmp_path / "written", network, data)
    torch.testing.assert_close(made.images, images, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(made.label_logits, logits, rtol=1e-4, atol=1e-5)
    assert made.step_size == pytest.approx(float(rate), rel=1e-5)
    assert made.labels.tolist() == [label for label in range(10) for _ in range(2)]


def test_a_closed_gate_leaves_the_start_images_as_they_are(tmp_path):
    with pytest.warns(UnusualUseWarning, match="12 of 12 steps were dropped"):
        made = method(threshold=1e-9).distill(Run(tmp_path / "run"), data=digits())
    origins = Origins.of(digits(), whitening=True)
    places = [
        int((origins.data.train.columns["x"] - one).flatten(1).norm(dim=1).argmin())
        for one in made.images
    ]
    assert torch.equal(origins.data.train.columns["x"][places], made.images)
    assert origins.data.train.y[places].tolist() == list(range(10))


def test_the_images_leave_the_whitened_space_as_pictures(tmp_path):
    made = method(steps=2).distill(Run(tmp_path / "run"), data=digits())
    assert made.zca is not None
    assert made.pictures().shape == (10, 8, 8, 1)
    seen = made.as_data(digits())
    torch.testing.assert_close(seen.train.columns["x"], made.images)
    exhibits = (tmp_path / "run" / "exhibits.json").read_text()
    assert '"How they came about"' in exhibits


def here(folder):
    """A run whose jobs stay in this process: workers cannot import classes of a test."""
    return Run(folder / "run", options=Options(executor="serial"))


class Cut(nn.Module):
    """A user's own network."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))

    def forward(self, x):
        return self.layers(x)


def test_a_network_of_ones_own_teaches_and_judges(tmp_path):
    settings, own = method(steps=3, start="real"), Cut()
    made = settings.distill(here(tmp_path), data=digits(), network=own)
    rows, _ = made.compared(
        here(tmp_path),
        "datm",
        settings.baselines(here(tmp_path), data=digits(), network=own),
        {"data": digits(), "network": own},
    )
    parameters = 64 * 8 + 8 + 80 + 10
    assert {row["cost"]["parameters"] for row in rows} == {parameters}
    assert [row["role"] for row in rows] == ["product", "baseline", *["reference"] * 3]
    assert [row["cost"]["images"] for row in rows] == [10, 10, 10, 10, len(digits().train)]


def test_several_students_walk_together_or_one_by_one(tmp_path):
    def made(name, **changes):
        settings = method(stretches=3, threshold=None, steps=4, **changes)
        return settings.distill(Run(tmp_path / name), data=digits())

    loop, batched = made("loop", together="loop"), made("batched", together="vmap")
    torch.testing.assert_close(loop.images, batched.images, rtol=1e-4, atol=1e-5)
    assert not torch.equal(
        loop.images,
        method(threshold=None, steps=4).distill(Run(tmp_path / "one"), data=digits()).images,
    )
    probed = made("auto", together="auto")
    assert torch.equal(probed.images, loop.images) or torch.equal(probed.images, batched.images)
    assert len(list((tmp_path / "auto" / "stages").glob("probe-*"))) == 1


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"images_per_class": 1000}, ArgumentError, "class '.' has .* images_per_class is 1000"),
        ({"protocol": {**TINY["protocol"], "others": ["lenet"]}}, ArgumentError, "12x12"),
        ({"min_start_epoch": 2}, SettingsError, "there is none"),
        ({"first_max_start_epoch": 3}, SettingsError, "the bound falls"),
        ({"max_start_epoch": 3, "expert_epochs": 2}, SettingsError, "raise experts.epochs to 4"),
        ({"start": "noise"}, SettingsError, "labels=hard"),
        ({"network": "cnn?width=4"}, ModelError, "running statistics"),
        ({"network": "convnet-d9"}, LimbeckError, "convnet-d"),
        ({"augmentation": "flop"}, SettingsError, "flip"),
    ],
)
def test_bad_settings_are_told_before_experts_are_trained(tmp_path, change, error, said):
    with pytest.raises(error, match=said):
        method(**change).distill(Run(tmp_path / "run"), data=digits())
    assert not (tmp_path / "run").exists()


def test_a_class_that_no_expert_gets_right_is_named(tmp_path):
    data = digits()
    x, y = data.train.take(range(len(data.train))).values()
    wrong = from_arrays(x[y < 2], y[y < 2] * 0 + torch.arange(int((y < 2).sum())) % 2)
    settings = method(experts={**TINY["experts"], "optim": {"name": "sgd", "lr": 1e-6}})
    with pytest.raises(ArgumentError, match="class '.' has .* one of 2 experts gets right"):
        dataclasses.replace(settings, images_per_class=80).distill(
            Run(tmp_path / "run"), data=wrong
        )


class Odd(nn.Module):
    """A network with something that a differentiated step cannot have."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.layer, self.unused = kind, nn.Linear(64, 10), nn.Linear(2, 2)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        x = x.flatten(-3)
        if self.kind == "counts":
            self.calls += 1
        if self.kind == "forgets":
            x = nn.functional.dropout(x, 0.5, self.training)
        said = self.layer(x)
        if self.kind == "reads":
            said = said * (1 + 0 * float(x.detach().sum()))
        return {"logits": said} if self.kind == "packs" else said


@pytest.mark.parametrize(
    ("kind", "said"),
    [("counts", "buffer calls"), ("forgets", "dropout"), ("packs", "gives a dict")],
)
def test_networks_that_do_not_repeat_themselves_are_refused(tmp_path, kind, said):
    with pytest.raises(ModelError, match=said):
        method().distill(Run(tmp_path / "run"), data=digits(), network=Odd(kind))


@pytest.mark.parametrize("kind", ["plain", "reads"])
def test_unused_weights_and_calls_that_cannot_be_batched_are_fine(tmp_path, kind):
    settings = method(start="real", steps=2, stretches=2, threshold=None)
    made = settings.distill(here(tmp_path), data=digits(), network=Odd(kind))
    assert made.protocol.network == "Odd"


def test_the_set_names_the_network_that_it_was_learned_with(tmp_path):
    made = method(steps=1, start="real").distill(
        Run(tmp_path / "run"), data=digits(), network="convnet-d1?width=2"
    )
    assert made.protocol.network == "convnet-d1?width=2"


def test_experts_that_do_not_move_are_refused(tmp_path):
    experts = {**TINY["experts"], "optim": {"name": "sgd", "lr": 1e-30}}
    with pytest.raises(ArgumentError, match=r"step 0 along epochs \d to \d of expert .*no length"):
        method(start="real", experts=experts).distill(Run(tmp_path / "run"), data=digits())


def test_a_distance_that_explodes_names_the_stretch(tmp_path):
    settings = method(step_size=1e20, start="real")
    with pytest.raises(RunError, match=r"step 0 along epochs \d to \d of expert \d.*step_size"):
        settings.distill(Run(tmp_path / "run"), data=digits())


def test_a_step_size_driven_below_zero_keeps_its_last_value(tmp_path):
    settings = method(step_size=2.0, step_size_optim=Optim("sgd", lr=100.0), threshold=None)
    with pytest.warns(UnusualUseWarning, match="step_size fell below 0"):
        made = settings.distill(Run(tmp_path / "run"), data=digits())
    assert made.step_size > 0
