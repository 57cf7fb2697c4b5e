"""Trajectories of weights: how far a student came, and which stretch of an expert it follows."""

from __future__ import annotations

from torch import Tensor

from limbeck.checks import check_same_shape
from limbeck.errors import ArgumentError

# Squared distance, in squared lengths of the weights, that rounding alone may bring.
TINY = 1e-14


def relative_distance(end: Tensor, goal: Tensor, start: Tensor) -> Tensor:
    r"""Squared distance left to a goal, as a share of the distance at the start.

    .. math:: \|\theta_S - \theta^*\|^2 \,/\, \|\theta_0 - \theta^*\|^2

    Args:
        end: weights that a student reached, ``(P,)``, or of several, ``(M, P)``.
        goal: weights that it should have reached, of the same shape.
        start: weights that it started from, of the same shape; the denominator is a constant.

    Returns:
        The share ``()``, the mean of the shares of several.

    Raises:
        ArgumentError: shapes differ, or a start lies at its goal up to rounding.

    Example:
        >>> import torch
        >>> relative_distance(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 0.0]), torch.zeros(2))
        tensor(0.2500)

    Source: Cazenavette et al., arXiv 2203.11932, equation 2.
    """
    check_same_shape(end, goal, ("end", "goal"))
    check_same_shape(end, start, ("end", "start"))
    whole = (start.detach() - goal).square().sum(-1)
    if bool((whole <= TINY * start.detach().square().sum(-1)).any()):
        raise ArgumentError(
            "start and goal are the same weights up to rounding: a stretch of no length cannot be "
            "followed; choose other epochs, or look whether the expert's learning rate is near 0"
        )
    return ((end - goal).square().sum(-1) / whole).mean()


def start_epoch_upper_bound(
    step: int, *, first: int, last: int, growth_steps: int, sequential: bool = True
) -> int:
    """Exclusive upper bound of the epoch that a stretch may start from.

    It grows in equal parts from `first` to `last`, so that what is easy is followed first.

    Args:
        step: of the distillation, from 0.
        first: bound at step 0.
        last: bound from `growth_steps` on.
        growth_steps: how many steps the growth takes.
        sequential: False takes `last` at every step.

    Returns:
        The bound: start epochs lie below it.

    Example:
        >>> bounds = {"first": 10, "last": 20, "growth_steps": 1000}
        >>> [start_epoch_upper_bound(step, **bounds) for step in (0, 500, 5000)]
        [10, 15, 20]

    Source: Guo et al., arXiv 2310.05773, section 3.3; the published code.
    """
    if not sequential:
        return last
    if growth_steps < 1:
        raise ArgumentError(f"growth_steps is {growth_steps}, expected at least 1")
    return min(last, first + int((last - first) * step / growth_steps))


def average_correct_logits(expert_logits: Tensor, target: Tensor) -> Tensor:
    """Mean logits, for each image, of those experts that put its class first.

    Args:
        expert_logits: ``(M, N, C)`` of M experts.
        target: class indices ``(N,)``.

    Returns:
        Label logits ``(N, C)``.

    Raises:
        ArgumentError: shapes do not fit, or no expert is right about an image (it is named).

    Example:
        >>> import torch
        >>> said = torch.tensor([[[2.0, 0.0]], [[0.0, 9.0]], [[4.0, 2.0]]])
        >>> average_correct_logits(said, torch.tensor([0]))
        tensor([[3., 1.]])

    Source: Guo et al., arXiv 2310.05773; the published code.
    """
    if expert_logits.ndim != 3 or target.shape != expert_logits.shape[1:2]:
        raise ArgumentError(
            f"expert_logits have shape {tuple(expert_logits.shape)} and target "
            f"{tuple(target.shape)}, expected (M, N, C) and (N,)"
        )
    right = (expert_logits.argmax(-1) == target).to(expert_logits.dtype)
    count = right.sum(0)
    if not bool((count > 0).all()):
        image = int((count == 0).nonzero()[0, 0])
        raise ArgumentError(
            f"no expert puts class {int(target[image])} of image {image} first: there are no "
            "right logits to average; choose images that an expert gets right, or train longer"
        )
    return (expert_logits * right[..., None]).sum(0) / count[:, None]
