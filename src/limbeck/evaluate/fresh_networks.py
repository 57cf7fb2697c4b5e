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
from limbeck.data.prepared import Pixels, Prepared
from limbeck.data.splits import Split, Subset, TensorSplit, remade
from limbeck.errors import ArgumentError
from limbeck.evaluate.protocol import Judging
from limbeck.evaluate.quality import Figures, collect, quality
from limbeck.fingerprint import fingerprint
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
    protocol: Judging
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
        training (of the last part of one that was stopped), and ``step``, of which the weights are;
        where late weights compete beside the last, ``best_accuracy`` too.

    Raises:
        ArgumentError: a set is no classification.
        LimbeckError: as `fit` does.
    """
    light: dict[tuple[int, str, bool, bool], Data] = {}
    jobs: dict[str, tuple[Case]] = {}
    names = []
    for case in cases:
        if case.data.task != "classification":
            raise ArgumentError(
                f"{case.data.name} is a {case.data.task} task, and only sets for classification "
                "are judged by fresh networks"
            )
        ways = case.protocol.validates, case.protocol.eight_bit(case.data)
        kept = (id(case.data), case.scored, *ways)
        if kept not in light:
            light[kept] = _light(case)
        # What does not change the training is no part of the folder's name.
        settings: Any = case.protocol
        protocol = dataclasses.replace(settings, network="", others=(), repeats=1)
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
        data: Data, protocol: Judging, network: str | nn.Module, repeat: int, scored: str
    ) -> dict[str, Tensor]:
        key = keyed.key(run.seed, FOLDER, _called(network), repeat)
        learner = fresh(network, data.input_space, data.outputs, key)
        begun = time.perf_counter()
        learnt = protocol.train(run, stage, learner, data, _called(network))
        seconds = time.perf_counter() - begun
        figures = _figures(learner, data, scored)
        if protocol.late:
            best = figures
            if learnt.best is not None:
                learner.load_state_dict(learnt.best)
                best = _figures(learner, data, scored)
            figures = {**figures, "best_accuracy": best["accuracy"]}
        figures |= {"seconds": seconds, "step": learnt.step}
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in figures.items()}

    found = run.stage(stage, make, **_content(case))
    return {name: float(value) for name, value in found.items()}


def _figures(learner: nn.Module, data: Data, scored: str) -> Figures:
    split = data.test if scored == "test" else data.validation
    logits, target = collect(lambda batch: reading.of(learner, batch), data, split)
    return quality(logits, target, data.task)


def _content(case: Case) -> dict[str, Any]:
    return {field.name: getattr(case, field.name) for field in dataclasses.fields(case)}


def _light(case: Case) -> Data:
    """The data with the samples that the job reads: what it must not see does not travel."""
    data = case.data
    looked_at = case.protocol.validates or case.scored == "validation"
    if isinstance(data, Prepared) and not case.protocol.eight_bit(data):
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
    return remade(split, split.take(np.arange(len(split))))
