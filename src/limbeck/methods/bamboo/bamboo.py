"""BAMBOO: a force field taught by an ensemble on its own dynamics, and aligned to densities."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import nn

from limbeck.data.boxes import with_box, with_molecules
from limbeck.data.force_data import ForceData
from limbeck.data.frames import Frames
from limbeck.errors import ArgumentError
from limbeck.loops.force_distilling import (
    ForceDistillation,
    distilled_force_field,
    parted,
    trained_on,
)
from limbeck.loops.force_fields import (
    ForceTraining,
    check_force_field,
    force_error,
    fresh_force_field,
    of_quality,
    trained_members,
)
from limbeck.loops.force_frames import Places, Sampling, drawn_frames, told_frames
from limbeck.loops.force_pressure import Alignment, aligned_force_field, wanted_changes
from limbeck.method import method
from limbeck.products.force_field import ForceField, force_fields
from limbeck.run import Run


@method("bamboo")
class BAMBOO:
    r"""Members learn from labels; one of them learns what all say of frames of their dynamics.

    .. math:: L = 3 \, \overline{(F - \bar F)^2} + 0.01 \, \overline{(E - \bar E)^2 / n}
        + 0.01 \, \overline{(W - \bar W)^2 / n}

    in turn with steps on labels, and only the perceptron that reads energies is trained. Where a
    density or a change of pressure is given, the same perceptron then moves the pressure between
    molecules, held to its own past and to the labels.

    Args:
        members: how many force fields are trained, from different weights.
        gate: those with errors above so many times that of the best are left out.
        training: of a member.
        sampling: how frames are drawn.
        distillation: of the student.
        alignment: to a density.

    Source: arXiv 2404.07181.
    """

    members: Annotated[int, Field(ge=1)] = 3
    gate: Annotated[float, Field(ge=1)] = 1.5
    training: ForceTraining = ForceTraining()
    sampling: Sampling = Sampling()
    distillation: ForceDistillation = ForceDistillation()
    alignment: Alignment = Alignment()

    def assemble(self, run: Run, ready: Mapping[str, Any]) -> dict[str, Any]:
        """Members, trained here unless teachers are given: those of quality, the best one first.

        Raises:
            ArgumentError: the student or a teacher is no force field for the data, or a density
                is asked for without a box.
        """
        data: ForceData = with_box(ready["data"], ready.get("liquid"), seed=run.seed)
        if self.alignment.wanted and data.liquid is None:
            raise ArgumentError(
                f"a density is asked for and {data.name} has no periodic box; give one, such as "
                "--liquid H2O?count=32"
            )
        student = fresh_force_field(run, ready["student"], data)
        given = force_fields(ready["teacher"], data) if "teacher" in ready else []
        if given:
            members = [(one, force_error(one, data.validation)) for one in given]
        else:
            members = trained_members(
                run,
                lambda number: fresh_force_field(run, student, data, number),
                data,
                self.training,
                self.members,
            )
        kept = [members[number] for number in of_quality(members, self.gate)]
        check_force_field(kept[0][0], data, "the student")
        return {"student": student, "teacher": [one for one, _ in kept], "data": data}

    def distill(
        self, run: Run, *, student: nn.Module, teacher: list[nn.Module], data: ForceData
    ) -> ForceField:
        """Train the student.

        Args:
            run: the folder.
            student: tells the architecture of members that are trained here.
            teacher: members, the best one first, from which the student is copied.
            data: labelled frames, and periodic boxes.

        Returns:
            The force field.
        """
        frames, box = self._drawn(run, teacher, data)
        told, spread = told_frames(run, teacher, frames)
        network = copy.deepcopy(teacher[0])
        distilled_force_field(run, "student", network, parted(told)[0], data, self.distillation)
        facts: dict[str, Any] = {
            "errors": [force_error(one, data.validation) for one in teacher],
            "spread": spread,
            "frames": len(frames),
        }
        if self.alignment.wanted:
            facts["alignment"] = self._align(run, network, frames, box, data)
        return ForceField(network, data.free_atoms, facts)

    def baselines(
        self, run: Run, *, student: nn.Module, teacher: list[nn.Module], data: ForceData
    ) -> dict[str, ForceField]:
        """The best member alone, trained on with labels for as many steps."""
        learned = parted(self._drawn(run, teacher, data)[0])[0]
        network = copy.deepcopy(teacher[0])
        trained_on(run, "alone", network, len(learned), data, self.distillation)
        return {"student alone": ForceField(network, data.free_atoms)}

    def _drawn(self, run: Run, members: list[nn.Module], data: ForceData) -> tuple[Frames, Places]:
        return drawn_frames(run, members, data.train, data.liquid, self.sampling)

    def _align(
        self, run: Run, network: nn.Module, frames: Frames, box: Places, data: ForceData
    ) -> dict[str, Any]:
        """Move the pressure of a network in place, on frames spread over those of each box."""
        assert data.liquid is not None
        wanted = wanted_changes(run, network, data.liquid, self.alignment)
        rows = [np.flatnonzero(box == number) for number in range(len(data.liquid))]
        most = self.alignment.frames
        chosen = [
            row[np.linspace(0, len(row) - 1, min(most, len(row))).astype(int)] for row in rows
        ]
        kept = np.concatenate(chosen)
        told = aligned_force_field(
            run,
            network,
            with_molecules(frames.take(kept)),
            box[kept],
            data,
            self.alignment,
            wanted["wanted"],
        )
        return {**wanted, **told}
