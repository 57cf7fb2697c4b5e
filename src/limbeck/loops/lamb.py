"""LAMB: Adam whose step is as long, layer by layer, as the weights themselves allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Lamb(torch.optim.Optimizer):
    r"""Layer-wise adaptive moments for large batches.

    With bias-corrected moments :math:`\hat m, \hat v` of a tensor of weights w:

    .. math:: u = \hat m / (\sqrt{\hat v} + \epsilon) + \lambda w, \qquad
              w \leftarrow w - \mathrm{lr} \, \frac{\lVert w \rVert}{\lVert u \rVert} \, u

    The ratio of norms is 1 where either is 0.

    Args:
        parameters: what learns.
        lr: learning rate.
        betas: of the two moments.
        eps: keeps the quotient finite.
        weight_decay: :math:`\lambda`, added to the direction before its norm is taken.

    Example:
        >>> weight = nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> optimiser = Lamb([weight], lr=0.1)
        >>> weight.sum().backward()
        >>> optimiser.step()
        >>> [round(value, 3) for value in weight.tolist()]
        [2.646, 3.646]

    Source: You et al., arXiv 1904.00962, algorithm 2, with the identity as its scaling function.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: computes the loss again, if given.

        Returns:
            What the closure gave, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)
        return loss

    def _move(self, weight: Tensor, slope: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = 0
            state["first"], state["second"] = torch.zeros_like(weight), torch.zeros_like(weight)
        state["step"] += 1
        first, second, (one, two) = state["first"], state["second"], group["betas"]
        first.lerp_(slope, 1 - one)
        second.mul_(two).addcmul_(slope, slope, value=1 - two)
        spread = (second / (1 - two ** state["step"])).sqrt_().add_(group["eps"])
        direction = (first / (1 - one ** state["step"])).div_(spread)
        direction.add_(weight, alpha=group["weight_decay"])
        size, length = weight.norm(), direction.norm()
        ratio = torch.where((size > 0) & (length > 0), size / length, 1.0)
        weight.sub_(direction.mul_(ratio), alpha=group["lr"])
