"""Convolution, group normalisation and pooling whose second derivatives are written out.

A gradient of a gradient goes through the derivative of each layer's backward pass. What torch
composes for it from general parts takes more passes over memory than the closed forms here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# Below this many numbers in a layer's input, calls cost more than the passes that are saved.
WORTHWHILE = 400_000
_aten = torch.ops.aten
Maybe = Tensor | None


def closed_form(size: int = WORTHWHILE) -> AbstractContextManager[Any]:
    """Let convolutions, group norms and average pools have closed-form second derivatives.

    Values and derivatives are those of torch; only layers on the CPU with at least `size` numbers
    in their input are taken over.

    Args:
        size: numbers in an input from which on a layer is taken over.

    Returns:
        A context.

    Example:
        >>> x = torch.randn(2, 1, 5, 5, requires_grad=True)
        >>> kernel = torch.randn(3, 1, 3, 3, requires_grad=True)
        >>> with closed_form(0):
        ...     y = torch.nn.functional.conv2d(x, kernel, padding=1)
        >>> first = torch.autograd.grad(y.square().sum(), kernel, create_graph=True)[0]
        >>> torch.autograd.grad(first.square().sum(), x)[0].shape
        torch.Size([2, 1, 5, 5])
    """
    return _ClosedForm(size)


class _ClosedForm(TorchFunctionMode):
    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        taken = _TAKEN.get(func)
        if (
            taken is not None
            and args
            and args[0].device.type == "cpu"
            and args[0].numel() >= self._size
        ):
            done = taken(*args, **(kwargs or {}))
            if done is not None:
                return done
        return func(*args, **(kwargs or {}))

    def _takes(self, x: Tensor) -> bool:
        return x.device.type == "cpu" and x.numel() >= self._size


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Maybe = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Maybe:
    if isinstance(padding, str) or x.ndim != 4:
        return None
    layout = tuple(
        (one, one) if isinstance(one, int) else tuple(one) for one in (stride, padding, dilation)
    )
    return _Convolution.apply(x, weight, bias, (*layout, groups))


class _Convolution(torch.autograd.Function):
    """y = x * w + b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Maybe, layout: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.layout, ctx.biased = layout, bias is not None
        return _convolve(x, weight, bias, layout)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        wanted = (*ctx.needs_input_grad[:2], ctx.biased)
        return *_ConvolutionBackward.apply(grad, x, weight, ctx.layout, wanted), None


class _ConvolutionBackward(torch.autograd.Function):
    """Gradients of x, w and b; linear in each of grad, x and w, and so is what comes back."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, x: Tensor, weight: Tensor, layout: Any, wanted: Any) -> Any:
        ctx.save_for_backward(grad, x, weight)
        ctx.layout = layout
        ctx.set_materialize_grads(False)
        return _correlate(grad, x, weight, layout, wanted)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_x: Maybe, to_weight: Maybe, to_bias: Maybe) -> Any:
        grad, x, weight = ctx.saved_tensors
        layout, found = ctx.layout, {}
        if to_x is not None:
            found["grad"] = _convolve(to_x, weight, None, layout)
            found["weight"] = _correlate(grad, to_x, weight, layout, (False, True, False))[1]
        if to_weight is not None:
            along = _convolve(x, to_weight, None, layout)
            found["grad"] = found["grad"].add_(along) if "grad" in found else along
            if ctx.needs_input_grad[1]:
                found["x"] = _correlate(grad, x, to_weight, layout, (True, False, False))[0]
        if to_bias is not None:
            shift = to_bias.reshape(1, -1, 1, 1)
            found["grad"] = (
                found["grad"].add_(shift) if "grad" in found else shift.expand_as(grad).clone()
            )
        return found.get("grad"), found.get("x"), found.get("weight"), None, None


def _convolve(x: Tensor, weight: Tensor, bias: Maybe, layout: Any) -> Tensor:
    *shape, groups = layout
    return _aten.convolution(x, weight, bias, *shape, False, (0, 0), groups)


def _correlate(grad: Tensor, x: Tensor, weight: Tensor, layout: Any, wanted: Any) -> Any:
    *shape, groups = layout
    size = [weight.shape[0]] if wanted[2] else None
    return _aten.convolution_backward(
        grad, x, weight, size, *shape, False, (0, 0), groups, list(wanted)
    )


def _group_norm(
    x: Tensor, num_groups: int, weight: Maybe = None, bias: Maybe = None, eps: float = 1e-5
) -> Maybe:
    if weight is None or bias is None or x.ndim < 3 or x.shape[1] % num_groups:
        return None
    return _GroupNorm.apply(x.contiguous(), weight, bias, num_groups, eps)


class _GroupNorm(torch.autograd.Function):
    """y = w n(x) + b, n(x) having mean 0 and variance 1 in each group."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Any:
        sizes = (x.shape[0], x.shape[1], x[0, 0].numel(), groups)
        y, mean, rate = _aten.native_group_norm(x, weight, bias, *sizes, eps)
        ctx.save_for_backward(x, weight, mean, rate)
        ctx.sizes, ctx.eps = sizes, eps
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        found = _GroupNormBackward.apply(grad.contiguous(), *ctx.saved_tensors, ctx.sizes, ctx.eps)
        return *found, None, None


class _GroupNormBackward(torch.autograd.Function):
    r"""Gradients of x, w and b.

    With n numbers in a group, r the reciprocal deviation, :math:`\hat x` the normalised input and
    the symmetric projection :math:`P u = u - \bar u - \hat x\,\overline{\hat x u}`, the
    gradient of x is :math:`r P (w g)`. For a cotangent v of it, g gets :math:`w\, r P v` and x
    gets :math:`-\frac rn (\langle v, r P w g\rangle \hat x + \langle w g, \hat x\rangle r P v
    + \langle v, \hat x\rangle r P w g)`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        grad: Tensor,
        x: Tensor,
        weight: Tensor,
        mean: Tensor,
        rate: Tensor,
        sizes: Any,
        eps: float,
    ) -> Any:
        found = _aten.native_group_norm_backward(
            grad, x, mean, rate, weight, *sizes, [True, True, True]
        )
        ctx.save_for_backward(grad, x, weight, mean, rate, found[0])
        ctx.sizes, ctx.eps = sizes, eps
        ctx.set_materialize_grads(False)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_x: Maybe, to_weight: Maybe, to_bias: Maybe) -> Any:
        grad, x, weight, mean, rate, grad_x = ctx.saved_tensors
        samples, channels, _, groups = sizes = ctx.sizes
        per_channel = (1, channels, *[1] * (x.ndim - 2))
        parts: dict[str, list[Tensor]] = {"grad": [], "x": []}
        grad_weight = None

        def projected(u: Tensor, scale: Maybe) -> Tensor:
            """r P (scale u)."""
            only_x = [True, False, False]
            return _aten.native_group_norm_backward(u, x, mean, rate, scale, *sizes, only_x)[0]

        if to_weight is not None:
            zero = torch.zeros_like(to_weight)
            scaled = _aten.native_group_norm(x, to_weight, zero, *sizes, ctx.eps)[0]
            parts["grad"].append(scaled)
            parts["x"].append(projected(grad, to_weight))
        if to_x is not None:
            to_x = to_x.contiguous()
            normal = _aten.native_group_norm(x, None, None, *sizes, ctx.eps)[0]
            back = projected(to_x, None)
            grad_weight = (grad * back).sum((0, *range(2, x.ndim)))
            shape = (samples * groups, 1, -1)
            flat = normal.reshape(shape).transpose(1, 2)
            per_group = (samples * groups, 1, 1)
            along_x = torch.bmm(to_x.reshape(shape), flat)
            along_grad = torch.bmm((grad * weight.view(per_channel)).reshape(shape), flat)
            both = torch.bmm(to_x.reshape(shape), grad_x.reshape(shape).transpose(1, 2))
            factor = rate.reshape(per_group) / -flat.shape[1]
            total = normal.reshape(shape).mul_(both * factor)
            total.addcmul_(back.reshape(shape), along_grad * factor)
            total.addcmul_(grad_x.reshape(shape), along_x * factor)
            parts["x"].append(total.view_as(x))
            parts["grad"].append(back.mul_(weight.view(per_channel)))
        sums = {name: _added(several) for name, several in parts.items()}
        if to_bias is not None:
            shift = to_bias.view(per_channel)
            held = sums["grad"]
            sums["grad"] = shift.expand_as(grad).clone() if held is None else held.add_(shift)
        return sums["grad"], sums["x"], grad_weight, None, None, None, None


def _average_pool(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Maybe:
    side = kernel_size if isinstance(kernel_size, int) else kernel_size[0]
    plain = (side, (side, side), [side, side])
    same = kernel_size in plain and (stride is None or stride in plain)
    if x.ndim != 4 or not same or padding not in (0, (0, 0), [0, 0]) or divisor_override:
        return None
    # Where squares fill the image there is no border to speak of.
    if x.shape[2] % side or x.shape[3] % side:
        return None
    return _AveragePool.apply(x, side)


class _AveragePool(torch.autograd.Function):
    """Means of squares that lie side by side; linear, and its transpose spreads them evenly."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, side: int) -> Tensor:
        ctx.side = side
        # Whole rows are added to rows, then columns to columns: torch's own kernel walks the
        # squares one by one.
        rows = _total(x.unflatten(2, (-1, side)).unbind(3))
        return _total(rows.unflatten(3, (-1, side)).unbind(4)).mul_(1 / side**2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _Spread.apply(grad, ctx.side), None


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grad: Tensor, side: int) -> Tensor:
        ctx.side = side
        wide = (grad / side**2).repeat_interleave(side, 3)
        return wide.unsqueeze(3).expand(-1, -1, -1, side, -1).flatten(2, 3)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _AveragePool.apply(grad, ctx.side), None


def _total(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0] + parts[1] if len(parts) > 1 else parts[0].clone()
    for part in parts[2:]:
        total += part
    return total


def _added(parts: Sequence[Tensor]) -> Maybe:
    if not parts:
        return None
    total = parts[0]
    for part in parts[1:]:
        total.add_(part)
    return total


_TAKEN: dict[Any, Callable[..., Maybe]] = {
    torch.conv2d: _convolution,
    functional.conv2d: _convolution,
    functional.group_norm: _group_norm,
    functional.avg_pool2d: _average_pool,
}
