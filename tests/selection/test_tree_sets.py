"""Graphs as sets of trees."""

import numpy as np
import pytest

from limbeck.data.labelled_graphs import Graphs
from limbeck.data.motif_graphs import motif_graphs
from limbeck.selection.tree_sets import TreeSets


def paths():
    """Two paths of three nodes, one of two, and a node alone; the last two are of class 1."""
    edges = [[0, 1, 1, 2, 3, 4, 4, 5, 6, 7], [1, 0, 2, 1, 4, 3, 5, 4, 7, 6]]
    return Graphs([0] * 9, [3, 3, 2, 1], edges, y=[0, 0, 1, 1])


def test_pairs_leave_out_single_nodes_and_count_repeats():
    found = TreeSets.of(paths(), 1, 100)
    # An end, a middle; isolated nodes have a third tree, which is left out.
    assert found.held.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0]]
    assert found.times.tolist() == [2, 1, 2, 1, 2]
    assert found.supports(0).tolist() == [2, 2]
    assert found.supports(1).tolist() == [1]
    assert found.frequent(0, 2, max_size=None, max_sets=None).sets == ((0,), (1,), (0, 1))


def test_large_trees_are_left_out():
    found = TreeSets.of(paths(), 1, 2)
    assert found.too_large == 1
    assert set(found.held[:, 1].tolist()) == {0}


def test_counts_are_averages_over_graphs_that_hold_the_set():
    found = TreeSets.of(paths(), 1, 100)
    averages = found.average_counts(0, [(0,), (0, 1)])
    assert [one.tolist() for one in averages] == [[2.0], [2.0, 1.0]]


def test_unrolled_trees_carry_degrees_of_the_graph():
    found = TreeSets.of(paths(), 1, 100)
    made = found.unrolled([0, 1])
    assert made.counts.tolist() == [2, 3]
    assert made.root.tolist() == [1, 0, 1, 0, 0]
    assert made.degrees.tolist() == [1, 2, 2, 1, 1]


def test_covered_rises_to_one():
    covered = TreeSets.of(motif_graphs(graphs=60).train, 2, 1000).covered()
    assert len(covered) == 10
    assert covered == sorted(covered)
    assert covered[-1] == 1
    assert TreeSets.of(Graphs([0], [1], [], y=[0]), 2, 9).covered() == []


def test_trees_are_those_of_all_graphs_together():
    data = motif_graphs(graphs=60)
    whole = TreeSets.of(data.train, 2, 1000)
    halves = [TreeSets.of(data.train.take(part), 2, 1000) for part in np.split(np.arange(48), 2)]
    sizes = [one.trees.sizes[one.held[:, 1]].sum() for one in halves]
    assert whole.trees.sizes[whole.held[:, 1]].sum() == pytest.approx(sum(sizes))
