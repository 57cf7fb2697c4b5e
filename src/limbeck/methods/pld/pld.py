"""PLD: a student learns the ranking "true class first, then the teacher's order" by one loss."""

from __future__ import annotations

import copy
import warnings
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from limbeck.data import Data, Views
from limbeck.errors import NoEffectWarning
from limbeck.evaluate.watch import fit_as_set
from limbeck.functional import plackett_luce_loss
from limbeck.loops import Optim
from limbeck.loops.teach import Teaching
from limbeck.method import method
from limbeck.objectives import Objective, Term, label_term
from limbeck.products import Student
from limbeck.run import Run
from limbeck.teachers import Teacher


@method("pld")
class PLD:
    r"""Weighted likelihood of a ranking, :math:`\sum_k \alpha_k \ell_k`, in place of every term.

    With :math:`\pi` the true class and then the others by the teacher's order,
    :math:`\ell_k = \log \sum_{l \ge k} e^{s_{\pi_l}} - s_{\pi_k}` and
    :math:`\alpha_k = \mathrm{softmax}(t / T)_{\pi_k}`.

    Args:
        temperature: T of the weights; the student's logits are never divided by it.
        weighting: of the ranks: ``"teacher"``, the paper's; ``"uniform"``, 1/C, which is ListMLE;
            ``"position"``, in proportion to 2^(C-k) - 1 (p-ListMLE; reconstructed).
        min_first_weight: least weight of the true class, 0 to 1, for teachers that are often wrong
            and sure; 0 is off, 1 is cross-entropy.
        steps: optimiser steps of the student.
        batch_size: samples a step.
        accumulate: into how many pieces a batch is cut to save memory.
        patience: looks at the validation split without a new best before training stops; the best
            weights are kept. None trains to the end and takes the last weights.
        look_every: steps between two looks.
        optim: how the student learns.
        views: random changes of images, the same for student and teacher.
        teaching: how teachers given by name are trained.

    Source: arXiv 2506.12542 (PLD), eq. 7 and appendix C.
    """

    temperature: Annotated[float, Field(gt=0)] = 1.0
    weighting: Literal["teacher", "uniform", "position"] = "teacher"
    min_first_weight: Annotated[float, Field(ge=0, le=1)] = 0.0
    steps: Annotated[int, Field(ge=1)] = 2000
    batch_size: Annotated[int, Field(ge=1)] = 128
    accumulate: Annotated[int, Field(ge=1)] = 1
    patience: Annotated[int, Field(ge=1)] | None = None
    look_every: Annotated[int, Field(ge=1)] = 100
    optim: Optim = Optim(name="adamw", lr=1e-3, weight_decay=1e-4, schedule="cosine")
    views: Views = Views()
    teaching: Teaching = Teaching()

    def objective(self) -> Objective:
        """The one term."""
        return Term(
            "pld",
            plackett_luce_loss,
            target="y",
            temperature=self.temperature,
            weights=self.weighting,
            min_first_weight=self.min_first_weight,
        )

    def distill(self, run: Run, *, teacher: Teacher, student: nn.Module, data: Data) -> Student:
        """Train the student on the ranking of labels and teacher.

        Args:
            run: the folder.
            teacher: one, or an ensemble.
            student: the network to train.
            data: what it learns from; a classification task.

        Returns:
            The trained student.
        """
        if self.weighting != "teacher" and self.temperature != 1:
            warnings.warn(
                f"temperature is {self.temperature:g} and weighting {self.weighting!r}: the "
                "temperature belongs to the weights 'teacher' and changes nothing here; drop it",
                NoEffectWarning,
                stacklevel=2,
            )
        fit_as_set(self, run, "student", student, data, teacher, self.objective())
        return Student.of(student, data)

    def baselines(
        self, run: Run, *, teacher: Teacher, student: nn.Module, data: Data
    ) -> dict[str, Student]:
        """The same student trained on the labels alone, for the same number of steps."""
        alone = copy.deepcopy(student)
        fit_as_set(self, run, "alone", alone, data, None, label_term(data.task))
        return {"student alone": Student.of(alone, data)}
