"""MEAL V2: fine-tune a trained student on the mean of its teachers' softmax outputs, no labels."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from limbeck.data import Batch, Data, Views, cutmix
from limbeck.errors import ArgumentError, UnusualUseWarning
from limbeck.functional import mean_logits, mean_probabilities
from limbeck.functional.adversarial import Mode, discriminator_input, discriminator_loss
from limbeck.functional.divergences import soft_target_loss
from limbeck.loops import Optim, fit
from limbeck.loops.teach import Teaching
from limbeck.method import method
from limbeck.networks.discriminator import LogitDiscriminator
from limbeck.networks.making import weights_of
from limbeck.objectives import Objective, Term, Terms, label_term
from limbeck.outputs import Outputs
from limbeck.products import Student
from limbeck.run import Run
from limbeck.teachers import EnsembleTeacher, ensemble, random_one

LARGEST_REDUCTION = 8


class Discrimination(Objective):
    """A discriminator that tells the student's logits from the teachers' mean logits.

    Args:
        classes: C.
        mode: whether the student helps it, works against it, or ignores it.
        reduction: r of the network.
        final_relu: as in the network.
        probabilities: show it softmax outputs of both sides instead of logits.
    """

    def __init__(
        self,
        classes: int,
        mode: Mode,
        reduction: int,
        final_relu: bool,
        probabilities: bool = False,
    ) -> None:
        super().__init__()
        self.mode: Mode = mode
        self.probabilities = probabilities
        self.network = LogitDiscriminator(classes, reduction=reduction, final_relu=final_relu)

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Terms:
        """Return the one term."""
        assert teacher is not None
        z_s, z_e = student.read("logits"), mean_logits(teacher.read("extra.member_logits"))
        if self.probabilities:
            z_s, z_e = z_s.softmax(1), teacher.read("logits").softmax(1)
        z_s = discriminator_input(z_s, mode=self.mode)
        return {"discriminator": discriminator_loss(self.network(z_s), self.network(z_e))}


@method("meal-v2")
class MealV2:
    r"""Fine-tuning on :math:`-\sum_c p_e \log \mathrm{softmax}(z_s)` with the mean softmax p_e.

    Args:
        initial_steps: steps on labels before the fine-tuning; 0 for a student that brings trained
            weights (``file:``), which the method needs.
        initial_optim: how the student learns then.
        steps: optimiser steps of the fine-tuning.
        batch_size: samples a step.
        optim: how the student is fine-tuned; no weight decay.
        aggregate: what the student is shown: ``"mean_probabilities"``, ``"mean_logits"``, or
            ``"random_one"``, a single teacher drawn for each batch.
        discriminator: ``"cooperative"`` as the authors' code has it, ``"adversarial"``, or
            ``"off"``.
        discriminator_reduction: r; None takes 8, or the largest that the classes allow.
        discriminator_lr: learning rate of the discriminator; None takes the student's.
        final_relu: clip the discriminator's outputs at 0, as the authors' code does.
        cutmix: probability of mixing the images of a batch; the teachers see them mixed.
        views: random changes of images, the same for student and teachers.
        teaching: how teachers given by name are trained, and whether their outputs are stored:
            ``store="top5"`` with ``views.distinct=8`` is the authors' fast mode, in which the
            discriminator sees softmax outputs.

    Source: Shen and Savvides, arXiv 2009.08453, and szq0214/MEAL-V2.
    """

    initial_steps: Annotated[int, Field(ge=0)] = 2000
    initial_optim: Optim = Optim(name="adamw", lr=1e-3, weight_decay=1e-4, schedule="cosine")
    steps: Annotated[int, Field(ge=1)] = 2000
    batch_size: Annotated[int, Field(ge=1)] = 128
    optim: Optim = Optim(name="sgd", lr=0.01, momentum=0.9, schedule="steps", milestones=(0.56,))
    aggregate: Literal["mean_probabilities", "mean_logits", "random_one"] = "mean_probabilities"
    discriminator: Mode = "cooperative"
    discriminator_reduction: Annotated[int, Field(ge=1)] | None = None
    discriminator_lr: Annotated[float, Field(gt=0)] | None = None
    final_relu: bool = False
    cutmix: Annotated[float, Field(ge=0, le=1)] = 0.0
    views: Views = Views()
    teaching: Teaching = Teaching()

    def objective(self, classes: int) -> Objective:
        """Similarity to the teachers and, unless it is off, the discriminator."""
        similarity = Term("similarity", soft_target_loss, divergence="cross_entropy")
        if self.discriminator == "off":
            return similarity
        largest = min(LARGEST_REDUCTION, int(classes**0.5))
        reduction = self.discriminator_reduction or largest
        return similarity + Discrimination(
            classes,
            self.discriminator,
            reduction,
            self.final_relu,
            # Of stored top classes the mean of raw logits is not known, the mean softmax is.
            probabilities=self.teaching.store.startswith("top"),
        )

    def distill(
        self, run: Run, *, teacher: EnsembleTeacher, student: nn.Module, data: Data
    ) -> Student:
        """Train the student on the labels, then fine-tune it on the teachers alone.

        Args:
            run: the folder.
            teacher: an ensemble.
            student: the network to train.
            data: what it learns from; a classification task.

        Returns:
            The fine-tuned student.

        Raises:
            ArgumentError: the ensemble routes or weighs its members and one is to be drawn.
        """
        self._begin(run, student, data)
        fit(
            run,
            "student",
            student,
            data,
            self._aggregated(teacher),
            self.objective(data.outputs),
            self.optim,
            self.steps,
            batch_size=self.batch_size,
            views=self.views,
            objective_optim=self._discriminator_optim(),
            mix=partial(cutmix, probability=self.cutmix) if self.cutmix else None,
        )
        return Student.of(student, data)

    def baselines(
        self, run: Run, *, teacher: EnsembleTeacher, student: nn.Module, data: Data
    ) -> dict[str, Student]:
        """The same student going on with labels for the same steps, and before either."""
        self._begin(run, student, data)
        alone = copy.deepcopy(student)
        self._labels(run, "alone", alone, data, self.optim, self.steps)
        return {
            "student alone": Student.of(alone, data),
            "student before": Student.of(student, data),
        }

    def _begin(self, run: Run, student: nn.Module, data: Data) -> None:
        """Train the student on labels first, where it does not bring trained weights."""
        if self.initial_steps:
            self._labels(run, "initial", student, data, self.initial_optim, self.initial_steps)
        elif hasattr(student, "limbeck_spec") and weights_of(student) != "brought":
            warnings.warn(
                "initial_steps is 0 and the student has no trained weights: fine-tuning from "
                "random weights stays far behind; set initial_steps or give a file: student",
                UnusualUseWarning,
                stacklevel=2,
            )

    def _labels(
        self, run: Run, stage: str, network: nn.Module, data: Data, optim: Optim, steps: int
    ) -> None:
        fit(
            run,
            stage,
            network,
            data,
            None,
            label_term(data.task),
            optim,
            steps,
            batch_size=self.batch_size,
            views=self.views,
        )

    def _aggregated(self, teacher: EnsembleTeacher) -> EnsembleTeacher:
        """The same members, weights and route, put together as the setting says."""
        if self.aggregate == "random_one":
            if teacher.weights is not None or teacher.route is not None:
                raise ArgumentError(
                    "aggregate is random_one and the ensemble has weights or a route of its own; "
                    "drop one of them"
                )
            return ensemble(*teacher.members, route=random_one)
        combine = mean_logits if self.aggregate == "mean_logits" else mean_probabilities
        return ensemble(
            *teacher.members, weights=teacher.weights, combine=combine, route=teacher.route
        )

    def _discriminator_optim(self) -> Optim | None:
        if self.discriminator_lr is None:
            return None
        return dataclasses.replace(self.optim, lr=self.discriminator_lr)
