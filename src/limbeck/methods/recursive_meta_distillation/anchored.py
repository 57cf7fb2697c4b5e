"""Who teaches a generation: base teachers and the last student, asked live or once."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

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

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Outputs:
        members = self.base(batch).read("extra.member_logits").softmax(-1)
        target = self.rule(self.last(batch).read("logits").softmax(-1), members)
        # Logits that soften to the target at the operator's temperature.
        return Outputs(logits=self.rule.softening.temperature * target.log())


class StoredTeacher:
    """Targets that were made once, looked up by sample id.

    Args:
        ids: of the samples ``(N,)``.
        logits: their targets ``(N, C)``.
    """

    name = "stored targets"
    wants = ("id",)
    modules: tuple[nn.Module, ...] = ()

    def __init__(self, ids: Tensor, logits: Tensor) -> None:
        self.ids, order = ids.sort()
        self.logits = logits[order]

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.ids, self.logits)

    def __call__(self, batch: Batch) -> Outputs:
        rows = torch.searchsorted(self.ids, batch["id"].cpu())
        return Outputs(logits=self.logits[rows].to(batch["id"].device))
