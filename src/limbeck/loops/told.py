"""Told: the rows that a loop writes about itself: its terms, and now and then their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.objectives import Terms

# A norm costs a backward pass for each term: one step in some hundreds measures them.
LOGGED_ROWS, NORM_STEPS = 100, 200
# Norms are measured in the last steps before the row that tells them, once for all who take turns.
WINDOW = 32


class Told:
    """What was seen since the last row. Models that take turns have terms of their own: a row holds
    the latest of each.

    Args:
        steps: of the loop.

    Example:
        >>> told = Told(1000)
        >>> [step for step in range(400) if told.measures(step, ["student"])][:2]
        [168, 169]
        >>> told.is_row(10), told.is_row(11), told.is_row(1000)
        (True, False, True)
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.every = max(1, math.ceil(steps / LOGGED_ROWS))
        self._norms_every = self.every * max(1, math.ceil(NORM_STEPS / self.every))
        self._terms: Terms = {}
        self._norms: dict[str, float] = {}
        self._measured: list[str] = []

    def measures(self, step: int, learning: Sequence[str]) -> bool:
        """Whether the gradients of a step's terms are measured, given who learns from them."""
        row = min(self.steps, (step // self._norms_every + 1) * self._norms_every)
        return step >= row - WINDOW and ",".join(learning) not in self._measured

    def measured(
        self, terms: Terms, learning: Sequence[str], parameters: list[nn.Parameter]
    ) -> None:
        """Measure the gradient of each term of a step where there are several."""
        self._measured.append(",".join(learning))
        if len(terms) > 1 and parameters:
            self._norms |= gradient_norms(terms, parameters)

    def seen(self, terms: Terms) -> None:
        """Keep the terms of a step, detached."""
        self._terms |= terms

    def is_row(self, step: int) -> bool:
        """Whether a row is due after so many steps."""
        return step % self.every == 0 or step == self.steps

    def row(self, step: int, mean: Callable[[Tensor], Tensor]) -> tuple[dict[str, float], ...]:
        """Terms and norms of the row after so many steps; what follows is told anew.

        Args:
            step: how many are done.
            mean: of a number over all processes.
        """
        values = {name: float(mean(term)) for name, term in self._terms.items()}
        self._terms = {}
        if step % self._norms_every and step != self.steps:
            return values, {}
        norms, self._norms, self._measured = self._norms, {}, []
        return values, norms

    def state(self, mean: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """What a checkpoint keeps of the time since the last row."""
        terms = {name: float(mean(term)) for name, term in self._terms.items()}
        return {"terms": terms, "norms": self._norms, "measured": self._measured}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self._terms = {
            name: torch.tensor(value, dtype=torch.float64) for name, value in state["terms"].items()
        }
        self._norms, self._measured = dict(state["norms"]), list(state["measured"])


def gradient_norms(terms: Terms, parameters: list[nn.Parameter]) -> dict[str, float]:
    """Norm of each term's own gradient, named ``gradient_norm.TERM``.

    Args:
        terms: scalars with a graph, which stays.
        parameters: with respect to which.

    Example:
        >>> weight = nn.Parameter(torch.ones(4))
        >>> gradient_norms({"sum": weight.sum()}, [weight])
        {'gradient_norm.sum': 2.0}
    """
    norms = {}
    for name, term in terms.items():
        if not term.requires_grad:
            continue
        grads = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        squares = [grad.square().sum() for grad in grads if grad is not None]
        norms[f"gradient_norm.{name}"] = (
            float(torch.stack(squares).sum().sqrt()) if squares else 0.0
        )
    return norms
