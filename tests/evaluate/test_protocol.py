"""The protocol counts steps and lowers the rate as the published code does."""

import dataclasses

import numpy as np
import pytest
import torch

from limbeck.data import Batch, TensorSplit, Views, digits
from limbeck.data.eight_bit import EightBit
from limbeck.data.prepared import Pixels, prepared
from limbeck.errors import SettingsError
from limbeck.evaluate.protocol import SOFT_LABELS, Protocol
from limbeck.outputs import Outputs


@pytest.fixture(scope="module")
def data():
    return digits().few(50)


@pytest.mark.parametrize("epochs", [1, 2, 3, 10, 301, 1000])
def test_the_rate_falls_where_the_published_one_does(epochs):
    """One batch an epoch: the rate of every epoch as the loop of the paper's code has it."""
    protocol = Protocol(epochs=epochs)
    steps, optim = protocol.steps_for(100), protocol.optim(100)
    rate, published = 0.01, []
    for epoch in range(epochs + 1):
        published.append(rate)
        if epoch == epochs // 2 + 1:
            rate *= 0.1
    assert steps == len(published)
    assert [optim.rate(step, steps) for step in range(steps)] == pytest.approx(published)


def test_sets_above_a_batch_take_more_steps():
    protocol = Protocol(epochs=300, batch_size=256)
    # 301 epochs of 1000 samples in batches of 256.
    assert protocol.steps_for(1000) == -(-301 * 1000 // 256)
    optim, steps = protocol.optim(1000), protocol.steps_for(1000)
    falls = next(step for step in range(steps) if optim.rate(step, steps) < 0.01)
    assert falls == -(-152 * 1000 // 256)


def test_steps_stand_instead_of_epochs():
    protocol = Protocol(steps=300)
    assert protocol.steps_for(10) == protocol.steps_for(10_000) == 300
    optim = protocol.optim(10)
    assert [round(optim.rate(step, 300), 5) for step in (0, 149, 150, 299)] == [
        0.01,
        0.01,
        0.001,
        0.001,
    ]
    assert (optim.name, optim.momentum, optim.weight_decay) == ("sgd", 0.9, 5e-4)
    assert [step for step in range(300) if optim.restarts(step, 300)] == [150]


def test_what_is_unknown_is_refused():
    with pytest.raises(SettingsError, match="augmentation"):
        Protocol(augmentation="mixup")
    with pytest.raises(SettingsError, match="selection"):
        Protocol(selection="test")


def test_augmentations_are_views(data):
    assert Protocol(augmentation="none").views(data) == Views()
    plain = dataclasses.replace(data.input_space, mean=(), std=())
    expected = EightBit(recipe="cifar", pixels=Pixels(plain))
    assert Protocol(augmentation="cifar").views(data) == expected


def test_pictures_are_what_comes_before_normalising(data):
    """Views see inputs before the data's own normalisation, but after one done beforehand."""
    ready = prepared(data, Pixels(data.input_space))
    assert Protocol(augmentation="cifar").views(ready).pixels == Pixels(data.input_space)


def test_dsa_is_a_view(data):
    strategy = "color_crop_cutout_flip_scale_rotate"
    assert Protocol(augmentation="dsa").views(data) == Views(siamese=strategy)


def test_soft_labels_are_learned_where_the_set_has_them(data):
    logits, told = torch.randn(4, 10), torch.randn(4, 10)
    classes = torch.tensor([0, 3, 2, 9])
    batch = Batch({"y": classes, SOFT_LABELS: told})
    hard = Protocol().objective(data)(Outputs(logits=logits), None, batch)
    expected = torch.nn.functional.cross_entropy(logits, classes)
    torch.testing.assert_close(hard, {"labels": expected})
    columns = data.train.take(np.arange(50))
    split = TensorSplit({**columns, SOFT_LABELS: torch.randn(50, 10)})
    soft = dataclasses.replace(data, train=split)
    found = Protocol().objective(soft)(Outputs(logits=logits), None, batch)
    expected = torch.nn.functional.cross_entropy(logits, told.softmax(1))
    torch.testing.assert_close(found, {"soft": expected})
