"""Fit: one student learns an objective from data and, if there is one, a teacher."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from limbeck import keyed
from limbeck import outputs as reading
from limbeck.catalogue import entry_of, losses
from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import Loader, sequential
from limbeck.data.views import Views
from limbeck.errors import ArgumentError, DataError, LimbeckError, ModelError, UnusualUseWarning
from limbeck.features import evaluating
from limbeck.loops.alternate import Models, Trained, Watch, alternate
from limbeck.loops.batches import training_batches
from limbeck.loops.optim import Optim
from limbeck.objectives import Objective, Term, Terms
from limbeck.outputs import Outputs
from limbeck.run.run import At, Run
from limbeck.teachers import TOP, bound, placed

if TYPE_CHECKING:
    from limbeck.teachers import Teacher


def fit(
    run: Run,
    stage: str,
    student: nn.Module,
    data: Data,
    teacher: Teacher | None,
    objective: Objective,
    optim: Optim,
    steps: int,
    *,
    batch_size: int = 128,
    views: Views | None = None,
    accumulate: int = 1,
    average: Callable[[int], float] | None = None,
    watch: Watch | None = None,
    objective_optim: Optim | None = None,
    mix: Callable[[Batch], Batch] | None = None,
) -> Trained:
    """Train a student in place.

    Args:
        run: the folder.
        stage: a word; names the checkpoints and keys the draws.
        student: returns logits in any of the forms that `limbeck.outputs.of` reads.
        data: ``data.train`` is what it learns from.
        teacher: frozen source of outputs, or None.
        objective: its terms are minimised; its own parameters, if any, learn with the student.
        optim: how parameters learn.
        steps: optimiser steps.
        batch_size: samples a step.
        views: random changes of images, the same for student and teacher.
        accumulate: into how many pieces a batch is cut to save memory; the gradient is that of
            the whole batch unless layers normalise by the statistics of what they see.
        average: keeps an averaged copy of the student, which it ends with; see `ema`, `swa`.
        watch: early stopping on validation.
        objective_optim: how the objective's own parameters learn; as the student by default.
        mix: changes a batch as a whole before teacher and student see it, such as `cutmix`.

    Returns:
        How the loop ended.

    Raises:
        ModelError: student or teacher cannot take the inputs, or give other classes than the
            data has; found before the first step.
        LimbeckError: as `alternate` does.
    """
    if not objective.needs_teacher:
        teacher = None
    if average is not None and watch is not None:
        raise ArgumentError(
            "average and watch both decide the weights that the student ends with; drop one"
        )
    _check_pieces(student, min(batch_size, len(data.train)) // run.engine.world // accumulate)
    if mix is not None and "y" in objective.targets:
        raise ArgumentError(
            "mix makes images of two samples and the objective reads the labels of one; drop the "
            "label term or the mixing"
        )
    loader = training_batches(run, stage, data, batch_size, views)
    check_model(student, data, "the student")
    if teacher is not None:
        check_source(teacher, data, f"the teacher {getattr(teacher, 'name', '')}".rstrip())
        teacher = bound(teacher, loader)
        _check_kept(teacher, objective, mix)
        teacher = placed(teacher, run.engine.place)
        _fill(run, stage, teacher, loader.views_shown(steps))
    wanted = sorted(objective.student_features)
    if objective.projects:
        _prepare(run, stage, objective, student, teacher, loader)
    models: Models = {"student": student}
    if any(True for _ in objective.parameters()):
        models["objective"] = objective
    student.train()

    def step(models: Models, batch: Batch, at: At) -> Terms:
        batch = batch if mix is None else mix(batch)
        said = reading.of(models["student"], batch, wanted)
        told = None if teacher is None else teacher(batch)
        return models.get("objective", objective)(said, told, batch)

    trained = alternate(
        run,
        stage,
        models,
        {"student": optim, "objective": objective_optim or optim}
        if len(models) > 1
        else {"student": optim},
        steps,
        step=step,
        batches=loader,
        average=None if average is None else {"student": average},
        accumulate=accumulate,
        watch=watch,
    )
    if average is not None:
        student.load_state_dict(trained.averages["student"])
    student.eval()
    return trained


def _check_pieces(student: nn.Module, samples: int) -> None:
    normalises = any(
        isinstance(module, nn.modules.batchnorm._BatchNorm) for module in student.modules()
    )
    if normalises and samples < 2:
        raise ArgumentError(
            "the student normalises by batch statistics and would see one sample at a time; raise "
            "batch_size or lower accumulate"
        )


def _check_kept(teacher: Teacher, objective: Objective, mix: Any) -> None:
    """Refuse, before the first step, what stored outputs cannot serve."""
    gives = getattr(teacher, "gives", None)
    if gives is None:
        return
    if mix is not None:
        raise ArgumentError(
            "mix changes batches as a whole and the teacher's outputs are stored for single "
            "samples; drop the mixing or the store"
        )
    if TOP in gives:
        _check_top(objective)
        gives = ("logits", *(one for one in gives if one != TOP))
    missing = sorted(objective.teacher_outputs - set(gives))
    if missing:
        raise ArgumentError(
            f"the objective reads {', '.join(missing)} of the teacher, and only "
            f"{', '.join(gives)} are stored; use the teacher itself instead of cached(...)"
        )


def _check_top(objective: Objective) -> None:
    """Refuse losses that need the logits of all classes where the most likely ones are stored."""
    for part in objective.modules():
        if not isinstance(part, Term) or part.teacher not in ("logits", "extra.member_logits"):
            continue
        entry = entry_of(part.function, part.options)
        if entry is None:
            warnings.warn(
                f"of the teacher only the most likely classes are stored, and whether term "
                f"{part.name!r} needs the others is not known; set teaching.store to logits if "
                "it does",
                UnusualUseWarning,
                stacklevel=4,
            )
        elif TOP not in entry.teacher:
            fitting = [one.name for one in losses() if TOP in one.teacher]
            raise ArgumentError(
                f"loss {entry.name!r} of term {part.name!r} needs the teacher's "
                f"{' or '.join(entry.teacher)} for all classes, and only the most likely are "
                "stored; set teaching.store to logits (in Python: keep='logits'), or take one of "
                f"{', '.join(fitting)}"
            )


@torch.no_grad()
def _prepare(
    run: Run,
    stage: str,
    objective: Objective,
    student: nn.Module,
    teacher: Teacher | None,
    loader: Loader,
) -> None:
    """Let the objective make its projectors for what two samples give, from draws of their own."""
    batch = loader.read(np.arange(2), np.zeros(2, dtype=np.int64))
    with evaluating(student):
        said = reading.of(student, batch, sorted(objective.student_features))
    told = None if teacher is None else teacher(batch.to(run.engine.device))
    with keyed.torch_seeded(keyed.key(run.seed, stage, "projectors")):
        objective.prepare(said, told)


def _fill(run: Run, stage: str, teacher: Teacher, views: Sequence[int]) -> None:
    """Compute the outputs that will be read from a store and are not there yet."""
    for one in getattr(teacher, "members", ()):
        for view in views if hasattr(one, "fill") else ():
            if not one.whole(view):
                words = f"{run.dir.name} {stage}: outputs of {one.name}"
                with run.progress(words, one.rows) as shown:
                    one.fill(view, run.engine.device, shown.advance)


def check_model(model: nn.Module, data: Data, name: str) -> None:
    """Raise `ModelError` unless a model takes two samples of the data and gives its classes.

    A model that gives something else than classes has a method ``check_data`` and is asked.
    """
    own = getattr(model, "check_data", None)
    if own is not None:
        own(data, name)
        return
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        check_source(lambda batch: reading.of(model, batch), data, name)
    finally:
        for module, mode in modes.items():
            module.training = mode


@torch.no_grad()
def check_source(source: Callable[[Batch], Outputs], data: Data, name: str) -> None:
    """Raise `ModelError` unless a source takes two samples of the data and gives its classes."""
    batch = next(sequential(data, data.train, min(2, len(data.train))))
    device = next(
        (one.device for m in getattr(source, "modules", ()) for one in m.parameters()), "cpu"
    )
    batch = batch.to(device)
    shape = tuple(batch["x"].shape[1:]) if "x" in batch else None
    x = batch.get("x")
    if x is not None and not bool(torch.isfinite(x).all()):
        raise DataError(f"inputs of {data.name} hold NaN or infinite values; drop or repair them")
    try:
        logits = source(batch).read("logits")
    except LimbeckError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        space = data.input_space
        laid = f"{space.channels} channels of {space.size}" if space and space.channels else shape
        raise ModelError(
            f"{name} cannot take inputs of {data.name}, {laid}: {error}\nchoose a model for this "
            "size and number of channels, or declare its input_space so that inputs are converted"
        ) from error
    found = logits.shape[-1] if logits.ndim > 1 else 1
    if found != data.outputs:
        what = "numbers" if data.task == "regression" else "classes"
        raise ModelError(
            f"{name} gives {found} {what} and {data.name} has {data.outputs}; give it a head of "
            f"{data.outputs}"
        )
