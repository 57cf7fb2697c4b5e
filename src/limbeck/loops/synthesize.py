"""Synthesize: what is learned is data: images, their labels, the step size to learn them with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.errors import UnusualUseWarning
from limbeck.loops.alternate import Models, alternate
from limbeck.loops.optim import Optim
from limbeck.objectives import Terms, sum_terms
from limbeck.run.run import At, Run

# The share of dropped steps from which on people are told.
MANY = 0.9


def moments_of(steps: int, count: int = 5) -> tuple[int, ...]:
    """Steps at whose beginning people look at what is learned, evenly spread from the first on.

    Example:
        >>> moments_of(100), moments_of(2)
        ((0, 20, 40, 60, 80), (0, 1, 2))
    """
    return tuple(sorted({round(steps * part / count) for part in range(count)}))


class Learned(nn.Module):
    """A tensor that is learned.

    Args:
        value: where it starts.
        positive: whether it must stay above 0; where a step takes it below, the last value above
            is put back.
        keep: what it is brought back to after every step, such as the range of pixels.

    Example:
        >>> Learned(torch.zeros(2)).value
        Parameter containing:
        tensor([0., 0.], requires_grad=True)
    """

    last_positive: Tensor

    def __init__(
        self,
        value: Tensor,
        *,
        positive: bool = False,
        keep: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.value = nn.Parameter(value.detach().clone())
        self.positive, self._keep = positive, keep
        if positive:
            self.register_buffer("last_positive", value.detach().clone())

    @torch.no_grad()
    def bring_back(self) -> None:
        """Bring the value back to what it is kept to."""
        if self._keep is not None:
            self.value.copy_(self._keep(self.value))

    @torch.no_grad()
    def keep_positive(self) -> bool:
        """Put the last positive value back where a step went below; return whether one did."""
        if not self.positive:
            return False
        if bool((self.value > 0).all()):
            self.last_positive.copy_(self.value)
            return False
        self.value.copy_(self.last_positive)
        return True


def synthesize(
    run: Run,
    stage: str,
    learned: Mapping[str, Learned],
    optims: Mapping[str, Optim],
    steps: int,
    *,
    step: Callable[[Mapping[str, Tensor], At], Terms],
    accept: Callable[[Terms], bool] = lambda terms: True,
    watched: str | None = None,
    moments: Sequence[int] = (),
) -> dict[int, Tensor]:
    """Learn tensors, such as the images of a synthetic set.

    Args:
        run: the folder; a stage that is done returns at once.
        stage: a word; names the checkpoints and keys the draws.
        learned: tensors by name; changed in place.
        optims: how they learn, by name; one without an optimiser stays as it is.
        steps: how many.
        step: from the tensors and the moment to named scalar terms.
        accept: from the terms of a step to whether anything is learned from it; a step that is
            dropped leaves momentum as it is. Where nearly all are, a warning tells.
        watched: name of a tensor to keep copies of.
        moments: steps at whose beginning copies are kept.

    Returns:
        The copies by step.

    Raises:
        RunError: a term is NaN or infinite.
        Interrupted: the user asked to stop; the state was saved.

    Example:
        >>> import tempfile
        >>> images = Learned(torch.ones(2))
        >>> def shrink(values, at):
        ...     return {"size": values["images"].square().sum()}
        >>> optims = {"images": Optim("sgd", lr=0.25)}
        >>> _ = synthesize(Run(tempfile.mkdtemp()), "s", {"images": images}, optims, 3, step=shrink)
        >>> images.value.data
        tensor([0.1250, 0.1250])
    """
    memory: dict[str, Any] = {"kept": {}, "warned": False, "dropped": 0}
    models: Models = {name: one for name, one in learned.items()}

    def forward(models: Models, batch: Batch, at: At) -> Terms:
        _hold(learned, optims, memory, at.step)
        values: dict[str, Tensor] = {name: one.value for name, one in learned.items()}
        if watched is not None and at.step in moments:
            memory["kept"][at.step] = learned[watched].value.detach().cpu().clone()
        return step(values, at)

    def combine(terms: Terms, parameters: list[nn.Parameter]) -> Tensor | None:
        if accept(terms):
            return sum_terms(terms, parameters)
        memory["dropped"] += 1
        return None

    alternate(run, stage, models, optims, steps, step=forward, combine=combine, memory=memory)
    _hold(learned, optims, memory, steps)
    if memory["dropped"] > MANY * steps:
        warnings.warn(
            f"{memory['dropped']} of {steps} steps were dropped, so that little was learned; "
            "accept larger losses, or lower what makes them large",
            UnusualUseWarning,
            stacklevel=2,
        )
    return dict(memory["kept"])


def _hold(
    learned: Mapping[str, Learned], optims: Mapping[str, Optim], memory: dict[str, Any], step: int
) -> None:
    for name, one in learned.items():
        if step:
            one.bring_back()
        if one.keep_positive() and not memory["warned"]:
            memory["warned"] = True
            warnings.warn(
                f"{name} fell below 0 at step {step} and keeps its last value above; lower the "
                f"learning rate of its optimiser, now {optims[name].lr:g}",
                UnusualUseWarning,
                stacklevel=3,
            )
