"""Denoise: train a denoiser on noised samples, as teachers of generators and fakes are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.batch import Batch
from limbeck.data.centred import centred
from limbeck.data.data import Data
from limbeck.errors import ArgumentError, ModelError
from limbeck.features import device_of
from limbeck.functional.diffusion import add_noise
from limbeck.functional.distribution_matching import denoising_loss
from limbeck.loops.alternate import Models, alternate
from limbeck.loops.averages import ema
from limbeck.loops.batches import training_batches
from limbeck.loops.draws import Draws
from limbeck.loops.optim import Optim
from limbeck.networks.denoiser import Denoiser
from limbeck.networks.making import weights_of
from limbeck.networks.names import build
from limbeck.objectives import Terms
from limbeck.outputs import unwrapped
from limbeck.run.run import At, Run
from limbeck.settings import settings

# Of a first step, against its noise: below it a prediction of noise tells nothing of the sample.
LEAST_SIGNAL = 0.02


@settings
class Denoising:
    """How denoisers given by name are trained on the data.

    Args:
        steps: optimiser steps; 0 trains none.
        batch_size: samples a step.
        optim: how they learn.
        null_share: of the samples, whose condition is hidden, so that guidance has what it needs.
        average: decay of the averaged weights that are kept, less at the beginning; 0 keeps the
            last ones.
    """

    steps: Annotated[int, Field(ge=0)] = 6000
    batch_size: Annotated[int, Field(ge=1)] = 256
    optim: Optim = Optim(name="adam", lr=1e-3, schedule="linear")
    null_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def taught(
        self,
        run: Run,
        given: Any,
        data: Data,
        *,
        check: Callable[[nn.Module], object] | None = None,
    ) -> nn.Module:
        """Turn what the user gave into one frozen denoiser that fits the data.

        Args:
            run: a trained one is kept in its stages.
            given: a name or a `Denoiser`, or a list with one of them.
            data: what a named one learns from.
            check: raises where a denoiser is of no use to the method; asked before it is trained.

        Returns:
            The denoiser, in evaluation mode, without gradients.

        Raises:
            ArgumentError: there is none, or more than one, or it is no denoiser.
            ModelError: it cannot take the data, or knows other conditions.
        """
        one = _single(given)
        with keyed.torch_seeded(keyed.key(run.seed, "teacher", 0)):
            named = isinstance(one, str)
            space = centred(data).input_space
            network: Any = build(one, space, data.outputs) if named else one
        if not hasattr(network, "alpha_sigma"):
            raise ArgumentError(
                f"the teacher is a {type(network).__name__}, expected a denoiser: a name such as "
                "denoiser-mlp?width=128 or hf:FOLDER, or a limbeck.networks.Denoiser"
            )
        network.check_data(data, "the teacher")
        if check is not None:
            check(network)
        if isinstance(one, str) and weights_of(network) != "brought":
            network = trained_denoiser(run, "teacher", network, data, self)
        return copy.deepcopy(network).eval().requires_grad_(False)


def trained_denoiser(
    run: Run, stage: str, network: Denoiser, data: Data, denoising: Denoising
) -> Denoiser:
    """Train a denoiser on the data in a memoised stage.

    Args:
        run: the folder.
        stage: name of the stage.
        network: trained in place.
        data: ``data.rest`` where there is one, else the training split.
        denoising: how.

    Returns:
        The same denoiser with the trained weights.

    Raises:
        ArgumentError: it is to be trained in 0 steps.
    """
    if not denoising.steps:
        raise ArgumentError(
            f"the {stage} has no trained weights and teaching.steps is 0: raise --teacher-steps, "
            "or give a file: or hf: denoiser"
        )

    def train(network: Denoiser, data: Data, denoising: Denoising) -> dict[str, Tensor]:
        shown = centred(data.for_teachers())
        size = min(denoising.batch_size, len(shown.train))
        draws = Draws.of(run, size)
        loader = training_batches(run, stage, shown, size)

        def step(models: Models, batch: Batch, at: At) -> Terms:
            condition = None
            if network.conditional:
                hidden = draws.uniform() < denoising.null_share
                condition = batch["y"].masked_fill(hidden, network.conditions)
            return {"denoising": denoising_term(models[stage], batch["x"], condition, draws)}

        ended = alternate(
            run,
            stage,
            {stage: network},
            {stage: denoising.optim},
            denoising.steps,
            step=step,
            batches=loader,
            average={stage: ema(denoising.average, warm=True)} if denoising.average else None,
        )
        return ended.averages.get(stage) or network.state_dict()

    weights = run.stage(stage, train, network=network, data=data, denoising=denoising)
    network.load_state_dict(weights)
    return network


def starting(
    run: Run, teacher: nn.Module, student: Any, data: Data, denoising: Denoising
) -> Callable[[float], Any]:
    """Where students and fakes begin: at the teacher's weights, or at those of another denoiser.

    Args:
        run: a denoiser that is trained for it is kept in its stages.
        teacher: frozen; where it is two, the one for a level is taken.
        student: another denoiser; trained on the data first unless it brings weights.
        data: the data.
        denoising: how it is trained.

    Returns:
        From the level of a first step to a copy, ready to train.

    Raises:
        ArgumentError: the teacher is a closed form and there is no other.
        ModelError: the teacher says NaN, or a prediction of noise is to make clean samples of
            nearly pure noise.
    """
    begin: Any = teacher
    if student is not None:
        begin = student
        if weights_of(student) != "brought":
            begin = trained_denoiser(run, "initial", student, data, denoising)
    elif not any(True for _ in teacher.parameters()):
        raise ArgumentError(
            "the teacher has no weights that a student could start from; give a student, such as "
            "--student denoiser-mlp?width=128"
        )

    _check_says(teacher)

    def copied(level: float) -> Any:
        several = hasattr(begin, "experts")
        chosen = begin.experts[int(begin.expert_of(level))] if several else begin
        _check_first(chosen, level)
        # What learns does so in single precision, whatever the teacher came in.
        return copy.deepcopy(chosen).float().eval().requires_grad_(True)

    return copied


def denoising_term(
    denoiser: nn.Module,
    x0: Tensor,
    condition: Tensor | None,
    draws: Draws,
    *,
    low: float = 0.0,
    high: float = 1.0,
) -> Tensor:
    """Denoising loss of a batch at levels drawn over a range, in the denoiser's own prediction.

    Args:
        denoiser: called, so that its gradients are exchanged between processes.
        x0: clean samples ``(N, ...)``.
        condition: ids ``(N,)``, or None.
        draws: of the step.
        low: lowest level.
        high: highest level.

    Returns:
        A scalar.
    """
    own: Any = unwrapped(denoiser)
    t = draws.uniform(low, high)
    noise = draws.normal(*x0.shape[1:])
    alpha, sigma = own.alpha_sigma(t)
    said = denoiser(add_noise(x0, noise, alpha, sigma), t, condition)
    return denoising_loss(
        said,
        x0,
        noise,
        alpha,
        sigma,
        kind=own.prediction,
        rates=own.rates(t),
        weight=own.loss_weight(sigma),
    )


@torch.no_grad()
def _check_says(teacher: Any) -> None:
    """Raise `ModelError` where a teacher says NaN about ordinary samples."""
    device = device_of(teacher)
    x = torch.randn(4, *teacher.shape, device=device)
    if not bool(torch.isfinite(teacher.predict(x, 0.5)).all()):
        raise ModelError(
            "the teacher says NaN or infinite values about samples at level 0.5; look at its "
            "weights, and load it in float32 or bf16 where it is in fp16"
        )


def _check_first(denoiser: Any, level: float) -> None:
    """Raise `ModelError` where a first step would multiply errors of a prediction of noise."""
    alpha, sigma = denoiser.alpha_sigma(level)
    if denoiser.prediction in ("eps", "score") and float(alpha) < LEAST_SIGNAL * float(sigma):
        raise ModelError(
            f"the student predicts {denoiser.prediction}, and at level {level:g} samples count "
            f"{float(alpha):.2g}, by which its errors would be divided; begin at a lower level "
            "(sampler.levels or levels), or give a student that predicts x0 or v"
        )


def _single(given: Any) -> Any:
    several = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    several = [one for one in several if one is not None]
    if len(several) != 1:
        raise ArgumentError(
            f"there are {len(several)} teachers, expected one denoiser; "
            "give --teacher once, such as --teacher denoiser-mlp?width=128"
        )
    return several[0]
