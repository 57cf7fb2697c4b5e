"""Objectives: named loss terms over a student's and a teacher's outputs that add and scale."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from limbeck.catalogue import loss_for_outputs, losses
from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError, SettingsError, nearest
from limbeck.functional import supervised
from limbeck.functional.divergences import soft_multilabel_loss, soft_target_loss
from limbeck.networks.projector import projector
from limbeck.outputs import Outputs

Terms = dict[str, Tensor]


class Objective(nn.Module):
    """What a student minimises: a module that returns named scalar terms.

    Objectives add (``a + b``) and scale (``0.5 * a``). Parameters of an objective, such as a
    projector's, are trained as a model of the loop.
    """

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Terms:
        """Return the terms, already weighted: their sum is the loss."""
        raise TypeError(f"{type(self).__name__} is an objective without a forward")

    @property
    def needs_teacher(self) -> bool:
        """Whether a teacher's outputs are read."""
        return True

    @property
    def student_features(self) -> set[str]:
        """Module paths of the student whose outputs are read."""
        return set()

    @property
    def teacher_outputs(self) -> set[str]:
        """Outputs of the teacher that are read, as far as they can be told beforehand."""
        return set()

    @property
    def targets(self) -> set[str]:
        """Columns of the batch that are read."""
        return set()

    @property
    def projects(self) -> bool:
        """Whether projectors are to be made by `prepare` before the first step."""
        return any(part.projects for part in self._parts())

    def prepare(self, student: Outputs, teacher: Outputs | None) -> None:
        """Make the projectors for the shapes of what student and teacher say about a few samples.

        Loops (`fit`) call it; in your own loop call it once before the optimiser is made.
        """
        for part in self._parts():
            part.prepare(student, teacher)

    def _parts(self) -> list[Objective]:
        below = (part for part in self.modules() if part is not self)
        return [part for part in below if isinstance(part, Objective)]

    def __add__(self, other: Objective) -> Objective:
        return Sum([self, other])

    def __mul__(self, weight: float) -> Objective:
        return Scaled(self, weight)

    __rmul__ = __mul__


class Term(Objective):
    """A loss function made an objective in one line.

    Args:
        name: of the term, in logs and reports.
        function: called as ``function(student, teacher, target, **options)``, without those of
            the three that are None here. Must return a scalar.
        student: output of the student to pass: ``"logits"``, ``"features.PATH"`` ...
        teacher: output of the teacher to pass, or None.
        target: column of the batch to pass, or None.
        project: put a trained linear map behind the student's output, to the width of the
            teacher's; its shape is found by `prepare`.
        columns: keywords of the function that are columns of the batch, such as
            ``{"mask": "valid"}``.
        options: further keywords of the function.

    Raises:
        ArgumentError: the function has no such option; when run, `project` is set and `prepare`
            was not called.

    Example:
        >>> import torch
        >>> from limbeck.functional import soft_target_loss
        >>> soft = Term("soft", soft_target_loss, temperature=4.0)
        >>> z = Outputs(logits=torch.zeros(2, 3))
        >>> {name: value.item() for name, value in (0.5 * soft)(z, z, Batch({})).items()}
        {'soft': 0.0}
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Tensor],
        *,
        student: str | None = "logits",
        teacher: str | None = "logits",
        target: str | None = None,
        project: bool = False,
        columns: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.project, self.columns = project, dict(columns or {})
        self.projector: nn.Module | None = None
        self.name, self.function, self.options = name, function, options
        self.student, self.teacher, self.target = student, teacher, target
        _check_options(function, {**options, **self.columns})
        if project and (student is None or teacher is None):
            raise ArgumentError(
                f"term {name!r} projects an output of the student to the width of the teacher's "
                "and reads only one of them; name both or drop project"
            )

    @property
    def needs_teacher(self) -> bool:
        return self.teacher is not None

    @property
    def student_features(self) -> set[str]:
        path = self.student or ""
        return {path.removeprefix("features.")} if path.startswith("features.") else set()

    @property
    def teacher_outputs(self) -> set[str]:
        return set() if self.teacher is None else {self.teacher}

    @property
    def targets(self) -> set[str]:
        return {*self.columns.values()} | (set() if self.target is None else {self.target})

    @property
    def projects(self) -> bool:
        return self.project

    def prepare(self, student: Outputs, teacher: Outputs | None) -> None:
        """Make the projector, unless it is there."""
        if not self.project or self.projector is not None:
            return
        assert self.student is not None
        assert self.teacher is not None
        if teacher is None:
            raise ArgumentError(f"term {self.name!r} reads a teacher and there is none")
        shapes = student.read(self.student).shape, teacher.read(self.teacher).shape
        self.projector = projector(*shapes)

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Terms:
        """Return the one term."""
        given: list[Tensor] = []
        if self.student is not None:
            given.append(self._projected(student.read(self.student)))
        if self.teacher is not None:
            if teacher is None:
                raise ArgumentError(f"term {self.name!r} reads a teacher and there is none")
            given.append(teacher.read(self.teacher))
        if self.target is not None:
            given.append(batch[self.target])
        read = {name: batch[column] for name, column in self.columns.items()}
        return {self.name: self.function(*given, **read, **self.options)}

    def _projected(self, output: Tensor) -> Tensor:
        if not self.project:
            return output
        if self.projector is None:
            raise ArgumentError(
                f"the projector of term {self.name!r} is not made; call prepare(student, teacher) "
                "with outputs for a few samples before the optimiser is made"
            )
        projected: Tensor = self.projector(output)
        return projected

    def extra_repr(self) -> str:
        function = self.function
        parts = [f"{self.name!r}", getattr(function, "__name__", type(function).__name__)]
        usual = {"student": "logits", "teacher": "logits", "target": None}
        paths = {name: getattr(self, name) for name in usual if getattr(self, name) != usual[name]}
        parts += [f"{name}={value!r}" for name, value in {**paths, **self.options}.items()]
        return ", ".join(parts)


class Scaled(Objective):
    """An objective times a number. Made by ``0.5 * objective``."""

    def __init__(self, objective: Objective, weight: float) -> None:
        super().__init__()
        self.objective, self.weight = objective, weight

    def extra_repr(self) -> str:
        return f"weight={self.weight}"

    @property
    def needs_teacher(self) -> bool:
        return self.objective.needs_teacher

    @property
    def student_features(self) -> set[str]:
        return self.objective.student_features

    @property
    def teacher_outputs(self) -> set[str]:
        return self.objective.teacher_outputs

    @property
    def targets(self) -> set[str]:
        return self.objective.targets

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Terms:
        """Return the scaled terms."""
        terms = self.objective(student, teacher, batch)
        return {name: value * self.weight for name, value in terms.items()}


class Sum(Objective):
    """Objectives side by side. Made by ``a + b``.

    Raises:
        ArgumentError: when run, two terms have the same name.
    """

    def __init__(self, parts: list[Objective]) -> None:
        super().__init__()
        flat = [part for one in parts for part in (one.parts if isinstance(one, Sum) else [one])]
        self.parts: nn.ModuleList = nn.ModuleList(flat)

    @property
    def needs_teacher(self) -> bool:
        return any(bool(part.needs_teacher) for part in self.parts)

    @property
    def student_features(self) -> set[str]:
        return {path for part in self.parts for path in part.student_features}  # type: ignore[union-attr]

    @property
    def teacher_outputs(self) -> set[str]:
        return {path for part in self.parts for path in part.teacher_outputs}  # type: ignore[union-attr]

    @property
    def targets(self) -> set[str]:
        return {name for part in self.parts for name in part.targets}  # type: ignore[union-attr]

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Terms:
        """Return the terms of all parts."""
        terms: Terms = {}
        for part in self.parts:
            for name, value in part(student, teacher, batch).items():
                if name in terms:
                    raise ArgumentError(
                        f"two terms are called {name!r}; give one another name so that both "
                        "can be seen in the log"
                    )
                terms[name] = value
        return terms


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


def sum_terms(terms: Terms, parameters: list[nn.Parameter] | None = None) -> Tensor:
    """Add the terms: the one place where a loss becomes a number.

    Args:
        terms: named scalars.
        parameters: what will be trained; unused here, read by combiners that weigh gradients.

    Returns:
        A scalar.

    Raises:
        ArgumentError: there are no terms.

    Example:
        >>> import torch
        >>> sum_terms({"a": torch.tensor(1.0), "b": torch.tensor(2.0)}).item()
        3.0
    """
    if not terms:
        raise ArgumentError("there are no terms to minimise: the step or objective returned none")
    values = list(terms.values())
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _check_options(function: Callable[..., Tensor], options: dict[str, Any]) -> None:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return
    for name in options:
        if name not in parameters:
            called = getattr(function, "__name__", "the function")
            raise ArgumentError(f"{called} has no option {name!r}; {nearest(name, parameters)}")
