"""What a student minimises: named terms that add and scale, and become a number in one place."""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError
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
    def teacher_features(self) -> set[str]:
        """Module paths of the teacher whose outputs are read: its ``features``."""
        mark = "features."
        return {one.removeprefix(mark) for one in self.teacher_outputs if one.startswith(mark)}

    @property
    def targets(self) -> set[str]:
        """Columns of the batch that are read."""
        return set()

    @property
    def projects(self) -> bool:
        """Whether `prepare` is to make projectors and the like before the first step."""
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
