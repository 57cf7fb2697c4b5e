"""Fresh networks trained on small sets as jobs: what is finished is kept, what is begun goes on."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from limbeck import keyed
from limbeck import outputs as reading
from limbeck.data.data import Data
from limbeck.data.eight_bit import EightBit
from limbeck.data.prepared import Pixels, Prepared
from limbeck.data.splits import Split, Subset, TensorSplit
from limbeck.errors import ArgumentError
from limbeck.evaluate.protocol import Protocol
from limbeck.evaluate.quality import Figures, collect, quality
from limbeck.evaluate.watch import validation_watch
from limbeck.features import evaluating
from limbeck.fingerprint import fingerprint
from limbeck.loops.alternate import Trained, Watch
from limbeck.loops.fit import fit
from limbeck.networks.fresh import fresh
from limbeck.run.run import Run

FOLDER = "judged"


@dataclass(frozen=True)
class Case:
    """One fresh network to train.

    Args:
        data: its training split is the small set; validation and test hold real samples.
        protocol: how.
        network: its name, or a module whose architecture it takes.
        repeat: which of the networks of this name; with the run's seed it decides the initial
            weights and the order of batches, whatever the small set is.
        scored: the split that its figures are of.
    """

    data: Data
    protocol: Protocol
    network: str | nn.Module
    repeat: int = 0
    scored: Literal["test", "validation"] = "test"


def trained(run: Run, cases: Sequence[Case], label: str = "fresh networks") -> list[Figures]:
    """Train networks as jobs of the run's executor, or take what was found before.

    Args:
        run: each network has a run folder of its own in it, named by what decides the figures.
        cases: what to train; equal ones are trained once.
        label: what to call the jobs in the progress display.

    Returns:
        For each case its accuracy and other figures on the split asked for, ``seconds`` of
        training (of the last part of one that was stopped), and ``step``, of which the weights are.

    Raises:
        ArgumentError: a set is no classification.
        Others as `fit`.
    """
    light: dict[tuple[int, str, str, bool], Data] = {}
    jobs: dict[str, tuple[Case]] = {}
    names = []
    for case in cases:
        if case.data.task != "classification":
            raise ArgumentError(
                f"{case.data.name} is a {case.data.task} task, and only sets for classification "
                "are judged by fresh networks"
            )
        eight_bit = isinstance(case.protocol.views(case.data), EightBit)
        kept = (id(case.data), case.protocol.selection, case.scored, eight_bit)
        if kept not in light:
            light[kept] = _light(case)
        # What does not change the training is no part of the folder's name.
        protocol = dataclasses.replace(case.protocol, network="", others=(), repeats=1)
        case = dataclasses.replace(case, data=light[kept], protocol=protocol)
        called = f"{FOLDER}-{_called(case.network)}-{len(case.data.train)}"
        word = fingerprint(run.seed, _content(case))
        names.append(f"{re.sub('[^A-Za-z0-9]+', '-', called)}-{word}")
        jobs[names[-1]] = (case,)
    found = run.executor.runs(_train, list(jobs), list(jobs.values()), label)
    by_name = dict(zip(jobs, found, strict=True))
    return [by_name[name] for name in names]


def _called(network: str | nn.Module) -> str:
    return network if isinstance(network, str) else type(network).__name__


def _train(run: Run, case: Case) -> Figures:
    """The job: one network, in a run folder of its own."""
    stage = f"{FOLDER}-{case.repeat}"

    def make(
        data: Data, protocol: Protocol, network: str | nn.Module, repeat: int, scored: str
    ) -> dict[str, Tensor]:
        key = keyed.key(run.seed, FOLDER, _called(network), repeat)
        learner = fresh(network, data.input_space, data.outputs, key)
        images, watch = len(data.train), None
        steps = protocol.steps_for(images)
        if protocol.selection == "validation":
            every = min(protocol.look_every, steps)
            watch = validation_watch(data, every=every, patience=None)
        begun = time.perf_counter()
        ended = fit(
            run,
            stage,
            learner,
            data,
            None,
            protocol.objective(data),
            protocol.optim(images),
            steps,
            batch_size=protocol.batch_size,
            views=protocol.views(data),
            watch=watch,
        )
        step = ended.step
        if watch is not None:
            step = _best_with_last(run, stage, learner, ended, watch)
        seconds = time.perf_counter() - begun
        split = data.test if scored == "test" else data.validation
        logits, target = collect(lambda batch: reading.of(learner, batch), data, split)
        figures = quality(logits, target, data.task)
        figures |= {"seconds": seconds, "step": step}
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in figures.items()}

    found = run.stage(stage, make, **_content(case))
    return {name: float(value) for name, value in found.items()}


def _best_with_last(run: Run, stage: str, learner: nn.Module, ended: Trained, watch: Watch) -> int:
    """Let the last iterate compete too, where the looks missed it; returns whose weights are in."""
    best = ended.best_step
    assert best is not None
    assert ended.best_score is not None
    if ended.step % watch.every == 0:
        return best
    found = run.resume(stage)
    assert found is not None
    weights = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
    learner.load_state_dict(found.models["student"])
    with torch.no_grad(), evaluating(learner):
        score = watch.score({"student": learner})
    run.log(stage=stage, step=ended.step, score=score)
    if score > ended.best_score:
        return ended.step
    learner.load_state_dict(weights)
    return best


def _content(case: Case) -> dict[str, Any]:
    return {field.name: getattr(case, field.name) for field in dataclasses.fields(case)}


def _light(case: Case) -> Data:
    """The data with the samples that the job reads: what it must not see does not travel."""
    data, validates = case.data, case.protocol.selection == "validation"
    looked_at = validates or case.scored == "validation"
    if isinstance(data, Prepared) and not isinstance(case.protocol.views(data), EightBit):
        # A whitening is large, and only eight-bit views go back through it.
        data = dataclasses.replace(data, pixels=Pixels())
    return dataclasses.replace(
        data,
        train=_held(data.train),
        validation=_held(data.validation if looked_at else _first(data.validation)),
        test=_held(data.test if case.scored == "test" else _first(data.test)),
        rest=None,
    )


def _first(split: Split) -> Split:
    return Subset(split, np.arange(1))


def _held(split: Split) -> Split:
    """The samples of a part of tensors without the others, which would travel with them."""
    source = split
    while isinstance(source, Subset):
        source = source.source
    if source is split or not isinstance(source, TensorSplit):
        return split
    return TensorSplit(split.take(np.arange(len(split))), split.ids)
