"""Who teaches a generation: base teachers and the last student."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from limbeck.data import Batch
from limbeck.fingerprint import fingerprint
from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.guards import widened
from limbeck.functional.operators import MetaTeacher, Softening
from limbeck.objectives import Term
from limbeck.outputs import Outputs
from limbeck.teachers import EnsembleTeacher, ModelTeacher


def softens_by_a_power(rule: MetaTeacher) -> bool:
    """Whether softening is a division of logits by the temperature."""
    return getattr(rule.softening, "family", None) == "power"


def softened_loss(student: Tensor, teacher: Tensor, *, softening: Softening) -> Tensor:
    r"""T² KL between a target and the student softened by any rule.

    Args:
        student: logits ``(N, C)``.
        teacher: logarithm of the target, softened already, ``(N, C)``.
        softening: of probabilities.

    Returns:
        A scalar.

    Example:
        >>> z = torch.tensor([[2.0, 0.0]])
        >>> softening = Softening(2.0, "uniform")
        >>> target = softening(z.softmax(-1)).log()
        >>> abs(round(softened_loss(z, target, softening=softening).item(), 4))
        0.0
    """
    own = softening(widened(student).softmax(-1))
    return softening.temperature**2 * soft_target_loss(own, teacher, student_is="probabilities")


def objective(rule: MetaTeacher) -> Term:
    """What a student of a generation minimises, a term named ``"meta"``."""
    if softens_by_a_power(rule):
        return Term("meta", soft_target_loss, temperature=rule.softening.temperature)
    return Term("meta", softened_loss, softening=rule.softening)


class AnchoredTeacher:
    """Base teachers and the last student, mixed by an operator: the teacher of one generation.

    Args:
        base: the base teachers.
        last: the student of the generation before.
        rule: from their probabilities to the target.
    """

    name = "anchored teacher"

    def __init__(self, base: EnsembleTeacher, last: ModelTeacher, rule: MetaTeacher) -> None:
        self.base, self.last, self.rule = base, last, rule

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.base.fingerprint, self.last.fingerprint, self.rule)

    @property
    def wants(self) -> tuple[str, ...]:
        return tuple(sorted({*self.base.wants, *self.last.wants}))

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (*self.base.modules, *self.last.modules)

    @property
    def members(self) -> tuple[AnchoredTeacher, ...]:
        """The mixture itself: one member."""
        return (self,)

    def placed(self, place: Callable[[nn.Module], nn.Module]) -> AnchoredTeacher:
        """The same mixture with all networks placed."""
        return AnchoredTeacher(self.base.placed(place), self.last.placed(place), self.rule)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Outputs:
        members = self.base(batch).read("extra.member_logits").softmax(-1)
        target = self.rule(self.last(batch).read("logits").softmax(-1), members)
        # Logits that soften to the target at the operator's temperature, where a power does that.
        power = softens_by_a_power(self.rule)
        return Outputs(logits=(self.rule.softening.temperature if power else 1.0) * target.log())
