"""Pair-wise losses: written-out loops, what counts as a pair, memory."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from limbeck.errors import ArgumentError
from limbeck.functional import pairs as module
from limbeck.functional.pairwise import (
    lambda_loss,
    margin_mse_loss,
    pairwise_hinge_loss,
    rank_positions,
    ranknet_loss,
)


def table(rows=3, columns=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    return scores, torch.randint(3, (rows, columns), generator=generator)


def loop(scores, relevance, term):
    """Mean of a term over all pairs of each list whose first is the more relevant."""
    found = [
        term(s, y, i, j)
        for s, y in zip(scores, relevance, strict=True)
        for i in range(len(s))
        for j in range(len(s))
        if y[i] > y[j]
    ]
    return torch.stack(found).mean()


def test_ranknet_and_hinge_are_means_over_ordered_pairs():
    scores, relevance = table()
    expected = loop(scores, relevance, lambda s, y, i, j: F.softplus(-2 * (s[i] - s[j])))
    torch.testing.assert_close(ranknet_loss(scores, relevance, sigma=2.0), expected)
    expected = loop(scores, relevance, lambda s, y, i, j: F.relu(0.5 - s[i] + s[j]))
    torch.testing.assert_close(pairwise_hinge_loss(scores, relevance, margin=0.5), expected)


@pytest.mark.parametrize("weighting", ["lambdarank", "ndcg_loss2", "ndcg_loss2pp"])
def test_lambda_weights_are_those_of_the_formulas(weighting):
    scores, relevance = table()
    rank = rank_positions(scores).double()

    def term(s, y, i, j):
        r = rank[next(n for n in range(3) if s is rows[n])]
        ideal = sum(
            (2.0 ** float(g) - 1) / math.log2(k + 2)
            for k, g in enumerate(sorted(y.tolist(), reverse=True))
        )
        gap = abs(2.0 ** float(y[i]) - 2.0 ** float(y[j])) / ideal
        swap = abs(1 / math.log2(1 + r[i]) - 1 / math.log2(1 + r[j]))
        m = abs(r[i] - r[j])
        step = abs(1 / math.log2(1 + m) - 1 / math.log2(2 + m))
        weight = {"lambdarank": swap, "ndcg_loss2": step, "ndcg_loss2pp": 10 * step + swap}
        return F.softplus(-(s[i] - s[j])) / math.log(2) * weight[weighting] * gap

    rows = list(scores)
    expected = loop(rows, relevance, term)
    torch.testing.assert_close(lambda_loss(scores, relevance, weighting=weighting), expected)


def test_lambda_loss_without_weights_is_ranknet_in_bits():
    scores, relevance = table()
    value = lambda_loss(scores, relevance, weighting="none")
    torch.testing.assert_close(value * math.log(2), ranknet_loss(scores, relevance))
    natural = lambda_loss(scores, relevance, weighting="none", log_base=math.e)
    torch.testing.assert_close(natural, ranknet_loss(scores, relevance))


def test_ranks_and_scores_of_a_teacher_are_told_apart():
    scores, _ = table()
    better = torch.tensor([[3.0, 1.0, 2.0, 5.0, 4.0]]).double().expand(3, 5)
    ranks = 6 - better
    torch.testing.assert_close(
        ranknet_loss(scores, ranks, teacher_is="ranks"), ranknet_loss(scores, better)
    )


def test_ties_of_the_teacher_make_no_pair():
    scores = table()[0].requires_grad_()
    value = ranknet_loss(scores, torch.ones(3, 5))
    value.backward()
    assert value == 0
    assert (scores.grad == 0).all()


def test_ties_of_the_student_rank_the_earlier_one_better():
    assert rank_positions(torch.tensor([[1.0, 2.0, 1.0, 2.0]])).tolist() == [[3, 1, 4, 2]]


def test_averages_over_pairs_and_over_lists_differ():
    scores = torch.zeros(2, 3)
    scores[1] = torch.tensor([0.0, 0.0, 9.0])
    relevance = torch.tensor([[2, 1, 0], [0, 0, 1]])
    one, two = math.log(2), float(F.softplus(torch.tensor(-9.0)))
    assert float(ranknet_loss(scores, relevance)) == pytest.approx((3 * one + 2 * two) / 5)
    lists = ranknet_loss(scores, relevance, average="lists")
    assert float(lists) == pytest.approx((one + two) / 2)
    total = ranknet_loss(scores, relevance, reduction="sum")
    assert float(total) == pytest.approx(3 * one + 2 * two)


def test_lists_without_anything_relevant_have_no_gain():
    value = lambda_loss(torch.randn(2, 4), torch.zeros(2, 4))
    assert value == 0
    negative = lambda_loss(torch.randn(2, 4), -torch.arange(8.0).reshape(2, 4), gain="linear")
    assert negative.isfinite()


def test_margin_mse_compares_the_first_with_every_other():
    student, teacher = table()[0], table(seed=1)[0]
    margins = [x[:, :1] - x[:, 1:] for x in (student, teacher)]
    torch.testing.assert_close(margin_mse_loss(student, teacher), F.mse_loss(*margins))
    halved = margin_mse_loss(student, teacher, temperature=2.0)
    torch.testing.assert_close(halved, F.mse_loss(*margins) / 4)
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[0, 0] = False  # without its positive a list has no margin
    torch.testing.assert_close(
        margin_mse_loss(student, teacher, mask=mask), margin_mse_loss(student[1:], teacher[1:])
    )


def test_lists_in_blocks_give_the_same_value_and_gradients(monkeypatch):
    scores, relevance = table(rows=5)
    scores.requires_grad_()
    losses = []
    for block in (2**18, 50):
        monkeypatch.setattr(module, "BLOCK", block)
        value = lambda_loss(scores, relevance)
        slope = torch.autograd.grad(value, scores, create_graph=True)[0]
        curvature = torch.autograd.grad(slope.square().sum(), scores)[0]
        losses.append((value, slope, curvature))
    for whole, blocked in zip(*losses, strict=True):
        torch.testing.assert_close(whole, blocked)


def test_options_are_checked():
    scores, relevance = table()
    with pytest.raises(ArgumentError, match="'scores', 'ranks'"):
        ranknet_loss(scores, relevance, teacher_is="places")
    with pytest.raises(ArgumentError, match="sigma is 0"):
        ranknet_loss(scores, relevance, sigma=0)
    with pytest.raises(ArgumentError, match="'pairs', 'lists'"):
        pairwise_hinge_loss(scores, relevance, average="queries")
    with pytest.raises(ArgumentError, match="top is 0"):
        lambda_loss(scores, relevance, top=0)
    with pytest.raises(ArgumentError, match="log_base is 1"):
        lambda_loss(scores, relevance, log_base=1)
    with pytest.raises(ArgumentError, match=r"2 to the power of target.* infinity"):
        lambda_loss(scores, relevance * 1e4)
