"""Surfaces: a loss over a slice of logit space, to look at its shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.checks import check_dimensions
from limbeck.errors import ArgumentError
from limbeck.functional.guards import check_finite, widened


class Surface(NamedTuple):
    """Offsets ``(P,)`` along each direction, and the loss ``(P, P)``: rows go along the first."""

    offsets: Tensor
    values: Tensor


@torch.no_grad()
def loss_surface(
    loss: Callable[[Tensor], Tensor],
    logits: Tensor,
    directions: Tensor,
    *,
    reach: float = 5.0,
    points: int = 41,
) -> Surface:
    r"""Loss of one sample over a plane through its logits, :math:`L(z + a u + b v)`.

    Args:
        loss: from logits ``(M, C)`` to losses ``(M,)``, such as a loss with the teacher's logits
            and the label repeated M times and ``reduction="none"``.
        logits: the middle of the plane ``(C,)``.
        directions: u and v ``(2, C)``; each is divided by its length.
        reach: how far a and b go either way, in units of logits.
        points: P, how many values each of them takes; an odd number includes 0.

    Returns:
        The offsets and the values.

    Raises:
        ArgumentError: shapes do not fit, a direction is zero or both are the same line, there are
            fewer than two points, or the loss gives other than a value a row.

    Example:
        >>> from limbeck.functional import plackett_luce_loss
        >>> teacher, label = torch.tensor([3.0, 2.0, 1.0]), torch.tensor(0)
        >>> surface = loss_surface(
        ...     lambda z: plackett_luce_loss(
        ...         z, teacher.expand_as(z), label.expand(len(z)), reduction="none"
        ...     ),
        ...     torch.zeros(3),
        ...     torch.eye(3)[:2],
        ...     points=3,
        ... )
        >>> surface.values.shape, round(surface.values[1, 1].item(), 3)
        (torch.Size([3, 3]), 0.9)

    Source: arXiv 2506.12542 (PLD), its slices of logit space.
    """
    check_dimensions(logits, "logits", 1, "(C,): classes")
    check_finite(logits, "logits")
    if directions.shape != (2, *logits.shape):
        raise ArgumentError(
            f"directions has shape {tuple(directions.shape)}, expected (2, {len(logits)}): two "
            "directions in the space of the logits"
        )
    if points < 2 or not reach > 0:
        raise ArgumentError(
            f"points is {points} and reach {reach}, expected at least 2 points and a reach above 0"
        )
    middle = widened(logits)
    lengths = directions.norm(dim=1, keepdim=True)
    lines = (directions / lengths).to(middle)
    if not bool((lengths > 0).all()) or abs(float(lines[0] @ lines[1])) > 1 - 1e-6:
        raise ArgumentError(
            "directions span no plane: one is zero, or both lie on one line; take two others, such "
            "as torch.eye(C)[[0, 1]]"
        )
    offsets = torch.linspace(-reach, reach, points, dtype=middle.dtype, device=middle.device)
    first = offsets.repeat_interleave(points)[:, None] * lines[0]
    rows = middle + first + offsets.repeat(points)[:, None] * lines[1]
    values = loss(rows)
    if values.shape != (len(rows),):
        raise ArgumentError(
            f"loss gave shape {tuple(values.shape)} for {len(rows)} rows, expected a value a row: "
            'pass reduction="none"'
        )
    return Surface(offsets, values.reshape(points, points))
