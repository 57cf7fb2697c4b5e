"""Match: a student learns to make what its teacher makes, a fake score network keeping up with it.

The student's samples are noised; where teacher and fake say something else about them, the student
moves. The fake, in its turns, learns to denoise what the student makes at present.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import Batches
from limbeck.errors import ArgumentError, DataError, RunError, SettingsError
from limbeck.functional.diffusion import per_sample
from limbeck.functional.distribution_matching import matching_direction, surrogate_loss
from limbeck.loops.alternate import Models, alternate
from limbeck.loops.averages import ema
from limbeck.loops.denoise import Denoising, denoising_term
from limbeck.loops.draws import Draws
from limbeck.loops.optim import Optim
from limbeck.loops.scores import Spoken, finite, heard, noised, not_finite
from limbeck.networks.making import weights_of
from limbeck.objectives import Terms
from limbeck.outputs import unwrapped
from limbeck.run.run import At, Run
from limbeck.samplers.few_step import FewStep, advance
from limbeck.settings import settings

# Student updates between two rows that say how wide its samples spread.
TOLD_EVERY = 50


@settings
class Matching:
    """How student and fake learn.

    Args:
        steps: updates of the student.
        fake_per_student: updates of the fake score network before each of the student.
        batch_size: samples a step.
        optim: how the student learns.
        fake_optim: how the fake learns.
        lowest: lowest level at which scores are compared: below it they differ by noise.
        highest: highest level at which they are.
        average: decay of the averaged weights that become the product, less at the beginning; 0
            takes the last ones.
        most_spread: a run is stopped where samples spread more than so many times as wide as the
            data; 0 lets it go on.
    """

    steps: Annotated[int, Field(ge=1)] = 2000
    fake_per_student: Annotated[int, Field(ge=1)] = 5
    batch_size: Annotated[int, Field(ge=1)] = 256
    optim: Optim = Optim(name="adam", lr=5e-4, betas=(0.0, 0.999), schedule="linear")
    fake_optim: Optim = Optim(name="adam", lr=1e-3, betas=(0.0, 0.999))
    lowest: Annotated[float, Field(ge=0, lt=1)] = 0.02
    highest: Annotated[float, Field(gt=0, le=1)] = 0.98
    average: Annotated[float, Field(ge=0, lt=1)] = 0.99
    most_spread: Annotated[float, Field(ge=0)] = 5.0

    def __post_init__(self) -> None:
        if self.lowest >= self.highest:
            raise SettingsError(
                f"lowest is {self.lowest:g} and highest {self.highest:g}, expected levels in that "
                "order"
            )


@dataclass(frozen=True)
class Sample:
    """What the student made in a step.

    Args:
        x: at `level`, ``(N, ...)``; has a gradient in the student's turns.
        condition: ids ``(N,)``, or None.
        start: level that the last evaluation of the student began from.
        level: of `x`; 0 is clean.
        clean: the student's clean projection, `x` itself at level 0.
        notes: numbers about the step that are logged now and then.
        spoken: by role, whether all it said in the step was finite, where it is not read back.
    """

    x: Tensor
    condition: Tensor | None
    start: float
    level: float = 0.0
    clean: Tensor | None = None
    notes: dict[str, Tensor] = field(default_factory=dict)
    spoken: dict[str, Tensor] = field(default_factory=dict)

    def finite(self, said: Tensor, role: str) -> Tensor:
        """What a role says as it is; see `limbeck.loops.scores.finite`."""
        return finite(said, role, self.spoken)


Rollout = Callable[[nn.Module, Draws, Tensor | None], Sample]
Stepped = Callable[[Models, Sample, Draws, Batch], Terms]


@dataclass(frozen=True)
class Rival:
    """Models that learn beside the fake or in its place, such as a critic of samples.

    Args:
        models: by name.
        optims: by the same names.
        batches: real samples, where they are needed.
    """

    models: Mapping[str, nn.Module]
    optims: Mapping[str, Optim]
    batches: Batches | None = None


def match(
    run: Run,
    stage: str,
    student: nn.Module,
    fake: nn.Module | None,
    matching: Matching,
    labels: Tensor,
    *,
    rollout: Rollout,
    student_terms: Stepped,
    fake_terms: Stepped | None = None,
    rival: Rival | None = None,
    spread: float = 1.0,
) -> nn.Module:
    """Train a student against scores, the fake being updated before each of its updates.

    Args:
        run: the folder; a stage that is done returns at once.
        stage: a word.
        student: trained in place; ends with the averaged weights where there are any.
        fake: trained in place, or None where nothing asks it.
        matching: how.
        labels: conditions of real samples, which those of a step are drawn from.
        rollout: makes samples: from the student, the draws of the step and conditions.
        student_terms: from the models, samples with a gradient, the draws and real samples to
            named terms.
        fake_terms: the same for the turns of the fake and of rivals, from samples without one;
            denoising of the samples over all levels by default.
        rival: other models that learn in the turns of the fake.
        spread: standard deviation of the data.

    Returns:
        The student.

    Raises:
        RunError: a prediction or sample is NaN or infinite (whose, is said), or samples spread
            too wide.
    """
    rival = rival or Rival({}, {})
    models: Models = {"student": student, **rival.models}
    optims = {"student": matching.optim, **rival.optims}
    if fake is not None:
        models["fake"], optims["fake"] = fake, matching.fake_optim
    others = tuple(name for name in optims if name != "student")
    cycle = matching.fake_per_student + 1 if others else 1
    draws, conditional = Draws.of(run, matching.batch_size), unwrapped(student).conditional
    labels = labels.to(draws.device)
    width, spoken = _Width(run, stage, matching.most_spread * spread, cycle), Spoken()

    def step(models: Models, batch: Batch, at: At) -> Terms:
        # Also what is asked without its wrapper, such as the teacher, is asked in this precision.
        with run.engine.autocast():
            return turned(models, batch, at)

    def turned(models: Models, batch: Batch, at: At) -> Terms:
        condition = draws.one_of(labels) if conditional else None
        students = at.step % cycle == cycle - 1
        with torch.set_grad_enabled(students):
            sample = rollout(models["student"], draws, condition)
        try:
            sample.finite(sample.x.detach(), "student")
            if not students:
                return (fake_terms or denoised)(models, sample, draws, batch)
            terms = student_terms(models, sample, draws, batch)
            width.look(sample, at.step)
            return terms
        finally:
            spoken.note(sample.spoken, at.step)

    average = {"student": _at_its_turns(matching.average, cycle)} if matching.average else None
    try:
        ended = alternate(
            run,
            stage,
            models,
            optims,
            matching.steps * cycle,
            step=step,
            batches=rival.batches,
            turn=lambda at: ("student",) if at.step % cycle == cycle - 1 else others,
            average=average,
        )
    except RunError as error:
        first = spoken.first()
        if first is None:
            raise
        role, when = first
        raise RunError(f"{error}; it began at step {when}: {not_finite(role)}") from error
    if ended.averages:
        student.load_state_dict(ended.averages["student"])
    return student


def labels_of(data: Data) -> Tensor:
    """Conditions of the training samples, ``(N,)``, from which those of a step are drawn."""
    y = data.train.y
    if y is None:
        raise DataError(f"{data.name} has no labels to take conditions from")
    return y


def check_matching(teacher: Any, guidance: float, denoising: Denoising) -> None:
    """Find guidance that a teacher cannot give, before it is trained.

    Raises:
        ArgumentError: it has no conditions, or is to be trained without ever hiding them.
    """
    if guidance == 1:
        return
    if not teacher.conditional:
        raise ArgumentError(
            f"guidance is {guidance:g} and the teacher has no conditions to guide with; set "
            "guidance to 1, or give data with several classes"
        )
    if (
        not denoising.null_share
        and weights_of(teacher) != "brought"
        and hasattr(teacher, "limbeck_spec")
    ):
        raise ArgumentError(
            f"guidance is {guidance:g} and teaching.null_share 0: the teacher would never learn "
            "what to say without a condition; set teaching.null_share, such as to 0.1"
        )


def simulated(plan: FewStep) -> Rollout:
    """A rollout by backward simulation: the sampler runs to a drawn step, and only that step keeps
    its gradient.

    Args:
        plan: levels and sampler of the student.

    Returns:
        A rollout whose samples are clean.
    """

    def rollout(student: nn.Module, draws: Draws, condition: Tensor | None) -> Sample:
        own: Any = unwrapped(student)
        chosen = draws.number(len(plan.levels))
        x = started(own, plan.levels[0], draws)
        with torch.no_grad():
            for place in range(chosen):
                level, after = plan.levels[place : place + 2]
                x0 = own.predict(x, level, condition)
                noise = draws.normal(*own.shape) if plan.kind == "sde" else None
                x = advance(own, x, x0, level, after, noise)
        level = plan.levels[chosen]
        x0 = student(x, level, condition, as_="x0")
        return Sample(x0, condition, level, clean=x0)

    return rollout


def started(denoiser: Any, level: float, draws: Draws) -> Tensor:
    """Pure noise as it stands at a level, ``(N, ...)``."""
    noise = draws.normal(*denoiser.shape)
    return noise * per_sample(denoiser.alpha_sigma(level)[1], noise)


def coupled(teacher: nn.Module, matching: Matching, guidance: float) -> Stepped:
    """Terms of plain distribution matching: one level and one noise for teacher and fake.

    Args:
        teacher: frozen.
        matching: gives the range of levels.
        guidance: scale of the teacher's; the fake is never guided.

    Returns:
        What `match` takes as terms of the student.

    Source: Yin et al., arXiv 2405.14867 (DMD2).
    """

    def terms(models: Models, sample: Sample, draws: Draws, batch: Batch) -> Terms:
        own: Any = teacher
        x, levels = sample.x.detach(), (matching.lowest, matching.highest)
        at = noised(own, x, draws, levels)
        with torch.no_grad():
            real = sample.finite(own.predict(*at, sample.condition, guidance=guidance), "teacher")
            said = sample.finite(heard(models["fake"], own, *at, sample.condition), "fake")
        direction = matching_direction(x, real, said)
        return {"match": surrogate_loss(sample.x, direction)}

    return terms


class _Width:
    """Looks at how wide samples spread, which tells first where a student runs away."""

    def __init__(self, run: Run, stage: str, most: float, cycle: int) -> None:
        self.run, self.stage, self.most, self.cycle = run, stage, most, cycle

    def look(self, sample: Sample, step: int) -> None:
        due = step // self.cycle % TOLD_EVERY == 0
        # Reading back stalls an accelerator: there the rows that are told have to do.
        if not due and sample.x.device.type != "cpu":
            return
        # At the end of an earlier phase the noise in a sample would count.
        x = (sample.x if sample.clean is None else sample.clean).detach()
        spread = float(x.std())
        if due:
            notes = {name: float(one) for name, one in sample.notes.items()}
            told = {"sample_mean": float(x.mean()), "sample_spread": spread, **notes}
            self.run.log(stage=self.stage, step=step + 1, **told)
        if self.most and spread > self.most:
            raise RunError(
                f"samples of stage {self.stage} have a standard deviation of {spread:.3g} at step "
                f"{step}, more than the {self.most:.3g} that most_spread allows; lower optim.lr or "
                "guidance, update the fake more often, or set most_spread to 0 to go on"
            )


def denoised(models: Models, sample: Sample, draws: Draws, batch: Batch) -> Terms:
    """Terms of the fake: it denoises what the student makes, over all levels."""
    loss = denoising_term(models["fake"], sample.x, sample.condition, draws)
    return {"fake": sample.finite(loss, "fake")}


def _at_its_turns(decay: float, cycle: int) -> Callable[[int], float]:
    """An average that moves only after an update of the student."""
    share = ema(decay, warm=True)
    return lambda step: share(step // cycle) if step % cycle == 0 else 0.0
