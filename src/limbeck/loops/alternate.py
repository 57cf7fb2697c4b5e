"""Alternate: the one stateful loop. Named models take turns to learn; everything else is a fit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.data.loader import Batches
from limbeck.errors import (
    ArgumentError,
    DivergedError,
    Interrupted,
    NotFiniteError,
    RunError,
    nearest,
)
from limbeck.features import evaluating
from limbeck.keyed import seed_torch
from limbeck.loops.averages import State, blend, copied
from limbeck.loops.optim import Optim
from limbeck.loops.told import Told
from limbeck.objectives import Terms, sum_terms
from limbeck.run.interrupt import deferred
from limbeck.run.run import At, Run

Models = dict[str, nn.Module]
Combine = Callable[[Terms, list[nn.Parameter]], Tensor | None]


@dataclass(frozen=True)
class Watch:
    """Early stopping: look at a score now and then, stop when it stops rising, keep the best.

    Args:
        score: from the models to a number that shall be high; computed on validation samples,
            the models being in evaluation mode.
        every: steps between two looks.
        patience: looks without a new best before the loop stops; None never stops early but
            still keeps the best.
        at: numbers of steps after which to look, in place of `every`.
    """

    score: Callable[[Models], float]
    every: int
    patience: int | None = None
    at: tuple[int, ...] | None = None

    def due(self, step: int) -> bool:
        """Whether to look after so many steps."""
        return step % self.every == 0 if self.at is None else step in self.at

    def looks(self, steps: int) -> int:
        """How often it is looked at in so many steps."""
        return steps // self.every if self.at is None else sum(one <= steps for one in self.at)


@dataclass
class Trained:
    """How a loop ended.

    Args:
        step: steps done.
        averages: averaged weights by model name, for the names in ``average``.
        best_step: step of the best score, if a score was watched.
        best_score: that score.
        last: weights of the last step by model name, where the models hold better ones.
    """

    step: int
    averages: dict[str, State] = field(default_factory=dict)
    best_step: int | None = None
    best_score: float | None = None
    last: dict[str, State] = field(default_factory=dict)


def alternate(
    run: Run,
    stage: str,
    models: Models,
    optims: Mapping[str, Optim],
    steps: int,
    *,
    step: Callable[[Models, Batch, At], Terms],
    batches: Batches | None = None,
    turn: Callable[[At], Sequence[str]] | None = None,
    combine: Combine = sum_terms,
    average: Mapping[str, Callable[[int], float]] | None = None,
    memory: dict[str, Any] | None = None,
    accumulate: int = 1,
    watch: Watch | None = None,
) -> Trained:
    """Train named models, saving enough on the way to go on in the same bits after any stop.

    Args:
        run: the folder; a stage that is done returns at once.
        stage: a word; names the checkpoints and keys the draws.
        models: all networks with something to train or to save, by name; trained in place.
        optims: how models learn, by name. A model without one is kept but not trained.
        steps: how many optimiser steps.
        step: from the models, the batch and the moment to named scalar terms; the batch is empty
            if there is no loader.
        batches: where batches come from.
        turn: from the moment to the names that learn then; all of `optims` by default.
        combine: from the terms and the learning parameters to the loss; the seam for weighing
            gradients. None in place of a loss drops the step: nothing is learned from it, and
            optimisers stay as they are.
        average: keeps an averaged copy of models: from the step to the share of the new weights,
            see `ema` and `swa`.
        memory: tensors and numbers that `step` reads and writes, saved with the checkpoint.
        accumulate: into how many pieces a batch is cut; the gradient is that of the whole batch.
        watch: early stopping.

    Returns:
        How it ended; with `watch` the models hold the best weights.

    Raises:
        ArgumentError: a name is unknown, a model has nothing to train, a term is no scalar, or
            there is nothing to accumulate over.
        DivergedError: a term is NaN or infinite (it and the step are named).
        Interrupted: the user asked to stop; the state was saved.
    """
    _check_names(models, optims, average)
    if accumulate < 1:
        raise ArgumentError(f"accumulate is {accumulate}, expected at least 1")
    if accumulate > 1 and batches is None:
        raise ArgumentError(f"accumulate is {accumulate} and there are no batches to cut")
    loop = _Loop(run, stage, models, optims, average or {}, memory, watch, Told(steps))
    turns = turn or (lambda at: tuple(optims))
    if loop.finished(steps):
        return loop.result()
    loader = batches.batches(loop.step, steps) if batches else iter(lambda: Batch({}), None)
    label, shown_to, waited = f"{run.dir.name} {stage}", loop.step, 0.0
    fork = torch.random.fork_rng(devices=range(torch.cuda.device_count()))
    with run.progress(label, steps, start=loop.step) as shown, deferred() as stop, fork:
        while not loop.finished(steps) and run.goes_on(loop, batches, steps):
            at = run.at(stage, loop.step)
            seed_torch(at.key)
            learning = _known(turns(at), optims)
            asked = time.perf_counter()
            batch = next(loader)
            waited += time.perf_counter() - asked
            loop.told.seen(loop.take(batch, at, learning, step, combine, accumulate, steps))
            loop.step += 1
            if loop.told.is_row(loop.step):
                values, norms = loop.told.row(loop.step, run.engine.mean)
                loop.check_finite(values)
                waits = {"wait_seconds": round(waited, 4)} if batches else {}
                run.log(stage=stage, step=loop.step, **values, **norms, **waits)
                waited = 0.0
                words = " ".join(f"{name} {value:.4g}" for name, value in values.items())
                shown.advance(loop.step - shown_to, words)
                shown_to = loop.step
            loop.look()
            due = time.monotonic() - loop.saved > run.options.checkpoint_seconds
            if not run.engine.any(stop.asked or due):
                continue
            loop.save()
            if run.engine.any(stop.asked):
                raise Interrupted(
                    f"stopped in stage {stage} at step {loop.step} of {steps}; the state is saved"
                )
    loop.save(done=True)
    return loop.result()


class _Loop:
    """What changes from step to step, and how it is saved."""

    def __init__(
        self,
        run: Run,
        stage: str,
        models: Models,
        optims: Mapping[str, Optim],
        average: Mapping[str, Callable[[int], float]],
        memory: dict[str, Any] | None,
        watch: Watch | None,
        told: Told,
    ) -> None:
        self.run, self.stage, self.engine = run, stage, run.engine
        self.optims, self.average, self.watch = optims, average, watch
        self.memory = memory if memory is not None else {}
        self.step, self.done = 0, False
        self.saved = time.monotonic()
        self.best: dict[str, Any] = {"step": None, "score": -math.inf, "looks": 0, "models": {}}
        self.raw = models
        self.told = told
        found = run.resume(stage)
        self.models = {
            name: self.engine.setup(model)
            if any(True for _ in model.parameters())
            else model.to(self.engine.device)
            for name, model in models.items()
        }
        # Only now the models have the precision that their weights were saved in.
        if found is not None:
            for name, tensors in found.models.items():
                self.engine.load(self.models[name], tensors)
                self.engine.settle(models[name], self.models[name])
        self.averages = {name: copied(models[name]) for name in average}
        self.parameters = {
            name: [one for one in self.models[name].parameters() if one.requires_grad]
            for name in optims
        }
        self.optimisers = {
            name: self.engine.setup_optimiser(optim.build(self.parameters[name]))
            for name, optim in optims.items()
        }
        if found is not None:
            self._restore(found.step, found.state)

    def take(
        self,
        batch: Batch,
        at: At,
        learning: Sequence[str],
        step: Callable[[Models, Batch, At], Terms],
        combine: Combine,
        accumulate: int,
        steps: int,
    ) -> Terms:
        """Do one optimiser step and return its terms, detached."""
        batch = batch.to(self.engine.device)
        pieces = batch.pieces(accumulate) if accumulate > 1 else [batch]
        trained = [one for name in learning for one in self.parameters[name]]
        sums: Terms = {}
        dropped = False
        for number, piece in enumerate(pieces):
            share = piece.size / batch.size if len(pieces) > 1 else 1.0
            with self._last_syncs(learning, number == len(pieces) - 1):
                try:
                    with self.engine.differentiating():
                        terms = step(self.models, piece, at)
                except NotFiniteError as error:
                    raise self._not_finite(at.step, str(error)) from error
                self._check_scalars(terms)
                # Cut weights are gathered for one backward pass a step, not for one more a term.
                measures = number == 0 and not self.engine.sharding
                with self.engine.differentiating():
                    if measures and self.told.measures(at.step, learning):
                        self.told.measured(terms, learning, trained)
                    loss = combine(terms, trained)
                dropped = loss is None
                # Reading numbers back stalls an accelerator: there the logged rows are checked.
                if loss is None or (
                    loss.device.type == "cpu" and not math.isfinite(float(loss.detach()))
                ):
                    self.check_finite({name: float(term.detach()) for name, term in terms.items()})
                if loss is not None:
                    self.engine.backward(loss * share if share != 1 else loss)
            for name, term in terms.items():
                value = term.detach() * share if share != 1 else term.detach()
                sums[name] = sums[name] + value if name in sums else value
        for name, optim in self.optims.items():
            if optim.restarts(at.step, steps):
                self.engine.forget(self.optimisers[name])
        for name in learning if not dropped else ():
            optim, optimiser = self.optims[name], self.optimisers[name]
            if optim.clip is not None:
                torch.nn.utils.clip_grad_norm_(self.parameters[name], optim.clip)
            for group in optimiser.param_groups:
                group["lr"] = optim.rate(at.step, steps)
            optimiser.step()
        for optimiser in self.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        shares = {name: share_at(at.step + 1) for name, share_at in self.average.items()}
        for name, share in shares.items():
            if share:
                blend(self.averages[name], self.engine.state(self.models[name]), share)
        return sums

    def look(self) -> None:
        """Score the models if it is time to, and note a new best."""
        watch = self.watch
        if watch is None or not watch.due(self.step):
            return
        self._settle()
        with torch.no_grad(), evaluating(*self.raw.values()):
            score = float(watch.score(self.raw))
        self.run.log(stage=self.stage, step=self.step, score=score)
        if score > self.best["score"]:
            models = {name: copied(model) for name, model in self.raw.items()}
            self.best = {"step": self.step, "score": score, "looks": 0, "models": models}
        else:
            self.best["looks"] += 1
            patience = watch.patience
            self.done = patience is not None and self.best["looks"] >= patience

    def finished(self, steps: int) -> bool:
        """Whether nothing is left to do."""
        return self.done or self.step >= steps

    def save(self, done: bool = False) -> None:
        """Write a checkpoint."""
        state = {
            "optimisers": {
                name: self.engine.optimiser_state(one) for name, one in self.optimisers.items()
            },
            "averages": self.averages,
            "memory": self.memory,
            "best": self.best,
            "done": self.done or done,
            "told": self.told.state(self.engine.mean),
        }
        models = {name: self.engine.state(model) for name, model in self.models.items()}
        self.run.checkpoint(self.stage, self.step, models, state)
        self.saved = time.monotonic()

    def result(self) -> Trained:
        """Put the best weights in place where a score was watched, and say how it ended."""
        self._settle()
        best = self.best["models"] if self.best["step"] != self.step else {}
        last = {name: copied(self.raw[name]) for name in best}
        for name, tensors in best.items():
            self.raw[name].load_state_dict(tensors)
        score = None if self.best["step"] is None else self.best["score"]
        return Trained(self.step, dict(self.averages), self.best["step"], score, last)

    def _settle(self) -> None:
        for name, model in self.raw.items():
            self.engine.settle(model, self.models[name])

    def _restore(self, step: int, state: dict[str, Any]) -> None:
        self.step, self.done, self.best = step, state["done"], state["best"]
        lost = [name for name in self.optimisers if name not in state["optimisers"]]
        if lost:
            place = self.run.dir / "checkpoints" / self.stage
            raise RunError(
                f"the state in {place} has no optimiser of {' and '.join(lost)}, without which "
                "it would go on another way; delete it to begin the stage anew"
            )
        for name, optimiser in self.optimisers.items():
            self.engine.load_optimiser(optimiser, state["optimisers"][name])
        self.averages = {
            name: {key: tensor.to(self.engine.device) for key, tensor in tensors.items()}
            for name, tensors in state["averages"].items()
        }
        self.told.restore(state["told"])
        self.memory.clear()
        self.memory.update(state["memory"])

    def _last_syncs(self, learning: Sequence[str], last: bool) -> Any:
        stack = ExitStack()
        for name in learning if not last else ():
            stack.enter_context(self.engine.no_sync(self.models[name], not last))
        return stack

    def _check_scalars(self, terms: Terms) -> None:
        for name, term in terms.items():
            if term.numel() != 1:
                raise ArgumentError(
                    f"term {name!r} of stage {self.stage} has shape {tuple(term.shape)}, expected "
                    "a scalar: take its mean or sum"
                )

    def check_finite(self, values: Mapping[str, float]) -> None:
        """Raise `DivergedError` if a term is NaN or infinite."""
        if all(map(math.isfinite, values.values())):
            return
        said = ", ".join(f"{name} = {value:.4g}" for name, value in values.items())
        raise self._not_finite(self.step, said)

    def _not_finite(self, step: int, said: str) -> DivergedError:
        return DivergedError(
            f"the loss of stage {self.stage} is not finite at step {step} ({said}); lower "
            "optim.lr, set optim.clip, or look at the inputs of the term that is not a number"
        )


def _known(learning: Sequence[str], optims: Mapping[str, Optim]) -> tuple[str, ...]:
    for name in learning:
        if name not in optims:
            raise ArgumentError(
                f"turn names {name!r}, which has no optimiser; {nearest(name, optims)}"
            )
    return tuple(learning)


def _check_names(models: Models, optims: Mapping[str, Optim], average: Any) -> None:
    for name in (*optims, *(average or {})):
        if name not in models:
            raise ArgumentError(
                f"there is an optimiser or average for {name!r} and no model of that name; the "
                f"models are {', '.join(models)}"
            )
    for name in optims:
        if not any(one.requires_grad for one in models[name].parameters()):
            raise ArgumentError(f"model {name!r} has an optimiser and no parameter to train")
