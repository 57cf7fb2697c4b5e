"""KD: a student learns the teacher's softened outputs beside the labels."""

from __future__ import annotations

import copy
from typing import Annotated

from pydantic import AfterValidator, Field
from torch import nn

from limbeck.catalogue import loss_for_outputs
from limbeck.data import Data, Views
from limbeck.errors import SettingsError
from limbeck.evaluate.watch import fit_as_set
from limbeck.loops import Optim
from limbeck.loops.teach import Teaching
from limbeck.method import method
from limbeck.objectives import Objective, label_term, named, soft_term
from limbeck.products import Student
from limbeck.run import Run
from limbeck.teachers import Teacher


def _teaching_loss(name: str | None) -> str | None:
    """A loss that can stand for the soft term, told before anything is computed."""
    if name is not None and not loss_for_outputs(name).teacher:
        raise SettingsError(f"loss {name!r} reads no teacher; the labels have their own term")
    return name


@method("kd")
class KD:
    r"""Soft targets and labels side by side, :math:`(1 - w)\,L_{labels} + w\,L_{soft}`.

    Args:
        temperature: T of the soft targets; the soft term is multiplied by T².
        weight: w, share of the soft term, 0 to 1.
        loss: what stands for the soft term, a name of ``limbeck list --losses`` such as
            ``"dkd"``; None takes soft targets, or the squared difference of a regression. The
            temperature goes to losses that soften both sides by one.
        steps: optimiser steps of the student.
        batch_size: samples a step.
        accumulate: into how many pieces a batch is cut to save memory.
        patience: looks at the validation split without a new best before training stops; the best
            weights are kept. None trains to the end and takes the last weights.
        look_every: steps between two looks.
        optim: how the student learns.
        views: random changes of images, the same for student and teacher.
        teaching: how teachers given by name are trained.

    Source: Hinton, Vinyals and Dean, arXiv 1503.02531, section 2.
    """

    temperature: Annotated[float, Field(gt=0)] = 4.0
    weight: Annotated[float, Field(ge=0, le=1)] = 0.9
    loss: Annotated[str | None, AfterValidator(_teaching_loss)] = None
    steps: Annotated[int, Field(ge=1)] = 2000
    batch_size: Annotated[int, Field(ge=1)] = 128
    accumulate: Annotated[int, Field(ge=1)] = 1
    patience: Annotated[int, Field(ge=1)] | None = None
    look_every: Annotated[int, Field(ge=1)] = 100
    optim: Optim = Optim(name="adamw", lr=1e-3, weight_decay=1e-4, schedule="cosine")
    views: Views = Views()
    teaching: Teaching = Teaching()

    def objective(self, task: str) -> Objective:
        """The terms for a task."""
        if self.loss is None:
            soft = soft_term(task, temperature=self.temperature)
        else:
            softens = loss_for_outputs(self.loss).softens
            softening = {"temperature": self.temperature} if softens else {}
            soft = named(self.loss, task=task, **softening)
        return self.weight * soft + (1 - self.weight) * label_term(task)

    def distill(
        self,
        run: Run,
        *,
        teacher: Teacher,
        student: nn.Module,
        data: Data,
        objective: Objective | None = None,
    ) -> Student:
        """Train the student on the teacher's outputs and the labels.

        Args:
            run: the folder.
            teacher: one, or an ensemble.
            student: the network to train.
            data: what it learns from.
            objective: what to minimise instead of soft targets and labels.

        Returns:
            The trained student.
        """
        objective = objective or self.objective(data.task)
        fit_as_set(self, run, "student", student, data, teacher, objective)
        return Student.of(student, data)

    def baselines(
        self,
        run: Run,
        *,
        teacher: Teacher,
        student: nn.Module,
        data: Data,
        objective: Objective | None = None,
    ) -> dict[str, Student]:
        """The same student trained on the labels alone, for the same number of steps."""
        alone = copy.deepcopy(student)
        fit_as_set(self, run, "alone", alone, data, None, label_term(data.task))
        return {"student alone": Student.of(alone, data)}
