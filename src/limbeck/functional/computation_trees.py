"""Computation trees: what message passing over L layers sees of each node, told apart exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from limbeck.errors import ArgumentError
from limbeck.functional.numbering import by_first, compacted

Integers = npt.NDArray[np.int64]
# Sizes above are said to be this: whole numbers are exact in double precision up to here.
LARGEST = 2**53


class Incoming(NamedTuple):
    """Edges in the order of the nodes that they lead to.

    Args:
        sources: nodes that edges come from ``(E,)``.
        labels: of the edges ``(E,)``.
        starts: where the edges into a node begin ``(A + 1,)``.
    """

    sources: Integers
    labels: Integers
    starts: Integers

    @property
    def degrees(self) -> Integers:
        """How many edges lead into each node ``(A,)``."""
        return np.diff(self.starts)


class Tree(NamedTuple):
    """One tree, unrolled.

    Args:
        nodes: the node of the graph that each tree node is of ``(n,)``, the root's first.
        edges: from child to parent, as numbers of tree nodes ``(2, n - 1)``.
        edge_labels: ``(n - 1,)``.
    """

    nodes: Integers
    edges: Integers
    edge_labels: Integers


@dataclass(frozen=True, eq=False)
class ComputationTrees:
    """Which nodes have the same tree, level by level.

    Args:
        ids: of every level from 0 to the depth the number of each node's tree ``(A,)``; of the
            last in the order in which trees first occur.
        sizes: nodes of each tree of the last level ``(T,)``, of the root too; at most `LARGEST`.
        first: the first node that has the tree ``(T,)``.
        incoming: the edges.
    """

    ids: tuple[Integers, ...]
    sizes: Integers
    first: Integers
    incoming: Incoming

    @property
    def depth(self) -> int:
        """Levels below the root."""
        return len(self.ids) - 1

    @property
    def classes(self) -> Integers:
        """The tree of each node at full depth ``(A,)``."""
        return self.ids[-1]

    def unrolled(self, tree: int) -> Tree:
        """The tree of a number, as it hangs below the first node that has it.

        Args:
            tree: from 0 to T - 1; its size says how much memory it takes.
        """
        nodes = [self.first[tree : tree + 1]]
        parents: list[Integers] = []
        labels: list[Integers] = []
        begun = 0
        for _ in range(self.depth):
            last = nodes[-1]
            edges, above = _below(self.incoming, last)
            nodes.append(self.incoming.sources[edges])
            labels.append(self.incoming.labels[edges])
            parents.append(begun + above)
            begun += len(last)
        joined = np.concatenate(nodes)
        above = np.concatenate([np.empty(0, np.int64), *parents])
        children = np.arange(1, len(joined))
        said = np.concatenate([np.empty(0, np.int64), *labels])
        return Tree(joined, np.stack([children, above]), said)


def computation_trees(
    node_labels: Any, edges: Any, depth: int, *, edge_labels: Any = None
) -> ComputationTrees:
    r"""Tell apart the trees that graphs unroll to below each of their nodes.

    The children of a tree node are the nodes with an edge into its node, also the one it was
    reached from; an edge from a node to itself makes the node its own child, and parallel edges
    make a child each. Trees are never unrolled:

    .. math:: c_0(v) = \ell(v), \quad
        c_d(v) = \big(\ell(v), \{\!\{ (\ell(u, v), c_{d-1}(u)) : u \to v \}\!\}\big)

    and each level is numbered by sorting, without hashes that could collide. It takes time near
    linear in nodes and edges, of all graphs at once.

    Args:
        node_labels: whole numbers ``(A,)``, of all graphs in a row.
        edges: ``(2, E)``, from the nodes in row 0 to those in row 1; an edge without a direction
            stands there both ways.
        depth: L, levels below the root.
        edge_labels: whole numbers ``(E,)``; None for edges that are all alike.

    Returns:
        The trees.

    Raises:
        ArgumentError: shapes do not belong together, or an edge leads to a node that is not there.

    Example:
        >>> path = [[0, 1, 1, 2], [1, 0, 2, 1]]
        >>> found = computation_trees([6, 6, 6], path, 2)
        >>> found.classes.tolist(), found.sizes.tolist()
        ([0, 1, 0], [4, 5])
        >>> found.unrolled(1).nodes.tolist()
        [1, 0, 2, 1, 1]

    Source: arXiv 2310.09486, section 3; colour refinement of Weisfeiler and Leman, 1968.
    """
    labels, incoming = _checked(node_labels, edges, depth, edge_labels)
    targets = np.repeat(np.arange(len(labels)), incoming.degrees)
    kinds, _ = compacted(incoming.labels)
    colours, count = compacted(labels)
    ids, sizes = [colours], np.ones(len(labels))
    for _ in range(depth):
        # One number for what a child is and how it hangs there, those of a node in rising order.
        tokens = kinds * count + ids[-1][incoming.sources]
        tokens = _sorted_within(targets, tokens)
        below = np.bincount(targets, sizes[incoming.sources], minlength=len(labels))
        sizes = np.minimum(1 + below, LARGEST)
        numbers, count = compacted(_folded(colours, tokens, incoming.starts))
        ids.append(numbers)
    ids[-1], first = by_first(ids[-1], count)
    return ComputationTrees(tuple(ids), sizes[first].astype(np.int64), first, incoming)


def incoming_edges(nodes: int, edges: Integers, labels: Integers | None = None) -> Incoming:
    """Edges in the order of the nodes that they lead to, those into a node in the order given.

    Args:
        nodes: A, how many there are.
        edges: ``(2, E)``.
        labels: ``(E,)``, or None for edges that are all alike.
    """
    counts = np.bincount(edges[1], minlength=nodes)
    targets = np.repeat(np.arange(nodes), counts)
    order = _sorted_within(targets, np.arange(edges.shape[1]), edges[1])
    said = np.zeros(len(order), np.int64) if labels is None else labels[order]
    return Incoming(edges[0][order], said, np.concatenate([[0], np.cumsum(counts)]))


def _sorted_within(
    targets: Integers, values: Integers, unsorted: Integers | None = None
) -> Integers:
    """Values in rising order within each target.

    Targets and values are sorted as one number, many times quicker than an order of places.

    Args:
        targets: in rising order ``(E,)``.
        values: from 0 on ``(E,)``.
        unsorted: the target of each value, where it is not the one that stands at its place.
    """
    wide = int(values.max(initial=0)) + 1
    keys = (targets if unsorted is None else unsorted) * wide + values
    # Nearly in order already, of which this kind makes use.
    keys.sort(kind="stable")
    return keys - targets * wide


def _folded(colours: Integers, tokens: Integers, starts: Integers) -> Integers:
    """A number for each node's colour and sorted tokens, equal where all of these are.

    One token of all nodes that have as many is taken in at a time. Numbers of different rounds
    differ, so that no node is taken for one with more tokens.
    """
    states = colours.copy()
    counts = np.diff(starts)
    kinds = int(tokens.max(initial=0)) + 1
    used = int(states.max(initial=-1)) + 1
    nodes = np.arange(len(states))
    for place in range(int(counts.max(initial=0))):
        nodes = nodes[counts[nodes] > place]
        found, many = compacted(states[nodes] * kinds + tokens[starts[nodes] + place])
        states[nodes] = used + found
        used += many
    return states


def _below(incoming: Incoming, nodes: Integers) -> tuple[Integers, Integers]:
    """Places of the edges into some nodes in a row, and for each which of the nodes it leads to."""
    counts = incoming.degrees[nodes]
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    places = np.arange(total) + np.repeat(incoming.starts[nodes] - (ends - counts), counts)
    return places, np.repeat(np.arange(len(nodes)), counts)


def _checked(
    node_labels: Any, edges: Any, depth: int, edge_labels: Any
) -> tuple[Integers, Incoming]:
    labels = np.asarray(node_labels)
    pairs = np.asarray(edges)
    pairs = pairs.reshape(2, 0).astype(np.int64) if pairs.size == 0 else pairs
    if labels.ndim != 1 or (len(labels) and labels.dtype.kind not in "iu"):
        raise ArgumentError(
            f"node_labels has shape {labels.shape} and dtype {labels.dtype}, expected whole "
            "numbers (A,); number the rows of features that differ first"
        )
    if pairs.ndim != 2 or len(pairs) != 2 or pairs.dtype.kind not in "iu":
        raise ArgumentError(
            f"edges has shape {pairs.shape} and dtype {pairs.dtype}, expected whole numbers (2, E)"
        )
    if pairs.size and not (pairs.min() >= 0 and pairs.max() < len(labels)):
        raise ArgumentError(
            f"edges joins nodes {pairs.min()} to {pairs.max()} and there are {len(labels)} nodes"
        )
    said = None if edge_labels is None else np.asarray(edge_labels)
    if said is not None and (
        said.shape != pairs.shape[1:] or (said.size and said.dtype.kind not in "iu")
    ):
        raise ArgumentError(
            f"edge_labels has shape {said.shape} and dtype {said.dtype} and there are "
            f"{pairs.shape[1]} edges, expected whole numbers (E,)"
        )
    if depth < 0:
        raise ArgumentError(f"depth is {depth}, expected at least 0")
    said = None if said is None else said.astype(np.int64)
    return labels.astype(np.int64), incoming_edges(len(labels), pairs.astype(np.int64), said)
