"""BatchNorm on running statistics, which tells in passing how far the batch is from them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.linalg import vector_norm
from torch.nn import functional as F

from limbeck.functional.guards import traced
from limbeck.functional.statistics import check_statistics, statistics_distance


def matched_batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    r"""Normalise by running statistics, and return the distance of the batch from them as well.

    .. math:: y = w \, (x - \mathrm{running\_mean}) / \sqrt{\mathrm{running\_var} + \epsilon} + b

    On a CPU, with weights that do not learn, both take one kernel whose gradient is written out:
    it keeps `x` alone for the way back, and has a first derivative only.

    Args:
        x: ``(N, D)`` or ``(N, D, ...)``.
        running_mean: ``(D,)``, without gradient; it stays as it is.
        running_var: ``(D,)``, without gradient; it stays as it is.
        weight: ``(D,)``; None scales nothing.
        bias: ``(D,)``; None shifts nothing.
        eps: added to the variance.

    Returns:
        What BatchNorm gives in evaluation mode, with the shape of `x`, and the
        `statistics_distance` of `x`, ``()``.

    Raises:
        ArgumentError: `x` holds nothing, or running statistics require grad or are not ``(D,)``.

    Example:
        >>> x = torch.tensor([[0.0], [2.0]])
        >>> y, distance = matched_batch_norm(x, torch.zeros(1), torch.ones(1), eps=0.0)
        >>> y.flatten().tolist(), distance.item()
        ([0.0, 2.0], 1.0)
    """
    check_statistics(x, running_mean, running_var, 1)
    learns = any(one is not None and one.requires_grad for one in (weight, bias))
    wide = x.dtype == running_var.dtype and x.dtype in (torch.float32, torch.float64)
    if x.device.type == "cpu" and wide and not learns and not traced(x):
        scale = (running_var + eps).rsqrt()
        scale = scale if weight is None else scale * weight
        return _Matched.apply(x, running_mean, running_var, scale, bias)
    distance = statistics_distance(x, running_mean, running_var)
    return F.batch_norm(x, running_mean, running_var, weight, bias, False, 0.0, eps), distance


class _Matched(torch.autograd.Function):
    """Few passes over memory: two means, and one tensor that serves the squares and the output."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        scale: Tensor,
        bias: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        over = [axis for axis in range(x.ndim) if axis != 1]
        count = x.numel() // x.shape[1]
        mean = x.mean(over)
        y = x - _channels(mean, x)
        off_var = y.square_().mean(over) - running_var
        off_mean = mean - running_mean
        bias = torch.zeros_like(scale) if bias is None else bias
        shift = torch.addcmul(bias, running_mean, scale, value=-1)
        torch.mul(x, _channels(scale, x), out=y).add_(_channels(shift, x))
        far_var, far_mean = vector_norm(off_var), vector_norm(off_mean)
        # The gradient of the distance is x * slope + offset, for each channel; 0 where it is 0.
        tiny = torch.finfo(x.dtype).tiny
        slope = off_var / (far_var.clamp(min=tiny) * (count / 2))
        offset = off_mean / (far_mean.clamp(min=tiny) * count) - mean * slope
        ctx.save_for_backward(x, scale, slope, offset)
        ctx.set_materialize_grads(False)
        return y, far_var + far_mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor | None, grad_distance: Tensor | None) -> Any:
        x, scale, slope, offset = ctx.saved_tensors
        scale = _channels(scale, x)
        if grad_distance is None:
            grad = None if grad_y is None else grad_y * scale
        else:
            grad = x * _channels(slope * grad_distance, x)
            grad.add_(_channels(offset * grad_distance, x))
            if grad_y is not None:
                grad.addcmul_(grad_y, scale)
        return grad, None, None, None, None


def _channels(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.ndim - 2))
