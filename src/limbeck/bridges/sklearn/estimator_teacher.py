"""Fitted estimators as teachers: they read rows of a batch and say log-probabilities or numbers."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import is_classifier
from torch import Tensor, nn

from limbeck import files
from limbeck.bridges.sklearn.members import check_predictions
from limbeck.bridges.sklearn.storing import estimator_bytes, read_estimator
from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.space import InputSpace, convert
from limbeck.errors import ModelError, UnusualUseWarning
from limbeck.fingerprint import fingerprint
from limbeck.functional.stack_columns import LEAST_PROBABILITY, log_probabilities
from limbeck.outputs import Outputs
from limbeck.teachers import is_estimator

STORED = "estimator.skops"


class EstimatorTeacher:
    r"""A fitted estimator, frozen. Made by `limbeck.teacher`, or by name: ``sklearn:ridge``.

    It is given ``"x"`` as rows of numbers before limbeck's normalisation, as whoever fitted it had
    them, and says :math:`\log \max(p_c, 10^{-6})` where it has ``predict_proba``, else the numbers
    of ``predict``.

    Args:
        estimator: fitted.
        name: what to call it; the class name by default.
        input_space: in which it was fitted, where that is not the data's space before
            normalisation: images as bytes have ``range=(0, 255)``.
        places: for each of its own classes the place in the data's ``(C',)``; None where they
            are the same.
        outputs: C, how many classes the data has; None takes its own.
        stored: the estimator as a file holds it, where it was read from one.

    Raises:
        ModelError: it cannot predict, tells classes without their probabilities, or cannot be
            stored.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> told = EstimatorTeacher(LogisticRegression().fit([[-1.0], [1.0]], [0, 1]))
        >>> told(Batch({"x": torch.zeros(1, 1)})).logits.exp().tolist()
        [[0.5, 0.5]]
    """

    kind: ClassVar[str] = "estimator"

    def __init__(
        self,
        estimator: Any,
        *,
        name: str | None = None,
        input_space: InputSpace | None = None,
        places: tuple[int, ...] | None = None,
        outputs: int | None = None,
        stored: bytes | None = None,
    ) -> None:
        _check(estimator)
        self.estimator, self.name = estimator, name or type(estimator).__name__
        self._space, self._places, self._outputs = input_space, places, outputs
        self.modules: tuple[nn.Module, ...] = ()
        # Now, for some estimators count how often they are asked and are other bytes then.
        self.stored = estimator_bytes(estimator) if stored is None else stored

    @property
    def classifies(self) -> bool:
        """Whether it says log-probabilities of classes, not numbers."""
        return hasattr(self.estimator, "predict_proba")

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint("estimator", self.stored, self._space, self._places, self._outputs)

    @property
    def uncounted_bytes(self) -> int:
        """Size of what answers: there are no parameters or multiply-adds to count."""
        return len(self.stored)

    @property
    def wants(self) -> tuple[str, ...]:
        return ("x",)

    @property
    def members(self) -> tuple[EstimatorTeacher, ...]:
        """The teacher itself: one member."""
        return (self,)

    def placed(self, place: Callable[[nn.Module], nn.Module]) -> EstimatorTeacher:
        """The teacher itself: it has no network to place."""
        return self

    def for_data(self, data: Data) -> EstimatorTeacher:
        """The teacher with its classes in the order of the data's.

        Classes are found by their names, else whole numbers by their places. One that the
        estimator never met has the least probability, and it is said.

        Raises:
            ModelError: it knows a class that the data has not, or the data has another task.
        """
        expected = {"classification": True, "regression": False}.get(data.task)
        if expected is not self.classifies:
            kind = "classes" if self.classifies else "numbers"
            raise ModelError(
                f"the teacher {self.name} tells {kind}, and {data.name} is {data.task}; estimators "
                "teach classification with predict_proba and regression with predict"
            )
        own = getattr(self.estimator, "classes_", None)
        if not self.classifies or own is None or self._places is not None:
            return self
        places = _places(self.name, np.asarray(own), data)
        warn_unmet(self.name, places, data.classes)
        return EstimatorTeacher(
            self.estimator,
            name=self.name,
            input_space=self._space,
            places=places,
            outputs=len(data.classes),
            stored=self.stored,
        )

    def __call__(self, batch: Batch) -> Outputs:
        x = batch["x"]
        rows = raw_rows(x, batch.space, self._space)
        said = self._says(_named(self.name, self.estimator, rows, batch.space))
        # Numbers in their own unit may be large and differ little.
        precision = torch.float32 if self.classifies else torch.float64
        return Outputs(logits=torch.from_numpy(said).to(x.device, precision))

    def _says(self, rows: Any) -> np.ndarray:
        ask = self.estimator.predict_proba if self.classifies else self.estimator.predict
        found = np.asarray(ask(rows), dtype=np.float64)
        check_predictions(self.name, found)
        if not self.classifies:
            return found.reshape(len(found), -1)
        if self._places is not None:
            table = np.zeros((len(found), self._outputs or len(self._places)))
            table[:, list(self._places)] = found
            found = table
        return log_probabilities(found)

    def write(self, part: Path) -> dict[str, Any]:
        """Put the estimator into a folder of a product; return facts for `read`."""
        files.write_bytes(part / STORED, self.stored)
        return {
            "estimator": type(self.estimator).__name__,
            "input_space": self._space and dataclasses.asdict(self._space),
            "places": self._places,
            "outputs": self._outputs,
        }

    @classmethod
    def read(
        cls, folder: Path, facts: Mapping[str, Any], trusted: Sequence[str] = ()
    ) -> EstimatorTeacher:
        """Read what `write` wrote.

        Args:
            folder: of the estimator.
            facts: as `write` returned them.
            trusted: full names of classes of the user's own.

        Raises:
            ModelError: it holds a class that is not trusted, or does not load here.
        """
        space, places = facts["input_space"], facts["places"]
        return cls(
            read_estimator(folder / STORED, trusted=trusted),
            name=facts["name"],
            input_space=InputSpace.of_facts(space) if space else None,
            places=None if places is None else tuple(places),
            outputs=facts["outputs"],
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> EstimatorTeacher:
        """Itself: it is frozen, and a forest may take as much memory as everything else."""
        return self

    def __repr__(self) -> str:
        return f"teacher({self.name})"


def raw_rows(x: Tensor, space: InputSpace | None, own: InputSpace | None = None) -> np.ndarray:
    """Inputs as estimators read them: rows of numbers before normalisation.

    Args:
        x: as models read it, ``(N, ...)``.
        space: in which `x` is, or None if unknown.
        own: in which the estimator was fitted, or None for `space` before normalisation.

    Returns:
        ``(N, D)`` of float64.

    Example:
        >>> space = InputSpace(size=(2,), mean=(1.0, 1.0), std=(2.0, 2.0))
        >>> raw_rows(torch.zeros(1, 2), space).tolist()
        [[1.0, 1.0]]
    """
    # In double precision, so that a number comes out near enough to where a tree splits it.
    x = x.detach().cpu().double()
    if own is not None:
        x = convert(x, space, own)
    elif space is not None:
        x = space.denormalise(x)
    return x.reshape(len(x), -1).numpy()


def warn_unmet(name: str, places: Sequence[int], classes: Sequence[str]) -> None:
    """Say which classes an estimator never met.

    Args:
        name: of the estimator.
        places: of the classes that it knows, among `classes`.
        classes: C names.
    """
    lacking = [word for place, word in enumerate(classes) if place not in places]
    if lacking:
        warnings.warn(
            f"member {name} has not met class {', '.join(lacking)} and gives it the least "
            f"probability, {LEAST_PROBABILITY:g}, for every sample; fit it on rows of all classes, "
            "with fewer folds or more rows, or leave it out",
            UnusualUseWarning,
            stacklevel=3,
        )


def _check(estimator: Any) -> None:
    name = type(estimator).__name__
    if not is_estimator(estimator):
        raise ModelError(
            f"estimator is a {name}, expected a fitted estimator with predict_proba or predict"
        )
    if _tells_classes(estimator) and not hasattr(estimator, "predict_proba"):
        raise ModelError(
            f"{name} has no predict_proba, and labels alone teach nothing about other classes; "
            "wrap it in sklearn.calibration.CalibratedClassifierCV"
        )


def _tells_classes(estimator: Any) -> bool:
    try:
        return bool(is_classifier(estimator))
    except AttributeError:
        # An object of the user's own, which is no estimator of scikit-learn by its base.
        return hasattr(estimator, "classes_")


def _places(name: str, own: np.ndarray, data: Data) -> tuple[int, ...]:
    """Where each class of an estimator stands among the data's."""
    named = {word: place for place, word in enumerate(data.classes)}
    if all(str(one) in named for one in own):
        return tuple(named[str(one)] for one in own)
    counted = range(len(named)) if own.dtype.kind in "biuf" else ()
    foreign = [str(one) for one in own if one not in counted]
    if not foreign:
        return tuple(int(one) for one in own)
    foreign = [one for one in foreign if one not in named]
    raise ModelError(
        f"the teacher {name} knows the classes {', '.join(foreign)}, which {data.name} has not; "
        f"fit it on {', '.join(data.classes)} or on their places from 0 to {len(named) - 1}"
    )


def _named(name: str, estimator: Any, rows: np.ndarray, space: InputSpace | None) -> Any:
    """Rows, with column names for an estimator that was fitted with them."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return rows
    import pandas as pd

    given = list(space.names) if space is not None and space.names else list(names)
    if given != list(names):
        raise ModelError(
            f"the teacher {name} was fitted on the columns {', '.join(names)} and the data has "
            f"{', '.join(given)}; give the same columns in the same order"
        )
    return pd.DataFrame(rows, columns=names) if rows.shape[1] == len(names) else rows
