"""Data: the splits of one task, with its classes and the space its inputs live in."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from limbeck import keyed
from limbeck.data.checking import check_split, shape_of
from limbeck.data.space import InputSpace
from limbeck.data.splits import DatasetSplit, Split, Subset, TensorSplit, by_class, hold_out
from limbeck.errors import DataError, UnusualUseWarning
from limbeck.fingerprint import fingerprint

Task = Literal["classification", "regression", "multilabel"]
TASKS = ("classification", "regression", "multilabel")
VALIDATION_SHARE, TEST_SHARE = 0.1, 0.2


@dataclass(frozen=True)
class Data:
    """A data set ready for any method.

    Tables report `test`; every choice made on the way uses `validation`, which is cut from the
    training samples (the last tenth of each class) where none is given, never from test.

    Args:
        train: the samples that a student learns from.
        validation: the samples that choices are made on.
        test: the samples that tables report.
        task: ``"classification"``, ``"regression"`` or ``"multilabel"``.
        classes: names of the classes or labels; of the numbers of a regression, perhaps none.
        input_space: layout and normalisation of ``"x"``, or None where there is no single one.
        rest: training samples that the student does not get; teachers trained here learn from
            them.
        name: what to call the data set.
        members: names of the models whose predictions ``"x"`` holds in place of what models read:
            numbers ``(N, K)`` for regression, logits ``(N, K, C)`` for classification.
    """

    train: Split
    validation: Split
    test: Split
    task: Task
    classes: tuple[str, ...]
    input_space: InputSpace | None
    rest: Split | None = None
    name: str = "data"
    members: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            check_split(getattr(self, name), f"{self.name}: the {name} split", self)

    @cached_property
    def fingerprint(self) -> str:
        """Short name of the content of all splits."""
        parts = [self.train, self.validation, self.test, self.rest]
        return fingerprint(
            [part and part.fingerprint for part in parts],
            [self.task, self.classes, self.input_space],
            *([self.members] if self.members else []),
        )

    @property
    def outputs(self) -> int:
        """How many numbers a model must give for a sample."""
        if self.task != "regression":
            return len(self.classes)
        y = self.train.y
        return 1 if y is None or y.ndim == 1 else y.shape[1]

    def few(self, labels: int, *, seed: int = 0) -> Data:
        """Keep a number of training samples, spread evenly over the classes; the others are `rest`.

        Args:
            labels: how many samples `train` shall have.
            seed: which ones; the same number keeps the same samples.

        Returns:
            The smaller data set; validation and test stay as they are.

        Raises:
            DataError: there are not that many samples, or fewer samples than classes are asked for.

        Example:
            >>> from limbeck.data import digits
            >>> small = digits().few(200, seed=1)
            >>> len(small.train), len(small.train) + len(small.rest) == len(digits().train)
            (200, True)
        """
        groups = [
            positions[keyed.permutation(keyed.key(seed, "few", number), len(positions))]
            for number, positions in enumerate(by_class(self.train.y, len(self.train)))
        ]
        if not len(groups) <= labels < len(self.train):
            raise DataError(
                f"{labels} training samples cannot be kept: expected at least one for each of "
                f"{len(groups)} classes and fewer than the {len(self.train)} of {self.name}"
            )
        # Deal samples to classes in turn, so that sizes differ by one at most where that can be.
        chosen: list[int] = []
        turn = 0
        while len(chosen) < labels:
            for positions in groups:
                if turn < len(positions) and len(chosen) < labels:
                    chosen.append(int(positions[turn]))
            turn += 1
        kept = np.sort(np.array(chosen))
        others = np.setdiff1d(np.arange(len(self.train)), kept)
        return dataclasses.replace(
            self, train=Subset(self.train, kept), rest=Subset(self.train, others)
        )

    def with_test(self, places: np.ndarray[Any, Any]) -> Data:
        """The data set with some of its test samples alone."""
        return dataclasses.replace(self, test=Subset(self.test, places))

    def for_teachers(self) -> Data:
        """The data set as teachers trained here see it: `rest` is their training split."""
        return self if self.rest is None else dataclasses.replace(self, train=self.rest, rest=None)

    def columns(self, split: Split, positions: np.ndarray[Any, Any]) -> dict[str, Tensor]:
        """Read samples: ids, ``"x"`` as floats in the range of the space, not yet normalised."""
        columns = split.take(positions)
        columns["id"] = torch.from_numpy(split.ids[positions])
        x = columns.get("x")
        if x is not None and x.dtype == torch.uint8:
            columns["x"] = x.float().div_(255)
        return columns

    def normalise(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """Bring ``"x"`` from its range to what models read."""
        if self.input_space is not None and "x" in columns:
            columns["x"] = self.input_space.normalise(columns["x"])
        return columns

    def __repr__(self) -> str:
        sizes = f"train={len(self.train)}, validation={len(self.validation)}, test={len(self.test)}"
        return f"Data({self.name!r}, {self.task}, {self.outputs} outputs, {sizes})"


def from_arrays(
    x: Any,
    y: Any,
    *,
    test: tuple[Any, Any] | None = None,
    validation: tuple[Any, Any] | None = None,
    task: Task | None = None,
    classes: Sequence[str] | None = None,
    standardise: bool = False,
    name: str = "arrays",
) -> Data:
    """Build a data set from arrays or tensors in memory.

    Args:
        x: inputs, ``(N, D)``, ``(N, H, W)`` or ``(N, C, H, W)``; uint8 images are read as 0 to 1.
        y: targets: class indices ``(N,)``, numbers ``(N,)`` or ``(N, M)``, or 0/1 labels
            ``(N, C)``.
        test: inputs and targets to report on; None cuts the last fifth of each class off.
        validation: inputs and targets to choose on; None cuts the last tenth of each class off.
        task: None reads it off `y`: integers are classes, floats are numbers, 0/1 rows are labels.
        classes: class names; None numbers them.
        standardise: subtract the training mean and divide by the training standard deviation,
            per channel of images and per feature of vectors.
        name: what to call the data set.

    Returns:
        The data set.

    Raises:
        DataError: lengths differ, a split is empty, inputs hold NaN or infinity, or labels lie
            outside the classes.

    Example:
        >>> data = from_arrays(np.random.rand(50, 4), np.arange(50) % 2)
        >>> data.task, len(data.train), len(data.validation), len(data.test)
        ('classification', 36, 4, 10)
    """
    train: Split = _arrays(x, y)
    tested: Split
    if test is not None:
        tested = _arrays(*test)
    else:
        train, tested = hold_out(train, TEST_SHARE, "test")
    chosen = None if validation is None else _arrays(*validation)
    return assemble(
        train, tested, chosen, task=task, classes=classes, standardise=standardise, name=name
    )


def from_datasets(
    train: Any,
    test: Any,
    *,
    validation: Any = None,
    task: Task | None = None,
    classes: Sequence[str] | None = None,
    name: str = "datasets",
) -> Data:
    """Build a data set from torch `Dataset` objects, whose items are read when they are needed.

    Args:
        train: items ``(x, y)`` or mappings with the keys ``"x"`` and ``"y"``.
        test: likewise, to report on.
        validation: likewise, to choose on; None cuts the last tenth of each class off `train`.
        task: None reads it off the targets.
        classes: class names; None asks ``train.classes`` and else numbers them.
        name: what to call the data set.

    Returns:
        The data set; inputs stay as the items have them.

    Raises:
        DataError: a split is empty or labels lie outside the classes.
    """
    chosen = None if validation is None else DatasetSplit(validation, f"{name} validation")
    return assemble(
        DatasetSplit(train, f"{name} train"),
        DatasetSplit(test, f"{name} test"),
        chosen,
        task=task,
        classes=classes or getattr(train, "classes", None),
        name=name,
    )


def assemble(
    train: Split,
    test: Split,
    validation: Split | None = None,
    *,
    task: Task | None = None,
    classes: Sequence[str] | None = None,
    standardise: bool = False,
    input_space: InputSpace | None = None,
    name: str = "data",
) -> Data:
    """Build a data set from splits: find the task, the classes and the input space."""
    if not len(train):
        raise DataError(f"{name}: the train split is empty")
    if validation is None:
        train, validation = hold_out(train, VALIDATION_SHARE, "validation")
    y = train.y
    if y is None:
        raise DataError(f"{name}: the train split has no targets: give it a column y")
    task = task or _task_of(y, name)
    if task not in TASKS:
        raise DataError(f"task is {task!r}, expected one of {', '.join(TASKS)}")
    if task != "regression" and classes is None:
        classes = [str(number) for number in range(_count(task, (train, validation, test)))]
    return Data(
        train=train,
        validation=validation,
        test=test,
        task=task,
        classes=tuple(map(str, classes or ())),
        input_space=input_space or _space_of(train, standardise),
        name=name,
    )


def _arrays(x: Any, y: Any) -> TensorSplit:
    split = TensorSplit({"x": x, "y": y})
    images = split.columns["x"]
    if images.ndim == 1 and len(images):
        raise DataError(f"x has shape {tuple(images.shape)}, expected (N, D): use x[:, None]")
    if images.ndim == 3:
        images = images[:, None]
    if not images.is_floating_point() and images.dtype != torch.uint8:
        bytes_too = images.ndim == 4 and len(images) and images.min() >= 0 and images.max() <= 255
        images = images.to(torch.uint8) if bytes_too else images.float()
    return TensorSplit({"x": images, "y": split.columns["y"]})


def _task_of(y: Tensor, name: str) -> Task:
    if y.ndim == 1 and not y.is_floating_point():
        return "classification"
    if y.ndim == 2 and bool(((y == 0) | (y == 1)).all()):
        if y.shape[1] > 1 and len(y) and bool((y.sum(1) == 1).all()):
            warnings.warn(
                f"{name}: every row of y has a single 1, and is read as labels that may come "
                "together; give y.argmax(1) if they are classes, or say task='multilabel'",
                UnusualUseWarning,
                stacklevel=4,
            )
        return "multilabel"
    if not y.is_floating_point():
        raise DataError(
            f"{name} has integer targets of shape {tuple(y.shape)}: give class indices (N,), such "
            "as y[:, 0], or say task='regression'"
        )
    return "regression"


def _count(task: Task, splits: Sequence[Split]) -> int:
    """How many classes the labels speak of; whether the labels are right is checked later."""
    labels = [part.y for part in splits if part.y is not None and len(part)]
    if task == "multilabel":
        return labels[0].shape[1] if labels[0].ndim > 1 else 1
    return max((int(y.max()) for y in labels if not y.is_floating_point()), default=0) + 1


def _space_of(train: Split, standardise: bool) -> InputSpace | None:
    shape = shape_of(train)
    if shape is None:
        return None
    image = len(shape) == 3
    space = InputSpace(size=shape[1:] if image else shape, channels=shape[0] if image else None)
    if image:
        space = dataclasses.replace(space, range=_range(train))
    if not standardise:
        return space
    mean, std = _moments(train.take(np.arange(len(train)))["x"])
    # A constant channel or feature is only centred.
    std = torch.where(std > 1e-8, std, 1.0)
    pairs = [(_rounded(m, s), _rounded(s, s)) for m, s in zip(mean, std, strict=True)]
    means, deviations = zip(*pairs, strict=True)
    return dataclasses.replace(space, mean=means, std=deviations)


def _range(train: Split) -> tuple[float, float]:
    """Lowest and highest value of pixels: 0 to 1, 0 to 255, or what a sample of them shows."""
    chosen = np.unique(np.linspace(0, len(train) - 1, num=min(len(train), 1024)).astype(np.int64))
    x = train.take(chosen)["x"]
    if x.dtype == torch.uint8:
        return 0.0, 1.0
    low, high = float(x.min()), float(x.max())
    if low >= 0 and high <= 255:
        return (0.0, 1.0) if high <= 1 else (0.0, 255.0)
    return low, high


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation per channel or feature; bytes count as 0 to 1."""
    if x.dtype != torch.uint8:
        axes = (0, *range(2, x.ndim))
        return x.double().mean(axes), x.double().std(axes, correction=0)
    # Through counts of the 256 levels: as fractions all pixels would take eight times the memory.
    levels = torch.arange(256, dtype=torch.float64) / 255
    counts = [torch.bincount(part.reshape(-1), minlength=256) for part in x.unbind(1)]
    shares = torch.stack(counts).double() * x.shape[1] / x.numel()
    mean = shares @ levels
    return mean, (shares * (levels - mean[:, None]).square()).sum(1).sqrt()


def _rounded(value: Tensor, scale: Tensor) -> float:
    """Six digits of the scale: the last bits depend on how a sum was spread over threads."""
    return round(float(value), 6 - math.ceil(math.log10(float(scale))))
