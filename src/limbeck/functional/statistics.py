"""Statistics of batches against the running ones of BatchNorm: what images are recovered from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.linalg import vector_norm

from limbeck.checks import (
    check_axis,
    check_choice,
    check_dimensions,
    check_floating,
    check_no_grad,
    check_temperature,
    check_weights,
)
from limbeck.errors import ArgumentError
from limbeck.functional.guards import traced, widened


def statistics_distance(
    x: Tensor, running_mean: Tensor, running_var: Tensor, *, axis: int = 1
) -> Tensor:
    r"""How far the mean and the variance of a batch are from running statistics.

    .. math:: \|\sigma^2(x) - \mathrm{running\_var}\|_2 + \|\mu(x) - \mathrm{running\_mean}\|_2

    The variance is the biased one. The norms are over channels, neither squared nor averaged; the
    gradient of a norm that is 0 is 0.

    Args:
        x: what goes into a BatchNorm layer: ``(N, D)``, ``(N, D, H, W)``, or tokens ``(N, T, D)``
            with the axis given.
        running_mean: of the layer, ``(D,)``, without gradient.
        running_var: of the layer, ``(D,)``, without gradient.
        axis: of the channels D; statistics are over all others.

    Returns:
        The distance ``()``, in float32 or wider.

    Raises:
        ArgumentError: the axis does not exist, `x` holds nothing or no floating-point numbers, or
            running statistics require grad or are not ``(D,)``.

    Example:
        >>> x = torch.tensor([[0.0, 3.0], [2.0, 3.0]])
        >>> statistics_distance(x, torch.tensor([1.0, 0.0]), torch.tensor([1.0, 4.0])).item()
        7.0

    Source: Yin et al., arXiv 1912.08795, as used by Yin, Xing and Shen, arXiv 2306.13092.
    """
    check_statistics(x, running_mean, running_var, axis)
    wide = widened(x)
    over = [other for other in range(x.ndim) if other != axis % x.ndim]
    if x.device.type == "cpu":
        # Here torch's own variance takes many times as long as these passes together.
        mean = wide.mean(over, keepdim=True)
        variance, mean = (wide - mean).square().mean(over), mean.flatten()
    else:
        variance, mean = torch.var_mean(wide, over, correction=0)
    # Torch's norm has the gradient 0 where it is 0, unlike a root of squares.
    return vector_norm(variance - running_var) + vector_norm(mean - running_mean)


def statistics_regulariser(
    distances: Tensor | Sequence[Tensor], *, first_weight: float = 10.0
) -> Tensor:
    r"""Sum of the distances of all BatchNorm layers of a network, the first with a weight.

    .. math:: R = w_1 d_1 + \sum_{l > 1} d_l

    Args:
        distances: one a layer, in the order of the network: ``(L,)``, or L tensors ``()``.
        first_weight: of the first layer.

    Returns:
        The sum ``()``.

    Raises:
        ArgumentError: there is no distance, or they are not scalars.

    Example:
        >>> statistics_regulariser(torch.tensor([1.0, 2.0, 3.0])).item()
        15.0

    Source: Yin, Xing and Shen, arXiv 2306.13092; the published code.
    """
    each = _in_a_row(distances, "distances", "layer")
    return first_weight * each[0] + each[1:].sum()


def recovery_terms(
    label_losses: Tensor | Sequence[Tensor],
    regularisers: Tensor | Sequence[Tensor] | None = None,
    weights: Tensor | Sequence[float] | None = None,
    *,
    statistics_weight: float = 0.01,
) -> dict[str, Tensor]:
    r"""What images are recovered by: K networks say how well they fit labels and statistics.

    .. math:: \sum_k w_k \, \mathrm{CE}_k, \quad r \sum_k w_k \, R_k

    Args:
        label_losses: the cross-entropy of each network, ``(K,)`` or K tensors ``()``.
        regularisers: the `statistics_regulariser` of each, in the same form; None where
            no statistics are matched.
        weights: of the networks, ``(K,)``, such as `voting_weights`; None takes 1/K each.
        statistics_weight: r.

    Returns:
        Both terms ``()``, ``"label"`` and, where there are regularisers, ``"statistics"``; the
        objective is their sum.

    Raises:
        ArgumentError: there is no network, the numbers of losses, regularisers and weights
            differ, or weights are negative or all 0.

    Example:
        >>> losses, regularisers = torch.tensor([1.0, 3.0]), torch.tensor([100.0, 200.0])
        >>> recovery_terms(losses, regularisers, [0.75, 0.25])
        {'label': tensor(1.5000), 'statistics': tensor(1.2500)}

    Source: Cui et al., arXiv 2501.07575; with one network Yin, Xing and Shen, arXiv 2306.13092.
    """
    losses = _in_a_row(label_losses, "label_losses", "network")
    matched = None if regularisers is None else _in_a_row(regularisers, "regularisers", "network")
    if weights is None:
        shares = losses.new_full((len(losses),), 1 / len(losses))
    else:
        # Numbers are looked at before they move: an accelerator is not waited for.
        shares = torch.as_tensor(weights, dtype=losses.dtype)
        check_weights(shares)
        shares = shares.to(losses.device)
    if shares.shape != losses.shape or (matched is not None and matched.shape != losses.shape):
        raise ArgumentError(
            f"there are {len(losses)} label_losses, {0 if matched is None else len(matched)} "
            f"regularisers and weights of shape {tuple(shares.shape)}, expected one of each a "
            "network"
        )
    terms = {"label": (shares * losses).sum()}
    if matched is not None:
        terms["statistics"] = statistics_weight * (shares * matched).sum()
    return terms


def voting_weights(accuracies_in_percent: Tensor | Sequence[float], temperature: float) -> Tensor:
    r"""What each member of a committee counts: the better its prior, the more.

    .. math:: w_k = \mathrm{softmax}(\alpha / T)_k

    Args:
        accuracies_in_percent: priors ``(K,)``, from 0 to 100, of data that were not tested on.
        temperature: above 0, in percentage points; a large one makes the weights equal.

    Returns:
        Weights ``(K,)`` that sum to one, in float32 or wider; in float64 for a sequence.

    Raises:
        ArgumentError: there is no prior, one is negative or not finite, or the temperature is
            not above 0.

    Example:
        >>> [round(one, 4) for one in voting_weights([56.4, 42.3], temperature=5).tolist()]
        [0.9437, 0.0563]

    Source: Cui et al., arXiv 2501.07575.
    """
    check_temperature(temperature)
    if isinstance(accuracies_in_percent, Tensor):
        priors = widened(accuracies_in_percent)
    else:
        priors = torch.tensor(accuracies_in_percent, dtype=torch.float64)
    if priors.ndim != 1 or len(priors) == 0:
        raise ArgumentError(
            f"accuracies_in_percent has shape {tuple(priors.shape)}, expected (K,): one a member"
        )
    if not traced(priors) and not bool(((priors >= 0) & priors.isfinite()).all()):
        raise ArgumentError(
            f"accuracies_in_percent is {priors.tolist()}, expected finite numbers of at least 0; "
            "did a member's evaluation fail?"
        )
    # The best is taken off before the division, which a small temperature lets overflow.
    return ((priors - priors.max()) / temperature).softmax(0)


def image_variation(x: Tensor, *, form: Literal["l1", "l2"]) -> Tensor:
    r"""How much neighbouring pixels differ, over the four directions of neighbours.

    With :math:`D_a` the differences to the right, downwards and along both diagonals:

    - ``"l1"``: :math:`\sum_a \mathrm{mean}\,|D_a|`
    - ``"l2"``: :math:`\sum_a \|D_a\|_2`, one norm over the whole batch, which grows with it

    Args:
        x: images ``(N, C, H, W)``, H and W at least 2.
        form: ``"l1"`` or ``"l2"``.

    Returns:
        The variation ``()``, in float32 or wider.

    Raises:
        ArgumentError: the form is unknown, or `x` is no batch of images with neighbours.

    Example:
        >>> image_variation(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]), form="l1").item()
        3.0

    Source: Yin et al., arXiv 1912.08795, in the form of the published code of arXiv 2306.13092.
    """
    check_choice(form, "form", ("l1", "l2"))
    check_dimensions(x, "x", 4, "images (N, C, H, W)")
    if min(x.shape) < 1 or min(x.shape[2:]) < 2:
        raise ArgumentError(f"x has shape {tuple(x.shape)}, expected images of at least 2x2 pixels")
    wide = widened(x)
    differences = (
        wide[..., :, :-1] - wide[..., :, 1:],
        wide[..., :-1, :] - wide[..., 1:, :],
        wide[..., :-1, :-1] - wide[..., 1:, 1:],
        wide[..., 1:, :-1] - wide[..., :-1, 1:],
    )
    parts = [vector_norm(one) if form == "l2" else one.abs().mean() for one in differences]
    return torch.stack(parts).sum()


def check_statistics(x: Tensor, mean: Tensor, variance: Tensor, axis: int) -> None:
    """Raise `ArgumentError` unless running statistics fit a batch with channels on the axis."""
    check_floating(x, "x")
    check_axis(x, axis, "x")
    if x.numel() == 0:
        raise ArgumentError(f"x has shape {tuple(x.shape)}: a batch of nothing has no statistics")
    for value, name in ((mean, "running_mean"), (variance, "running_var")):
        check_no_grad(value, name)
        if value.shape != (x.shape[axis],):
            raise ArgumentError(
                f"{name} has shape {tuple(value.shape)} and x {tuple(x.shape)}, expected "
                f"({x.shape[axis]},) for channels on axis {axis}; is the axis right?"
            )


def _in_a_row(values: Tensor | Sequence[Tensor], name: str, of: str) -> Tensor:
    if not isinstance(values, Tensor):
        values = torch.stack(list(values)) if len(values) else torch.zeros(0)
    if values.ndim != 1 or len(values) == 0:
        raise ArgumentError(f"{name} has shape {tuple(values.shape)}, expected one number a {of}")
    return values
