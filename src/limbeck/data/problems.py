"""Problems: sets of points in the plane that generators are tried on, drawn by key."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limbeck import keyed
from limbeck.data.data import Data, assemble
from limbeck.data.splits import TensorSplit

TRAIN, TEST = 20_000, 4_000
RADIUS, DEVIATION = 1.4, 0.1
PETAL_DEVIATION, FIRST_PETAL, NEXT_PETAL = 0.05, 0.5, 0.2
TURNS, ROLL_SCALE, ROLL_DEVIATION = (1.5 * math.pi, 4.5 * math.pi), 8.0, 0.05
CELLS = 8

Draws = npt.NDArray[np.float64]
Points = tuple[Draws, npt.NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Mixture:
    """Gaussians of one width, each belonging to one class or several.

    Every class is as likely as every other, and so are the modes within a class.

    Args:
        means: ``(M, D)``, float64.
        deviation: standard deviation of every mode along every axis.
        classes: to each mode the classes that it belongs to.

    Example:
        >>> mixture = MIXTURES["overlap-2c"]
        >>> mixture.modes(0), mixture.shares(None).tolist()
        ([0, 1, 2, 3], [0.125, 0.125, 0.25, 0.25, 0.125, 0.125])
    """

    means: Tensor
    deviation: float
    classes: tuple[frozenset[int], ...]

    @property
    def count(self) -> int:
        """How many classes there are."""
        return 1 + max(max(of_mode) for of_mode in self.classes)

    def modes(self, label: int) -> list[int]:
        """Numbers of the modes of a class."""
        return [mode for mode, of_mode in enumerate(self.classes) if label in of_mode]

    def shares(self, label: int | None) -> Tensor:
        """Probability of every mode in a class, or in all data for None, ``(M,)`` in float64."""
        if label is None:
            return torch.stack([self.shares(one) for one in range(self.count)]).mean(0)
        modes = self.modes(label)
        shares = torch.zeros(len(self.classes), dtype=torch.float64)
        shares[modes] = 1 / len(modes)
        return shares


def _ring(count: int, classes: list[set[int]]) -> Mixture:
    turns = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    means = RADIUS * torch.stack([turns.cos(), turns.sin()], 1)
    return Mixture(means, DEVIATION, tuple(map(frozenset, classes)))


def _petals() -> Mixture:
    label, petal = (one.flatten() for one in torch.meshgrid(
        torch.arange(8, dtype=torch.float64), torch.arange(4, dtype=torch.float64), indexing="ij"
    ))  # fmt: skip
    # An eighth of the way to the next petal from class to class.
    turns = (petal + label / 8) * (math.pi / 2)
    radii = FIRST_PETAL + NEXT_PETAL * label
    means = radii[:, None] * torch.stack([turns.cos(), turns.sin()], 1)
    return Mixture(means, PETAL_DEVIATION, tuple(frozenset({int(one)}) for one in label))


MIXTURES: dict[str, Mixture] = {
    "ring8-2c": _ring(8, [{mode % 2} for mode in range(8)]),
    "overlap-2c": _ring(6, [{0}, {0}, {0, 1}, {0, 1}, {1}, {1}]),
    "petals-8c": _petals(),
}


def ring8() -> Data:
    """Eight Gaussians on a ring in two classes by turns, so that a class does not name its mode.

    Radius 1.4 and deviation 0.1; as every set here 20 000 points to train on, 2 000 of them for
    validation, and 4 000 for test, not standardised.

    Returns:
        The data set; targets are classes, which generators are told.

    Example:
        >>> ring8()
        Data('ring8-2c', classification, 2 outputs, train=18000, validation=2000, test=4000)
    """
    return _data("ring8-2c", partial(_of_mixture, MIXTURES["ring8-2c"]))


def swiss() -> Data:
    """A spiral of one and a half turns with noise of 0.05: data on a thin line, in one class.

    Returns:
        The data set.

    Source: the swiss roll of scikit-learn, cut along its width.

    Example:
        >>> swiss().outputs
        1
    """
    return _data("swiss", _of_roll)


def checker() -> Data:
    """The eight filled cells of a board of 4x4, from -2 to 2; the class is even or odd rows.

    Returns:
        The data set.

    Example:
        >>> checker().outputs
        2
    """
    return _data("checker-2c", _of_board)


def overlap() -> Data:
    """Six Gaussians on a ring in two classes that share two of them: 0 to 3 and 2 to 5.

    Returns:
        The data set.

    Example:
        >>> overlap().outputs
        2
    """
    return _data("overlap-2c", partial(_of_mixture, MIXTURES["overlap-2c"]))


def petals() -> Data:
    """Eight classes of four Gaussians each, at radii from 0.5 to 1.9, turned from class to class.

    The modes of a class lie a quarter of a turn apart; all have a deviation of 0.05.

    Returns:
        The data set.

    Example:
        >>> petals().outputs
        8
    """
    return _data("petals-8c", partial(_of_mixture, MIXTURES["petals-8c"]))


def _data(name: str, points: Callable[[Draws], Points]) -> Data:
    parts = []
    for part, count in (("train", TRAIN), ("test", TEST)):
        draws = keyed.uniform(keyed.key(name, part), np.arange(count, dtype=np.int64), 4)
        x, y = points(draws)
        parts.append(TensorSplit({"x": x.astype(np.float32), "y": y}))
    return assemble(*parts, name=name)


def _of_mixture(mixture: Mixture, draws: Draws) -> Points:
    labels = (draws[:, 0] * mixture.count).astype(np.int64)
    modes = np.zeros_like(labels)
    for label in range(mixture.count):
        own, chosen = np.array(mixture.modes(label)), labels == label
        modes[chosen] = own[(draws[chosen, 1] * len(own)).astype(np.int64)]
    return mixture.means.numpy()[modes] + mixture.deviation * _normal(draws[:, 2:]), labels


def _of_roll(draws: Draws) -> Points:
    first, last = TURNS
    turn = first + (last - first) * draws[:, 0]
    line = np.stack([turn * np.cos(turn), turn * np.sin(turn)], 1) / ROLL_SCALE
    return line + ROLL_DEVIATION * _normal(draws[:, 2:]), np.zeros(len(draws), dtype=np.int64)


def _of_board(draws: Draws) -> Points:
    cell = (draws[:, 0] * CELLS).astype(np.int64)
    row = cell // 2
    column = 2 * (cell % 2) + row % 2
    return np.stack([column, row], 1) - 2 + draws[:, 2:], row % 2


def _normal(draws: Draws) -> Draws:
    """Two unit normal numbers of two uniform ones, ``(N, 2)``, by Box and Muller."""
    # Uniform numbers may be 0 and are never 1.
    radius, turn = np.sqrt(-2 * np.log1p(-draws[:, 0])), 2 * math.pi * draws[:, 1]
    return radius[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)


PROBLEMS: dict[str, Callable[..., Data]] = {
    "ring8-2c": ring8,
    "swiss": swiss,
    "checker-2c": checker,
    "overlap-2c": overlap,
    "petals-8c": petals,
}
