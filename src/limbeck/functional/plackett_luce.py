"""The Plackett-Luce model of rankings: the weighted likelihood of an order, one kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from limbeck.checks import check_no_grad, check_same_shape
from limbeck.errors import ArgumentError
from limbeck.functional.guards import check_finite, traced, widened

# Scores of a row may lie this far apart before exp(score - middle) leaves the range of float64.
LINEAR_SPREAD = 1300.0
# Rows are taken in blocks of about this many entries, which stay in a processor's cache.
BLOCK = 2**17


def plackett_luce(scores: Tensor, order: Tensor, weights: Tensor) -> Tensor:
    r"""Weighted negative log-likelihood of a ranking, :math:`\sum_k w_k \ell_k`.

    A ranking is a series of choices: the best of all C, then the best of those left, and so on.
    With :math:`\pi` the classes from best to worst, choice k costs

    .. math:: \ell_k = \log \sum_{l \ge k} e^{s_{\pi_l}} - s_{\pi_k}

    and the last one, with a single class left, costs exactly 0. The gradient is closed form,
    :math:`\partial L / \partial s_i = e^{s_i} \sum_{k \le r_i} w_k / Z_k - w_{r_i}` with
    :math:`r_i` the rank of class i and :math:`Z_k` the sum above, so nothing but a sort and two
    cumulative sums is paid for.

    Args:
        scores: ``(N, C)``, or any shape with classes on the last axis.
        order: class indices from worst to best, as an ascending sort gives them, same shape.
        weights: weight of each choice from worst to best, same shape, at least 0, no gradient.

    Returns:
        ``(N,)``, or the shape of `scores` without its last axis, in float32 or wider.

    Raises:
        ArgumentError: shapes differ, weights require grad, or scores are not finite.

    Example:
        >>> scores = torch.tensor([[0.0, 2.0, 1.0]])
        >>> likelihood = plackett_luce(scores, scores.argsort(), torch.ones(1, 3))
        >>> round(likelihood.item(), 4)
        0.7209

    Source: Xia et al., ICML 2008 (ListMLE); with weights Lan et al., UAI 2014 (p-ListMLE).
    """
    check_same_shape(scores, order, ("scores", "order"))
    check_same_shape(scores, weights, ("scores", "weights"))
    check_no_grad(weights, "weights")
    if scores.ndim == 0 or scores.shape[-1] == 0:
        raise ArgumentError(f"scores has shape {tuple(scores.shape)}, expected at least one class")
    check_finite(scores, "scores")
    scores = widened(scores)
    if traced(scores, order, weights):
        return _value(scores.gather(-1, order), weights)
    classes = scores.shape[-1]
    rows = _PlackettLuce.apply(
        scores.reshape(-1, classes), order.reshape(-1, classes), weights.reshape(-1, classes)
    )
    return rows.reshape(scores.shape[:-1])


def _value(ordered: Tensor, weights: Tensor) -> Tensor:
    """The same by differentiable steps in the log domain, for scores from worst to best."""
    ordered = ordered - ordered.detach().amax(-1, keepdim=True)
    cost = ordered.logcumsumexp(-1) - ordered
    return (weights * cost)[..., 1:].sum(-1)


class _PlackettLuce(torch.autograd.Function):
    """Value and closed-form gradient of rows ``(N, C)`` in one pass."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, order: Tensor, weights: Tensor) -> Tensor:
        value = scores.new_empty(scores.shape[0])
        slope = torch.empty_like(scores) if ctx.needs_input_grad[0] else None
        block = max(1, BLOCK // scores.shape[1]) if scores.device.type == "cpu" else len(scores)
        for start in range(0, len(scores), block or 1):
            rows = slice(start, start + block)
            # The wider type for sums of terms that differ by many orders of magnitude.
            wide = torch.float64 if scores.device.type != "mps" else torch.float32
            ordered = scores[rows].gather(1, order[rows]).to(wide)
            weight = weights[rows].to(wide)
            value[rows], change = _block(ordered, weight, slope is not None)
            if slope is not None:
                slope[rows].scatter_(1, order[rows], change.to(slope.dtype))
        ctx.save_for_backward(scores, order, weights, slope)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        scores, order, weights, slope = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return upstream[:, None] * slope, None, None
        # A second derivative is wanted: take the gradient again by steps that have one.
        value = _value(scores.gather(1, order), weights)
        return torch.autograd.grad(value, scores, upstream, create_graph=True)[0], None, None


def _block(ordered: Tensor, weight: Tensor, need_slope: bool) -> tuple[Tensor, Tensor]:
    """Value ``(N,)`` and slope ``(N, C)`` of scores from worst to best."""
    high, low = ordered.amax(1, keepdim=True), ordered.amin(1, keepdim=True)
    ordered = ordered.sub_((high + low) / 2)
    if ordered.dtype == torch.float64 and bool((high - low <= LINEAR_SPREAD).all()):
        odds = ordered.exp()
        total = odds.cumsum(1)
        value = total.log().sub_(ordered).mul_(weight)[:, 1:].sum(1)
        if need_slope:
            share = (weight / total).flip(1).cumsum(1).flip(1)
            return value, share.mul_(odds).sub_(weight)
        return value, odds
    total = ordered.logcumsumexp(1)
    value = ((total - ordered) * weight)[:, 1:].sum(1)
    share = (weight.log() - total).flip(1).logcumsumexp(1).flip(1)
    return value, (share + ordered).exp() - weight
