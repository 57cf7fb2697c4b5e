"""Labels of nodes and edges as numbers from 0 on, with the attributes that they stand for."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from limbeck.data.frames import Floats, Integers
from limbeck.errors import DataError, UnusualUseWarning

Rows = npt.NDArray[Any]


class Encoded(NamedTuple):
    """Numbers of labels, and the rows of numbers that they stand for.

    Args:
        labels: from 0 on ``(A,)``.
        kinds: K, how many there are.
        values: ``(K, D)``, or None where a label is a word and nothing more.
    """

    labels: Integers
    kinds: int
    values: Floats | None = None


@dataclass(frozen=True)
class NodeLabels:
    """How nodes are told apart.

    Args:
        source: ``"given"`` takes labels or attributes as they come, ``"degree"`` the number of
            edges into a node.
        most: keep that many labels, the most frequent of the training graphs, as 1 and on, and
            make all others 0; None keeps all.
        bins: into how many parts each continuous attribute is cut, with equally many nodes of the
            training graphs in each; None refuses continuous attributes.
    """

    source: Literal["given", "degree"] = "given"
    most: int | None = None
    bins: int | None = None

    def __post_init__(self) -> None:
        if self.source not in ("given", "degree"):
            raise DataError(f"node_labels is {self.source!r}, expected 'given' or 'degree'")
        for name, value, least in (("most_labels", self.most, 1), ("bins", self.bins, 2)):
            if value is not None and (type(value) is not int or value < least):
                raise DataError(f"{name} is {value!r}, expected a whole number from {least} on")

    def of(
        self,
        given: Rows | None,
        degrees: Integers,
        training: npt.NDArray[np.bool_],
        what: str = "data",
    ) -> Encoded:
        """Number the labels of nodes.

        Args:
            given: labels ``(A,)`` or attributes ``(A, D)``, or None where there are none.
            degrees: edges into each node ``(A,)``.
            training: which nodes are of the training graphs ``(A,)``.
            what: name of the data in errors.

        Raises:
            DataError: attributes are continuous, or NaN.
        """
        if self.source == "degree":
            found = numbered(degrees, what)
        elif given is None:
            found = Encoded(np.zeros(len(degrees), np.int64), 1)
        elif continuous(given, what):
            found = self._cut(given, training, what)
        else:
            found = numbered(given, what)
        if self.most is not None and found.kinds > self.most:
            found = _merged(found, self.most, training)
        if found.kinds == 1:
            warnings.warn(
                f"{what}: all nodes are alike, so that only the shape of graphs tells; "
                "node_labels=degree tells nodes apart by their number of edges",
                UnusualUseWarning,
                stacklevel=3,
            )
        return found

    def _cut(self, given: Rows, training: npt.NDArray[np.bool_], what: str) -> Encoded:
        if self.bins is None:
            raise DataError(
                f"{what}: nodes have continuous attributes, and trees are alike where labels are "
                "equal; bins=8 cuts each attribute into 8 parts, node_labels=degree leaves them "
                "out"
            )
        table = np.asarray(given, np.float64).reshape(len(given), -1)
        cuts = np.quantile(table[training], np.arange(1, self.bins) / self.bins, axis=0)
        columns = [
            np.searchsorted(cut, one, "right") for cut, one in zip(cuts.T, table.T, strict=True)
        ]
        found = numbered(np.stack(columns, 1), what)
        assert found.values is not None
        return found._replace(values=found.values / (self.bins - 1))


def numbered(given: Rows, what: str = "data") -> Encoded:
    """Number labels or rows in rising order.

    Args:
        given: whole numbers or words ``(A,)``, or rows of whole numbers ``(A, D)``.
        what: name of the data in errors.

    Returns:
        The numbers; the rows are kept as values where there are rows.

    Example:
        >>> found = numbered(np.array([[1, 0], [0, 1], [1, 0]]))
        >>> found.labels.tolist(), found.values.tolist()
        ([1, 0, 1], [[0.0, 1.0], [1.0, 0.0]])
    """
    rows = given.ndim > 1 and given.shape[1] > 1
    plain = given.reshape(len(given), -1) if rows else given.reshape(-1)
    kinds, labels = np.unique(plain, axis=0 if rows else None, return_inverse=True)
    values = kinds.astype(np.float64) if given.ndim > 1 else None
    return Encoded(labels.reshape(-1).astype(np.int64), max(len(kinds), 1), _two(values))


def _two(values: Floats | None) -> Floats | None:
    return None if values is None else values.reshape(len(values), -1)


def continuous(given: Rows, what: str) -> bool:
    """Whether attributes are other than whole numbers and words.

    Args:
        given: of nodes or edges, a row each.
        what: their name in errors.

    Raises:
        DataError: they hold NaN or infinity.
    """
    if given.dtype.kind != "f":
        return False
    if not np.isfinite(given).all():
        raise DataError(f"{what}: attributes hold NaN or infinity; leave the graphs out")
    return bool((given != np.round(given)).any())


def _merged(found: Encoded, most: int, training: npt.NDArray[np.bool_]) -> Encoded:
    """The most frequent labels of training nodes as 1 and on, all others as 0."""
    counts = np.bincount(found.labels[training], minlength=found.kinds)
    kept = np.sort(np.argsort(-counts, kind="stable")[:most])
    table = np.zeros(found.kinds, np.int64)
    table[kept] = np.arange(1, len(kept) + 1)
    return Encoded(table[found.labels], len(kept) + 1)
