"""Match: a student learns to make what its teacher makes, a fake score network keeping up with it.

The student's samples are noised; where teacher and fake say something else about them, the student
moves. The fake, in its turns, learns to denoise what the student makes at present.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import Batches
from limbeck.errors import DataError, NotFiniteError, RunError, SettingsError
from limbeck.functional.diffusion import add_noise, per_sample
from limbeck.functional.distribution_matching import matching_direction, surrogate_loss
from limbeck.loops.alternate import Models, alternate
from limbeck.loops.averages import ema
from limbeck.loops.denoise import denoising_term
from limbeck.loops.draws import Draws
from limbeck.loops.optim import Optim
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
    """

    x: Tensor
    condition: Tensor | None
    start: float
    level: float = 0.0
    clean: Tensor | None = None
    notes: dict[str, Tensor] = field(default_factory=dict)


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
    if matching.lowest >= matching.highest:
        raise SettingsError(
            f"lowest is {matching.lowest:g} and highest {matching.highest:g}, expected levels in "
            "that order"
        )
    rival = rival or Rival({}, {})
    models: Models = {"student": student, **rival.models}
    optims = {"student": matching.optim, **rival.optims}
    if fake is not None:
        models["fake"], optims["fake"] = fake, matching.fake_optim
    others = tuple(name for name in optims if name != "student")
    cycle = matching.fake_per_student + 1 if others else 1
    draws, conditional = Draws.of(run, matching.batch_size), unwrapped(student).conditional
    width = _Width(run, stage, matching.most_spread * spread, cycle)

    def step(models: Models, batch: Batch, at: At) -> Terms:
        condition = draws.one_of(labels) if conditional else None
        students = at.step % cycle == cycle - 1
        with torch.set_grad_enabled(students):
            sample = rollout(models["student"], draws, condition)
        finite(sample.x.detach(), "student")
        if not students:
            return (fake_terms or denoised)(models, sample, draws, batch)
        terms = student_terms(models, sample, draws, batch)
        width.look(sample, at.step)
        return terms

    ended = alternate(
        run,
        stage,
        models,
        optims,
        matching.steps * cycle,
        step=step,
        batches=rival.batches,
        turn=lambda at: ("student",) if at.step % cycle == cycle - 1 else others,
        average={"student": _at_its_turns(matching.average, cycle)} if matching.average else None,
    )
    if ended.averages:
        student.load_state_dict(ended.averages["student"])
    return student


def labels_of(data: Data) -> Tensor:
    """Conditions of the training samples, ``(N,)``, from which those of a step are drawn."""
    y = data.train.y
    if y is None:
        raise DataError(f"{data.name} has no labels to take conditions from")
    return y


def simulated(plan: FewStep, *, last: int | None = None) -> Rollout:
    """A rollout by backward simulation: the sampler runs to a drawn step, and only that step keeps
    its gradient.

    Args:
        plan: levels and sampler of the student.
        last: how many steps may be drawn, counted from the first; None draws from all.

    Returns:
        A rollout whose samples are clean.
    """

    def rollout(student: nn.Module, draws: Draws, condition: Tensor | None) -> Sample:
        own: Any = unwrapped(student)
        chosen = draws.number(last or len(plan.levels))
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
            real = finite(own.predict(*at, sample.condition, guidance=guidance), "teacher")
            fake: Any = unwrapped(models["fake"])
            said = finite(fake.predict(*at, sample.condition), "fake")
        direction = matching_direction(x, real, said)
        return {"match": surrogate_loss(sample.x, direction)}

    return terms


Question = tuple[Tensor, Tensor, Tensor | None]


def noised(
    denoiser: Any, x: Tensor, draws: Draws, levels: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Samples with fresh noise at levels drawn from a range: ``(N, ...)`` and levels ``(N,)``."""
    t, noise = draws.uniform(*levels), draws.normal(*x.shape[1:])
    return add_noise(x, noise, *denoiser.alpha_sigma(t)), t


def asked(denoiser: Any, questions: Sequence[Question]) -> list[Tensor]:
    """Clean predictions for several batches of one size, in a single call.

    Args:
        denoiser: the network.
        questions: noised samples ``(N, ...)``, levels ``(N,)`` and conditions ``(N,)`` or None, in
            all of them or in none.

    Returns:
        One ``(N, ...)`` a question.
    """
    if not questions:
        return []
    x, t, conditions = zip(*questions, strict=True)
    known = [one for one in conditions if one is not None]
    condition = torch.cat(known) if known else None
    return list(denoiser.predict(torch.cat(x), torch.cat(t), condition).chunk(len(questions)))


def finite(prediction: Tensor, role: str) -> Tensor:
    """A prediction or sample as it is.

    Raises:
        NotFiniteError: it holds NaN or infinite values; whose it is, is said.
    """
    # Reading back stalls an accelerator: there the loop's own look at its rows has to do.
    if prediction.device.type == "cpu" and not bool(torch.isfinite(prediction).all()):
        raise NotFiniteError(
            f"what the {role} says is NaN or infinite; a {role} in half precision may overflow: "
            "take float32, or bf16 in place of fp16; lower the learning rates otherwise"
        )
    return prediction


class _Width:
    """Looks at how wide samples spread, which tells first where a student runs away."""

    def __init__(self, run: Run, stage: str, most: float, cycle: int) -> None:
        self.run, self.stage, self.most, self.cycle = run, stage, most, cycle

    def look(self, sample: Sample, step: int) -> None:
        due = step // self.cycle % TOLD_EVERY == 0
        # Reading back stalls an accelerator: there the rows that are told have to do.
        if not due and sample.x.device.type != "cpu":
            return
        x = sample.x.detach()
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
    return {"fake": denoising_term(models["fake"], sample.x, sample.condition, draws)}


def _at_its_turns(decay: float, cycle: int) -> Callable[[int], float]:
    """An average that moves only after an update of the student."""
    share = ema(decay, warm=True)
    return lambda step: share(step // cycle) if step % cycle == 0 else 0.0
