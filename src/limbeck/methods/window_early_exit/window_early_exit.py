"""Window early exit: a later member sees only the samples near the threshold of a decision."""

from __future__ import annotations

import dataclasses
from typing import Any

from limbeck.data import Data
from limbeck.data.checking import check_unseen
from limbeck.loops.teach import Teaching
from limbeck.method import method
from limbeck.products import WindowCascade
from limbeck.products.cascade_table import outside_of
from limbeck.run import Run
from limbeck.selection import ExitPolicy
from limbeck.teachers import EnsembleTeacher


@method("window-early-exit")
class WindowEarlyExit:
    r"""A sample goes on iff its confidence lies in :math:`[Q(q - h), Q(q + h)]`, q the rank of τ.

    Members are trained independently, with nothing special about it. The threshold τ is the
    confidence of the first at which a task is met on validation samples, Q the quantiles of those
    confidences; samples that go on are answered by the mean of the members so far.

    Args:
        policy: score, task and target, half width h, and how thresholds are chosen.
        teaching: how members given by name are trained; each from draws of its own.

    Source: Xia and Bouganis, arXiv 2303.08010, and Guoxoug/window-early-exit.
    """

    policy: ExitPolicy = ExitPolicy()
    teaching: Teaching = Teaching()

    def check_inputs(self, run: Run, data: Data, teacher: Any) -> None:
        """Refuse validation samples that members would be trained on, before they are."""
        check_unseen(data)

    def distill(
        self, run: Run, *, teacher: EnsembleTeacher, data: Data, outside: Any = None
    ) -> WindowCascade:
        """Choose thresholds and windows on the validation split.

        Args:
            run: the folder.
            teacher: the members in order, or one network with several exits.
            data: a classification task; no member may have seen its validation split.
            outside: data, or its name, whose test split holds samples of other kinds; tables then
                tell how well these are told apart. No choice reads them.

        Returns:
            The calibrated cascade.
        """
        # Told before anything is computed: another shape cannot be shown to the members.
        outside_of(outside, data)
        return self._cascade(teacher, data).calibrate(data)

    def baselines(
        self, run: Run, *, teacher: EnsembleTeacher, data: Data, outside: Any = None
    ) -> dict[str, WindowCascade]:
        """The first member alone, and the single threshold of earlier work at equal traffic."""
        cascade = self._cascade(teacher, data)
        single = dataclasses.replace(self.policy, rule="threshold")
        return {
            "first model": cascade.first,
            "single threshold": cascade.calibrate(data, single),
        }

    def _cascade(self, teacher: EnsembleTeacher, data: Data) -> WindowCascade:
        return WindowCascade.of(teacher, data, self.policy)
