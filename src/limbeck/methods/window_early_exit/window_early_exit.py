"""Window early exit: a later member sees only the samples near the threshold of a decision."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from limbeck.data import Data
from limbeck.data.checking import check_unseen
from limbeck.functional.uncertainty import SIZED
from limbeck.loops.teach import Teaching, says_probabilities
from limbeck.method import method
from limbeck.products import WindowCascade
from limbeck.products.cascade_table import outside_of
from limbeck.run import Run
from limbeck.selection import ExitPolicy
from limbeck.selection.exit_policy import sizeless
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

    def check_inputs(self, run: Run, data: Data, teacher: Any, outside: Any = None) -> None:
        """Refuse what no training of members would mend, before they are trained.

        Raises:
            ArgumentError: they would be trained on validation samples, samples from outside are no
                data, or the score reads the size of logits and a member says log-probabilities.
            ModelError: samples from outside have another shape.
        """
        check_unseen(data)
        outside_of(outside, data)
        if self.policy.score in SIZED:
            several = isinstance(teacher, Sequence) and not isinstance(teacher, str)
            for one in teacher if several else getattr(teacher, "members", [teacher]):
                if says_probabilities(one):
                    raise sizeless(self.policy.score, str(getattr(one, "name", one)))

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
        return self._calibrated(run, teacher, data, self.policy)

    def baselines(
        self, run: Run, *, teacher: EnsembleTeacher, data: Data, outside: Any = None
    ) -> dict[str, WindowCascade]:
        """The first member alone, and the single threshold of earlier work at equal traffic."""
        single = dataclasses.replace(self.policy, rule="threshold")
        cascade = self._calibrated(run, teacher, data, single)
        return {"first model": cascade.first, "single threshold": cascade}

    def _calibrated(
        self, run: Run, teacher: EnsembleTeacher, data: Data, policy: ExitPolicy
    ) -> WindowCascade:
        """A cascade for a policy, on predictions that all policies of a run share."""
        cascade = WindowCascade.of(teacher, data, policy)

        def ask(members: Any, data: Data) -> dict[str, Tensor]:
            outputs, target = cascade.predictions(data)
            return {"outputs": outputs, "target": target}

        said = run.stage("validation", ask, members=cascade.models.members, data=data)
        return cascade.calibrate((said["outputs"], said["target"]))
