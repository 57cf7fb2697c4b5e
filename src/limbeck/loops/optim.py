"""Optim: an optimiser and its learning rate as a function of the step, with no state of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from limbeck.errors import SettingsError
from limbeck.functional.schedules import smoothed_cosine
from limbeck.settings import settings

if TYPE_CHECKING:
    import torch

Beta = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


@settings
class Optim:
    """How parameters learn.

    Args:
        name: ``"sgd"``, ``"adam"``, ``"adamw"``, ``"adamax"``, or ``"lamb"`` for batches of
            thousands.
        lr: highest learning rate.
        weight_decay: per step, as the optimiser means it.
        decay_vectors: whether it goes for biases and other weights of one dimension too.
        momentum: of SGD.
        nesterov: of SGD.
        betas: of Adam, AdamW, Adamax and LAMB.
        schedule: ``"constant"``, ``"cosine"`` or ``"linear"`` to zero, ``"steps"``, or
            ``"exponential"``, multiplied by `decay` after each of the `plateaus`.
        milestones: of ``"steps"``: shares of the whole at which the rate is multiplied by `decay`.
        decay: of ``"steps"`` and ``"exponential"``.
        restart: of ``"steps"``: momentum and other state start anew at every milestone.
        stretch: of ``"cosine"``: 1 falls to zero, 2 to one half.
        plateaus: number of equal parts of the whole, such as epochs, in each of which the rate
            stays; 0 changes it every step.
        warmup: share of the whole during which the rate rises linearly.
        clip: largest norm of the gradient of one model, or None.
    """

    name: Literal["sgd", "adam", "adamw", "adamax", "lamb"] = "adamw"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    decay_vectors: bool = True
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    nesterov: bool = False
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    schedule: Literal["constant", "cosine", "linear", "steps", "exponential"] = "constant"
    milestones: tuple[Share, ...] = ()
    decay: Annotated[float, Field(gt=0)] = 0.1
    restart: bool = False
    stretch: Annotated[float, Field(ge=1)] = 1.0
    plateaus: Annotated[int, Field(ge=0)] = 0
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip: Annotated[float, Field(gt=0)] | None = None

    @staticmethod
    def whole(given: Mapping[str, Any]) -> bool:
        """Whether a table stands alone instead of changing a default: one that names an optimiser.

        Example:
            >>> Optim.whole({"lr": 0.1}), Optim.whole({"name": "sgd", "lr": 0.1})
            (False, True)
        """
        return "name" in given

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimiser of some parameters.

        Raises:
            SettingsError: Nesterov's step is asked for without momentum, a restart without
                milestones, or exponential decay without plateaus.
        """
        import torch

        if self.schedule == "exponential" and not self.plateaus:
            raise SettingsError(
                "schedule is 'exponential' and plateaus 0, so that the rate would never fall; set "
                "plateaus to the number of epochs"
            )

        if self.restart and not (self.schedule == "steps" and self.milestones):
            raise SettingsError(
                f"restart is true and there is no milestone to restart at: schedule is "
                f"{self.schedule!r}, milestones {self.milestones}; use schedule steps with "
                "milestones such as 0.5"
            )

        if self.nesterov and not self.momentum:
            raise SettingsError("nesterov is true and momentum 0: give a momentum, such as 0.9")
        groups = self._groups(parameters)
        if self.name == "sgd":
            return torch.optim.SGD(
                groups,
                lr=self.lr,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                nesterov=self.nesterov,
            )
        shared: dict[str, Any] = {"lr": self.lr, "betas": self.betas}
        shared["weight_decay"] = self.weight_decay
        if self.name == "lamb":
            from limbeck.loops.lamb import Lamb

            return Lamb(groups, **shared)
        if self.name == "adamax":
            # Of many small parameters half the time goes into the loop over them, in Python.
            return torch.optim.Adamax(groups, **shared, foreach=True)
        kind = torch.optim.Adam if self.name == "adam" else torch.optim.AdamW
        return kind(groups, **shared, fused=_fusible(groups))

    def _groups(self, parameters: Iterable[torch.nn.Parameter]) -> list[dict[str, Any]]:
        """All parameters, or those that do not decay apart from the others, as torch takes them."""
        given = list(parameters)
        if self.decay_vectors or not self.weight_decay:
            return [{"params": given}]
        vectors = [one for one in given if one.ndim < 2]
        matrices = [one for one in given if one.ndim > 1]
        groups: list[dict[str, Any]] = [
            {"params": matrices},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

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
        if self.plateaus:
            step, steps = step * self.plateaus // max(steps, 1), self.plateaus
        done = step / max(steps, 1)
        if done < self.warmup:
            return self.lr * min((step + 1) / (self.warmup * steps), 1)
        rest = (done - self.warmup) / (1 - self.warmup)
        if self.schedule == "cosine":
            return self.lr * smoothed_cosine(rest, 1.0, self.stretch)
        if self.schedule == "linear":
            return self.lr * (1 - rest)
        if self.schedule == "steps":
            return self.lr * self.decay ** self._passed(step, steps)
        if self.schedule == "exponential":
            return self.lr * self.decay**step
        return self.lr

    def restarts(self, step: int, steps: int) -> bool:
        """Whether the optimiser's state starts anew before a step: a milestone is first passed.

        Example:
            >>> optim = Optim(schedule="steps", milestones=(0.5,), restart=True)
            >>> [step for step in range(10) if optim.restarts(step, 10)]
            [5]
        """
        if not self.restart or self.schedule != "steps" or step == 0:
            return False
        return self._passed(step, steps) > self._passed(step - 1, steps)

    def _passed(self, step: int, steps: int) -> int:
        done = step / max(steps, 1)
        return sum(done >= milestone for milestone in self.milestones)


def _fusible(groups: Sequence[Mapping[str, Any]]) -> bool | None:
    """Whether a step goes over each parameter once; None leaves it to torch.

    On the processor it takes a third of the time for small networks. Elsewhere a fused step
    unscales gradients itself, and they could not be clipped before it in half precision.
    """
    import torch

    plain = all(
        one.device.type == "cpu" and one.is_floating_point() and type(one.data) is torch.Tensor
        for group in groups
        for one in group["params"]
    )
    return True if plain else None
