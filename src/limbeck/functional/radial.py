"""Radial functions of atomic graphs: a smooth cutoff and a basis that resolves short distances."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.checks import check_floating
from limbeck.errors import ArgumentError

# Distances enter the basis as exp(-5 r / cutoff), whatever the cutoff.
DECAY = 5.0


class RadialBasis(NamedTuple):
    """Where the functions of a basis sit, and how narrow they are, each ``(K,)``."""

    means: Tensor
    betas: Tensor


def cosine_cutoff(distance: Tensor, *, cutoff: float) -> Tensor:
    r"""A weight that falls smoothly from 1 at distance 0 to 0 at the cutoff, and stays there.

    .. math:: c(r) = \tfrac{1}{2} \big(\cos(\pi r / r_c) + 1\big) \text{ for } r < r_c,
        \text{ else } 0

    Args:
        distance: ``(E,)`` or any shape, in Angstrom.
        cutoff: r_c above 0, in Angstrom.

    Returns:
        Of the shape of `distance`, from 0 to 1.

    Raises:
        ArgumentError: distances are no floating-point numbers, or the cutoff is not above 0.

    Example:
        >>> cosine_cutoff(torch.tensor([0.0, 2.5, 5.0, 6.0]), cutoff=5.0)
        tensor([1.0000, 0.5000, 0.0000, 0.0000])

    Source: BAMBOO, arXiv 2404.07181.
    """
    _check(distance, cutoff)
    # At the cutoff itself the cosine is -1 to the last bit, and the weight 0.
    return 0.5 * torch.cos(distance.clamp(max=cutoff) * (math.pi / cutoff)) + 0.5


def exp_normal_basis(count: int, *, cutoff: float) -> RadialBasis:
    r"""Means and widths that `exp_normal` starts from.

    .. math:: \mu_k \text{ evenly from } e^{-r_c} \text{ to } 1, \qquad
        \beta_k = \Big(\frac{2}{K} (1 - e^{-r_c})\Big)^{-2}

    Args:
        count: K, at least 1.
        cutoff: r_c above 0, in Angstrom.

    Returns:
        Means and betas, ``(K,)`` in float32 each.

    Raises:
        ArgumentError: `count` or `cutoff` is not above 0.

    Example:
        >>> exp_normal_basis(3, cutoff=5.0).means[-1].item()
        1.0

    Source: BAMBOO, arXiv 2404.07181.
    """
    if type(count) is not int or count < 1:
        raise ArgumentError(f"count is {count!r}, expected a whole number of at least 1")
    _check_cutoff(cutoff)
    start = math.exp(-cutoff)
    means = torch.linspace(start, 1, count, dtype=torch.float64)
    betas = torch.full_like(means, (2 / count * (1 - start)) ** -2)
    return RadialBasis(means.float(), betas.float())


def exp_normal(
    distance: Tensor,
    means: Tensor,
    betas: Tensor,
    *,
    cutoff: float,
    weight: Tensor | None = None,
) -> Tensor:
    r"""Bell curves of :math:`e^{-5 r / r_c}`, each weighted by the cosine cutoff.

    .. math:: \phi_k(r) = c(r) \exp\big(-\beta_k (e^{-5 r / r_c} - \mu_k)^2\big)

    Args:
        distance: ``(E,)``, in Angstrom.
        means: :math:`\mu` ``(K,)``, see `exp_normal_basis`.
        betas: :math:`\beta` ``(K,)``.
        cutoff: r_c above 0, in Angstrom.
        weight: c(r) ``(E,)`` where `cosine_cutoff` was called already.

    Returns:
        ``(E, K)``; 0 from the cutoff on.

    Raises:
        ArgumentError: distances are not ``(E,)``, `means` and `betas` are not of one length, or
            the cutoff is not above 0.

    Example:
        >>> exp_normal(torch.tensor([0.0, 5.0]), *exp_normal_basis(2, cutoff=5.0), cutoff=5.0)[:, 1]
        tensor([1., 0.])

    Source: BAMBOO, arXiv 2404.07181.
    """
    if distance.ndim != 1:
        raise ArgumentError(f"distance has shape {tuple(distance.shape)}, expected (E,)")
    if means.ndim != 1 or means.shape != betas.shape:
        raise ArgumentError(
            f"means has shape {tuple(means.shape)} and betas {tuple(betas.shape)}, expected (K,) "
            "for both"
        )
    weight = cosine_cutoff(distance, cutoff=cutoff) if weight is None else weight
    offset = torch.exp(distance * (-DECAY / cutoff))[:, None] - means
    return weight[:, None] * torch.exp(-betas * offset.square())


def _check(distance: Tensor, cutoff: float) -> None:
    check_floating(distance, "distance")
    _check_cutoff(cutoff)


def _check_cutoff(cutoff: float) -> None:
    if not 0 < cutoff < math.inf:
        raise ArgumentError(f"cutoff is {cutoff}, expected a finite number of Angstrom above 0")
