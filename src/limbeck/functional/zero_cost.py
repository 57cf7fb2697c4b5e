"""Scores of untrained networks from one batch: what is asked of them beside how they are judged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from limbeck.errors import ArgumentError
from limbeck.functional.guards import check_finite, widened


def activation_pattern_score(patterns: Sequence[Tensor]) -> Tensor:
    r"""Logarithm of the determinant of how often pairs of samples switch units alike (NWOT).

    .. math:: \log |\det K|, \qquad K_{ij} = \sum_u [c_{iu} = c_{ju}]

    Args:
        patterns: of each layer of units, where they are on, ``(N, ...)`` as booleans or 0 and 1.

    Returns:
        A scalar; minus infinity where two samples switch all units alike.

    Raises:
        ArgumentError: there is no pattern, or they are of different samples.

    Example:
        >>> on = torch.tensor([[True, False], [False, False]])
        >>> round(activation_pattern_score([on]).item(), 4)
        1.0986

    Source: Mellor et al., arXiv 2006.04647.
    """
    if not patterns or len({len(one) for one in patterns}) > 1:
        raise ArgumentError(
            f"patterns holds {len(patterns)} layers of {sorted({len(one) for one in patterns})} "
            "samples, expected one or more of the same samples; has the network ReLUs?"
        )
    alike = torch.zeros(len(patterns[0]), len(patterns[0]), dtype=torch.float64)
    for one in patterns:
        on = one.flatten(1).to(torch.float32)
        same = on @ on.T + (1 - on) @ (1 - on).T
        alike += same.to(alike)
    return torch.linalg.slogdet(alike).logabsdet


def synaptic_saliency(
    weights: Sequence[Tensor], gradients: Sequence[Tensor], *, absolute: bool = False
) -> Tensor:
    r"""What a loss would lose without each weight, to first order, summed over all.

    .. math:: \sum_w w \, \frac{\partial L}{\partial w}

    Of the summed output of a network with absolute weights, shown ones, it is SynFlow; with
    `absolute` terms, of the loss of a batch, SNIP.

    Args:
        weights: any shapes.
        gradients: of a number with respect to them, same shapes.
        absolute: take each product's absolute value.

    Returns:
        A scalar, in float64: the sums of deep networks leave float32 behind.

    Raises:
        ArgumentError: there are other numbers of weights and gradients.

    Example:
        >>> synaptic_saliency([torch.tensor([1.0, -2.0])], [torch.tensor([3.0, 1.0])]).item()
        1.0

    Source: Tanaka et al., arXiv 2006.05467; Lee, Ajanthan and Torr, arXiv 1810.02340.
    """
    if len(weights) != len(gradients):
        raise ArgumentError(
            f"weights holds {len(weights)} tensors and gradients {len(gradients)}, expected one "
            "gradient a weight"
        )
    total = torch.zeros((), dtype=torch.float64)
    for weight, gradient in zip(weights, gradients, strict=True):
        product = weight.detach().double() * gradient.detach().double()
        total += (product.abs() if absolute else product).sum().cpu()
    return total


def gradient_norm(gradients: Sequence[Tensor]) -> Tensor:
    """Sum of the lengths of gradients, one a weight (GradNorm).

    Args:
        gradients: any shapes.

    Returns:
        A scalar.

    Example:
        >>> gradient_norm([torch.tensor([3.0, 4.0]), torch.tensor([2.0])]).item()
        7.0

    Source: Abdelfattah et al., arXiv 2101.08134.
    """
    lengths = [torch.linalg.vector_norm(widened(one)).cpu() for one in gradients]
    return torch.stack(lengths).sum() if lengths else torch.zeros(())


def zen_score(plain: Tensor, moved: Tensor, variances: Sequence[Tensor]) -> Tensor:
    r"""How far features move with random inputs, with what normalisation took away put back.

    .. math:: \log \overline{|f(x) - f(x + \alpha \epsilon)|} + \sum_l \log \sqrt{\bar\sigma_l^2}

    Args:
        plain: features of random inputs, any shape.
        moved: those of inputs a little beside them, same shape.
        variances: of the channels, one tensor for each layer of batch normalisation.

    Returns:
        A scalar.

    Raises:
        ArgumentError: a feature is NaN or infinite.

    Example:
        >>> zen_score(torch.zeros(2), torch.ones(2), [torch.ones(3)]).item()
        0.0

    Source: Lin et al., arXiv 2102.01063.
    """
    check_finite(plain, "plain")
    check_finite(moved, "moved")
    score = (widened(plain) - widened(moved)).abs().mean().log()
    return score + sum((0.5 * one.mean().log() for one in variances), torch.zeros(()))
