"""Quality of predictions on a split, by task; beside it, agreement with a teacher."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.data.splits import Split
from limbeck.errors import DataError
from limbeck.evaluate.figures import figure
from limbeck.functional import classification, supervised
from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.guards import widened
from limbeck.outputs import Outputs

Source = Callable[[Batch], Outputs]
Figures = dict[str, float]


@torch.no_grad()
def collect(source: Source, data: Data, split: Split) -> tuple[Tensor, Tensor]:
    """Run a source over a split.

    Args:
        source: from a batch to outputs with logits: a teacher, or a product's ``outputs``.
        data: tells how inputs are read.
        split: the samples.

    Returns:
        Logits ``(N, C)`` and targets, on the CPU, in the order of the split.

    Raises:
        DataError: a prediction is NaN or infinite (the first such sample is named).
    """
    logits, targets = [], []
    for batch in sequential(data, split):
        logits.append(widened(source(batch).read("logits")).cpu())
        targets.append(batch["y"].cpu())
    found = torch.cat(logits)
    bad = ~torch.isfinite(found.reshape(len(found), -1)).all(1)
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise DataError(
            f"predictions for {int(bad.sum())} samples of {data.name} are NaN or infinite, the "
            f"first at position {first} (id {int(split.ids[first])}); look at its inputs"
        )
    return found, torch.cat(targets)


def quality(logits: Tensor, target: Tensor, task: str) -> Figures:
    """Figures that fit a task.

    Args:
        logits: ``(N, C)``, or predictions for regression.
        target: as the task has them.
        task: ``"classification"``: accuracy, top-5 accuracy, negative log-likelihood (nats),
            expected calibration error (15 bins), Brier score; ``"multilabel"``: share of labels
            right, share of samples with all labels right, mean F1 over labels, negative
            log-likelihood; ``"regression"``: root mean squared error, mean absolute error, R².

    Returns:
        Numbers by name; shares are fractions.

    Example:
        >>> quality(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), "classification")["accuracy"]
        1.0
    """
    if task == "regression":
        return _regression(logits, target)
    if task == "multilabel":
        return _multilabel(logits, target)
    figures = {
        "accuracy": classification.top_k_accuracy(logits, target),
        "nll": classification.negative_log_likelihood(logits, target),
        "ece": classification.expected_calibration_error(logits, target),
        "brier": classification.brier_score(logits, target),
    }
    if logits.shape[1] > 5:
        figures["top5"] = classification.top_k_accuracy(logits, target, k=5)
    return {name: float(value) for name, value in figures.items()}


def fidelity(student_logits: Tensor, teacher_logits: Tensor, task: str) -> Figures:
    """How near a student is to its teacher on the same samples.

    Args:
        student_logits: ``(N, C)``.
        teacher_logits: ``(N, C)``.
        task: classification gives agreement and KL(teacher || student) in nats; other tasks the
            mean squared difference.

    Returns:
        Numbers by name.
    """
    if task != "classification":
        return {"teacher_mse": float(supervised.squared_error(student_logits, teacher_logits))}
    return {
        "agreement": float(classification.agreement(student_logits, teacher_logits)),
        "teacher_kl": float(soft_target_loss(student_logits, teacher_logits)),
    }


def main_figure(task: str) -> tuple[str, int]:
    """Name of the figure that choices are made on, and +1 if high is good, -1 if low is."""
    name = "rmse" if task == "regression" else "accuracy"
    return name, 1 if figure(name).higher else -1


def _regression(predicted: Tensor, target: Tensor) -> Figures:
    # A list of numbers and a column of them are the same.
    predicted, target = (x.double().reshape(len(x), -1) for x in (predicted, target))
    error = supervised.squared_error(predicted, target, reduction="none")
    missed, spread = error.sum(0), (target - target.mean(0)).square().sum(0)
    # Of a target without spread there is nothing to explain: 1 where it is hit, else 0.
    explained = torch.where(spread > 0, 1 - missed / spread, (missed == 0).double())
    return {
        "rmse": float(error.mean().sqrt()),
        "mae": float((predicted - target).abs().mean()),
        "r2": float(explained.mean()),
    }


def _multilabel(logits: Tensor, target: Tensor) -> Figures:
    guess, truth = logits > 0, target > 0.5
    right = guess == truth
    both = (guess & truth).sum(0).double()
    either = guess.sum(0) + truth.sum(0)
    f1 = torch.where(either > 0, 2 * both / either.clamp(min=1), 1.0)
    return {
        "accuracy": float(right.double().mean()),
        "exact": float(right.all(1).double().mean()),
        "f1": float(f1.mean()),
        "nll": float(supervised.binary_cross_entropy(logits, target)),
    }
