"""Rank scores follow the procedure: what learns from what, and how rates are chosen."""

import dataclasses

import numpy as np
import pytest
import torch

from limbeck.data import Subset, TensorSplit, digits, whitened
from limbeck.data.prepared import Pixels, Prepared
from limbeck.errors import ArgumentError
from limbeck.evaluate import rank_scores as module
from limbeck.evaluate.protocol import SOFT_LABELS, Protocol
from limbeck.evaluate.rank_scores import random_subsets, rank_scores, with_hard_labels
from limbeck.networks.names import build
from limbeck.run import Run
from limbeck.run.run import Options
from limbeck.selection import k_means
from limbeck.teachers import teacher

NET = "mlp?hidden=8"
PLAIN = Protocol(network=NET, steps=40, lr=0.1, augmentation="none")
CIFAR = dataclasses.replace(PLAIN, augmentation="cifar")


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def small(data):
    x = data.train.take(np.arange(len(data.train)))["x"].flatten(1).float()
    return dataclasses.replace(data, train=Subset(data.train, k_means(x, data.train.y, 2)))


@pytest.fixture(scope="module")
def soft(small):
    """Its labels say the next class, so that it is seen who reads them."""
    columns = small.train.take(np.arange(20))
    logits = 8.0 * torch.nn.functional.one_hot((columns["y"] + 1) % 10, 10).float()
    return dataclasses.replace(small, train=TensorSplit({**columns, SOFT_LABELS: logits}))


def here(folder):
    return Run(folder, options=Options(executor="serial"))


def score(value):
    """Section 3 of the paper, fractions and not per cent."""
    return (np.exp(value) - np.exp(-1)) / (np.e - np.exp(-1))


def test_scores_come_from_the_eight_accuracies(data, small, tmp_path):
    subsets = random_subsets(data, 2, 2)
    found = rank_scores(here(tmp_path), small, subsets, data, CIFAR, rates=(), weight=0.25)
    of = found.accuracies
    assert {len(each) for each in of.values()} == {2}
    # The own recipe augments: it is the augmented case, and networks are not trained twice.
    assert of["synthetic, own"] == of["synthetic, augmented"]
    assert of["synthetic, plain"] != of["synthetic, own"]
    # Class labels on the set are its own labels here.
    assert of["synthetic, hard"] == of["synthetic, own"]
    assert len(list((tmp_path / "jobs").iterdir())) == 2 * (1 + 2 + 2)
    real, hard, own, random = (
        np.array(of[name])
        for name in ("real, hard", "synthetic, hard", "synthetic, own", "random, own")
    )
    assert found.hard_label_recovery == pytest.approx(real - hard)
    assert found.improvement_over_random == pytest.approx(own - random)
    alpha = 0.25 * (own - random) - 0.75 * (real - hard)
    assert found.label_robust == pytest.approx(score(alpha))
    gains = [
        np.array(of[f"synthetic, {how}"]) - np.array(of[f"random, {how}"])
        for how in ("augmented", "plain")
    ]
    assert found.augmentation_robust == pytest.approx(score(0.25 * gains[0] + 0.75 * gains[1]))
    figures = found.figures()
    assert figures["hlr"] == pytest.approx(np.mean(real - hard))
    assert figures["lrs_std"] == pytest.approx(np.std(found.label_robust))
    assert found.selected == "last iterate"
    assert set(found.rates.values()) == {0.1}


def test_each_run_has_a_random_subset_and_a_network_of_its_own(data, small, tmp_path):
    subsets = random_subsets(data, 2, 3)
    assert len({one.fingerprint for one in subsets}) == 3
    found = rank_scores(here(tmp_path), small, subsets, data, PLAIN, rates=(), augmented="cifar")
    assert len(set(found.accuracies["random, own"])) > 1
    assert len(set(found.accuracies["synthetic, own"])) > 1
    assert found.accuracies["synthetic, own"] == found.accuracies["synthetic, plain"]
    assert found.accuracies["synthetic, augmented"] != found.accuracies["synthetic, own"]


def test_rates_are_searched_on_validation_alone(data, small, tmp_path, monkeypatch):
    """The test split could be anything: the rates stay."""
    subsets, scored = random_subsets(data, 2, 1), []
    plain = module.trained

    def noting(run, cases, label):
        scored.append({case.scored for case in cases})
        return plain(run, cases, label)

    monkeypatch.setattr(module, "trained", noting)
    options = {"rates": (1e-5, 0.1), "augmented": "cifar"}
    first = rank_scores(here(tmp_path / "a"), small, subsets, data, PLAIN, **options)
    assert scored == [{"validation"}, {"test"}]
    assert first.rates["real, hard"] == 0.1
    wrong = TensorSplit({**data.test.take(np.arange(450)), "y": (data.test.y + 1) % 10})
    small, full, *subsets = (
        dataclasses.replace(one, test=wrong) for one in (small, data, *subsets)
    )
    second = rank_scores(here(tmp_path / "b"), small, subsets, full, PLAIN, **options)
    assert second.rates == first.rates
    assert second.accuracies != first.accuracies


def test_the_rate_that_a_set_brings_is_kept(data, small, tmp_path):
    found = rank_scores(
        here(tmp_path), small, random_subsets(data, 2, 1), data, CIFAR, lr=0.03, rates=(0.1,)
    )
    brought = {name for name, rate in found.rates.items() if rate == 0.03}
    assert brought == {"synthetic, own", "synthetic, augmented", "synthetic, plain"}


def test_random_samples_get_the_soft_labels_of_the_teacher(data, soft, tmp_path):
    network = build("mlp", data.input_space, 10)
    subsets = random_subsets(data, 2, 1, teacher=teacher(network))
    columns = subsets[0].train.take(np.arange(20))
    x = data.normalise(data.columns(subsets[0].train, np.arange(20)))["x"]
    with torch.no_grad():
        torch.testing.assert_close(columns[SOFT_LABELS], network(x))
    found = rank_scores(here(tmp_path), soft, subsets, data, PLAIN, rates=(), augmented="cifar")
    assert found.accuracies["synthetic, hard"][0] > 0.5
    assert found.accuracies["synthetic, own"][0] < 0.3
    # A teacher that knows nothing teaches nothing.
    assert found.accuracies["random, own"][0] < 0.4
    assert SOFT_LABELS not in with_hard_labels(soft).train.take(np.arange(1))


def test_subsets_of_another_kind_are_refused(data, small, soft, tmp_path):
    run = here(tmp_path)
    with pytest.raises(ArgumentError, match="there are no random subsets"):
        rank_scores(run, small, [], data, PLAIN)
    with pytest.raises(ArgumentError, match="subset 0 has 30 samples with class labels"):
        rank_scores(run, small, random_subsets(data, 3, 1), data, PLAIN)
    with pytest.raises(ArgumentError, match="class labels and the set 20 with soft labels"):
        rank_scores(run, soft, random_subsets(data, 2, 1), data, PLAIN)


def test_data_of_another_space_is_refused(data, small, tmp_path):
    """A whitened set beside raw images, or subsets of them, would be compared with nonsense."""
    run, (full, zca) = here(tmp_path), whitened(data)
    white = whitened(small, zca)[0]
    subsets = random_subsets(full, 2, 1)
    with pytest.raises(ArgumentError, match="read other test samples in full than in the set"):
        rank_scores(run, white, subsets, data, PLAIN)
    with pytest.raises(ArgumentError, match="test samples in random subset 0 than"):
        rank_scores(run, white, random_subsets(data, 2, 1), full, PLAIN)
    assert not list(tmp_path.iterdir())
    # Eight-bit views of what was whitened need the way back.
    pixels = Pixels(data.input_space, zca)
    ready = [Prepared.of(one, pixels) for one in (white, *subsets, full)]
    with pytest.raises(ArgumentError, match="test samples in full"):
        rank_scores(run, ready[0], ready[1:2], full, CIFAR)
    short = dataclasses.replace(CIFAR, steps=2)
    rank_scores(run, ready[0], ready[1:2], ready[2], short, rates=())
    short = dataclasses.replace(PLAIN, steps=2)
    found = rank_scores(run, white, subsets, full, short, rates=(), augmented="none")
    assert len(found.label_robust) == 1
