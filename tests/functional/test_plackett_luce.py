"""The Plackett-Luce kernel: a written-out loop, both number ranges, blocks of rows."""

from __future__ import annotations

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import plackett_luce as module
from limbeck.functional.plackett_luce import plackett_luce


def ranked(rows=6, classes=7, scale=2.0, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    scores = scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    order = torch.rand(rows, classes, generator=generator).argsort(-1)
    weights = torch.rand(rows, classes, generator=generator, dtype=torch.float64)
    return scores.to(dtype).requires_grad_(), order, weights


def written_out(scores, order, weights):
    """One rank after the other, best first, as the formula stands."""
    value = torch.zeros(len(scores), dtype=scores.dtype)
    best_first, weights = scores.gather(1, order).flip(1), weights.flip(1)
    for k in range(scores.shape[1]):
        value = value + weights[:, k] * (best_first[:, k:].logsumexp(1) - best_first[:, k])
    return value


@pytest.mark.parametrize("scale", [0.0, 2.0, 40.0, 1e3, 1e4])
def test_value_and_gradient_are_those_of_a_loop_over_ranks(scale):
    scores, order, weights = ranked(scale=scale)
    value, expected = plackett_luce(scores, order, weights), written_out(scores, order, weights)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    slope = torch.autograd.grad(value.sum(), scores)[0]
    torch.testing.assert_close(slope, torch.autograd.grad(expected.sum(), scores)[0])


@pytest.mark.parametrize("scale", [3.0, 1e4])
def test_both_number_ranges_agree_where_weights_are_zero(scale, monkeypatch):
    scores, order, weights = ranked(scale=scale)
    weights[:, 2:] = 0
    monkeypatch.setattr(module, "LINEAR_SPREAD", -1.0)
    value = plackett_luce(scores, order, weights)
    monkeypatch.undo()
    expected = written_out(scores, order, weights)
    torch.testing.assert_close(value, expected)
    slopes = [torch.autograd.grad(x.sum(), scores)[0] for x in (value, expected)]
    torch.testing.assert_close(*slopes)


def test_rows_in_blocks_give_the_same_bits(monkeypatch):
    scores, order, weights = ranked(dtype=torch.float32)
    value = plackett_luce(scores, order, weights)
    monkeypatch.setattr(module, "BLOCK", 14)
    blocked = plackett_luce(scores, order, weights)
    assert torch.equal(value, blocked)
    slopes = [torch.autograd.grad(x.sum(), scores)[0] for x in (value, blocked)]
    assert torch.equal(*slopes)


def test_classes_on_the_last_axis_of_any_shape():
    scores, order, weights = ranked()
    value = plackett_luce(*(x.reshape(2, 3, 7) for x in (scores, order, weights)))
    assert torch.equal(value.reshape(-1), plackett_luce(scores, order, weights))
    single = plackett_luce(scores[0], order[0], weights[0])
    assert single.shape == ()


def test_the_last_choice_costs_exactly_nothing():
    scores, order, weights = ranked(classes=4)
    weights[:, 1:] = 0
    value = plackett_luce(scores, order, weights)
    assert (value == 0).all()


def test_without_a_gradient_none_is_computed():
    scores, order, weights = ranked()
    with torch.no_grad():
        assert not plackett_luce(scores, order, weights).requires_grad
    assert not plackett_luce(scores.detach(), order, weights).requires_grad


def test_weights_and_shapes_are_checked():
    scores, order, weights = ranked()
    with pytest.raises(ArgumentError, match="weights requires grad"):
        plackett_luce(scores, order, weights.requires_grad_())
    with pytest.raises(ArgumentError, match="order"):
        plackett_luce(scores, order[:2], weights.detach())
    with pytest.raises(ArgumentError, match="at least one class"):
        plackett_luce(scores[:, :0], order[:, :0], weights[:, :0].detach())
