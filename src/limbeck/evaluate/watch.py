"""Training as settings say, with early stopping on the validation split."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from limbeck import outputs as reading
from limbeck.data.data import Data
from limbeck.data.views import Views
from limbeck.evaluate.quality import collect, main_figure, quality
from limbeck.loops.alternate import Models, Trained, Watch
from limbeck.loops.fit import fit
from limbeck.loops.optim import Optim
from limbeck.objectives import Objective
from limbeck.run.run import Run
from limbeck.teachers import Teacher


class Training(Protocol):
    """The settings that methods with one stage of training have in common."""

    @property
    def steps(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def accumulate(self) -> int: ...

    @property
    def patience(self) -> int | None: ...

    @property
    def look_every(self) -> int: ...

    @property
    def optim(self) -> Optim: ...

    @property
    def views(self) -> Views: ...


def fit_as_set(
    settings: Training,
    run: Run,
    stage: str,
    student: nn.Module,
    data: Data,
    teacher: Teacher | None,
    objective: Objective,
) -> Trained:
    """Train a student in place as a method's settings say, with early stopping where they ask.

    Args:
        settings: of the method; without `patience` the last weights are taken.
        run: the folder.
        stage: as in `fit`, and so are the others.
        student: the network to train.
        data: what it learns from.
        teacher: frozen source of outputs, or None.
        objective: its terms are minimised.

    Returns:
        How the loop ended.
    """
    watch = None
    if settings.patience is not None:
        watch = validation_watch(data, every=settings.look_every, patience=settings.patience)
    return fit(
        run,
        stage,
        student,
        data,
        teacher,
        objective,
        settings.optim,
        settings.steps,
        batch_size=settings.batch_size,
        views=settings.views,
        accumulate=settings.accumulate,
        watch=watch,
    )


def validation_watch(
    data: Data, *, every: int, patience: int | None, name: str = "student"
) -> Watch:
    """Watch a model's main figure on the validation samples.

    Args:
        data: its validation split is looked at, never its test split.
        every: steps between two looks.
        patience: looks without a new best before training stops; None only keeps the best.
        name: of the model in the loop.

    Returns:
        What `fit` and `alternate` take as ``watch``: accuracy, or the negative root mean squared
        error for regression.
    """
    figure, sign = main_figure(data.task)

    def score(models: Models) -> float:
        model = models[name]
        modes = {module: module.training for module in model.modules()}
        model.eval()
        logits, target = collect(lambda batch: reading.of(model, batch), data, data.validation)
        for module, mode in modes.items():
            module.training = mode
        return sign * quality(logits, target, data.task)[figure]

    return Watch(score, every, patience)
