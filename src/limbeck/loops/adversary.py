"""Adversary: a critic on a denoiser's features, which pulls made samples towards real ones."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.errors import ModelError
from limbeck.features import device_of, evaluating, tapped
from limbeck.functional.adversarial import critic_loss, generator_loss
from limbeck.functional.diffusion import add_noise
from limbeck.loops.alternate import Models
from limbeck.loops.batches import training_batches
from limbeck.loops.draws import Draws
from limbeck.loops.match import Matching, Rival, Sample, denoised
from limbeck.loops.optim import Optim
from limbeck.networks.critic import Critic
from limbeck.objectives import Terms
from limbeck.outputs import unwrapped
from limbeck.run.run import Run
from limbeck.settings import settings

MIDDLE = ("*mid_block", "*middle", "*blocks.0")


@settings
class Adversary:
    """A critic that tells real samples from made ones, both noised.

    Args:
        weight: of the student's loss against it; 0 has no critic.
        critic_weight: of the critic's own loss.
        on: whose features it sees: the frozen ``"teacher"``'s, or those of the ``"fake"``, which
            its gradient then trains too, as the published code does.
        features: path of a module of the denoiser; empty takes its middle.
        optim: how the critic learns.
    """

    weight: Annotated[float, Field(ge=0)] = 0.0
    critic_weight: Annotated[float, Field(ge=0)] = 1.0
    on: Literal["teacher", "fake"] = "teacher"
    features: str = ""
    optim: Optim = Optim(name="adam", lr=1e-3, betas=(0.0, 0.999))


@dataclass(frozen=True)
class Opponent:
    """The critic of a run, with what it needs to see samples.

    Args:
        adversary: its settings.
        teacher: frozen denoiser.
        path: of the module whose output it sees.
        critic: the network.
        matching: gives the range of levels.
    """

    adversary: Adversary
    teacher: nn.Module
    path: str
    critic: Critic
    matching: Matching

    @classmethod
    def of(
        cls,
        adversary: Adversary,
        teacher: nn.Module,
        matching: Matching,
        fake: nn.Module | None = None,
    ) -> Opponent:
        """Find the module and make a critic of its size.

        Args:
            adversary: its settings.
            teacher: frozen denoiser.
            matching: gives the range of levels.
            fake: whose features are seen where `adversary` says so.

        Raises:
            ModelError: the denoiser has no module of that path, or no middle.
            ArgumentError: a critic cannot read what comes out there.
        """
        looked_at: Any = fake if fake is not None and adversary.on == "fake" else teacher
        path = adversary.features or middle_of(looked_at)
        device = device_of(looked_at)
        with torch.no_grad(), evaluating(looked_at), tapped(looked_at, [path]) as seen:
            looked_at.predict(torch.zeros(1, *looked_at.shape, device=device), 0.5)
        if path not in seen:
            raise ModelError(
                f"module {path!r} of {type(looked_at).__name__} gives no tensor, or is not called; "
                "name another one with adversary.features"
            )
        return cls(adversary, teacher, path, Critic(tuple(seen[path].shape[1:])), matching)

    def rival(self, run: Run, stage: str, data: Data, batch_size: int) -> Rival:
        """The critic as a model of the loop, with real samples."""
        loader = training_batches(run, stage, data, batch_size)
        return Rival({"critic": self.critic}, {"critic": self.adversary.optim}, loader)

    def against(self, models: Models, sample: Sample, draws: Draws) -> Terms:
        """What the student loses to the critic."""
        said = self._said(models, sample, sample.x, sample.condition, draws)
        return {"adversary": self.adversary.weight * generator_loss(said)}

    def learns(self, models: Models, sample: Sample, draws: Draws, batch: Batch) -> Terms:
        """What the critic loses on made and real samples; with a fake, also its denoising."""
        found = denoised(models, sample, draws, batch) if "fake" in models else {}
        made = self._said(models, sample, sample.x, sample.condition, draws)
        condition = batch["y"] if sample.condition is not None else None
        real = self._said(models, sample, batch["x"], condition, draws)
        return {**found, "critic": self.adversary.critic_weight * critic_loss(made, real)}

    def _said(
        self, models: Models, sample: Sample, x: Tensor, condition: Tensor | None, draws: Draws
    ) -> Tensor:
        denoiser = self.teacher if self.adversary.on == "teacher" else models["fake"]
        own: Any = unwrapped(denoiser)
        if x.requires_grad:
            # The student's turn: nothing here learns, and no gradients are exchanged.
            denoiser = own
        t = draws.uniform(self.matching.lowest, self.matching.highest)[: len(x)]
        noise = draws.normal(*own.shape)[: len(x)]
        with tapped(own, [self.path]) as seen:
            said = denoiser(add_noise(x, noise, *own.alpha_sigma(t)), t, condition)
        sample.finite(said, self.adversary.on)
        # What lies behind the features takes part without a gradient: processes wait for all of it.
        told = models["critic"](seen[self.path]) + 0 * said.flatten(1).mean(1, keepdim=True)
        return sample.finite(told, "discriminator")


def middle_of(denoiser: nn.Module) -> str:
    """Path of the module in a denoiser's middle.

    Raises:
        ModelError: none is called so; name one with ``adversary.features``.
    """
    names = [name for name, _ in denoiser.named_modules()]
    for pattern in MIDDLE:
        found = fnmatch.filter(names, pattern)
        if found:
            return found[0]
    raise ModelError(
        f"{type(denoiser).__name__} has no module that is called its middle; name one with "
        f"adversary.features, such as {names[len(names) // 2]!r}"
    )
