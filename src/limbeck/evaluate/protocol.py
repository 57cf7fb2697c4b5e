"""Protocol: how a small set is judged by fresh networks that learn from it alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from typing import Protocol as Protocols

import torch
from pydantic import BeforeValidator, Field
from torch import nn

from limbeck.data.data import Data
from limbeck.data.eight_bit import EightBit
from limbeck.data.prepared import pixels_of
from limbeck.data.siamese import FULL
from limbeck.data.views import Views
from limbeck.evaluate.watch import validation_watch
from limbeck.features import evaluating
from limbeck.functional.soft_labels import learned_label_loss
from limbeck.loops.alternate import Trained, Watch
from limbeck.loops.averages import State, copied
from limbeck.loops.fit import fit
from limbeck.loops.optim import Optim
from limbeck.objectives import Term, label_term
from limbeck.run.run import Run
from limbeck.settings import settings


class Judging(Protocols):
    """What `limbeck.evaluate.synthetic_sets.judge` asks of a way to judge: `Protocol`, `Recipe`."""

    @property
    def network(self) -> str: ...

    @property
    def others(self) -> tuple[str, ...]: ...

    @property
    def repeats(self) -> int: ...

    @property
    def selection(self) -> str: ...

    @property
    def validates(self) -> bool: ...

    @property
    def late(self) -> bool: ...

    def eight_bit(self, data: Data) -> bool: ...

    def train(
        self, run: Run, stage: str, learner: nn.Module, data: Data, network: str
    ) -> Learnt: ...

    def words(self, made: Any) -> dict[str, str]: ...


@dataclass(frozen=True)
class Learnt:
    """What the training of a fresh network gave.

    Args:
        step: whose weights the network has.
        best: weights of a late step that was better on validation, or None where none was.
    """

    step: int
    best: State | None = None


Augmentation = Literal["none", "dsa", "autoaugment", "randaugment", "imagenet", "cifar"]
SOFT_LABELS = "label_logits"
SELECTED = {
    "last": "last iterate",
    "validation": "best iterate on the validation split of the training data",
}


@settings
class Protocol:
    r"""How a small set is judged: fresh networks learn from it and are tested on real samples.

    Stochastic gradient descent with a learning rate that falls to a tenth half way; the optimiser
    starts anew there. Of E epochs E + 1 are run, the rate falling from epoch :math:`E // 2 + 2`
    on (counted from 0), as the published code does.

    Args:
        network: name of the networks that learn.
        others: names of further networks, for the table across architectures.
        repeats: fresh networks of each name.
        steps: optimiser steps instead of epochs, or None.
        epochs: E, how often a network sees the set.
        batch_size: samples a step, at most the whole set.
        lr: learning rate; that which a set brings replaces it.
        momentum: of the optimiser.
        weight_decay: of the optimiser.
        augmentation: ``"none"``; ``"dsa"``, one of six changes a batch on normalised images; or on
            images brought back to eight bits ``"autoaugment"``, ``"randaugment"``,
            ``"imagenet"`` and ``"cifar"``, see `limbeck.data.eight_bit`.
        selection: whose test accuracy counts: that of the ``"last"`` iterate, or of the best on
            the ``"validation"`` split of the real training data; never of the best on test.
        look_every: steps between two looks at the validation split; the last iterate is looked at
            whatever their number.

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA); Cui et al., arXiv 2207.09639.

    Example:
        >>> Protocol(epochs=1000).steps_for(100), Protocol(steps=300).steps_for(100)
        (1001, 300)
    """

    network: str = "convnet"
    others: tuple[str, ...] = ()
    repeats: Annotated[int, Field(ge=1)] = 5
    steps: Annotated[int, Field(ge=1)] | None = None
    epochs: Annotated[int, Field(ge=1)] = 1000
    batch_size: Annotated[int, Field(ge=1)] = 256
    lr: Annotated[float, Field(gt=0)] = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    augmentation: Annotated[Augmentation, BeforeValidator(lambda value: value or "none")] = "dsa"
    selection: Literal["last", "validation"] = "last"
    look_every: Annotated[int, Field(ge=1)] = 100

    def steps_for(self, images: int) -> int:
        """Optimiser steps on a set of so many images."""
        if self.steps is not None:
            return self.steps
        return self._step_of(self.epochs + 1, images)

    def optim(self, images: int) -> Optim:
        """How a network learns from a set of so many images."""
        falls = 0.5
        if self.steps is None:
            falls = self._step_of(self.epochs // 2 + 2, images) / self.steps_for(images)
        return Optim(
            "sgd",
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            schedule="steps",
            milestones=(min(falls, 1.0),),
            restart=True,
        )

    def views(self, data: Data) -> Views:
        """Random changes of the small set's images."""
        if self.augmentation == "none":
            return Views()
        if self.augmentation == "dsa":
            return Views(siamese=FULL)
        return EightBit(recipe=self.augmentation, pixels=pixels_of(data))

    def objective(self, data: Data) -> Term:
        """Cross-entropy with the set's soft labels where it has them, else with its classes."""
        if SOFT_LABELS not in columns_of(data):
            return label_term(data.task)
        return Term("soft", learned_label_loss, teacher=None, target=SOFT_LABELS)

    @property
    def validates(self) -> bool:
        """Whether validation samples are looked at on the way."""
        return self.selection == "validation"

    @property
    def late(self) -> bool:
        """Whether weights of late steps compete beside the last ones."""
        return False

    def eight_bit(self, data: Data) -> bool:
        """Whether training goes back to pixel values, for which it needs the way there."""
        return isinstance(self.views(data), EightBit)

    def train(self, run: Run, stage: str, learner: nn.Module, data: Data, network: str) -> Learnt:
        """Train a network in place.

        Args:
            run: the folder.
            stage: a word.
            learner: the network.
            data: its training split is the small set.
            network: what the network is called.

        Returns:
            How it went.
        """
        images, watch = len(data.train), None
        steps = self.steps_for(images)
        if self.validates:
            watch = validation_watch(data, every=min(self.look_every, steps), patience=None)
        ended = fit(
            run,
            stage,
            learner,
            data,
            None,
            self.objective(data),
            self.optim(images),
            steps,
            batch_size=self.batch_size,
            views=self.views(data),
            watch=watch,
        )
        if watch is None:
            return Learnt(ended.step)
        return Learnt(_best_with_last(run, stage, learner, ended, watch))

    def words(self, made: Any) -> dict[str, str]:
        """How a set is judged, for people."""
        images = len(made.images)
        rate = self.lr if made.step_size is None else made.step_size
        return {
            "networks": f"{self.repeats} of {', '.join([self.network, *self.others])}",
            "steps": f"{self.steps_for(images):,} of {min(self.batch_size, images)} images",
            "learning rate": f"{rate:.4g}"
            + ("" if made.step_size is None else f", learned; of real images {self.lr:g}"),
            "augmentation": self.augmentation,
            "accuracy": f"on the test split, of the {SELECTED[self.selection]}",
        }

    def _step_of(self, epoch: int, images: int) -> int:
        """First step that belongs to an epoch as a whole."""
        return math.ceil(epoch * images / min(self.batch_size, images))


def columns_of(data: Data) -> list[str]:
    """Names of the columns that the small set has."""
    import numpy as np

    return list(data.train.take(np.arange(1)))


def _best_with_last(run: Run, stage: str, learner: nn.Module, ended: Trained, watch: Watch) -> int:
    """Let the last iterate compete too, where the looks missed it; returns whose weights are in."""
    best, best_score = ended.best_step, ended.best_score
    if best is None or best_score is None:
        # A rehearsal may end before the first look.
        return ended.step
    if watch.due(ended.step):
        return best
    weights = copied(learner)
    learner.load_state_dict(ended.last["student"])
    with torch.no_grad(), evaluating(learner):
        score = watch.score({"student": learner})
    run.log(stage=stage, step=ended.step, score=score)
    if score > best_score:
        return ended.step
    learner.load_state_dict(weights)
    return best
