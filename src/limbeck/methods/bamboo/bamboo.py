"""BAMBOO: a force field taught by an ensemble on its own dynamics, and aligned to densities."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from torch import nn

from limbeck.data.boxes import with_box
from limbeck.data.force_data import ForceData
from limbeck.data.frames import Frames
from limbeck.errors import ArgumentError, NoEffectWarning
from limbeck.loops.force_alignment import aligned_boxes, check_boxes, frames_of_boxes
from limbeck.loops.force_distilling import (
    ForceDistillation,
    check_part,
    distilled_force_field,
    parted,
    trained_on,
)
from limbeck.loops.force_fields import (
    ForceTraining,
    cutoffs,
    force_distance,
    force_error,
    fresh_force_field,
    of_quality,
    trained_members,
)
from limbeck.loops.force_frames import Places, Sampling, drawn_frames, told_frames
from limbeck.loops.force_pressure import Alignment
from limbeck.loops.force_rounds import Rounds, check_rounds, taught_in_rounds
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
        rounds: of labels for what members' own dynamics came to; none unless asked for.
        sampling: how frames are drawn.
        distillation: of the student.
        alignment: to a density.

    Source: arXiv 2404.07181.
    """

    members: Annotated[int, Field(ge=1)] = 3
    gate: Annotated[float, Field(ge=1)] = 1.5
    training: ForceTraining = ForceTraining()
    rounds: Rounds = Rounds()
    sampling: Sampling = Sampling()
    distillation: ForceDistillation = ForceDistillation()
    alignment: Alignment = Alignment()

    def assemble(self, run: Run, ready: Mapping[str, Any]) -> dict[str, Any]:
        """Members, trained here unless teachers are given: those of quality, the best one first.

        Raises:
            ArgumentError: the student or a teacher is no force field for the data, or lacks what
                shall be trained; a density is asked for without a box or of other boxes, a box is
                charged, or nothing gives frames.
        """
        data: ForceData = with_box(ready["data"], ready.get("liquid"), seed=run.seed)
        self._check_boxes(data)
        student = fresh_force_field(run, ready["student"], data)
        given = force_fields(ready["teacher"], data) if "teacher" in ready else []
        self._check_parts(given or [student])
        if given:
            _warn_unlike(student, given)
            members = [(one, force_error(one, data.validation)) for one in given]
            if self.rounds.count:
                warnings.warn(
                    "teachers that are given are not trained, so that rounds have no effect",
                    NoEffectWarning,
                    stacklevel=2,
                )
        else:
            check_rounds(self.rounds, data)
            members = trained_members(
                run,
                lambda number: fresh_force_field(run, student, data, number),
                data,
                self.training,
                self.members,
            )
            able = [members[number] for number in of_quality(members, self.gate)]
            members, data = taught_in_rounds(run, able, data, self.rounds, self.training)
        kept = [members[number] for number in of_quality(members, self.gate)]
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
        drawn = None
        if self.alignment.wanted and not self.alignment.held:
            chosen = frames_of_boxes(box, len(data.liquid or ()), self.alignment.frames)
            drawn = frames.take(chosen), box[chosen]
        told, spread = told_frames(run, teacher, frames)
        network = copy.deepcopy(teacher[0])
        apart = distilled_force_field(run, "student", network, told, box, data, self.distillation)
        judge = told.take(parted(box)[1])
        facts: dict[str, Any] = {
            "errors": [force_error(one, data.validation) for one in teacher],
            "spread": spread,
            "apart": {"member": force_distance(teacher[0], judge), "student": apart},
            "frames": len(frames),
            "labelled": [len(data.train), len(data.validation)],
        }
        if self.alignment.wanted:
            facts["alignment"] = aligned_boxes(run, network, drawn, data, self.alignment)
        return ForceField(network, data.free_atoms, facts)

    def baselines(
        self, run: Run, *, student: nn.Module, teacher: list[nn.Module], data: ForceData
    ) -> dict[str, ForceField]:
        """The best member alone, trained on with labels for as many steps."""
        learned = parted(self._drawn(run, teacher, data)[1])[0]
        network = copy.deepcopy(teacher[0])
        trained_on(run, "alone", network, len(learned), data, self.distillation)
        return {"student alone": ForceField(network, data.free_atoms)}

    def _drawn(self, run: Run, members: list[nn.Module], data: ForceData) -> tuple[Frames, Places]:
        return drawn_frames(run, members, data.train, data.liquid, self.sampling)

    def _check_boxes(self, data: ForceData) -> None:
        """Raise `ArgumentError` if boxes do not fit what is asked for, before anything learns."""
        boxes = data.liquid
        check_boxes(self.alignment, data)
        if boxes is not None and boxes.charge.any():
            place = int(abs(boxes.charge).argmax())
            raise ArgumentError(
                f"box {place} has the charge {boxes.charge[place]:g} and a periodic box must be "
                "neutral; add ions of the other charge"
            )
        count = 0 if boxes is None else len(boxes)
        self.sampling.check(count, aligned=self.alignment.wanted and not self.alignment.held)

    def _check_parts(self, networks: list[nn.Module]) -> None:
        """Raise `ArgumentError` if a network that may become the student lacks what is trained."""
        for network in networks:
            check_part(network, self.distillation.trained, "distillation.trained")
            if self.alignment.wanted:
                check_part(network, self.alignment.trained, "alignment.trained")


def _warn_unlike(student: nn.Module, teachers: list[nn.Module]) -> None:
    """Warn if a student is not of the kind of any teacher: it becomes a copy of one of them."""

    def kind(network: nn.Module) -> Any:
        return cutoffs(network), {name: one.shape for name, one in network.state_dict().items()}

    if kind(student) not in [kind(one) for one in teachers]:
        warnings.warn(
            "the student that is given is of another architecture than the teachers and is not "
            "used: the student is a copy of the best teacher; leave teachers out to train members "
            "of that architecture",
            NoEffectWarning,
            stacklevel=3,
        )
