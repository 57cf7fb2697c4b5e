"""Decoupled DMD: what guides and what matches a few-step student, at noise levels of their own."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.data import Batch, Data
from limbeck.data.centred import centred, moments
from limbeck.errors import NoEffectWarning, SettingsError
from limbeck.functional.distribution_matching import (
    augmentation_delta,
    error_scale,
    match_delta,
    mean_variance_divergence,
    surrogate_loss,
)
from limbeck.loops.adversary import Adversary, Opponent
from limbeck.loops.alternate import Models
from limbeck.loops.denoise import Denoising, starting
from limbeck.loops.draws import Draws
from limbeck.loops.match import Matching, Sample, check_matching, labels_of, match, simulated
from limbeck.loops.pairs import Regression, regression_term, teacher_pairs
from limbeck.loops.scores import asked, heard, noised
from limbeck.method import method
from limbeck.objectives import Terms
from limbeck.products.generator import Generator, teachers
from limbeck.products.showing_samples import show_scores
from limbeck.run import Run
from limbeck.samplers.few_step import FewStep

Share = Annotated[float, Field(ge=0, le=1)]


@method("decoupled-dmd")
class DecoupledDMD:
    r"""A few-step student that needs no guidance, learning along two directions.

    .. math:: D = \underbrace{R_c - F_c}_{\text{match, at } \tau_{dm}}
        + \underbrace{(w - 1)(R_c - R_u)}_{\text{augment, at } \tau_{ca}}

    R is the teacher's clean prediction with and without the condition, F the fake's. With
    ``schedule="shared"`` it is DMD2, with one level and `regression` besides DMD.

    Args:
        sampler: levels of the student, and how it goes from one to the next.
        guidance: w; 1 leaves the second direction out.
        schedule: where levels are drawn: ``"shared"``: one for both, over the whole range;
            ``"full"``: two, over the whole range; ``"constrained"``: two, both cleaner than what
            the student began its step from; ``"hybrid"``: only that of the second.
        regulariser: what keeps the second direction in bounds: ``"dm"``, the first;
            ``"mean_var"``, mean and variance of each sample; ``"gan"``, a critic; ``"none"``.
        augment: whether the second direction is taken.
        band: levels of the second direction in place of those that `schedule` gives.
        normaliser: what directions are divided by: ``"shared"``: how far samples are from the
            whole guided prediction; ``"per_term"``: from each prediction of its own; ``"none"``.
        target_mean: of ``"mean_var"``; None takes that of the data.
        target_variance: of ``"mean_var"``; None takes that of the data.
        matching: how student and fake learn.
        adversary: a critic besides, or for ``"gan"``.
        regression: on what the teacher's own sampler makes.
        teaching: how a denoiser given by name is trained.

    Source: arXiv 2511.22677; Yin et al., arXiv 2311.18828 (DMD) and 2405.14867 (DMD2).
    """

    sampler: FewStep = FewStep()
    guidance: Annotated[float, Field(ge=1)] = 2.0
    schedule: Literal["shared", "full", "constrained", "hybrid"] = "hybrid"
    regulariser: Literal["dm", "mean_var", "gan", "none"] = "dm"
    augment: bool = True
    band: tuple[Share, Share] | None = None
    normaliser: Literal["shared", "per_term", "none"] = "shared"
    target_mean: float | None = None
    target_variance: Annotated[float, Field(gt=0)] | None = None
    matching: Matching = Matching()
    adversary: Adversary = Adversary()
    regression: Regression = Regression()
    teaching: Denoising = Denoising()

    def __post_init__(self) -> None:
        if self.regulariser == "none" and not self._guided:
            raise SettingsError(
                "regulariser is none and there is no guidance to augment with, so that there is "
                "nothing to learn from; set guidance above 1 or another regulariser"
            )
        if self.band is not None and not self.band[0] < self.band[1]:
            raise SettingsError(f"band is {list(self.band)}, expected two levels that rise")
        targets = (self.target_mean, self.target_variance)
        if self.regulariser != "mean_var" and targets != (None, None):
            warnings.warn(
                "target_mean and target_variance have no effect without regulariser mean_var",
                NoEffectWarning,
                stacklevel=2,
            )

    def distill(
        self, run: Run, *, teacher: nn.Module, data: Data, student: nn.Module | None = None
    ) -> Generator:
        """Train the student.

        Args:
            run: the folder.
            teacher: a frozen denoiser, which was trained with hidden conditions for guidance.
            data: gives conditions, and real samples to a critic.
            student: a denoiser to start from in place of the teacher's weights; trained on the
                data first.

        Returns:
            A generator that samples without guidance.

        Raises:
            ArgumentError: guidance with a teacher that has no conditions.
            RunError: a prediction is not finite, or samples run away.
        """
        made, fake = self._made(run, "student", teacher, data, student)
        if fake is not None and run.engine.rank == 0:
            show_scores(run, made, teacher, fake, data)
        return made

    def baselines(
        self, run: Run, *, teacher: nn.Module, data: Data, student: nn.Module | None = None
    ) -> dict[str, Generator]:
        """The teacher's own sampler, with as many steps, with 1, 4 and 50; and DMD2, which draws
        one level for both directions."""
        found = teachers(teacher, data, len(self.sampler.levels), self.guidance)
        plain = dataclasses.replace(
            self,
            schedule="shared",
            regulariser="dm",
            augment=True,
            band=None,
            normaliser="shared",
            target_mean=None,
            target_variance=None,
        )
        if plain == self:
            return found
        return {**found, "coupled": plain._made(run, "coupled", teacher, data, student)[0]}

    def check_teacher(self, network: Any, student: Any = None) -> None:
        """Find guidance that the teacher cannot give, and features that a critic cannot see, before
        it is trained."""
        check_matching(network, self._learned, self.teaching)
        if self._critical:
            fake = network if student is None else student
            Opponent.of(self.adversary, network, self.matching, fake)

    @property
    def _critical(self) -> bool:
        """Whether there is a critic."""
        return self.regulariser == "gan" or bool(self.adversary.weight)

    @property
    def _learned(self) -> float:
        """Scale of the guidance that the student learns."""
        return self.guidance if self.augment else 1.0

    @property
    def _guided(self) -> bool:
        return self._learned != 1

    def _made(
        self, run: Run, stage: str, teacher: nn.Module, data: Data, student: nn.Module | None
    ) -> tuple[Generator, nn.Module | None]:
        shown, begin = centred(data), starting(run, teacher, student, data, self.teaching)
        mean, spread = moments(shown)
        asked_of_fake = self._critical and self.adversary.on == "fake"
        fake = begin(1.0) if self.regulariser == "dm" or asked_of_fake else None
        placed = run.engine.place(teacher)
        opponent, rival = None, None
        if self._critical:
            weight = self.adversary.weight or 1.0
            opponent = Opponent.of(
                dataclasses.replace(self.adversary, weight=weight), placed, self.matching, fake
            )
            rival = opponent.rival(run, stage, shown, self.matching.batch_size)
        labels = labels_of(data)
        pairs = {}
        if self.regression.weight:
            stored = teacher_pairs(run, teacher, labels, self.regression, self.guidance)
            pairs = {name: one.to(run.engine.device) for name, one in stored.items()}
        targets = (
            mean if self.target_mean is None else self.target_mean,
            spread**2 if self.target_variance is None else self.target_variance,
        )

        def student_terms(models: Models, sample: Sample, draws: Draws, batch: Batch) -> Terms:
            terms = self._directed(placed, models, sample, draws)
            if self.regulariser == "mean_var":
                terms["mean_var"] = mean_variance_divergence(sample.x, *targets)
            if opponent is not None:
                terms |= opponent.against(models, sample, draws)
            if pairs:
                level = self.sampler.levels[0]
                weight = self.regression.weight
                terms |= regression_term(models["student"], pairs, level, weight, draws)
            return terms

        made = match(
            run,
            stage,
            begin(self.sampler.levels[0]),
            fake,
            self.matching,
            labels,
            rollout=simulated(self.sampler),
            student_terms=student_terms,
            fake_terms=None if opponent is None else opponent.learns,
            rival=rival,
            spread=spread,
        )
        return Generator.of(made, self.sampler, data, learned=self._learned), fake

    def _directed(self, teacher: Any, models: Models, sample: Sample, draws: Draws) -> Terms:
        """The two directions in clean predictions, each as a term of its own."""
        x, condition = sample.x.detach(), sample.condition
        whole = (self.matching.lowest, self.matching.highest)
        cleaner = (whole[0], max(min(sample.start, whole[1]), whole[0]))
        matches = self.regulariser == "dm"
        first = noised(teacher, x, draws, cleaner if self.schedule == "constrained" else whole)
        second = first
        if self.schedule != "shared" or self.band is not None:
            usual = whole if self.schedule == "full" else cleaner
            second = noised(teacher, x, draws, self.band or usual)
        questions = [(*first, condition)] if matches else []
        if self._guided:
            assert condition is not None
            null = torch.full_like(condition, teacher.null)
            # At the same level and noise the conditional answer is there already.
            questions += [] if second is first and matches else [(*second, condition)]
            questions += [(*second, null)]
        along = torch.zeros((), device=x.device)
        found: list[tuple[str, Tensor, Tensor]] = []
        with torch.no_grad():
            said = [sample.finite(one, "teacher") for one in asked(teacher, questions)]
            if matches:
                made = sample.finite(heard(models["fake"], teacher, *first, condition), "fake")
                toward = match_delta(said[0], made)
                found.append(("match", toward, said[0]))
            if self._guided:
                along = augmentation_delta(said[-2], said[-1], self.guidance)
                found.append(("augment", along, said[-2] + along))
        terms: Terms = {}
        for name, delta, alone in found:
            aim = said[0] + along if self.normaliser == "shared" else alone
            scale = 1.0 if self.normaliser == "none" else error_scale(x, aim)
            terms[name] = surrogate_loss(sample.x, -delta / scale)
            sample.notes[f"{name}_size"] = delta.square().mean().sqrt()
        if len(found) == 2:
            cosine = nn.functional.cosine_similarity(toward.flatten(1), along.flatten(1))
            sample.notes["cosine"] = cosine.mean()
        return terms
