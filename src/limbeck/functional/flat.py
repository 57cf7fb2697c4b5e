"""Divergences of distributions that a high temperature has made nearly uniform.

They are sums of squares of small gaps; taken as differences of logarithms of nearly equal numbers,
rounding is larger than they are, and T² makes it larger still.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Temperatures from here on pay for the digits; below, those lost do not show in float32.
FLAT_ABOVE = 30.0
# Below this size the excess is a series, cut where float64 has no digits left.
SMALL = 0.1
TERMS = 9


def flat_divergence(
    logits: tuple[Tensor, Tensor, float],
    log_probabilities: tuple[Tensor, Tensor],
    *,
    divergence: str,
    mixture: float,
    axis: int,
) -> tuple[Tensor, Tensor]:
    r"""Divergences from what lies between the logits, without a difference of logarithms.

    With :math:`w = (z_s - z_t) / T` the gap of the log-probabilities is
    :math:`d = w - \log(1 + \sum_c p_c (e^{w_c} - 1))`, and as both distributions sum to 1

    .. math:: KL(p \| q) = \sum_c p_c\, e(d_c), \qquad e(d) = e^d - 1 - d

    of which every term is at least 0. The other divergences are sums of :math:`e` too.

    Args:
        logits: of student and teacher, of one shape, and T.
        log_probabilities: :math:`\log q` and :math:`\log p`, softened.
        divergence: as in `soft_target_loss`; for ``"cross_entropy"`` it is KL, to which the
            entropy of the teacher is to be added.
        mixture: of ``"js"``.
        axis: of the classes.

    Returns:
        Values without `axis`, and where they are to be used: where no class of a sample is ruled
        out by one side alone and no gap is larger than 1.

    Example:
        >>> z = torch.tensor([[3.0, 0.0]]), torch.zeros(1, 2)
        >>> logs = [(x / 1e6).log_softmax(-1) for x in z]
        >>> value, flat = flat_divergence((*z, 1e6), logs, divergence="kl", mixture=0.5, axis=-1)
        >>> round(1e12 * value.item(), 4), flat.item()
        (1.125, True)
    """
    student, teacher, temperature = logits
    log_q, log_p = log_probabilities
    ruled_out = teacher == -torch.inf
    same = ((student == -torch.inf) == ruled_out).all(axis, keepdim=True)
    gap = (torch.where(ruled_out, 0.0, student) - torch.where(ruled_out, 0.0, teacher)).div(
        temperature
    )
    p, q = log_p.exp(), log_q.exp()
    gap = gap - torch.where(ruled_out, 0.0, p * gap).detach().sum(axis, keepdim=True)
    gap = torch.where(ruled_out, 0.0, gap)
    flat = same & (gap.detach().abs().amax(axis, keepdim=True) <= 1)
    # What is not used must be finite, or its gradient of 0 would not be a number.
    gap = torch.where(flat, gap, 0.0)
    d = gap - (p * gap.expm1()).sum(axis, keepdim=True).log1p()
    if divergence == "js" and 0 < mixture < 1:
        to_p = ((1 - mixture) * d.expm1()).log1p()
        to_q = (mixture * (-d).expm1()).log1p()
        terms = mixture * p * _excess(to_p) + (1 - mixture) * q * _excess(to_q)
    elif divergence == "reverse_kl" or (divergence == "js" and mixture == 1):
        terms = q * _excess(-d)
    else:
        terms = p * _excess(d)
    return torch.where(ruled_out, 0.0, terms).sum(axis), flat.squeeze(axis)


def _excess(d: Tensor) -> Tensor:
    """exp(d) - 1 - d, with the digits of a square for small d."""
    small = d.detach().abs() <= SMALL
    near = torch.where(small, d, 0.0)
    series = torch.ones_like(d)
    for term in range(TERMS, 2, -1):
        series = 1 + near / term * series
    far = torch.where(small, 0.0, d)
    return torch.where(small, near.square() / 2 * series, far.expm1() - far)
