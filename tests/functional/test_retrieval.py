"""Losses against labels, and which documents are candidates."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from limbeck.errors import ArgumentError
from limbeck.functional.retrieval import (
    candidate_scores,
    in_batch_negatives,
    info_nce_loss,
    pointwise_loss,
    strided_groups,
)


def test_one_positive_is_cross_entropy_of_the_list():
    scores, target = torch.randn(4, 6), torch.tensor([0, 5, 2, 2])
    expected = F.cross_entropy(scores / 0.5, target)
    for positive in (target, F.one_hot(target, 6), F.one_hot(target, 6).bool()):
        torch.testing.assert_close(info_nce_loss(scores, positive, temperature=0.5), expected)


def test_several_positives_share_one_probability():
    scores = torch.randn(2, 4)
    positive = torch.tensor([[1, 0, 1, 0], [1, 1, 1, 1]])
    expected = -(scores.softmax(1) * positive).sum(1).log()
    value = info_nce_loss(scores, positive, reduction="none")
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


def test_lists_without_a_positive_are_skipped():
    scores = torch.randn(2, 3, requires_grad=True)
    positive = torch.tensor([[0, 0, 0], [0, 1, 0]])
    value = info_nce_loss(scores, positive)
    torch.testing.assert_close(value, info_nce_loss(scores[1:], positive[1:]))
    value.backward()
    assert (scores.grad[0] == 0).all()


def test_in_batch_candidates_leave_out_other_positives():
    query, documents = torch.randn(3, 4), torch.randn(6, 4)
    scores = candidate_scores(query, documents, in_batch=True)
    positive, mask = in_batch_negatives(3, 2)
    assert positive.tolist() == [0, 2, 4]
    kept = [torch.cat([scores[i, [2 * i]], scores[i, 1::2]]) for i in range(3)]
    expected = F.cross_entropy(torch.stack(kept), torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(info_nce_loss(scores, positive, mask=mask), expected)


def test_own_candidates_are_blocks_of_the_batch():
    query, documents = torch.randn(3, 4), torch.randn(6, 4)
    every = candidate_scores(query, documents, in_batch=True)
    own = candidate_scores(query, documents)
    expected = torch.stack([every[i, 2 * i : 2 * i + 2] for i in range(3)])
    torch.testing.assert_close(own, expected)


def test_pointwise_is_binary_cross_entropy():
    scores, target = torch.randn(3, 2), torch.tensor([[1, 0]]).expand(3, 2)
    expected = F.binary_cross_entropy_with_logits(scores, target.float())
    torch.testing.assert_close(pointwise_loss(scores, target), expected)
    soft = torch.rand(3, 2)
    expected = F.binary_cross_entropy_with_logits(scores, soft)
    torch.testing.assert_close(pointwise_loss(scores, soft), expected)


def test_labels_and_shapes_are_checked():
    scores = torch.randn(2, 3)
    with pytest.raises(ArgumentError, match=r"from 0 to 2, expected 0 or 1.*>= grade"):
        info_nce_loss(scores, torch.tensor([[0, 2, 0], [1, 0, 0]]))
    with pytest.raises(ArgumentError, match="expected 0 to 1"):
        pointwise_loss(scores, torch.full((2, 3), 1.5))
    with pytest.raises(ArgumentError, match="equally many"):
        candidate_scores(torch.randn(2, 3), torch.randn(5, 3))
    with pytest.raises(ArgumentError, match="equally many"):
        candidate_scores(torch.randn(2, 3), torch.randn(4, 2))
    with pytest.raises(ArgumentError, match="0 candidates"):
        in_batch_negatives(2, 0)


def test_strided_groups_share_what_a_list_has():
    groups = strided_groups(list(range(10)), 3)
    assert groups == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert strided_groups(["a"], 1) == [["a"]]
    for size in (0, 11):
        with pytest.raises(ArgumentError, match="the 10 candidates"):
            strided_groups(range(10), size)
