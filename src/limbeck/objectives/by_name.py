"""Losses that fit a task or have a name in the catalogue, as terms."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from torch import Tensor

from limbeck.catalogue import loss_for_outputs, losses
from limbeck.errors import ArgumentError, SettingsError, nearest
from limbeck.functional import supervised
from limbeck.functional.divergences import soft_multilabel_loss, soft_target_loss
from limbeck.objectives.term import Term


def label_term(task: str, **options: Any) -> Term:
    """The loss against the labels that fits a task, as a term named ``"labels"``.

    Args:
        task: ``"classification"``, ``"multilabel"`` or ``"regression"``.
        options: further keywords of the function, such as ``label_smoothing``.

    Returns:
        A term that reads the student's logits and the column ``"y"``.

    Example:
        >>> label_term("regression")
        Term('labels', squared_error, teacher=None, target='y')
    """
    function = _fitting(task, supervised.LABEL_LOSSES)
    return Term("labels", function, teacher=None, target="y", **options)


def soft_term(task: str, *, temperature: float = 1.0) -> Term:
    """The loss against the teacher's softened outputs that fits a task, named ``"soft"``.

    Args:
        task: ``"classification"``, ``"multilabel"`` or ``"regression"``, which has no temperature.
        temperature: T above 0.

    Returns:
        A term that reads the logits of student and teacher.

    Example:
        >>> soft_term("classification", temperature=4.0)
        Term('soft', soft_target_loss, temperature=4.0)
    """
    function = _fitting(task, SOFT_LOSSES)
    options: dict[str, Any] = {} if task == "regression" else {"temperature": temperature}
    return Term("soft", function, **options)


def named(name: str, *, task: str, **options: Any) -> Term:
    """A loss of the catalogue as an objective over the outputs of student and teacher.

    Args:
        name: as ``limbeck list --losses`` has it, such as ``"dkd"``.
        task: ``"classification"``, ``"multilabel"`` or ``"regression"``.
        options: further keywords of the function, such as ``temperature``.

    Returns:
        A term of that name. It reads the outputs of the student, those of the teacher where the
        loss needs them, and the column ``"y"`` where it needs labels.

    Raises:
        SettingsError: there is no loss of that name (the nearest is suggested), it needs more
            than outputs and labels, or it is not for the task.
        ArgumentError: the function has no such option.

    Example:
        >>> named("dkd", task="classification", non_target_weight=2.0)
        Term('dkd', decoupled_loss, target='y', non_target_weight=2.0)
    """
    found = loss_for_outputs(name)
    if task not in found.tasks:
        fitting = [one.name for one in losses() if task in one.tasks]
        raise SettingsError(
            f"loss {name!r} is for {' and '.join(found.tasks)}, and the task is {task!r}; losses "
            f"for it: {', '.join(fitting) or 'none'}"
        )
    function = getattr(importlib.import_module(f"limbeck.functional.{found.topic}"), found.function)
    return Term(
        found.name,
        function,
        teacher="logits" if found.teacher else None,
        target="y" if found.labels else None,
        **{**found.options, **options},
    )


SOFT_LOSSES: dict[str, Callable[..., Tensor]] = {
    "classification": soft_target_loss,
    "multilabel": soft_multilabel_loss,
    "regression": supervised.squared_error,
}


def _fitting(task: str, table: dict[str, Callable[..., Tensor]]) -> Callable[..., Tensor]:
    if task not in table:
        raise ArgumentError(f"task is {task!r}; {nearest(task, table)}")
    return table[task]
