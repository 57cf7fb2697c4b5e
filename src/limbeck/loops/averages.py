"""Averages of weights that a loop keeps beside a model."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

State = dict[str, Tensor]


def ema(decay: float, *, warm: bool = False) -> Callable[[int], float]:
    """Exponential moving average: the share of the new weights is ``1 - decay``.

    Args:
        decay: share of the old ones.
        warm: whether the first updates count more, ``9 / (10 + step)``, so that an average of a few
            hundred is not made of the weights that it started from.

    Example:
        >>> round(ema(0.9)(10), 3), round(ema(0.9, warm=True)(10), 3)
        (0.1, 0.45)
    """
    if not warm:
        return lambda step: 1 - decay
    return lambda step: max(1 - decay, 9 / (10 + step))


def swa(start: int, every: int = 1) -> Callable[[int], float]:
    """Plain average of the weights of every `every`-th step from `start` on.

    Example:
        >>> [round(swa(2)(step), 2) for step in range(1, 5)]
        [1.0, 1.0, 0.5, 0.33]
    """

    def share(step: int) -> float:
        if step <= start:
            return 1.0
        return 0.0 if (step - start) % every else 1 / (1 + (step - start) // every)

    return share


def blend(average: State, new: State, share: float) -> None:
    """Move an average towards new weights by a share of the way, in place."""
    if share == 0:
        return
    for name, tensor in average.items():
        if tensor.is_floating_point() and share != 1:
            tensor.lerp_(new[name], share)
        else:
            tensor.copy_(new[name])


def copied(model: nn.Module) -> State:
    """A model's state in memory of its own."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
