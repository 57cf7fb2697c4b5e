"""Sharpness-aware steps: gradients that lead to flat places."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from limbeck.errors import ArgumentError

TINY = 1e-12


def ascent(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    *,
    radius: float,
    adaptive: bool = False,
) -> list[Tensor]:
    r"""The step towards higher loss, of a given length over all parameters together.

    .. math:: \epsilon = \rho\, g / \|g\| \quad\text{or, adaptive,}\quad
        \epsilon = \rho\, \theta^2 g / \|\,|\theta|\, g\|

    Args:
        parameters: any shapes.
        gradients: of the loss, shapes as the parameters.
        radius: rho.
        adaptive: measure in units of each weight's size.

    Returns:
        What to add to each parameter.

    Raises:
        ArgumentError: the radius is negative.

    Example:
        >>> ascent([torch.ones(2)], [torch.tensor([3.0, 4.0])], radius=1.0)
        [tensor([0.6000, 0.8000])]

    Source: Foret et al., arXiv 2010.01412; adaptive: Kwon et al., arXiv 2102.11600.
    """
    if radius < 0:
        raise ArgumentError(f"radius is {radius}, expected at least 0")
    if adaptive:
        scaled = [one.abs() * grad for one, grad in zip(parameters, gradients, strict=True)]
        directions = [one.abs() * part for one, part in zip(parameters, scaled, strict=True)]
    else:
        scaled = directions = list(gradients)
    factor = radius / (_norm(scaled) + TINY)
    return [direction * factor for direction in directions]


def surrogate_gap_direction(
    gradients: Sequence[Tensor], perturbed: Sequence[Tensor], *, weight: float
) -> list[Tensor]:
    r"""The direction that lowers the perturbed loss and the gap between it and the loss.

    .. math:: g_p - \alpha\, g_\perp, \qquad
        g_\perp = g - \frac{\langle g, g_p \rangle}{\|g_p\|^2}\, g_p

    Args:
        gradients: g, of the loss where the parameters are.
        perturbed: g_p, of the loss after `ascent`.
        weight: alpha; 0 gives sharpness-aware minimisation.

    Returns:
        The direction to descend along, a tensor a parameter.

    Example:
        >>> g, g_p = [torch.tensor([1.0, 1.0])], [torch.tensor([2.0, 0.0])]
        >>> surrogate_gap_direction(g, g_p, weight=0.5)
        [tensor([ 2.0000, -0.5000])]

    Source: Zhuang et al., arXiv 2203.08065, algorithm 1.
    """
    dot = sum((a * b).sum() for a, b in zip(gradients, perturbed, strict=True))
    along = dot / (_norm(perturbed).square() + TINY)
    return [b - weight * (a - along * b) for a, b in zip(gradients, perturbed, strict=True)]


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([one.norm() for one in tensors]).norm()
