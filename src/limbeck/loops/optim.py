"""Optim: an optimiser and its learning rate as a function of the step, with no state of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from limbeck.errors import SettingsError
from limbeck.settings import settings

if TYPE_CHECKING:
    import torch

Beta = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


@settings
class Optim:
    """How parameters learn.

    Args:
        name: ``"sgd"``, ``"adam"``, ``"adamw"``, or ``"lamb"`` for batches of thousands.
        lr: highest learning rate.
        weight_decay: per step, as the optimiser means it.
        momentum: of SGD.
        nesterov: of SGD.
        betas: of Adam, AdamW and LAMB.
        schedule: ``"constant"``, ``"cosine"`` or ``"linear"`` to zero, or ``"steps"``.
        milestones: of ``"steps"``: shares of the whole at which the rate is multiplied by `decay`.
        decay: of ``"steps"``.
        warmup: share of the whole during which the rate rises linearly.
        clip: largest norm of the gradient of one model, or None.
    """

    name: Literal["sgd", "adam", "adamw", "lamb"] = "adamw"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    nesterov: bool = False
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    schedule: Literal["constant", "cosine", "linear", "steps"] = "constant"
    milestones: tuple[Share, ...] = ()
    decay: Annotated[float, Field(gt=0)] = 0.1
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip: Annotated[float, Field(gt=0)] | None = None

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimiser of some parameters.

        Raises:
            SettingsError: Nesterov's step is asked for without momentum.
        """
        import torch

        if self.nesterov and not self.momentum:
            raise SettingsError("nesterov is true and momentum 0: give a momentum, such as 0.9")
        if self.name == "sgd":
            return torch.optim.SGD(
                parameters,
                lr=self.lr,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                nesterov=self.nesterov,
            )
        from limbeck.loops.lamb import Lamb

        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "lamb": Lamb}
        return kinds[self.name](
            parameters, lr=self.lr, betas=self.betas, weight_decay=self.weight_decay
        )

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step.

        Args:
            step: from 0.
            steps: how many there will be.

        Returns:
            The rate.

        Example:
            >>> Optim(lr=1.0, schedule="cosine").rate(50, 100)
            0.5
        """
        done = step / max(steps, 1)
        if done < self.warmup:
            return self.lr * min((step + 1) / (self.warmup * steps), 1)
        rest = (done - self.warmup) / (1 - self.warmup)
        if self.schedule == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * rest))
        if self.schedule == "linear":
            return self.lr * (1 - rest)
        if self.schedule == "steps":
            return self.lr * self.decay ** sum(done >= milestone for milestone in self.milestones)
        return self.lr
