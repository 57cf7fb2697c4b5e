"""Pools: several members' distributions made into one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.checks import check_dimensions, check_temperature, check_weights
from limbeck.errors import ArgumentError
from limbeck.functional.divergences import log_probabilities
from limbeck.functional.guards import check_numbers


def mean_probabilities(
    member_logits: Tensor, weights: Tensor | None = None, *, temperature: float = 1.0
) -> Tensor:
    r"""Linear pool: logits whose softmax at `temperature` is the weighted mean of the members'.

    .. math:: z = T \log \sum_k w_k \, \mathrm{softmax}(z_k / T)

    Args:
        member_logits: ``(K, N, C)``.
        weights: ``(K,)`` or ``(K, N)``, at least 0; they are divided by their sum over K.
            None weighs all members alike.
        temperature: T above 0, the one at which the pooled distribution will be read.

    Returns:
        Logits ``(N, C)`` in the members' dtype, computed in float32 or wider. One member gives
        that member's logits unchanged, to the bit.

    Raises:
        ArgumentError: the shapes do not fit, weights are negative or all zero, or a logit of a
            member with a weight is NaN or plus infinity, on the CPU.

    Example:
        >>> members = torch.tensor([[[0.0, 0.0]], [[0.0, 20.0]]])
        >>> [round(p, 3) for p in mean_probabilities(members).softmax(-1)[0].tolist()]
        [0.25, 0.75]

    Source: Shen and Savvides, arXiv 2009.08453 (MEAL V2), the ensemble target.
    """
    check_temperature(temperature)
    log_weights = _normalised(member_logits, weights).log()
    if member_logits.shape[0] == 1:
        return _checked(member_logits[0])
    shares = log_probabilities(member_logits, temperature=temperature) + log_weights
    # A class that no member has would give logsumexp a gradient that is not a number.
    nobody = (shares == -math.inf).all(0)
    pooled = torch.logsumexp(shares.masked_fill(nobody, 0.0), dim=0).masked_fill(nobody, -math.inf)
    return _checked((temperature * pooled).to(member_logits.dtype))


def mean_logits(member_logits: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Geometric pool: the weighted mean of the members' logits, :math:`z = \sum_k w_k z_k`.

    Args:
        member_logits: ``(K, N, C)``.
        weights: as in `mean_probabilities`.

    Returns:
        Logits ``(N, C)`` in the members' dtype, computed in float32 or wider. One member gives
        that member's logits unchanged, to the bit.

    Raises:
        ArgumentError: the shapes do not fit, weights are negative or all zero, or a logit of a
            member with a weight is NaN or plus infinity, on the CPU.

    Example:
        >>> mean_logits(torch.tensor([[[0.0, 2.0]], [[0.0, 4.0]]])).tolist()
        [[0.0, 3.0]]
    """
    share = _normalised(member_logits, weights)
    if member_logits.shape[0] == 1:
        return _checked(member_logits[0])
    pooled = (torch.where(share > 0, member_logits, 0.0) * share).sum(0)
    return _checked(pooled.to(member_logits.dtype))


def _checked(pooled: Tensor) -> Tensor:
    check_numbers(pooled, "entries of member_logits", "places of the pool")
    return pooled


def _normalised(member_logits: Tensor, weights: Tensor | None) -> Tensor:
    """Weights that sum to one over members, shaped to multiply ``(K, N, C)``."""
    check_dimensions(member_logits, "member_logits", 3, "(K, N, C): members, samples, classes")
    members, samples = member_logits.shape[:2]
    if members == 0:
        raise ArgumentError(
            f"member_logits has shape {tuple(member_logits.shape)}, expected at least one member"
        )
    wide = torch.promote_types(member_logits.dtype, torch.float32)
    if weights is None:
        return member_logits.new_full((1, 1, 1), 1 / members, dtype=wide)
    weights = weights.to(member_logits.device, wide)
    if weights.shape not in ((members,), (members, samples)):
        raise ArgumentError(
            f"weights has shape {tuple(weights.shape)}, expected ({members},) for one weight a "
            f"member or ({members}, {samples}) for one a member and sample"
        )
    check_weights(weights)
    share = weights / weights.sum(0)
    return share.reshape(members, -1, 1)
