"""Rehearsal: a run that takes a few steps of every loop and notes what the whole would take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from limbeck.evaluate.cost import weights
from limbeck.evaluate.memory import Saved, content_bytes, free_bytes, held_bytes, optimiser_bytes
from limbeck.features import Calls
from limbeck.run.checkpoints import Checkpoint
from limbeck.run.engine import Engine
from limbeck.run.executor import Executor
from limbeck.run.run import Options, Run
from limbeck.run.trackers import check_trackers

# The first steps are not timed: libraries choose their kernels and allocate then.
WARM_UP, FEWEST, MOST, SECONDS = 2, 3, 50, 2.0
# Where a step takes long, fewer will do.
LONGEST = 20.0
FROZEN = " (frozen)"


@dataclass
class Network:
    """What one network takes in memory.

    Args:
        stage: in which it is; a frozen one stays from that stage on.
        name: what it was built from, or what its loop calls it.
        parameters: how many.
        weights: bytes of its weights and buffers.
        gradients: bytes of the gradients of what is trained.
        optimiser: bytes that its optimiser keeps.
    """

    stage: str
    name: str
    parameters: int
    weights: int
    gradients: int = 0
    optimiser: int = 0


@dataclass
class Stage:
    """What one loop takes.

    Args:
        stage: its name.
        steps: how many are asked for.
        batch_size: samples a step, or None where there is no loader.
        tried: how many steps were taken.
        looks: how often a score would be looked at on the way, untimed.
        seconds: a step takes, or None if none was taken.
        teacher_calls: calls of frozen networks in all steps.
        activations: bytes kept for the way back in one step.
        memory: bytes held at the most where models live, this process included.
        state: bytes of that in weights, gradients and optimisers, frozen networks included.
        checkpoint: bytes of its state on disk.
        stays: whether that state stays when the stage is done.
        times: how many such loops there are, where they are jobs.
        at_once: how many of them run at the same time.
    """

    stage: str
    steps: int
    batch_size: int | None
    tried: int = 0
    looks: int = 0
    seconds: float | None = None
    teacher_calls: int = 0
    activations: int = 0
    memory: int = 0
    state: int = 0
    checkpoint: int = 0
    stays: bool = True
    times: int = 1
    at_once: int = 1


class Rehearsal(Run):
    """A run whose loops stop after a few steps and whose results are thrown away.

    The method is the real one, and so are data and models; nothing but small notes is written.

    Args:
        dir: a temporary folder.
        seed: of all draws.
        options: how it computes.

    Attributes:
        networks: those of every loop, and the frozen ones.
        stages: the loops in the order in which they first ran.
        stored: bytes of stages that are made once and kept, by name.
        seconds: what all loops took here.
        room: bytes that this process could take in all, where models live.
    """

    trying = True

    def __init__(self, dir: str | Path, *, seed: int = 0, options: Options | None = None) -> None:
        # A checkpoint tells that a loop has ended: there is none on the way.
        options = replace(options or Options(), checkpoint_seconds=float("inf"))
        check_trackers(options.trackers)
        super().__init__(dir, seed=seed, options=replace(options, trackers=()))
        self.networks: list[Network] = []
        self.stages: dict[str, Stage] = {}
        self.stored: dict[str, int] = {}
        self.seconds, self.room = 0.0, 0
        self._loop: _Loop | None = None
        self._kept = ""
        self._kind, self._tried = "", {}  # type: str, dict[str, _Kind]
        self._of_jobs: dict[str, dict[str, Tensor]] = {}
        self._frozen: set[int] = set()
        self._calls = Calls()
        self._undo = ExitStack()

    def goes_on(self, loop: Any, batches: Any, steps: int) -> bool:
        """Note the step that begins; stop when enough of them were timed."""
        if self._loop is None:
            self._loop = _Loop(self, loop, batches, steps)
            return self._loop.fits()
        return self._loop.next()

    def checkpoint(
        self,
        stage: str,
        step: int,
        models: Mapping[str, Mapping[str, Tensor]],
        state: Mapping[str, Any],
    ) -> None:
        """Note the end of a loop and how large its state is; write nothing."""
        if self._loop is not None:
            self._loop.end(content_bytes(models), content_bytes(state))
            self._loop = None

    def resume(self, stage: str) -> Checkpoint | None:
        """Nothing was done before."""
        return None

    def stage(
        self,
        name: str,
        make: Callable[..., Mapping[str, Tensor]],
        *,
        mapped: bool = False,
        **key: Any,
    ) -> dict[str, Tensor]:
        """Make what is asked for, or take what a job made of that name; note how large it is."""
        if not self._kind and name in self._of_jobs:
            return self._of_jobs[name]
        outer, self._kept = self._kept, name
        try:
            made = {label: tensor.detach() for label, tensor in make(**key).items()}
        finally:
            self._kept = outer
        if self._kind:
            self._of_jobs[name] = made
        self.stored[self._kind or name] = content_bytes(made)
        return made

    @contextmanager
    def keeping(self, name: str, steps: int, bytes: int, folder: Path) -> Iterator[int]:
        """Let a few steps be done and note what all take; a plan says whether there is room."""
        few, begun = min(steps, FEWEST), time.perf_counter()
        yield few
        spent = time.perf_counter() - begun
        self.seconds, self.stored[name] = self.seconds + spent, bytes
        self.stages.setdefault(name, Stage(name, steps, None, few, seconds=spent / few))

    def attempt_job(self, name: str, function: Callable[..., Any], job: Any, at_once: int) -> Any:
        """Try a job, or where one of its kind was tried take it to be like that one."""
        kind = name.rpartition("-")[0]
        known = self._tried.get(kind)
        if known is not None:
            if name in known.names:
                # A run would find it done.
                return known.result
            known.names.add(name)
            for stage in known.stages:
                stage.times += 1
            self.stored[kind] = self.stored.get(kind, 0) + known.stored
            return known.result
        before, self._kind = set(self.stages), kind
        try:
            result = function(self, *job)
        finally:
            self._kind = ""
        stages = [stage for name, stage in self.stages.items() if name not in before]
        for stage in stages:
            stage.at_once = at_once
        self._tried[kind] = _Kind(result, stages, self.stored.get(kind, 0), {name})
        return result

    @cached_property
    def executor(self) -> Executor:
        """Tries one job of each kind."""
        return _OneOfEach(self)

    @cached_property
    def engine(self) -> Engine:
        """The real one; what it is given to place is noted."""
        return cast(Engine, _Watched(super().engine, self._placed))

    def close(self) -> None:
        """Leave models and autograd as they were; note a loop that was broken off."""
        if self._loop is not None:
            self._loop.break_off()
            self._loop = None
        self._undo.close()

    def _placed(self, modules: Iterable[nn.Module]) -> None:
        for module in modules:
            if id(module) in self._frozen:
                continue
            self._frozen.add(id(module))
            parameters, size = weights([module])
            name = f"{_name(module, 'network')}{FROZEN}"
            self.networks.append(Network("", name, parameters, size))
            self._undo.callback(module.register_forward_hook(self._calls).remove)


@dataclass
class _Kind:
    """What a job gave that others are taken to be like."""

    result: Any
    stages: list[Stage]
    stored: int
    names: set[str]


class _OneOfEach(Executor):
    """Tries one job of each kind: those whose names differ behind the last hyphen only."""

    def __init__(self, run: Rehearsal) -> None:
        super().__init__(run)
        self._rehearsal = run

    def part(self, name: str) -> Run:
        """The rehearsal itself: it keeps nothing."""
        return self._rehearsal

    def runs(
        self,
        function: Callable[..., Any],
        names: Sequence[str],
        jobs: Sequence[tuple[Any, ...]],
        label: str = "jobs",
    ) -> list[Any]:
        """Give for every job what the first of its kind gave."""
        at_once = self.at_once(len(jobs))
        return [
            self._rehearsal.attempt_job(name, function, job, at_once)
            for name, job in zip(names, jobs, strict=True)
        ]


class _Loop:
    """A loop of a method while it is rehearsed."""

    def __init__(self, run: Rehearsal, loop: Any, batches: Any, steps: int) -> None:
        self.run, self.loop, self.undo = run, loop, ExitStack()
        self.device = run.engine.device
        self.begun, self.first, self.clock = time.perf_counter(), loop.step, 0.0
        self.stage = Stage(
            run._kind or loop.stage,
            steps,
            getattr(batches, "batch_size", None),
            looks=loop.watch.looks(steps) if loop.watch else 0,
            stays=not run._kept,
        )
        for one in run.networks:
            # Frozen ones were placed just before the loop that asks them.
            one.stage = one.stage or self.stage.stage
        self.networks = [self._network(name, model) for name, model in loop.raw.items()]
        self.held = held_bytes(self.device)
        run.room = max(run.room, self.held + free_bytes(self.device))
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        left = run.room - self.held - self._trained()
        self.saved = Saved(loop.raw.values(), left)
        self.calls = run._calls.count

    def fits(self) -> bool:
        """Whether there is room for what a step needs at the least; else none is taken."""
        if self.held + self._trained() > self.run.room:
            return False
        self.undo.enter_context(self.saved)
        return True

    def next(self) -> bool:
        """Note that a step is done; whether another one is wanted."""
        self.undo.close()
        taken = self.loop.step - self.first
        if taken == WARM_UP:
            self.clock = self._now()
        now = time.perf_counter()
        if now - self.begun > LONGEST:
            return False
        spent = now - self.clock
        return taken < WARM_UP + FEWEST or (spent < SECONDS and taken < WARM_UP + MOST)

    def end(self, models: int, state: int) -> None:
        """Note what the loop as a whole would take.

        Args:
            models: bytes of the models' weights in a checkpoint.
            state: bytes of the rest of it.
        """
        now, taken, stage = self._now(), self.loop.step - self.first, self.stage
        self.undo.close()
        self.run.seconds += now - self.begun
        stage.tried = taken
        if taken > WARM_UP:
            stage.seconds = (now - self.clock) / (taken - WARM_UP)
        elif taken:
            stage.seconds = (now - self.begun) / taken
        frozen = [one for one in self.run.networks if one.name.endswith(FROZEN)]
        stage.state = self._trained() + sum(one.weights for one in [*self.networks, *frozen])
        calls = (self.run._calls.count - self.calls) / max(taken, 1)
        stage.teacher_calls = round(calls * stage.steps)
        stage.activations = self.saved.peak
        # Of models that have not had their turn yet, the state is still to come.
        missing = self._optimisers() - self._learned()
        best = models if stage.looks else 0
        stage.checkpoint = models + state + max(0, missing) + best
        stage.memory = self.held + self._trained() + stage.activations + best
        if self.device.type == "cuda":
            stage.memory = max(stage.memory, torch.cuda.max_memory_allocated(self.device) + best)
        else:
            # A checkpoint is put together in memory, its weights twice, before it is written.
            between = max(held_bytes(self.device), self.held + self._optimisers())
            stage.memory = max(stage.memory, between + stage.checkpoint + models + best)
        if stage.stage not in self.run.stages:
            self.run.stages[stage.stage] = stage
            self.run.networks += self.networks

    def _network(self, name: str, model: nn.Module) -> Network:
        parameters, size = weights([model])
        trained = [one for one in model.parameters() if one.requires_grad]
        optim = self.loop.optims.get(name)
        return Network(
            self.stage.stage,
            _name(model, name),
            parameters,
            size,
            content_bytes(trained) if optim else 0,
            optimiser_bytes(optim, trained) if optim else 0,
        )

    def break_off(self) -> None:
        """Note what is known of a loop that did not come to its end."""
        self.end(sum(one.weights for one in self.networks), self._learned())

    def _learned(self) -> int:
        """Bytes that the optimisers really keep by now."""
        return content_bytes([one.state_dict() for one in self.loop.optimisers.values()])

    def _trained(self) -> int:
        return self._optimisers() + sum(one.gradients for one in self.networks)

    def _optimisers(self) -> int:
        return sum(one.optimiser for one in self.networks)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class _Watched:
    """An engine that tells what it is given to place."""

    def __init__(self, engine: Engine, placed: Callable[[Iterable[nn.Module]], None]) -> None:
        self._engine, self._placed = engine, placed

    def place(self, module: nn.Module) -> nn.Module:
        """Move a frozen network to where this process computes, and tell of it."""
        placed = self._engine.place(module)
        self._placed([placed])
        return placed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def _name(module: nn.Module, name: str) -> str:
    return getattr(module, "limbeck_spec", name)
