"""Phased DMD: a few-step generator of one expert a range of levels, trained one after another."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.data import Batch, Data
from limbeck.data.centred import centred, moments
from limbeck.errors import SettingsError
from limbeck.functional.diffusion import add_noise, per_sample
from limbeck.functional.distribution_matching import (
    denoising_loss,
    matching_direction,
    surrogate_loss,
)
from limbeck.functional.transitions import transition, transition_loss
from limbeck.loops.adapters import Adapters
from limbeck.loops.alternate import Models
from limbeck.loops.denoise import Denoising, starting
from limbeck.loops.draws import Draws
from limbeck.loops.match import (
    Matching,
    Rollout,
    Sample,
    Stepped,
    check_matching,
    coupled,
    denoised,
    labels_of,
    match,
    simulated,
    started,
)
from limbeck.loops.scores import heard
from limbeck.method import method
from limbeck.networks.routed import Routed
from limbeck.objectives import Terms
from limbeck.outputs import unwrapped
from limbeck.products.generator import Generator, teachers
from limbeck.products.showing_samples import show_scores
from limbeck.run import Run
from limbeck.samplers.few_step import FewStep, advance

Level = Annotated[float, Field(gt=0, le=1)]


@dataclasses.dataclass(frozen=True)
class Phase:
    """A range of levels and the student's steps in it.

    Args:
        levels: where its expert is asked, falling.
        end: level that its samples come out at; 0 in the last phase.
    """

    levels: tuple[float, ...]
    end: float


@method("phased-dmd")
class PhasedDMD:
    r"""One expert a phase; scores are matched at the level where the phase ends.

    From samples :math:`x_s` at the end s of a phase, noised to :math:`x_t`, the fake learns its
    score without clean samples:

    .. math:: x_t = \alpha_{t|s} x_s + \sigma_{t|s} \epsilon, \quad
        \nabla \log p(x_t) = \mathbb{E}\left[-\epsilon / \sigma_{t|s} \mid x_t\right]

    Args:
        levels: where experts are asked, falling from 1.
        boundaries: levels at which one expert follows another; each is one of `levels`.
        guidance: scale of the teacher's; the experts sample without.
        target: what the fake learns: the ``"unbiased"`` score of samples at the end of a phase, or
            a ``"naive"`` one, which takes them for clean, to compare with.
        direction: of the phases before the last: ``"kl"``: the gradient of the divergence at the
            end of a phase, as in the paper; ``"normalised"``: differences of clean predictions,
            divided by how far samples are from them, on the clean projection, as in the authors'
            code. The last phase, whose samples are clean, takes the latter either way.
        margin: how far above the end of a phase scores are compared at least.
        most_weight: largest weight of the fake's loss, which grows near the end of a phase.
        matching: how experts and fakes learn, in each phase.
        adapters: low-rank adapters in place of whole networks, for large ones.
        teaching: how a denoiser given by name is trained.

    Source: arXiv 2510.27684.
    """

    levels: tuple[Level, ...] = (1.0, 0.75, 0.5, 0.25)
    boundaries: tuple[Level, ...] = (0.5,)
    guidance: Annotated[float, Field(ge=1)] = 1.0
    target: Literal["unbiased", "naive"] = "unbiased"
    direction: Literal["kl", "normalised"] = "kl"
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.02
    most_weight: Annotated[float, Field(gt=0)] = 10.0
    matching: Matching = Matching()
    adapters: Adapters = Adapters()
    teaching: Denoising = Denoising()

    def distill(
        self, run: Run, *, teacher: nn.Module, data: Data, student: nn.Module | None = None
    ) -> Generator:
        """Train one expert after another.

        Args:
            run: the folder.
            teacher: a frozen denoiser, or two for ranges of levels.
            data: gives conditions.
            student: a denoiser to start from in place of the teacher's weights; trained on the
                data first.

        Returns:
            A generator whose expert is chosen by the level.

        Raises:
            SettingsError: a boundary is no level of the student.
            ArgumentError: guidance with a teacher that has no conditions.
            RunError: a prediction is not finite, or samples run away.
        """
        shown, labels = centred(data), labels_of(data)
        begin = starting(run, teacher, student, data, self.teaching)
        placed = run.engine.place(teacher)
        experts: list[Any] = []
        for number, phase in enumerate(self.phases()):
            expert = self.adapters.put_on(begin(phase.levels[0]))
            fake = begin(phase.levels[0])
            match(
                run,
                f"phase-{number + 1}",
                expert,
                fake,
                self.matching,
                labels,
                rollout=self._rollout(experts, phase),
                student_terms=self._student_terms(placed, phase),
                fake_terms=self._fake_terms(phase),
                spread=moments(shown)[1],
            )
            experts.append(self.adapters.merged(expert).eval().requires_grad_(False))
        plan = FewStep(levels=self.levels, kind="ode")
        made = Generator.of(Routed(experts, self.boundaries), plan, data, learned=self.guidance)
        if run.engine.rank == 0:
            show_scores(run, made, teacher, fake, data)
        return made

    def baselines(
        self, run: Run, *, teacher: nn.Module, data: Data, student: nn.Module | None = None
    ) -> dict[str, Generator]:
        """The teacher's own sampler, with as many steps, with 1, 4 and 50; and one student for all
        levels, which learns by plain distribution matching in as many updates."""
        plan, phases = FewStep(levels=self.levels), len(self.phases())
        matching = dataclasses.replace(self.matching, steps=self.matching.steps * phases)
        begin = starting(run, teacher, student, data, self.teaching)
        one = match(
            run,
            "one-student",
            begin(1.0),
            begin(1.0),
            matching,
            labels_of(data),
            rollout=simulated(plan),
            student_terms=coupled(run.engine.place(teacher), matching, self.guidance),
            spread=moments(centred(data))[1],
        )
        found = teachers(teacher, data, len(self.levels), self.guidance)
        return {**found, "one student": Generator.of(one, plan, data, learned=self.guidance)}

    def check_teacher(self, network: Any, student: Any = None) -> None:
        """Find what the teacher cannot give, and levels that do not fit, before it is trained."""
        self.phases()
        check_matching(network, self.guidance, self.teaching)

    def phases(self) -> list[Phase]:
        """The levels cut at the boundaries.

        Raises:
            SettingsError: a boundary is no level after the first, or they do not fall.

        Example:
            >>> [(one.levels, one.end) for one in PhasedDMD().phases()]
            [((1.0, 0.75), 0.5), ((0.5, 0.25), 0.0)]
        """
        levels = FewStep(levels=self.levels).levels
        wrong = [one for one in self.boundaries if one not in levels[1:]]
        if wrong or list(self.boundaries) != sorted({*self.boundaries}, reverse=True):
            raise SettingsError(
                f"boundaries are {list(self.boundaries)}, expected falling levels among "
                f"{list(levels[1:])}: an expert begins where it is asked first"
            )
        if self.boundaries and self.boundaries[0] + self.margin >= self.matching.highest:
            raise SettingsError(
                f"the first boundary is {self.boundaries[0]:g} and margin {self.margin:g}, which "
                f"leaves no level below matching.highest, {self.matching.highest:g}, to compare "
                "scores at; lower the boundary"
            )
        starts = [0, *(levels.index(one) for one in self.boundaries), len(levels)]
        ends = [*self.boundaries, 0.0]
        return [
            Phase(levels[first:last], end)
            for first, last, end in zip(starts, starts[1:], ends, strict=False)
        ]

    def _rollout(self, experts: Sequence[nn.Module], phase: Phase) -> Rollout:
        """Earlier experts bring noise to the phase; a drawn step of its own goes to its end."""
        before = [(one, each) for one, each in zip(experts, self.phases(), strict=False)]

        def rollout(student: nn.Module, draws: Draws, condition: Tensor | None) -> Sample:
            own: Any = unwrapped(student)
            chosen = draws.number(len(phase.levels))
            x = started(own, self.levels[0], draws)
            with torch.no_grad():
                for expert, earlier in before:
                    x = _walked(expert, x, [*earlier.levels, earlier.end], condition)
                x = _walked(own, x, phase.levels[: chosen + 1], condition)
            level = phase.levels[chosen]
            clean = student(x, level, condition, as_="x0")
            reached = advance(own, x, clean, level, phase.end) if phase.end else clean
            return Sample(reached, condition, level, phase.end, clean)

        return rollout

    def _fake_terms(self, phase: Phase) -> Stepped:
        """The fake learns the score of what the phase makes, noised further."""

        def terms(models: Models, sample: Sample, draws: Draws, batch: Batch) -> Terms:
            if not phase.end:
                return denoised(models, sample, draws, batch)
            own: Any = unwrapped(models["fake"])
            t, x_t, noise, levels = self._noised(own, sample.x, draws, phase)
            said = sample.finite(models["fake"](x_t, t, sample.condition), "fake")
            known = {"kind": own.prediction, "rates": own.rates(t)}
            if self.target == "unbiased":
                loss = transition_loss(
                    said, sample.x, noise, *levels, most=self.most_weight, **known
                )
            else:
                # As if the samples were clean: the noise in them is taken for a part of them.
                _, sigma_ts = transition(*levels)
                weight = (self.most_weight * sigma_ts.square()).clamp(max=1)
                loss = denoising_loss(said, sample.x, noise, *levels[2:], weight=weight, **known)
            return {"fake": loss}

        return terms

    def _student_terms(self, teacher: Any, phase: Phase) -> Stepped:
        """Where teacher and fake differ about the samples of the phase, the expert moves."""

        def terms(models: Models, sample: Sample, draws: Draws, batch: Batch) -> Terms:
            fake: Any = unwrapped(models["fake"])
            x, condition = sample.x.detach(), sample.condition
            t, x_t, _, levels = self._noised(fake, x, draws, phase)
            with torch.no_grad():
                real = heard(teacher, fake, x_t, t, condition, guidance=self.guidance)
                said = sample.finite(fake.predict(x_t, t, condition), "fake")
            real = sample.finite(real, "teacher")
            # A phase that ends in clean samples is plain distribution matching.
            if self.direction == "normalised" or not phase.end:
                assert sample.clean is not None
                aim = matching_direction(sample.clean.detach(), real, said)
                return {"match": surrogate_loss(sample.clean, aim)}
            # In clean predictions the weight of the divergence's gradient, for every schedule.
            (alpha_ts, _), (alpha, sigma) = transition(*levels), levels[2:]
            weight = per_sample(alpha_ts * alpha / sigma.square(), x)
            return {"match": surrogate_loss(sample.x, weight * (said - real))}

        return terms

    def _noised(
        self, denoiser: Any, x: Tensor, draws: Draws, phase: Phase
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
        """Samples at the end of a phase brought to levels above it: the levels, what became of the
        samples, the noise, and alpha and sigma of both ends."""
        low = phase.end + self.margin if phase.end else self.matching.lowest
        t, noise = draws.uniform(low, self.matching.highest), draws.normal(*denoiser.shape)
        end = torch.full_like(t, phase.end)
        levels = (*denoiser.alpha_sigma(end), *denoiser.alpha_sigma(t))
        return t, add_noise(x, noise, *transition(*levels)), noise, levels


def _walked(denoiser: Any, x: Tensor, levels: Sequence[float], condition: Tensor | None) -> Tensor:
    """Take the deterministic steps between levels."""
    for level, after in itertools.pairwise(levels):
        x = advance(denoiser, x, denoiser.predict(x, level, condition), level, after)
    return x
