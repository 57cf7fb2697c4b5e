"""What generated samples cover, and how they differ from each other."""

import math

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import (
    coverage,
    manifold_scores,
    mean_pairwise_distance,
    mode_scores,
    nearest_distance,
    pairwise_distances,
)
from limbeck.functional.point_sets import distances


def randn(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def ring(count):
    angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
    return torch.stack([angle.cos(), angle.sin()], 1)


@pytest.mark.parametrize("width", [2, 16, 17, 100])
def test_distances_are_those_of_one_set(width):
    x = randn(40, width) + 1000
    torch.testing.assert_close(distances(x, x), pairwise_distances(x), rtol=1e-7, atol=1e-5)


def test_chunks_change_nothing():
    x, y = randn(37, 3), randn(53, 3, seed=1) + 0.5
    for chunk in (1, 10, 37):
        assert manifold_scores(x, y, chunk=chunk) == pytest.approx(manifold_scores(x, y))
        assert mean_pairwise_distance(x, chunk=chunk) == pytest.approx(mean_pairwise_distance(x))
        assert nearest_distance(x, y, chunk=chunk) == pytest.approx(nearest_distance(x, y))


def test_no_more_rows_are_held_than_asked_for(monkeypatch):
    held = []

    def noted(x, y):
        held.append(len(x))
        return distances(x, y)

    monkeypatch.setattr(coverage, "distances", noted)
    x = randn(70, 2)
    manifold_scores(x, x, chunk=32)
    mean_pairwise_distance(x, chunk=32)
    nearest_distance(x, x, chunk=32)
    assert held == [32, 32, 6] * 5


# Manifolds


def test_a_set_covers_itself_and_nothing_far_away():
    x = randn(50, 2)
    same = manifold_scores(x, x.clone())
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)
    # A row is in its own ball and in those of about k others.
    assert same["density"] == pytest.approx(1, abs=0.3)
    apart = manifold_scores(x, x + 100)
    assert apart == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_one_mode_of_two_is_precise_and_recalls_half():
    real = torch.cat([randn(50, 2), randn(50, 2, seed=1) + 50])
    found = manifold_scores(real, randn(50, 2, seed=2))
    assert found["precision"] > 0.8
    assert found["recall"] < 0.55
    assert found["coverage"] < 0.55


# Distances of samples


def test_the_mean_distance_is_over_different_rows():
    x = randn(20, 3)
    expected = pairwise_distances(x).sum() / (20 * 19)
    assert mean_pairwise_distance(x) == pytest.approx(expected.item())
    assert mean_pairwise_distance(torch.ones(5, 2)) == 0


def test_what_is_learned_by_heart_is_at_no_distance():
    x = randn(30, 4)
    assert nearest_distance(x[:7], x) == 0
    assert nearest_distance(x[:7] + 1e-3, x) == pytest.approx(2e-3)


# Modes


def test_all_modes_evenly_hit_score_one():
    modes = ring(8)
    x = modes.repeat(50, 1) + 0.02 * randn(400, 2).clamp(-3, 3)
    expected = {"modes": 8.0, "on_mode": 1.0, "entropy": pytest.approx(1)}
    assert mode_scores(x, modes, deviation=0.02) == expected


def test_a_mode_counts_with_more_than_its_share_and_within_reach():
    modes = torch.tensor([[0.0], [10.0], [20.0]])
    x = torch.tensor([0.0] * 49 + [10.0] * 49 + [20.0] + [0.41]).double()[:, None]
    found = mode_scores(x, modes, deviation=0.1)
    assert found["modes"] == 2
    assert found["on_mode"] == 0.99
    shares = torch.tensor([49, 49, 1]) / 99
    assert found["entropy"] == pytest.approx(
        -float((shares * shares.log()).sum()) / math.log(3), rel=1e-5
    )
    assert mode_scores(x, modes, deviation=0.1, share=0.005)["modes"] == 3
    assert mode_scores(x, modes, deviation=0.1, reach=5.0)["on_mode"] == 1


def test_one_mode_of_several_has_no_entropy_and_nothing_on_a_mode_neither():
    modes = ring(4)
    assert mode_scores(modes[:1].repeat(9, 1), modes, deviation=0.1)["entropy"] == 0
    away = mode_scores(torch.full((5, 2), 50.0), modes, deviation=0.1)
    assert away == {"modes": 0.0, "on_mode": 0.0, "entropy": 0.0}
    assert mode_scores(modes[:1], modes[:1], deviation=0.1)["entropy"] == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda x: manifold_scores(x, x[:5]), r"generated has shape \(5, 2\), expected at least 6"),
        (lambda x: manifold_scores(x[:3], x, neighbours=3), "real has shape"),
        (lambda x: manifold_scores(x, x, neighbours=0), "neighbours is 0"),
        (lambda x: manifold_scores(x, x[:, :1]), "expected rows of one width"),
        (lambda x: mean_pairwise_distance(x[:1]), "expected at least 2 rows"),
        (lambda x: nearest_distance(x, x[:0]), "reference has shape"),
        (lambda x: mode_scores(x, x, deviation=0.0), "deviation is 0.0"),
        (lambda x: mode_scores(x, x, deviation=1.0, share=1.0), "share 1.0"),
        (lambda x: mode_scores(x, x[:, :1], deviation=1.0), "modes has shape"),
    ],
)
def test_what_does_not_fit_is_named(wrong, said):
    with pytest.raises(ArgumentError, match=said):
        wrong(randn(8, 2))
