"""Their trainer, told which rows to take at which step and who watches it."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from sentence_transformers import (
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    SparseEncoder,
    SparseEncoderTrainer,
    SparseEncoderTrainingArguments,
)
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from limbeck.bridges.sentence_transformers.encoders import quiet
from limbeck.bridges.sentence_transformers.remembered import RememberedTokens
from limbeck.errors import ArgumentError

Examples = Callable[[int], list[dict[str, Any]]]
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")


class Watcher(Protocol):
    """Who is told of every step that a trainer takes."""

    def begin(self, trainer: Any) -> None:
        """The trainer stands and is about to take its first step."""

    def before(self, step: int) -> None:
        """A step, counted from 0, begins."""

    def after(self, step: int, terms: Mapping[str, Tensor], trainer: Any) -> bool:
        """So many steps are done, the last with these terms; whether to go on."""


@dataclass(frozen=True)
class Course:
    """What a trainer does, step by step.

    Args:
        examples: from the step to this process's rows of the batch: ``query``, ``document_0`` ...
            and ``label`` where the loss wants one.
        steps: how many there are in all.
        start: how many are done.
        rate: from the step to what the optimiser's own learning rate is multiplied by.
        clip: largest norm of the gradient, or None.
        precision: as Lightning Fabric names it.
        device: ``"cpu"`` or ``"cuda"``.
        folder: for a trainer that must be told one; nothing is written to it.
    """

    examples: Examples
    steps: int
    start: int
    rate: Callable[[int], float]
    clip: float | None
    precision: str
    device: str
    folder: Path


def hosted(
    model: Any, loss: nn.Module, optimiser: torch.optim.Optimizer, course: Course, watcher: Watcher
) -> None:
    """Train with sentence-transformers' own trainer, from a step on.

    Which examples a step sees, and its learning rate, depend on its number alone, so that a
    trainer that begins at step 500 goes on as one that came to it.

    Args:
        model: a `SparseEncoder` or `SentenceTransformer`, trained in place.
        loss: in sentence-transformers' protocol.
        optimiser: of the model's parameters, in the state of ``course.start``.
        course: what to do.
        watcher: told of every step.

    Raises:
        ArgumentError: the trainer has no such precision.
    """
    if course.precision not in PRECISIONS:
        raise ArgumentError(
            f"precision is {course.precision!r}, and the trainer of sentence-transformers has "
            f"{', '.join(PRECISIONS)}"
        )
    for group in optimiser.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"])
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: course.rate(course.start + step)
    )
    telling = _Telling(watcher, course.start)
    sparse = isinstance(model, SparseEncoder)
    with quiet(), _undisturbed(), warnings.catch_warnings():
        # What libraries say of each other is no news; what limbeck says of the run is.
        for name in ("torch", "transformers", "accelerate", "sentence_transformers"):
            warnings.filterwarnings("ignore", module=name)
        trainer: Any = (_SparseTrainer if sparse else _DenseTrainer)(
            model=model,
            args=_arguments(course, sparse),
            loss=loss,
            callbacks=[telling],
            optimizers=(optimiser, scheduler),
        )
        for one in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(one)
        trainer.course, telling.trainer = course, trainer
        trainer.data_collator.preprocess_fn = RememberedTokens(model.preprocess, model.tokenizer)
        trainer.train()
    model.eval()


def _arguments(course: Course, sparse: bool) -> Any:
    kind = SparseEncoderTrainingArguments if sparse else SentenceTransformerTrainingArguments
    first = course.examples(course.start)
    routes = {one: "query" if one == "query" else "document" for one in first[0] if one != "label"}
    return kind(
        output_dir=str(course.folder),
        max_steps=course.steps - course.start,
        per_device_train_batch_size=len(first),
        max_grad_norm=course.clip or 0.0,
        fp16=course.precision == "16-mixed",
        bf16=course.precision == "bf16-mixed",
        use_cpu=course.device == "cpu",
        router_mapping=routes if sparse else {},
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=course.device != "cpu",
        ddp_find_unused_parameters=False,
    )


class _Batches(IterableDataset[Any]):
    """The batches of the steps that are left, one after the other."""

    def __init__(self, course: Course) -> None:
        self.course = course

    def __iter__(self) -> Iterator[Any]:
        for step in range(self.course.start, self.course.steps):
            yield self.course.examples(step)

    def __len__(self) -> int:
        return self.course.steps - self.course.start


class _Keyed:
    """A trainer whose batches come by their number, and which keeps its terms for a watcher."""

    course: Course
    data_collator: Any
    terms: Mapping[str, Tensor]

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of this process: they are dealt out by number already."""
        return DataLoader(_Batches(self.course), batch_size=None, collate_fn=self.data_collator)

    def compute_loss(self, *args: Any, **options: Any) -> Any:
        """The loss; one that has no terms is its own."""
        self.terms = {}
        loss: Any = super().compute_loss(*args, **options)  # type: ignore[misc]
        if not self.terms:
            self.terms = {"loss": loss.detach()}
        return loss

    def track_loss_components(self, loss: Mapping[str, Tensor]) -> None:
        """Keep the terms of a step."""
        self.terms = {name: value.detach() for name, value in loss.items()}

    def add_model_card_callback(self, default_args_dict: Mapping[str, Any]) -> None:
        """Collect nothing for a model card: that asks the network, and is written elsewhere."""


class _SparseTrainer(_Keyed, SparseEncoderTrainer):
    """For sparse encoders."""


class _DenseTrainer(_Keyed, SentenceTransformerTrainer):
    """For dense encoders."""


class _Telling(TrainerCallback):
    """Tells a watcher of every step, and stops the trainer when it says so."""

    trainer: Any = None

    def __init__(self, watcher: Watcher, start: int) -> None:
        self.watcher, self.start = watcher, start

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The first step is about to come."""
        self.watcher.begin(self.trainer)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step begins."""
        self.watcher.before(self.start + state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step is done."""
        step = self.start + state.global_step
        control.should_training_stop = not self.watcher.after(
            step, self.trainer.terms, self.trainer
        )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put the caller's random generators back after the block: their trainer seeds them all."""
    plain, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(plain)
        np.random.set_state(numbers)  # noqa: NPY002
