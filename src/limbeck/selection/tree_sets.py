"""Tree sets: which computation trees occur in graphs, which often together, and forests of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from limbeck.data.frames import Floats, Integers
from limbeck.data.labelled_graphs import Graphs
from limbeck.functional.computation_trees import ComputationTrees, computation_trees
from limbeck.functional.item_sets import ItemSets, frequent_item_sets


@dataclass(frozen=True, eq=False)
class TreeSets:
    """Graphs as sets of the trees that their nodes unroll to.

    Args:
        graphs: the graphs.
        trees: of their nodes.
        largest: trees of more nodes are left out, as are those of a single one.
    """

    graphs: Graphs
    trees: ComputationTrees
    largest: int

    @classmethod
    def of(cls, graphs: Graphs, depth: int, largest: int) -> TreeSets:
        """Unroll graphs to a depth, without doing it.

        Args:
            graphs: of all classes.
            depth: levels below the root.
            largest: nodes of the largest tree that is used.

        Example:
            >>> path = Graphs([6, 6, 8], [3], [[0, 1, 1, 2], [1, 0, 2, 1]], y=[0])
            >>> found = TreeSets.of(path, 1, 100)
            >>> found.held.tolist(), found.times.tolist()
            ([[0, 0], [0, 1], [0, 2]], [1, 1, 1])
        """
        found = computation_trees(
            graphs.node_labels, graphs.edge_index, depth, edge_labels=graphs.edge_labels
        )
        return cls(graphs, found, largest)

    @cached_property
    def _counted(self) -> tuple[Integers, Integers]:
        sizes, tree = self.trees.sizes, self.trees.classes
        used = (sizes[tree] > 1) & (sizes[tree] <= self.largest)
        keys = self.graphs.graph[used] * max(len(sizes), 1) + tree[used]
        found, times = np.unique(keys, return_counts=True)
        return np.stack(np.divmod(found, max(len(sizes), 1)), 1), times

    @property
    def held(self) -> Integers:
        """Pairs of a graph and a tree that occurs in it ``(P, 2)``, each once, in order."""
        return self._counted[0]

    @property
    def times(self) -> Integers:
        """How often the tree of a pair occurs in its graph ``(P,)``."""
        return self._counted[1]

    @property
    def too_large(self) -> int:
        """How many trees are left out because of their size."""
        return int((self.trees.sizes > self.largest).sum())

    def of_class(self, one: int) -> Integers:
        """Pairs of graphs of a class."""
        assert self.graphs.y is not None
        return self.held[self.graphs.y[self.held[:, 0]] == one]

    def supports(self, one: int) -> Integers:
        """In how many graphs of a class each tree occurs, those that occur in any."""
        found = np.bincount(self.of_class(one)[:, 1])
        return found[found > 0]

    def frequent(
        self, one: int, min_count: int, *, max_size: int | None, max_sets: int | None
    ) -> ItemSets:
        """Sets of trees that occur together in enough graphs of a class; see
        `limbeck.functional.item_sets.frequent_item_sets`."""
        graph, tree = self.of_class(one).T
        return frequent_item_sets(graph, tree, min_count, max_size=max_size, max_sets=max_sets)

    def covered(self) -> list[float]:
        """Shares of all pairs of a graph and a tree in it that the most frequent trees make up.

        Returns:
            For the most frequent tenth of the trees, two tenths, and so on up to all.
        """
        counts = np.sort(np.bincount(self.held[:, 1], minlength=1))[::-1]
        counts = counts[counts > 0]
        summed = np.cumsum(counts) / max(counts.sum(), 1)
        if not len(summed):
            return []
        ends = [max(round(tenth * len(summed) / 10), 1) for tenth in range(1, 11)]
        return [round(float(summed[end - 1]), 6) for end in ends]

    def average_counts(self, one: int, sets: Sequence[Sequence[int]]) -> list[Floats]:
        """How often each tree of a set occurs in a graph that holds the whole set, on average.

        Args:
            one: the class, whose graphs are looked at.
            sets: trees by number.

        Returns:
            For each set a number for each of its trees.
        """
        assert self.graphs.y is not None
        names = np.unique(np.concatenate([np.asarray(each) for each in sets]))
        chosen = (self.graphs.y[self.held[:, 0]] == one) & np.isin(self.held[:, 1], names)
        table = np.zeros((len(self.graphs), len(names)), np.int64)
        columns = np.searchsorted(names, self.held[chosen, 1])
        table[self.held[chosen, 0], columns] = self.times[chosen]
        places = [np.searchsorted(names, np.asarray(each)) for each in sets]
        return [table[(table[:, at] > 0).all(1)][:, at].mean(0) for at in places]

    def unrolled(self, trees: Sequence[int] | Integers) -> Graphs:
        """Trees as graphs of their own, which count in a readout by their roots alone.

        Args:
            trees: by number.

        Returns:
            A graph for each, with edges from children to parents and the degrees that its nodes
            have where the tree first occurs.
        """
        found = [self.trees.unrolled(int(tree)) for tree in trees]
        counts = np.array([len(one.nodes) for one in found])
        begun = np.cumsum(counts) - counts
        nodes = np.concatenate([one.nodes for one in found])
        root = np.zeros(len(nodes), np.float32)
        root[begun] = 1
        labels = np.concatenate([one.edge_labels for one in found])
        return Graphs(
            self.graphs.node_labels[nodes],
            counts,
            np.concatenate([one.edges + n for one, n in zip(found, begun, strict=True)], 1),
            edge_labels=None if self.graphs.edge_labels is None else labels,
            root=root,
            degree=self.graphs.degrees[nodes],
        )
