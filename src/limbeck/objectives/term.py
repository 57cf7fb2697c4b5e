"""A loss function made an objective in one line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError, nearest
from limbeck.networks.projector import projector
from limbeck.objectives.objective import Objective, Terms
from limbeck.outputs import Outputs

# One output of a model, or several for a function that takes them as a tuple.
Paths = str | tuple[str, ...]


class Term(Objective):
    """A loss function made an objective in one line.

    Args:
        name: of the term, in logs and reports.
        function: called as ``function(student, teacher, target, **options)``, without those of
            the three that are None here. Must return a scalar.
        student: output of the student to pass: ``"logits"``, ``"features.PATH"`` ...; several for
            a function that takes a tuple of them, as `fsp_loss` does.
        teacher: output of the teacher to pass, or several, or None.
        target: column of the batch to pass, or None.
        project: put a trained linear map behind the student's output, to the width of the
            teacher's; its shape is found by `prepare`.
        columns: keywords of the function that are columns of the batch, such as
            ``{"mask": "valid"}``.
        options: further keywords of the function.

    Raises:
        ArgumentError: the function has no such option or needs more than it is given; when run,
            it gives no scalar, or `project` is set and `prepare` was not called.

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
        student: Paths | None = "logits",
        teacher: Paths | None = "logits",
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
        if project and not (isinstance(student, str) and isinstance(teacher, str)):
            raise ArgumentError(
                f"term {name!r} projects an output of the student to the width of the teacher's "
                "and reads only one of them, or several; name one of each or drop project"
            )
        given = {"student": student, "teacher": teacher, "target": target}
        places = [place for place, path in given.items() if path is not None]
        _check_call(function, places, {**options, **self.columns})

    @property
    def needs_teacher(self) -> bool:
        return self.teacher is not None

    @property
    def student_features(self) -> set[str]:
        paths = paths_of(self.student)
        return {one.removeprefix("features.") for one in paths if one.startswith("features.")}

    @property
    def teacher_outputs(self) -> set[str]:
        return set(paths_of(self.teacher))

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
        assert isinstance(self.student, str)
        assert isinstance(self.teacher, str)
        if teacher is None:
            raise ArgumentError(f"term {self.name!r} reads a teacher and there is none")
        shapes = student.read(self.student).shape, teacher.read(self.teacher).shape
        self.projector = projector(*shapes)

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Terms:
        """Return the one term."""
        given: list[Tensor | tuple[Tensor, ...]] = []
        if self.student is not None:
            given.append(self._projected(_read(student, self.student)))
        if self.teacher is not None:
            if teacher is None:
                raise ArgumentError(f"term {self.name!r} reads a teacher and there is none")
            given.append(_read(teacher, self.teacher))
        if self.target is not None:
            given.append(batch[self.target])
        read = {name: batch[column] for name, column in self.columns.items()}
        value = self.function(*given, **read, **self.options)
        if value.ndim:
            raise ArgumentError(
                f"term {self.name!r} gave shape {tuple(value.shape)}, expected a single number: "
                'pass reduction="mean", or take the mean or sum'
            )
        return {self.name: value}

    def _projected(self, output: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
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


def paths_of(given: Paths | None) -> tuple[str, ...]:
    """The paths of none, one or several outputs.

    Example:
        >>> paths_of("logits"), paths_of(("features.1", "features.2"))
        (('logits',), ('features.1', 'features.2'))
    """
    return () if given is None else (given,) if isinstance(given, str) else given


def _read(outputs: Outputs, given: Paths) -> Tensor | tuple[Tensor, ...]:
    if isinstance(given, str):
        return outputs.read(given)
    return tuple(outputs.read(path) for path in given)


def _check_call(
    function: Callable[..., Tensor], places: list[str], options: dict[str, Any]
) -> None:
    """Raise `ArgumentError` unless the function can be called with what a term gives it."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    called = getattr(function, "__name__", "the function")
    parameters = signature.parameters
    if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        for name in options:
            if name not in parameters:
                raise ArgumentError(f"{called} has no option {name!r}; {nearest(name, parameters)}")
    try:
        signature.bind(*places, **options)
    except TypeError as error:
        given = ", ".join([*places, *options]) or "nothing"
        raise ArgumentError(
            f"{called} cannot be called with what the term gives it, {given}: {error}; name the "
            "outputs, the target and the columns that it needs, and set the others to None"
        ) from None
