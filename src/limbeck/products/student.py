"""Student: one small network that predicts alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from limbeck import files
from limbeck import outputs as reading
from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.data.space import InputSpace
from limbeck.data.texts import encode_texts
from limbeck.errors import ArgumentError, ModelError
from limbeck.evaluate.cost import cost
from limbeck.evaluate.quality import collect, quality
from limbeck.loops.fit import check_model
from limbeck.networks.names import build, structure
from limbeck.outputs import Outputs
from limbeck.products.export_folder import FACTS
from limbeck.products.fitting import check_same, check_shape

if TYPE_CHECKING:
    from limbeck.products.model_card import Origin

CHUNK = 512


class Student:
    """A trained network with what it needs to predict.

    Args:
        network: returns logits.
        input_space: what the network reads, or None.
        task: ``"classification"``, ``"multilabel"`` or ``"regression"``.
        classes: names of the classes.
        outputs: how many numbers the network gives.
        spec: the name that the network was built from, or None for an object of the user's.

    Example:
        >>> student = Student(nn.Linear(2, 2), InputSpace(size=(2,)), "classification", ("a", "b"))
        >>> student.predict(np.zeros((3, 2))).shape
        torch.Size([3])
    """

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
        spec = getattr(network, "limbeck_spec", None)
        return cls(
            network,
            data.input_space,
            data.task,
            data.classes,
            outputs=data.outputs,
            spec=None if spec is None else structure(spec),
        )

    def outputs(self, batch: Batch) -> Outputs:
        """What the network says about a batch."""
        return reading.of(self.network, batch)

    @torch.no_grad()
    def logits(self, x: Any) -> Tensor:
        """Raw outputs for inputs.

        Args:
            x: array or tensor ``(N, ...)`` laid out as the training inputs were, before
                normalisation (uint8 images, or floats in their value range); a single input is
                taken as a batch of one. A student of texts takes a text or a list of N.

        Returns:
            ``(N, C)`` on the CPU.

        Raises:
            ArgumentError: the inputs have another shape, or hold NaN.
        """
        texts = [x] if isinstance(x, str) else x
        if not isinstance(x, Tensor) and np.asarray(texts).dtype.kind in "UO":
            texts = list(texts)
            wrong = [place for place, one in enumerate(texts) if not isinstance(one, str)]
            if wrong:
                raise ArgumentError(f"item {wrong[0]} of x is {texts[wrong[0]]!r}, expected a text")
            return self._answers([{"text": encode_texts(part)} for part in _chunks(texts)])
        x = x if isinstance(x, Tensor) else torch.from_numpy(np.ascontiguousarray(x))
        x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
        space = self.input_space
        if space is not None:
            if tuple(x.shape) in (space.shape, space.size):
                x = x[None]
            if space.channels == 1 and tuple(x.shape[1:]) == space.size:
                x = x[:, None]
            if tuple(x.shape[1:]) != space.shape:
                laid = ", ".join(map(str, space.shape))
                raise ArgumentError(f"x has shape {tuple(x.shape)}, expected (N, {laid})")
            x = space.normalise(x)
        if not bool(torch.isfinite(x).all()):
            raise ArgumentError("x holds NaN or infinite values; drop or repair those inputs")
        return self._answers([{"x": part} for part in x.split(CHUNK)])

    def _answers(self, columns: Sequence[dict[str, Tensor]]) -> Tensor:
        parts = [self.outputs(Batch(one)).read("logits") for one in columns]
        return torch.cat(parts).cpu() if parts else torch.empty(0, self.width)

    def probabilities(self, x: Any) -> Tensor:
        """Class probabilities ``(N, C)``, of labels one by one for multi-label tasks."""
        if self.task == "regression":
            raise ArgumentError("a regression student has no probabilities; use predict")
        logits = self.logits(x)
        return logits.sigmoid() if self.task == "multilabel" else logits.softmax(-1)

    def predict(self, x: Any) -> Tensor:
        """Predictions: class indices ``(N,)``, 0/1 labels ``(N, C)``, or numbers.

        Args:
            x: as in `logits`.
        """
        return decide(self.logits(x), self.task)

    def evaluate(self, data: Data) -> dict[str, float]:
        """Quality on the test split of some data with the same classes.

        Raises:
            ModelError: the data has another task or another number of classes.
        """
        seen = self.see(data)
        return quality(*collect(self.outputs, seen, seen.test), self.task)

    def see(self, data: Data) -> Data:
        """The data with its inputs normalised the way this student was trained.

        Raises:
            ModelError: the data has another task, other classes, or inputs of another shape.
        """
        check_same(data, self.task, self.width, self.classes, "the student", "does")
        space, seen = self.input_space, data
        if space is not None and data.input_space is not None:
            check_shape(data, space, "the student reads")
            named, given = space.names, data.input_space.names
            if named and given and named != given:
                place = next(n for n, name in enumerate(named) if name != given[n])
                raise ModelError(
                    f"input {place} is {named[place]!r} for the student and {given[place]!r} in "
                    f"{data.name}; give the columns and words of the training table, in its order"
                )
            seen = dataclasses.replace(data, input_space=space)
        check_model(self.network, seen, "the student")
        return seen

    def cost(self, data: Data) -> dict[str, float]:
        """Parameters, multiply-adds, latency and bytes of one prediction."""
        seen = self.see(data)
        return cost(self.outputs, [self.network], next(sequential(seen, seen.test, 1)))

    def measure(self, data: Data) -> dict[str, Any]:
        """A row of quality beside cost on the test split of some data."""
        return {
            "name": self.spec or "student",
            "role": "product",
            "quality": self.evaluate(data),
            "cost": self.cost(data),
        }

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
        files.save_tensors(part / "network.safetensors", self.network.state_dict(), {})
        files.write_text(part / FACTS, json.dumps(facts, indent=1) + "\n")
        for module in self.network.modules():
            write: Any = getattr(module, "write_beside", None)
            if write is not None:
                write(part)

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
        tensors, _ = files.load_tensors(dir / "network.safetensors")
        space = InputSpace.of_facts(facts["input_space"]) if facts["input_space"] else None
        if network is None:
            if facts["spec"] is None:
                raise ModelError(
                    f"the student in {dir} is a {facts['network']} of your own; pass one to fill: "
                    "load(..., network=...)"
                )
            network = build(facts["spec"], space, facts["outputs"], fetch=False, stored=dir)
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise ModelError(f"the weights in {dir} do not fit the network: {error}") from None
        return cls(
            network,
            space,
            facts["task"],
            tuple(facts["classes"]),
            outputs=facts["outputs"],
            spec=facts["spec"],
        )


def _chunks(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]


def decide(logits: Tensor, task: str) -> Tensor:
    """Turn logits into predictions: class indices, 0/1 labels, or numbers."""
    if task == "classification":
        return logits.argmax(-1)
    if task == "multilabel":
        return (logits > 0).long()
    return logits.squeeze(-1) if logits.ndim > 1 else logits
