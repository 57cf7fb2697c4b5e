"""Hosted: another library's trainer at work in a run folder, stopped and gone on with at will."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from limbeck.errors import Interrupted, NotFiniteError, RunError, UnusualUseWarning
from limbeck.keyed import seed_torch
from limbeck.loops.averages import copied
from limbeck.loops.optim import Optim
from limbeck.loops.told import Told
from limbeck.run.checkpoints import newest
from limbeck.run.interrupt import Stop, deferred
from limbeck.run.progress import Progress
from limbeck.run.run import Run

# Steps in a row without a single active dimension after which nothing will come of it.
EMPTY_STEPS = 10
FEW_ACTIVE = 1.0
NAME = "encoder"


def train_hosted(
    run: Run,
    stage: str,
    encoder: Any,
    loss: Any,
    examples: Callable[[int], list[dict[str, Any]]],
    optim: Optim,
    steps: int,
    *,
    apart: Mapping[str, tuple[nn.Parameter, float]] | None = None,
) -> None:
    """Train an encoder of sentence-transformers with their trainer, saving enough to go on.

    One process that was stopped and gone on with gives the same bits.

    Args:
        run: the folder; a stage that is done returns at once.
        stage: a word; names the checkpoints and keys the draws.
        encoder: trained in place; put where the run computes.
        loss: in sentence-transformers' protocol. Where it has ``step``, it is told the step; its
            ``active``, the mean number of active dimensions of documents, and ``pressure`` are
            logged, and a loss that empties all documents is stopped.
        examples: from the step to this process's rows of the batch.
        optim: how it learns.
        steps: how many.
        apart: parameters with a learning rate of their own, by name; they do not decay.

    Raises:
        RunError: a term is not finite, or documents have no active dimension any more.
        Interrupted: the user asked to stop; the state was saved, or, where documents were empty,
            the one before stays.
    """
    from limbeck.bridges.sentence_transformers.trainer import Course, hosted

    encoder.to(run.engine.device)
    watch = _Watch(run, stage, encoder, loss, optim, steps, apart or {})
    if watch.step >= steps or watch.done:
        encoder.eval()
        return
    with (
        run.progress(f"{run.dir.name} {stage}", steps, start=watch.step) as shown,
        deferred() as stop,
    ):
        watch.shown, watch.stop = shown, stop
        if run.goes_on(watch, None, steps):
            course = Course(
                examples,
                steps,
                watch.step,
                lambda step: optim.rate(min(step, steps - 1), steps) / optim.lr,
                optim.clip,
                run.options.precision,
                run.engine.device.type,
                run.dir,
            )
            try:
                hosted(encoder, loss, watch.optimiser, course, watch)
            except NotFiniteError as error:
                raise watch.not_finite(str(error)) from error
    if watch.stopped:
        raise Interrupted(
            f"stopped in stage {stage} at step {watch.step} of {steps}; {watch.left()}"
        )
    watch.save(done=True)


class _Watch:
    """What changes from step to step, how it is told and how it is saved."""

    # As a rehearsal asks of a loop.
    watch = None
    shown: Progress
    stop: Stop

    def __init__(
        self,
        run: Run,
        stage: str,
        encoder: Any,
        loss: Any,
        optim: Optim,
        steps: int,
        apart: Mapping[str, tuple[nn.Parameter, float]],
    ) -> None:
        self.run, self.stage, self.encoder, self.loss, self.steps = run, stage, encoder, loss, steps
        self.raw = {NAME: encoder}
        self.models = self.raw
        self.told, self.saved = Told(steps), time.monotonic()
        self.step, self.empty, self.shown_to = 0, 0, 0
        self.done = self.stopped = self.warned = False
        # Active dimensions when a checkpoint was last written on account of them.
        self.held = math.inf
        self.scaler: Any = None
        kept = {id(one) for one, _ in apart.values()}
        learning = [one for one in encoder.parameters() if one.requires_grad]
        self.optimiser = optim.build([one for one in learning if id(one) not in kept])
        for one, rate in apart.values():
            self.optimiser.add_param_group({"params": [one], "lr": rate, "weight_decay": 0.0})
        self.optims, self.optimisers = {NAME: optim}, {NAME: self.optimiser}
        found = run.resume(stage)
        if found is not None:
            encoder.load_state_dict(found.models[NAME])
            self.optimiser.load_state_dict(found.state["optimiser"])
            self.told.restore(found.state["told"])
            self.step, self.done = found.step, found.state["done"]
            self.warned, self.scaler = found.state["warned"], found.state["scaler"]
        self.shown_to = self.step

    def begin(self, trainer: Any) -> None:
        """Give half precision the scale of its losses back."""
        if self.scaler is not None:
            trainer.accelerator.scaler.load_state_dict(self.scaler)

    def before(self, step: int) -> None:
        """Key the draws of a step that begins."""
        seed_torch(self.run.at(self.stage, step).key)
        if hasattr(self.loss, "step"):
            self.loss.step = step

    def after(self, step: int, terms: Mapping[str, Tensor], trainer: Any) -> bool:
        """Log, save and judge what a step did; whether to go on."""
        self.step = step
        scaler = trainer.accelerator.scaler
        self.scaler = None if scaler is None else scaler.state_dict()
        self.told.seen(dict(terms))
        mean = self.run.engine.mean
        if self.told.is_row(step):
            values, _ = self.told.row(step, mean)
            self._check_finite(values)
            self.run.log(stage=self.stage, step=step, **values, **self._health(trainer))
            words = " ".join(f"{name} {value:.4g}" for name, value in values.items())
            self.shown.advance(step - self.shown_to, words)
            self.shown_to = step
        self._check_active()
        due = time.monotonic() - self.saved > self.run.options.checkpoint_seconds
        if self.run.engine.any(self.stop.asked or due) and not self.empty:
            self.save()
        if self.run.engine.any(self.stop.asked):
            self.stopped = step < self.steps
            return False
        return step < self.steps and self.run.goes_on(self, None, self.steps)

    def left(self) -> str:
        """What a run that ends here leaves behind: no state of empty documents."""
        if not self.empty:
            return "the state is saved"
        kept = newest(self.run.dir / "checkpoints" / self.stage)
        if not kept:
            return "documents were empty from the first step on, and no checkpoint is kept"
        return f"documents are empty, and the checkpoint of step {kept} is kept"

    def save(self, done: bool = False) -> None:
        """Write a checkpoint."""
        state = {
            "optimiser": self.optimiser.state_dict(),
            "told": self.told.state(self.run.engine.mean),
            "done": done,
            "warned": self.warned,
            "scaler": self.scaler,
        }
        self.run.checkpoint(self.stage, self.step, {NAME: copied(self.encoder)}, state)
        self.saved = time.monotonic()

    def _health(self, trainer: Any) -> dict[str, float]:
        """Beside the terms: the learning rate, and how dense documents are and shall be."""
        told = {"lr": float(trainer.optimizer.param_groups[0]["lr"])}
        if hasattr(self.loss, "active"):
            told["active"] = float(self.loss.active)
            told["lambda"] = float(self.loss.pressure)
        return told

    def _check_finite(self, values: Mapping[str, float]) -> None:
        if all(map(math.isfinite, values.values())):
            return
        said = ", ".join(f"{name} = {value:.4g}" for name, value in values.items())
        raise self.not_finite(said)

    def not_finite(self, said: str) -> RunError:
        """The error of a term that is NaN or infinite."""
        return RunError(
            f"the loss of stage {self.stage} is not finite at step {self.step} ({said}); lower "
            "optim.lr, set optim.clip, or look at what the teachers say"
        )

    def _check_active(self) -> None:
        """Warn of documents that lose their last tokens; stop where nothing can bring them back."""
        if not hasattr(self.loss, "active") or self.run.trying:
            return
        active = float(self.loss.active)
        if 0 < active < self.held / 2:
            # Whatever comes next, there is a state to look at from before.
            self.held = active
            self.save()
        if 0 < active < FEW_ACTIVE and not self.warned:
            self.warned = True
            warnings.warn(
                f"documents have {active:.2g} active dimensions on average at step {self.step} of "
                f"stage {self.stage}: the weight of FLOPS grows too fast or too far; lower "
                "sparsity or raise sparsity_warmup",
                UnusualUseWarning,
                stacklevel=2,
            )
        self.empty = 0 if active else self.empty + 1
        if self.empty < EMPTY_STEPS:
            return
        raise RunError(
            f"documents of stage {self.stage} have had no active dimension for {EMPTY_STEPS} steps "
            f"at step {self.step}, so that no gradient is left: {self.left()}. Lower sparsity or "
            "raise sparsity_warmup, in another folder"
        )
