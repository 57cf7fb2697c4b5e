"""Data of graph classification: labelled graphs in three splits."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from limbeck import keyed
from limbeck.data.frames import Floats, Integers
from limbeck.data.graph_labels import Encoded, NodeLabels, continuous, numbered
from limbeck.data.labelled_graph_checks import check_labelled
from limbeck.data.labelled_graphs import Graphs, join_graphs
from limbeck.data.space import InputSpace
from limbeck.errors import DataError
from limbeck.fingerprint import fingerprint

SPLITS = ("train", "validation", "test")
TEST_SHARE, VALIDATION_SHARE = 0.1, 0.1


@dataclass(frozen=True, eq=False)
class GraphData:
    """Labelled graphs, ready for methods about the classification of graphs.

    Tables report `test`; every choice made on the way uses `validation`.

    Args:
        train: graphs to learn from.
        validation: graphs that choices are made on.
        test: graphs that tables report.
        classes: names of the C classes.
        node_kinds: K, how many labels nodes can have.
        edge_kinds: how many labels edges can have; 1 where they have none.
        values: what networks read for each label of nodes ``(K, D)``; None for one-hot vectors.
        name: what to call the data set.

    Raises:
        DataError: a split has no graphs or no classes, there is one class alone, or a label is
            outside those that are known.

    Example:
        >>> one = Graphs([0, 1, 1, 0], [2, 2], [[0, 1, 2, 3], [1, 0, 3, 2]], y=[0, 1])
        >>> GraphData(one, one, one, ("a", "b"), node_kinds=2)
        GraphData('data', train=2, validation=2, test=2, classes=2, node labels=2)
    """

    train: Graphs
    validation: Graphs
    test: Graphs
    classes: tuple[str, ...]
    node_kinds: int
    edge_kinds: int = 1
    values: Floats | None = None
    name: str = "data"

    task: ClassVar[str] = "graphs"

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise DataError(
                f"{self.name} has {len(self.classes)} class and telling classes apart takes two; "
                "give graphs of another class too"
            )
        for split in SPLITS:
            graphs: Graphs = getattr(self, split)
            check_labelled(graphs, len(self.classes), f"the {split} split of {self.name}")
            for name, kinds in (("node_labels", self.node_kinds), ("edge_labels", self.edge_kinds)):
                labels = getattr(graphs, name)
                if labels is not None and labels.max(initial=0) >= kinds:
                    raise DataError(
                        f"{self.name}: {name} of the {split} split go to {labels.max()} and there "
                        f"are {kinds} labels"
                    )
        missing = sorted(set(range(len(self.classes))) - {*_classes(self.train).tolist()})
        if missing:
            raise DataError(
                f"{self.name} has no training graph of class {self.classes[missing[0]]!r}; leave "
                "the class out, or give graphs of it"
            )

    @property
    def outputs(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    @cached_property
    def table(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """What networks read of a node by its label ``(K, D)``."""
        values = np.eye(self.node_kinds) if self.values is None else self.values
        return values.astype(np.float32)

    @property
    def input_space(self) -> InputSpace:
        """Of what networks read of a node."""
        return InputSpace(size=(self.table.shape[1],))

    @cached_property
    def fingerprint(self) -> str:
        """Short name of the content of all splits."""
        facts = self.classes, self.node_kinds, self.edge_kinds, self.values
        return fingerprint(self.train, self.validation, self.test, facts)

    def few(self, labels: int, *, seed: int = 0) -> GraphData:
        """Keep a number of training graphs, of each class its share.

        Args:
            labels: how many.
            seed: which ones; the same number keeps the same graphs.

        Raises:
            DataError: there are not that many.
        """
        return dataclasses.replace(self, train=self._some("train", labels, seed, "few"))

    def part(self, graphs: int, *, seed: int = 0) -> GraphData:
        """Keep a number of training graphs, and the same share of the other splits.

        Args:
            graphs: how many of the training split.
            seed: which ones; the same number keeps the same graphs.

        Raises:
            DataError: there are not that many.
        """
        kept = {"train": self._some("train", graphs, seed, "part")}
        share = graphs / len(self.train)
        for split in SPLITS[1:]:
            there = len(getattr(self, split))
            kept[split] = self._some(
                split, max(round(share * there), 1), seed, "part", all_too=True
            )
        return dataclasses.replace(self, **kept)  # type: ignore[arg-type]

    def redrawn(self, seed: int, *, test: float = 0.2, validation: float = 0.1) -> GraphData:
        """The same graphs in other splits, each with its share of every class.

        Args:
            seed: which ones; the same number draws the same splits.
            test: share of all graphs.
            validation: likewise.
        """
        whole = join_graphs([getattr(self, split) for split in SPLITS])
        assert whole.y is not None
        order = spread(whole.y, keyed.key(seed, "redrawn"))
        ends = np.cumsum([round(test * len(whole)), round(validation * len(whole))])
        tested, chosen, learned = (whole.take(np.sort(one)) for one in np.split(order, ends))
        return dataclasses.replace(self, train=learned, validation=chosen, test=tested)

    def _some(self, split: str, count: int, seed: int, word: str, all_too: bool = False) -> Graphs:
        graphs: Graphs = getattr(self, split)
        if not self.outputs * (split == "train") <= count < len(graphs) + all_too or count < 1:
            raise DataError(
                f"{count} graphs cannot be kept of the {len(graphs)} of the {split} split of "
                f"{self.name}, which has {self.outputs} classes"
            )
        assert graphs.y is not None
        key = keyed.key(seed, word, split)
        order = spread(graphs.y, key, each_first=split == "train")[:count]
        return graphs.take(np.sort(order))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split}={len(getattr(self, split))}" for split in SPLITS)
        kinds = f"classes={self.outputs}, node labels={self.node_kinds}"
        kinds += f", edge labels={self.edge_kinds}" if self.edge_kinds > 1 else ""
        return f"GraphData({self.name!r}, {sizes}, {kinds})"


def assemble_graphs(
    counts: Any,
    edge_index: Any,
    y: Any,
    *,
    node_labels: Any = None,
    edge_labels: Any = None,
    split: Any = None,
    classes: tuple[str, ...] | None = None,
    labels: NodeLabels | None = None,
    name: str = "data",
) -> GraphData:
    """Build a data set from labels as they come; splits that are missing are cut by class.

    Args:
        counts: nodes of each graph ``(N,)``.
        edge_index: ``(2, E)``, numbers among all nodes; an edge without a direction stands there
            both ways.
        y: whole numbers or words ``(N,)``.
        node_labels: ``(A,)``, or rows of attributes ``(A, D)``; None where there are none.
        edge_labels: ``(E,)`` or ``(E, D)``, whole numbers; None where there are none.
        split: 0 for training, 1 for validation, 2 for test ``(N,)``; None cuts a tenth of each
            class for validation and another for test, which depend on `y` alone.
        classes: names of the classes in rising order of `y`; None takes `y`.
        labels: how nodes are told apart.
        name: what to call the data set.

    Raises:
        DataError: as `Graphs`, `GraphData` and `NodeLabels`.

    Example:
        >>> assemble_graphs([1] * 20, [], [0, 1] * 10, node_labels=np.arange(20) % 3)
        GraphData('data', train=16, validation=2, test=2, classes=2, node labels=3)
    """
    kinds, target = np.unique(_target(y, name), return_inverse=True)
    parts = cut(target) if split is None else np.asarray(split, np.int64)
    sizes = np.asarray(counts, np.int64)
    given = None if node_labels is None else np.asarray(node_labels)
    edges = np.asarray(edge_index)
    edges = edges.reshape(2, 0) if edges.size == 0 else edges
    if parts.shape != target.shape or sizes.shape != target.shape:
        raise DataError(
            f"{name}: y, split and counts have shapes {target.shape}, {parts.shape} and "
            f"{sizes.shape}, expected one (N,)"
        )
    if not np.isin(parts, range(3)).all():
        raise DataError(
            f"{name}: split holds {sorted(set(parts.tolist()))}, expected 0 for training, 1 for "
            "validation and 2 for test"
        )
    if given is not None and len(given) != sizes.sum():
        raise DataError(f"{name}: {len(given)} nodes have labels and graphs have {sizes.sum()}")
    # Checked before anything is counted over edges.
    bare = Graphs(np.zeros(int(sizes.sum()), np.int64), sizes, edges, y=target)
    how = labels or NodeLabels()
    nodes = how.of(given, bare.degrees, parts[bare.graph] == 0, name)
    said = Encoded(np.zeros(0, np.int64), 1)
    if edge_labels is not None and edges.shape[1]:
        given = np.asarray(edge_labels)
        if continuous(given, f"{name}, edges"):
            raise DataError(
                f"{name}: edges have continuous attributes, and trees are alike where labels are "
                "equal; leave them out, or number parts of their range"
            )
        said = numbered(given, name)
    whole = Graphs(
        nodes.labels, sizes, edges, edge_labels=said.labels if said.kinds > 1 else None, y=target
    )
    named = tuple(str(one) for one in kinds.tolist()) if classes is None else classes
    train, validation, test = (whole.take(np.flatnonzero(parts == part)) for part in range(3))
    return GraphData(train, validation, test, named, nodes.kinds, said.kinds, nodes.values, name)


def _classes(graphs: Graphs) -> Integers:
    assert graphs.y is not None
    return np.unique(graphs.y)


def cut(target: Integers) -> Integers:
    """A split of each sample: a tenth of each class for validation (1), another for test (2)."""
    order = spread(target, keyed.key("graphs", "splits", len(target)))
    parts = np.zeros(len(target), np.int64)
    test, chosen = (max(round(share * len(target)), 1) for share in (TEST_SHARE, VALIDATION_SHARE))
    parts[order[:test]] = 2
    parts[order[test : test + chosen]] = 1
    return parts


def spread(target: Integers, seed_key: int, *, each_first: bool = False) -> Integers:
    """All places in an order that is mixed, and any beginning of which has its share of classes.

    Args:
        target: classes ``(N,)``.
        seed_key: from `limbeck.keyed.key`.
        each_first: begin with one of each class, so that a few are of all classes though one is
            rare.
    """
    mixed = keyed.permutation(seed_key, len(target))
    ranks = np.empty(len(target))
    for one in np.unique(target):
        places = mixed[target[mixed] == one]
        ranks[places] = (np.arange(len(places)) + 0.5) / len(places)
        ranks[places[:1]] -= each_first
    return mixed[np.argsort(ranks[mixed], kind="stable")]


def _target(y: Any, name: str) -> np.ndarray[Any, Any]:
    if y is None:
        raise DataError(f"{name}: graphs have no classes; give y, one for each graph")
    target = np.asarray(y).reshape(-1)
    target = np.array(target.tolist()) if target.dtype.kind == "O" else target
    if target.dtype.kind not in "iufbU":
        raise DataError(f"{name}: y holds other than numbers and words, such as None; give classes")
    if target.dtype.kind == "f" and (not np.isfinite(target).all() or (target % 1).any()):
        raise DataError(f"{name}: y holds fractions or NaN, expected a class for each graph")
    return target.astype(np.int64) if target.dtype.kind == "f" else target
