"""VID as an objective: the variances of its likelihood are learned along with a projector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError
from limbeck.functional.mutual_information import vid_loss
from limbeck.objectives.objective import Objective, Terms
from limbeck.objectives.term import Term
from limbeck.outputs import Outputs


class Variational(Objective):
    """`vid_loss` between an output of the student and one of the teacher.

    What it learns, a projector to the teacher's width and a variance for each of the teacher's
    channels, is made by `prepare`, which `fit` calls.

    Args:
        name: of the term, in logs and reports.
        student: output of the student, such as ``"features.PATH"``.
        teacher: output of the teacher.
        project: put a trained linear map behind the student's output, to the width of the
            teacher's; off where a module of the student already has that width.
        least_variance: as in `vid_loss`.

    Raises:
        ArgumentError: when run, `prepare` was not called.

    Example:
        >>> vid = Variational("vid", student="features.body", teacher="features.body")
        >>> small = Outputs(features={"body": torch.zeros(5, 2)})
        >>> big = Outputs(features={"body": torch.zeros(5, 4)})
        >>> vid.prepare(small, big)
        >>> [tuple(one.shape) for one in vid.parameters()]
        [(4,), (4, 2), (4,)]
    """

    def __init__(
        self,
        name: str,
        *,
        student: str,
        teacher: str,
        project: bool = True,
        least_variance: float = 1e-5,
    ) -> None:
        super().__init__()
        self.likelihood = _Likelihood(name, least_variance)
        self.term = Term(name, self.likelihood, student=student, teacher=teacher, project=project)

    @property
    def student_features(self) -> set[str]:
        return self.term.student_features

    @property
    def teacher_outputs(self) -> set[str]:
        return self.term.teacher_outputs

    @property
    def projects(self) -> bool:
        return True

    def prepare(self, student: Outputs, teacher: Outputs | None) -> None:
        """Make the projector and the variances, unless they are there."""
        self.term.prepare(student, teacher)
        if self.likelihood.log_variance is None:
            assert isinstance(self.term.teacher, str)
            if teacher is None:
                raise ArgumentError(f"term {self.term.name!r} reads a teacher and there is none")
            features = teacher.read(self.term.teacher)
            width = features.shape[_channels(features)]
            self.likelihood.log_variance = nn.Parameter(torch.zeros(width))

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Terms:
        """Return the one term."""
        terms: Terms = self.term(student, teacher, batch)
        return terms


class _Likelihood(nn.Module):
    def __init__(self, name: str, least_variance: float) -> None:
        super().__init__()
        self.name, self.least_variance = name, least_variance
        self.log_variance: nn.Parameter | None
        self.register_parameter("log_variance", None)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.log_variance is None:
            raise ArgumentError(
                f"the variances of term {self.name!r} are not made; call prepare(student, teacher) "
                "with outputs for a few samples before the optimiser is made"
            )
        return vid_loss(
            student,
            teacher,
            self.log_variance,
            least_variance=self.least_variance,
            axis=_channels(teacher),
        )


def _channels(features: Tensor) -> int:
    """The axis of the channels: the last of vectors and tokens, the second of images."""
    return 1 if features.ndim == 4 else features.ndim - 1
