"""Coresets agree with rules written out sample by sample, and refuse what they cannot serve."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from limbeck import keyed
from limbeck.errors import ArgumentError
from limbeck.selection import (
    forgetting,
    forgetting_counts,
    herding,
    k_center,
    k_means,
    random_selection,
)

BY_FEATURES = (herding, k_center, k_means)


@pytest.fixture
def crowd():
    """Features and labels of 60 samples in 4 classes, mixed."""
    generator = np.random.default_rng(3)
    labels = generator.permutation(np.repeat(np.arange(4), 15))
    return generator.standard_normal((60, 5)) + labels[:, None], labels


def herding_by_hand(phi, count):
    mean, chosen = phi.mean(0), []
    for taken in range(count):
        total = phi[chosen].sum(0)
        left = [i for i in range(len(phi)) if i not in chosen]
        gaps = [np.linalg.norm(mean - (total + phi[i]) / (taken + 1)) for i in left]
        chosen.append(left[int(np.argmin(gaps))])
    return chosen


def k_center_by_hand(phi, count):
    chosen = [int(np.argmin(np.linalg.norm(phi - phi.mean(0), axis=1)))]
    while len(chosen) < count:
        left = [i for i in range(len(phi)) if i not in chosen]
        gaps = [min(np.linalg.norm(phi[i] - phi[j]) for j in chosen) for i in left]
        chosen.append(left[int(np.argmax(gaps))])
    return chosen


@pytest.mark.parametrize("per_class", [1, 2, 7, 15])
@pytest.mark.parametrize(
    ("choose", "by_hand"), [(herding, herding_by_hand), (k_center, k_center_by_hand)]
)
def test_the_rule_written_out(crowd, choose, by_hand, per_class):
    features, labels = crowd
    expected = []
    for number in range(4):
        group = np.flatnonzero(labels == number)
        expected += group[by_hand(features[group], per_class)].tolist()
    assert choose(features, labels, per_class).tolist() == expected


@pytest.mark.parametrize("per_class", [1, 4, 15])
@pytest.mark.parametrize("choose", [*BY_FEATURES, "random", "forgetting"])
def test_positions_are_class_major_and_never_twice(crowd, choose, per_class):
    features, labels = crowd
    if choose == "random":
        found = random_selection(labels, per_class, 5)
    elif choose == "forgetting":
        found = forgetting(np.arange(60) % 3, labels, per_class)
    else:
        found = choose(features, labels, per_class)
    assert found.dtype == np.int64
    assert labels[found].tolist() == np.repeat(np.arange(4), per_class).tolist()
    assert len(set(found.tolist())) == len(found)


@pytest.mark.parametrize("choose", BY_FEATURES)
def test_copies_of_one_sample_are_told_apart(choose):
    found = choose(np.ones((6, 2)), np.zeros(6, dtype=int), 4)
    assert len(set(found.tolist())) == 4


@pytest.mark.parametrize("choose", BY_FEATURES)
def test_tensors_and_arrays_choose_the_same_every_time(crowd, choose):
    features, labels = crowd
    there = choose(torch.from_numpy(features), torch.from_numpy(labels), 3)
    assert there.tolist() == choose(features, labels, 3).tolist()


def test_one_class_does_not_move_another(crowd):
    """What is chosen in a class depends on its own samples alone."""
    features, labels = crowd
    moved = features + 100.0 * (labels == 0)[:, None] ** 2 * features
    for choose in BY_FEATURES:
        assert (choose(moved, labels, 3)[3:] == choose(features, labels, 3)[3:]).all()


def test_k_means_finds_the_middles():
    centres = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    offsets = np.array([[0.0, 0.0], [0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])
    features = (centres[:, None] + offsets).reshape(-1, 2)
    assert sorted(k_means(features, np.zeros(15, dtype=int), 3).tolist()) == [0, 5, 10]


def test_random_depends_on_its_key_alone(crowd):
    _, labels = crowd
    first, again = (random_selection(labels, 5, keyed.key(1)) for _ in range(2))
    assert (first == again).all()
    assert (first != random_selection(labels, 5, keyed.key(2))).any()
    # Fewer are a part of more.
    assert set(random_selection(labels, 2, keyed.key(1))) <= set(first)


def test_forgetting_counts_by_hand():
    generator = np.random.default_rng(0)
    right = generator.random((9, 40)) < 0.5
    right[:, 0] = False
    right[:, 1] = True
    expected = [
        sum(a and not b for a, b in pairwise(column)) if column.any() else 9 for column in right.T
    ]
    counts = forgetting_counts(right)
    assert counts.tolist() == expected
    assert counts[0] == 9
    assert counts[1] == 0
    # The one never learned is chosen before all others.
    assert forgetting(counts, np.zeros(40, dtype=int), 3)[0] == 0


def test_errors_name_the_class_the_count_and_the_fix(crowd):
    features, labels = crowd
    few = np.where(np.arange(60) == np.flatnonzero(labels == 2)[0], 2, np.minimum(labels, 1))
    for choose in (
        lambda: herding(features, few, 2),
        lambda: random_selection(few, 2, 0),
        lambda: forgetting(np.zeros(60), few, 2),
    ):
        with pytest.raises(ArgumentError, match="class 2 has 1 samples and per_class is 2; lower"):
            choose()


@pytest.mark.parametrize("choose", BY_FEATURES)
def test_wrong_features_are_refused(crowd, choose):
    features, labels = crowd
    with pytest.raises(ArgumentError, match=r"\(59, 5\) and there are 60 labels"):
        choose(features[:59], labels, 1)
    with pytest.raises(ArgumentError, match=r"expected \(N, D\)"):
        choose(features[:, 0], labels, 1)
    for bad in (np.nan, np.inf):
        features[7, 2] = bad
        with pytest.raises(ArgumentError, match="1 samples are NaN or infinite, the first at .* 7"):
            choose(features, labels, 1)


@pytest.mark.parametrize(
    "labels", [np.zeros((3, 1), dtype=int), np.zeros(3), np.array([0, -1]), np.array([], dtype=int)]
)
def test_wrong_labels_are_refused(labels):
    with pytest.raises(ArgumentError, match="expected class indices"):
        random_selection(labels, 1, 0)


def test_wrong_counts_are_refused(crowd):
    _, labels = crowd
    with pytest.raises(ArgumentError, match="at least 1"):
        random_selection(labels, 0, 0)
    with pytest.raises(ArgumentError, match=r"counts has shape \(3,\)"):
        forgetting([1, 2, 3], labels, 1)
    with pytest.raises(ArgumentError, match="of bool"):
        forgetting_counts(np.zeros((2, 3)))
