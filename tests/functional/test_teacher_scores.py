"""Scores of retrievers of different kinds on one scale."""

from __future__ import annotations

import math

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional.teacher_scores import heterogeneous_scores, normalised_scores


@pytest.mark.parametrize("method", ["min-max", "z-score"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_ties_give_zero_whatever_their_height(method, dtype):
    for height in (0.0, 0.1, -7.3, 1234.5678):
        value = normalised_scores(torch.full((1, 7), height, dtype=dtype), method)
        assert value.tolist() == [[0.0] * 7]


@pytest.mark.parametrize("method", ["min-max", "z-score"])
def test_scales_of_queries_are_forgotten(method):
    scores = torch.randn(3, 5, dtype=torch.float64)
    moved = scores * torch.tensor([[2.0], [1e3], [1e4]]) + torch.tensor([[5.0], [-1e3], [0.0]])
    value = normalised_scores(scores, method)
    torch.testing.assert_close(normalised_scores(moved, method), value, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(normalised_scores(scores[:1], method), value[:1])


def test_scales_are_those_they_are_called_by():
    scores = torch.randn(2, 50, dtype=torch.float64)
    low_high = normalised_scores(scores, "min-max")
    assert low_high.amin(1).tolist() == [0.0, 0.0]
    torch.testing.assert_close(low_high.amax(1), torch.ones(2).double(), rtol=1e-5, atol=0)
    standard = normalised_scores(scores, "z-score")
    torch.testing.assert_close(standard.mean(1), torch.zeros(2).double())
    deviation = standard.std(1, correction=0)
    torch.testing.assert_close(deviation, torch.ones(2).double(), rtol=1e-5, atol=0)
    assert torch.equal(normalised_scores(scores, "none"), scores)


def test_without_normalisation_the_larger_scores_decide():
    dense, sparse = torch.randn(1, 6), 100 * torch.randn(1, 6)
    raw = heterogeneous_scores([dense, sparse], normalise="none")
    assert torch.equal(raw.argsort(), sparse.argsort())
    mixed = heterogeneous_scores([dense, sparse])
    swapped = heterogeneous_scores([100 * dense, sparse / 100])
    torch.testing.assert_close(mixed, swapped, rtol=1e-4, atol=1e-4)


def test_weights_are_shares_and_one_retriever_is_itself():
    scores = [torch.randn(2, 4), torch.randn(2, 4)]
    one = heterogeneous_scores(scores[:1], scale=2.0)
    torch.testing.assert_close(one, 2 * normalised_scores(scores[0]))
    first = heterogeneous_scores(scores, weights=torch.tensor([3.0, 0.0]), scale=2.0)
    torch.testing.assert_close(first, one)
    each = heterogeneous_scores(scores, weights=torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    torch.testing.assert_close(each[0], heterogeneous_scores(scores[:1])[0])
    torch.testing.assert_close(each[1], heterogeneous_scores(scores[1:])[1])


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([], "scores is empty"),
        ([torch.ones(2, 3), torch.ones(2, 4)], "scores\\[1\\]"),
        ([torch.ones(2, 0)], "with a candidate"),
        ([torch.tensor([[math.inf, 1.0]])], "NaN or infinity"),
    ],
)
def test_what_is_wrong_is_named(scores, said):
    with pytest.raises(ArgumentError, match=said):
        heterogeneous_scores(scores)
    with pytest.raises(ArgumentError, match="method"):
        normalised_scores(torch.ones(1, 2), "softmax")
