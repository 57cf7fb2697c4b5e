"""Recipe: how a small set with replayed labels is judged by fresh networks that learn from it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import nn

from limbeck import outputs as reading
from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError
from limbeck.evaluate.protocol import Learnt
from limbeck.evaluate.watch import validation_watch
from limbeck.fingerprint import fingerprint
from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.schedules import late_epochs
from limbeck.labels.store import CLASSES, LOGITS, LabelStore
from limbeck.loops.alternate import Models, alternate
from limbeck.loops.averages import copied
from limbeck.loops.optim import Optim
from limbeck.objectives import Terms
from limbeck.run.run import At, Run
from limbeck.settings import settings


@dataclass(frozen=True)
class Relabelled(Data):
    """Data whose training split is a small set with replayed labels; other fields as in `Data`.

    Args:
        labels: of the set, whose pictures are bytes in the column ``"x"``.
        space: of the pictures.
    """

    labels: LabelStore | None = None
    space: InputSpace | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Short name of the content of all splits and of the labels."""
        return fingerprint(super().fingerprint, self.labels)


@settings
class Recipe:
    r"""How a small set with replayed labels is judged: fresh networks learn from it, on real tests.

    .. math:: KL(\mathrm{softmax}(z_T / T) \,\|\, \mathrm{softmax}(z_S / T))

    without the factor T², over the very batches that the teachers were asked about. The learning
    rate changes from epoch to epoch. How many steps there are, and of how many images, is fixed by
    the labels.

    Args:
        network: name of the networks that learn.
        others: names of further networks, for the table across architectures.
        repeats: fresh networks of each name.
        temperature: T.
        optim: how they learn; its ``plateaus`` are the epochs.
        rates: learning rates of networks for which it is not that of `optim`, by name without
            options.
        accumulate: into how many parts a batch is cut, each normalised by its own statistics.

    Source: Yin, Xing and Shen, arXiv 2306.13092 (SRe2L); Sun et al., arXiv 2312.03526 (RDED), for
    the stretched cosine and the late looks.
    """

    network: str = "resnet18?norm=batch"
    others: tuple[str, ...] = ()
    repeats: Annotated[int, Field(ge=1)] = 3
    temperature: Annotated[float, Field(gt=0)] = 20.0
    optim: Optim = Optim(
        "adamw", lr=1e-3, weight_decay=0.01, decay_vectors=False, schedule="cosine"
    )
    rates: Mapping[str, Annotated[float, Field(gt=0)]] = dataclasses.field(default_factory=dict)
    accumulate: Annotated[int, Field(ge=1)] = 1

    @property
    def selection(self) -> str:
        """Whose test accuracy is given first: that of the last iterate."""
        return "last"

    @property
    def validates(self) -> bool:
        """Whether validation samples are looked at on the way: late in the training."""
        return True

    @property
    def late(self) -> bool:
        """Whether weights of late steps compete beside the last ones."""
        return True

    def eight_bit(self, data: Data) -> bool:
        """Whether training goes back to pixel values: replays do it themselves."""
        return False

    def rate(self, network: str) -> float:
        """Learning rate of a network, by its name."""
        return self.rates.get(network.partition("?")[0], self.optim.lr)

    def train(self, run: Run, stage: str, learner: nn.Module, data: Data, network: str) -> Learnt:
        """Train a network in place; it ends with the weights of the last step.

        Args:
            run: the folder.
            stage: a word.
            learner: the network.
            data: a small set with replayed labels, and the real validation samples.
            network: what the network is called.

        Returns:
            How it went, with the best weights among those of late epochs, chosen on validation.

        Raises:
            ArgumentError: the set has no replayed labels.
        """
        if not isinstance(data, Relabelled) or data.labels is None or data.space is None:
            raise ArgumentError(
                f"{data.name} has no replayed labels, which a recipe needs; judge it by a protocol"
            )
        about, columns = data.labels.about, data.train.take(np.arange(len(data.train)))
        batches = data.labels.replay(
            columns["x"], columns["y"], data.space, device=run.engine.device
        )
        epochs = max(1, round(about.steps * about.batch_size / about.images))
        optim = dataclasses.replace(self.optim, lr=self.rate(network), plateaus=epochs)
        looks = tuple(
            min(math.ceil((epoch + 1) * about.steps / epochs), about.steps)
            for epoch in late_epochs(epochs)
        )
        watch = dataclasses.replace(validation_watch(data, every=1, patience=None), at=looks)

        def step(models: Models, batch: Batch, at: At) -> Terms:
            logits = reading.of(models["student"], batch).read("logits")
            return {"soft": self._loss(logits, batch)}

        learner.train()
        ended = alternate(
            run,
            stage,
            {"student": learner},
            {"student": optim},
            about.steps,
            step=step,
            batches=batches,
            accumulate=self.accumulate,
            watch=watch,
        )
        best = None
        if ended.last:
            best = copied(learner)
            learner.load_state_dict(ended.last["student"])
        learner.eval()
        return Learnt(ended.step, best)

    def _loss(self, logits: Any, batch: Batch) -> Any:
        if LOGITS in batch:
            return soft_target_loss(
                logits,
                batch[LOGITS],
                temperature=self.temperature,
                temperature_squared=False,
            )
        return soft_target_loss(
            logits,
            batch[CLASSES],
            divergence="cross_entropy",
            temperature_squared=False,
            teacher_is="probabilities",
        )

    def words(self, made: Any) -> dict[str, str]:
        """How a set is judged, for people."""
        about = made.replayed.about
        return {
            "networks": f"{self.repeats} of {', '.join([self.network, *self.others])}",
            "steps": f"{about.steps:,} of {about.batch_size} images, mixed by {about.views.mix}",
            "labels": f"{'stored logits' if made.replayed.soft else 'hard, mixed'}, "
            f"temperature {self.temperature:g}",
            "learning rate": f"{self.optim.lr:.4g} ({self.optim.name})",
            "accuracy": "on the test split, of the last iterate; best: of the late epoch that is "
            "best on the validation split",
        }
