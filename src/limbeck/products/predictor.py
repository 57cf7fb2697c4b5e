"""Predictor: what all products that say something about a sample have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.data.ranges import in_space
from limbeck.data.space import InputSpace
from limbeck.data.texts import encode_texts
from limbeck.errors import ArgumentError, ModelError
from limbeck.evaluate.cost import cost
from limbeck.evaluate.quality import collect, quality
from limbeck.loops.fit import check_source
from limbeck.outputs import Outputs
from limbeck.products.described import Described
from limbeck.products.fitting import check_same, check_shape

CHUNK = 512


class Predictor(Described):
    """Reads inputs as they come, predicts, and tells quality beside cost.

    A kind sets the attributes below, gives `outputs`, `modules` and what every product has:
    ``summary``, ``save``, ``load`` and ``export``.

    Attributes:
        what: the kind in words, for errors.
        input_space: what its models read, or None.
        task: ``"classification"``, ``"multilabel"`` or ``"regression"``.
        classes: names of the classes.
        width: how many numbers come out for a sample.
        precision: of the inputs that it reads.
    """

    what: ClassVar[str]
    input_space: InputSpace | None
    task: str
    classes: tuple[str, ...]
    width: int
    precision: torch.dtype = torch.float32

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The networks that take part in a prediction."""
        raise NotImplementedError

    def outputs(self, batch: Batch) -> Outputs:
        """What it says about a batch, whose inputs are normalised."""
        raise NotImplementedError

    def logits(self, x: Any) -> Tensor:
        """Raw outputs for inputs.

        Args:
            x: array or tensor ``(N, ...)`` laid out as the training inputs were, before
                normalisation (uint8 images, or floats in their value range); a single input is
                taken as a batch of one. A product for texts takes a text or a list of N.

        Returns:
            ``(N, C)`` on the CPU.

        Raises:
            ArgumentError: the inputs have another shape, or hold NaN.
        """
        parts = [one.read("logits").cpu() for one in self.answers(x)]
        return torch.cat(parts) if parts else torch.empty(0, self.width)

    @torch.no_grad()
    def answers(self, x: Any) -> list[Outputs]:
        """What it says about inputs, a batch at a time.

        Args:
            x: as in `logits`.
        """
        space = self.input_space
        return [self.outputs(Batch(columns, space=space)) for columns in self._columns(x)]

    def _columns(self, x: Any) -> list[dict[str, Tensor]]:
        """Inputs as batches of columns, normalised."""
        texts = [x] if isinstance(x, str) else x
        if not isinstance(x, Tensor) and np.asarray(texts).dtype.kind in "UO":
            texts = list(texts)
            wrong = [place for place, one in enumerate(texts) if not isinstance(one, str)]
            if wrong:
                raise ArgumentError(f"item {wrong[0]} of x is {texts[wrong[0]]!r}, expected a text")
            return [{"text": encode_texts(part)} for part in _chunks(texts)]
        x = x if isinstance(x, Tensor) else torch.from_numpy(np.ascontiguousarray(x))
        space = self.input_space
        if x.is_complex():
            raise ArgumentError(f"x holds numbers of {x.dtype}, expected real ones")
        if x.dtype == torch.uint8 and (space is None or space.channels is not None):
            low, high = (0.0, 1.0) if space is None else space.range
            x = low + (high - low) * (x.float() / 255)
        x = x.to(self.precision)
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
        return [{"x": part} for part in x.split(CHUNK) if len(part)]

    def probabilities(self, x: Any) -> Tensor:
        """Class probabilities ``(N, C)``, of labels one by one for multi-label tasks."""
        if self.task == "regression":
            raise ArgumentError(f"a {self.what} for regression has no probabilities; use predict")
        logits = self.logits(x)
        return logits.sigmoid() if self.task == "multilabel" else logits.softmax(-1)

    def predict(self, x: Any) -> Tensor:
        """Predictions: class indices ``(N,)``, 0/1 labels ``(N, C)``, or numbers.

        Args:
            x: as in `logits`.
        """
        return decide(self.logits(x), self.task)

    def table(self, logits: Tensor) -> dict[str, Any]:
        """What a table of predictions holds beside the names of its rows.

        Args:
            logits: raw outputs ``(N, C)``.

        Returns:
            Class and confidence, or a column for each label or target, of N entries.
        """
        predicted = decide(logits, self.task)
        if self.task == "classification":
            sure = logits.softmax(-1).amax(-1).numpy().round(4)
            return {"class": [self.classes[one] for one in predicted.tolist()], "confidence": sure}
        wide = predicted.reshape(len(predicted), -1)
        names = self.classes or tuple(f"y{place}" for place in range(wide.shape[1]))
        return {name: wide[:, place].numpy() for place, name in enumerate(names)}

    def evaluate(self, data: Data) -> dict[str, float]:
        """Quality on the test split of some data with the same classes.

        Raises:
            ModelError: the data has another task or another number of classes.
        """
        seen = self.see(data)
        return quality(*collect(self.outputs, seen, seen.test), self.task)

    def see(self, data: Data) -> Data:
        """The data with its inputs normalised the way the models were trained.

        Raises:
            ModelError: the data has another task, other classes, or inputs of another shape.
        """
        who = f"the {self.what}"
        check_same(data, self.task, self.width, self.classes, who, "does")
        space, seen = self.input_space, data
        if space is not None and data.input_space is not None:
            check_shape(data, space, f"{who} reads")
            named, given = space.names, data.input_space.names
            if named and given and named != given:
                place = next(n for n, name in enumerate(named) if name != given[n])
                raise ModelError(
                    f"input {place} is {named[place]!r} for {who} and {given[place]!r} in "
                    f"{data.name}; give the columns and words of the training table, in its order"
                )
            seen = in_space(data, space)
        check_source(self.outputs, seen, who)
        return seen

    def cost(self, data: Data) -> dict[str, float]:
        """Parameters, multiply-adds, latency and bytes of one prediction."""
        seen = self.see(data)
        return cost(self.outputs, self.modules, next(sequential(seen, seen.test, 1)))

    def measure(self, data: Data) -> dict[str, Any]:
        """A row of quality beside cost on the test split of some data."""
        return {
            "name": getattr(self, "spec", None) or self.what,
            "role": "product",
            "quality": self.evaluate(data),
            "cost": self.cost(data),
        }


def _chunks(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]


def decide(logits: Tensor, task: str) -> Tensor:
    """Turn logits into predictions: class indices, 0/1 labels, or numbers."""
    if task == "classification":
        return logits.argmax(-1)
    if task == "multilabel":
        return (logits > 0).long()
    return logits.squeeze(-1) if logits.ndim > 1 else logits
