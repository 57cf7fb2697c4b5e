"""Who teaches a generation: base teachers and the last student."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import nn

from limbeck.data import Batch
from limbeck.fingerprint import fingerprint
from limbeck.functional.operators import MetaTeacher
from limbeck.outputs import Outputs
from limbeck.teachers import EnsembleTeacher, ModelTeacher


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
        # Logits that soften to the target at the operator's temperature.
        return Outputs(logits=self.rule.softening.temperature * target.log())
