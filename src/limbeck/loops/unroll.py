"""Unroll: some steps of training as a function that can be differentiated.

What a student's weights become is differentiated with respect to what it was trained on (images,
soft labels), its step size and where it started. The default keeps no graph of the steps: it walks
them backwards, one at a time, carrying the gradient of the end along (the adjoint of the
recursion), and is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.func import vmap

from limbeck.errors import ArgumentError
from limbeck.functional.second_order import WORTHWHILE, closed_form
from limbeck.networks.flat import Flat

Gradient = Literal["adjoint", "unroll", "truncated", "constant-memory"]
Loss = Callable[[Tensor, Tensor], Tensor]
KEPT_STEPS = 8
# How much larger than its input the largest layer of a network usually is.
WIDENING = 16


class Batches(Protocol):
    """What a student is trained on: the same batch whenever a step is asked for.

    `sources` are the tensors to differentiate with respect to, such as all synthetic images.
    """

    sources: tuple[Tensor, ...]

    def __len__(self) -> int:
        """How many steps there are."""

    def __call__(self, step: int, *sources: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a step, made from the sources, ``(N, ...)`` each."""


class Together:
    """Batches of several students at once.

    Args:
        several: batches of each student; all have the same sources and sizes.
    """

    def __init__(self, several: Sequence[Batches]) -> None:
        self.sources, self._several = several[0].sources, several

    def __len__(self) -> int:
        return len(self._several[0])

    def __call__(self, step: int, *sources: Tensor) -> tuple[Tensor, Tensor]:
        pairs = [one(step, *sources) for one in self._several]
        return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs])


class Listed:
    """Batches that are there already.

    Args:
        pairs: inputs and targets of each step.
    """

    def __init__(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.sources = tuple(one for pair in pairs for one in pair)

    def __len__(self) -> int:
        return len(self.sources) // 2

    def __call__(self, step: int, *sources: Tensor) -> tuple[Tensor, Tensor]:
        return sources[2 * step], sources[2 * step + 1]


def unroll(
    network: Flat,
    start: Tensor,
    batches: Batches | Sequence[tuple[Tensor, Tensor]],
    loss: Loss,
    lr: Tensor | float,
    *,
    momentum: float = 0.0,
    scale: float = 1.0,
    match: Sequence[int] | None = None,
    gradient: Gradient = "adjoint",
    kept_steps: int = KEPT_STEPS,
) -> Tensor:
    r"""Train a network for some steps of gradient descent and return the weights it came to.

    .. math:: v_{s+1} = \mu v_s + c\,\nabla_\theta \ell(f(x_s; \theta_s), y_s), \qquad
        \theta_{s+1} = \theta_s - \alpha v_{s+1}, \qquad v_0 = 0

    Args:
        network: f; must say the same whenever it is asked the same (no running statistics, no
            dropout).
        start: :math:`\theta_0`, ``(P,)``; or of M students at once, ``(M, P)``, each with batches
            of its own, whose tensors then have a leading axis M.
        batches: inputs and targets of each step, in a list or made when they are needed.
        loss: from outputs ``(N, C)`` and targets to a scalar.
        lr: alpha, ``()``.
        momentum: mu, of the heavy ball.
        scale: c, a factor of the loss.
        match: after how many steps weights are returned, rising; None for the last step alone.
        gradient: ``"adjoint"`` is exact with the graph of one step in memory; ``"unroll"`` is
            exact and keeps all graphs; ``"truncated"`` takes all but the last `kept_steps`
            gradients as constants; ``"constant-memory"`` takes every state as a constant inside
            its own gradient, which is exact for one step only.
        kept_steps: of ``"truncated"``.

    Returns:
        Weights at the match points, ``(len(match), P)`` or ``(len(match), M, P)``, which can be
        differentiated with respect to the batches' sources, `lr` and `start`.

    Raises:
        ArgumentError: there are no steps, or a match point lies outside them.

    Source: the heavy-ball recursion and its adjoint; constant memory: Cui et al., arXiv
    2211.10586; truncated: Shen et al., arXiv 2310.10541.

    Example:
        >>> flat = Flat(torch.nn.Linear(2, 1, bias=False))
        >>> x = torch.ones(1, 2, requires_grad=True)
        >>> batches = [(x, torch.zeros(1, 1))] * 3
        >>> end = unroll(flat, torch.ones(2), batches, torch.nn.functional.mse_loss, 0.1)[-1]
        >>> torch.autograd.grad(end.sum(), x)[0].shape
        torch.Size([1, 2])
    """
    batches = batches if callable(batches) else Listed(batches)
    steps = len(batches)
    if steps < 1:
        raise ArgumentError("there are no steps to unroll: give at least one batch")
    points = tuple(match) if match is not None else (steps,)
    rising = list(points) == sorted(set(points))
    if not points or not rising or not 1 <= points[0] <= points[-1] <= steps:
        raise ArgumentError(
            f"match is {points}, expected rising numbers of steps from 1 to {steps}"
        )
    if gradient not in get_args(Gradient):
        raise ArgumentError(f"gradient is {gradient!r}, expected one of {get_args(Gradient)}")
    rate = torch.as_tensor(lr, dtype=start.dtype, device=start.device)
    training = _Training(network, batches, loss, momentum, scale)
    if gradient == "unroll":
        return _graph_of_all(training, start, rate, points)
    kept = {"adjoint": steps, "truncated": kept_steps, "constant-memory": 0}[gradient]
    direct = 0 if gradient == "truncated" else steps
    told = (training, points, kept, max(kept, direct))
    return _Recursion.apply(told, start, rate, *batches.sources)


class _Training:
    """The gradient of each step, and what its cotangents become."""

    def __init__(
        self, network: Flat, batches: Batches, loss: Loss, momentum: float, scale: float
    ) -> None:
        self.network, self.batches, self.loss = network, batches, loss
        self.momentum, self.scale = momentum, scale

    def gradient(
        self, step: int, weights: Tensor, sources: Sequence[Tensor], *, graph: bool = False
    ) -> Tensor:
        """Gradient of the loss of a step, like the weights, which must require grad."""
        single = weights.ndim == 1
        x, y = self.batches(step, *sources)
        # Several students are one batched call, which has no room for layers of our own; and
        # looking at each call costs time where no layer will be large.
        large = single and x.numel() * WIDENING >= WORTHWHILE
        with closed_form() if large else nullcontext():
            said = self.network(weights, x)
            losses = self.loss(said, y) if single else vmap(self.loss)(said, y)
            return torch.autograd.grad(losses.sum() * self.scale, weights, create_graph=graph)[0]


def _graph_of_all(
    training: _Training, start: Tensor, rate: Tensor, points: tuple[int, ...]
) -> Tensor:
    weights = start if start.requires_grad else start.detach().requires_grad_()
    velocity, reached = torch.zeros_like(start), []
    for step in range(points[-1]):
        found = training.gradient(step, weights, training.batches.sources, graph=True)
        velocity = training.momentum * velocity + found
        weights = weights - rate * velocity
        if step + 1 in points:
            reached.append(weights)
    return torch.stack(reached)


class _Recursion(torch.autograd.Function):
    r"""The recursion forwards without a graph, and its adjoint backwards, one step's graph a time.

    With :math:`\lambda` the gradient of what comes later with respect to the weights, m that with
    respect to the velocity, and :math:`w = m - \alpha\lambda` that with respect to a step's
    gradient: :math:`\alpha` gets :math:`-\langle\lambda, v\rangle`, sources get
    :math:`\partial \langle g, w\rangle`, and :math:`\lambda \leftarrow \lambda + H w`,
    :math:`m \leftarrow \mu w`.
    """

    @staticmethod
    def forward(ctx: Any, told: Any, start: Tensor, rate: Tensor, *sources: Tensor) -> Tensor:
        training, points, _, _ = told
        weights, velocity = start.detach(), torch.zeros_like(start)
        before, velocities, reached = [], [], []
        for step in range(points[-1]):
            before.append(weights)
            with torch.enable_grad():
                found = training.gradient(step, weights.detach().requires_grad_(), sources)
            velocity = found.add_(velocity, alpha=training.momentum)
            velocities.append(velocity)
            weights = weights - rate * velocity
            if step + 1 in points:
                reached.append(weights)
        ctx.told, ctx.before, ctx.velocities = told, before, velocities
        ctx.save_for_backward(rate, *sources)
        return torch.stack(reached)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        training, points, kept, direct = ctx.told
        rate, *sources = ctx.saved_tensors
        needs = zip(ctx.needs_input_grad[3:], sources, strict=True)
        found = [torch.zeros_like(one) if need else None for need, one in needs]
        of_end = dict(zip(points, cotangents[0], strict=True))
        later = torch.zeros_like(cotangents[0][0])
        of_velocity, of_rate = torch.zeros_like(later), torch.zeros_like(rate)
        steps = points[-1]
        for step in range(steps - 1, -1, -1):
            if step + 1 in of_end:
                later = later + of_end[step + 1]
            of_rate -= (later * ctx.velocities[step]).sum()
            along = of_velocity - rate * later
            of_velocity = training.momentum * along
            age = steps - step
            if age > direct:
                continue
            curved = _pull_back(
                training, step, ctx.before[step], along, sources, found, curvature=age <= kept
            )
            later = later if curved is None else later + curved
        return None, later, of_rate, *found


def _pull_back(
    training: _Training,
    step: int,
    weights: Tensor,
    along: Tensor,
    sources: Sequence[Tensor],
    found: Sequence[Tensor | None],
    *,
    curvature: bool,
) -> Tensor | None:
    """Add the gradient of ``<g, along>`` to what sources have found; return that of the weights."""
    weights = weights.detach().requires_grad_()
    given = [
        one.detach().requires_grad_(total is not None)
        for one, total in zip(sources, found, strict=True)
    ]
    with torch.enable_grad():
        gradient = training.gradient(step, weights, given, graph=True)
    asked = [one for one in given if one.requires_grad] + ([weights] if curvature else [])
    if not asked or not gradient.requires_grad:
        return None
    parts = list(torch.autograd.grad(gradient, asked, along, allow_unused=True))
    curved = parts.pop() if curvature else None
    for total, part in zip((one for one in found if one is not None), parts, strict=True):
        if part is not None:
            total.add_(part)
    return curved
