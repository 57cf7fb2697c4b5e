"""Student: one small network that predicts alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from limbeck import files
from limbeck import outputs as reading
from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.space import InputSpace
from limbeck.evaluate.diagnostics import diagnostics
from limbeck.evaluate.table import student_rows, warn_of_weak_teachers
from limbeck.outputs import Outputs
from limbeck.products.export_folder import FACTS
from limbeck.products.fitting import check_same
from limbeck.products.network_files import read_network, spec_of, write_network
from limbeck.products.predictor import Predictor
from limbeck.teachers import ModelTeacher, teacher

if TYPE_CHECKING:
    from limbeck.products.model_card import Origin
    from limbeck.run.run import Run


class Student(Predictor):
    """A trained network with what it needs to predict.

    Args:
        network: returns logits.
        input_space: what the network reads, or None.
        task: ``"classification"``, ``"multilabel"`` or ``"regression"``.
        classes: names of the classes.
        outputs: how many numbers the network gives.
        spec: the name that the network was built from, or None for an object of the user's.

    Example:
        >>> import numpy as np
        >>> student = Student(nn.Linear(2, 2), InputSpace(size=(2,)), "classification", ("a", "b"))
        >>> student.predict(np.zeros((3, 2))).shape
        torch.Size([3])
    """

    what = "student"

    def __init__(
        self,
        network: nn.Module,
        input_space: InputSpace | None,
        task: str,
        classes: tuple[str, ...] = (),
        *,
        outputs: int | None = None,
        spec: str | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.input_space, self.task, self.classes, self.spec = input_space, task, classes, spec
        self.width = outputs or len(classes) or 1

    @classmethod
    def of(cls, network: nn.Module, data: Data) -> Student:
        """Make a student of a network trained on some data."""
        return cls(
            network,
            data.input_space,
            data.task,
            data.classes,
            outputs=data.outputs,
            spec=spec_of(network),
        )

    def outputs(self, batch: Batch) -> Outputs:
        """What the network says about a batch."""
        return reading.of(self.network, batch)

    def as_teacher(self, data: Data) -> ModelTeacher:
        """The student as a teacher of some data, whose inputs it converts to its own space.

        Raises:
            ModelError: the data has another task, or other classes or in another order.
        """
        check_same(data, self.task, self.width, self.classes, "the student", "does")
        return teacher(self.network, input_space=self.input_space, name=self.spec)

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The network."""
        return (self.network,)

    def compared(
        self, run: Run, name: str, baselines: Mapping[str, Student], inputs: Mapping[str, Any]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The table of this student, those it is compared with and its teachers, on the test split.

        Warns of teachers that know little more than chance or less than the lone student.

        Args:
            run: not needed: nothing is trained.
            name: of this student's row.
            baselines: other students by name.
            inputs: of the method: ``teacher``, an ensemble of one or more, and ``data``.

        Returns:
            The rows, and what a report draws beside them.
        """
        teacher, data = inputs["teacher"], inputs["data"]
        rows = student_rows(self, baselines, teacher, data, name)
        warn_of_weak_teachers(rows, data)
        sources = {name: self.outputs, "teacher": teacher}
        sources |= {label: one.outputs for label, one in baselines.items()}
        return rows, diagnostics(sources, data)

    def summary(self) -> str:
        """One line about the student."""
        count = sum(one.numel() for one in self.network.parameters())
        what = self.spec or type(self.network).__name__
        return f"{what}: {count:,} parameters, {self.task} with {self.width} outputs"

    def save(self, dir: str | Path) -> None:
        """Write the student: weights and facts, no code, no time, no path.

        Raises:
            RunError: the folder cannot be written.
        """
        with files.new_folder(Path(dir)) as part:
            self.write(part)

    def write(self, part: Path) -> None:
        """Put the student's files into a folder that `limbeck.files.new_folder` makes whole."""
        facts = {
            "kind": "student",
            "spec": self.spec,
            "network": type(self.network).__name__,
            "task": self.task,
            "classes": self.classes,
            "outputs": self.width,
            "input_space": self.input_space and dataclasses.asdict(self.input_space),
        }
        write_network(self.network, part)
        files.write_text(part / FACTS, json.dumps(facts, indent=1) + "\n")

    def export(
        self, dir: str | Path, *, to: str, data: Data | None = None, origin: Origin | None = None
    ) -> dict[str, Any]:
        """Write the student in a form that other programs read, beside a file that explains it.

        What is written takes inputs before normalisation (pixels in their range, features as they
        come; tokens for texts) and gives logits, in batches of any size. ``student.json`` holds
        labels, inputs, outputs and normalisation.

        Args:
            dir: the folder; an earlier export of the same student is replaced.
            to: ``"safetensors"`` (weights, which `limbeck.load` reads), ``"onnx"``
                (``student.onnx``), ``"torch-export"`` (``student.pt2``), or ``"hf"`` (a folder for
                a hub, with a model card).
            data: to measure the student on for a model card, where no run did.
            origin: the run that the student comes from, for a model card.

        Returns:
            ``format``, ``folder``, ``files``, ``bytes``, and ``largest_difference`` where what was
            written was run beside the student, in batches of 1, 3 and 17.

        Raises:
            ArgumentError: the format is unknown, or a model card has no figures to show.
            ModelError: a library is missing, the network has no such form, or what was written
                differs by more than 1e-4 (for regression, of the largest output above 1).
            RunError: the folder holds something else or cannot be written.

        Example:
            >>> import tempfile
            >>> student = Student(nn.Linear(2, 2), InputSpace((2,)), "classification", ("a", "b"))
            >>> student.export(tempfile.mkdtemp(), to="safetensors")["files"]
            ['manifest.json', 'network.safetensors', 'product.json', 'student.json']
        """
        # Here, because the exporters read what this module defines.
        from limbeck.products.exporting import export

        return export(self, dir, to=to, data=data, origin=origin)

    @classmethod
    def load(cls, dir: str | Path, network: nn.Module | None = None) -> Student:
        """Read what `save` wrote.

        Args:
            dir: the folder.
            network: the network to fill with the weights, where the student was an object of the
                user's own class: limbeck stores no code.

        Raises:
            CorruptFileError: a file is missing or was altered.
            ModelError: the network is needed, or does not fit the weights.
        """
        dir = Path(dir)
        files.check_folder(dir)
        facts = json.loads((dir / FACTS).read_text())
        space = InputSpace.of_facts(facts["input_space"]) if facts["input_space"] else None
        network = read_network(
            dir, facts, space, facts["outputs"], network, who=f"the student in {dir}"
        )
        return cls(
            network,
            space,
            facts["task"],
            tuple(facts["classes"]),
            outputs=facts["outputs"],
            spec=facts["spec"],
        )
