"""Mirage: what is its own, on drawn graphs and on bad input."""

import dataclasses
import warnings

import numpy as np
import pytest

import limbeck
from limbeck import cards
from limbeck.data.graph_data import GraphData, assemble_graphs
from limbeck.data.labelled_graphs import Graphs, join_graphs
from limbeck.data.motif_graphs import motif_graphs
from limbeck.errors import ArgumentError, ModelError, SettingsError, UnusualUseWarning
from limbeck.method import complete
from limbeck.run.exhibits import read_exhibits
from limbeck.run.run import Options, Run
from limbeck.selection.tree_sets import TreeSets

JUDGING = {"networks": ("gin?width=8",), "repeats": 1, "training": {"steps": 5, "batch_size": 8}}


def mirage(**settings):
    return limbeck.Mirage(**{"judging": JUDGING, **settings})


def run(folder, seed=0):
    return Run(folder, seed=seed, options=Options(executor="serial"))


def rings_and_paths():
    """Twelve graphs of each of two classes, with an isolated node in every one."""
    ring = Graphs([0] * 5, [5], [[0, 1, 2, 3, 1, 2, 3, 0], [1, 2, 3, 0, 0, 1, 2, 3]], y=[0])
    path = Graphs([0] * 5, [5], [[0, 1, 2, 1, 2, 3], [1, 2, 3, 0, 1, 2]], y=[1])
    whole = join_graphs([ring, path] * 12)
    return GraphData(whole, whole, whole, ("ring", "path"), node_kinds=1)


def test_the_sets_are_those_of_the_definition(tmp_path):
    data = motif_graphs(graphs=100)
    made = mirage(thresholds=(0.4, 20)).distill(tmp_path, data=data)
    trees = TreeSets.of(data.train, 2, 2000)
    graphs = [set() for _ in range(len(data.train))]
    for graph, tree in trees.held:
        graphs[graph].add(tree)
    for one, least in ((0, 16), (1, 20)):
        own = [trees for trees, y in zip(graphs, data.train.y, strict=True) if y == one]
        expected = sorted(
            sum(1 for trees in own if set(items) <= trees)
            for items in trees.frequent(one, least, max_size=None, max_sets=None).sets
        )
        assert sorted(made.support[made.y == one].tolist()) == expected
        assert min(expected) >= least


def test_isolated_nodes_say_nothing_and_forests_have_roots(tmp_path):
    made = mirage(thresholds=1.0).distill(tmp_path, data=rings_and_paths())
    assert [len(one) for one in made.members] == [1, 1, 1, 2]
    assert made.graphs.root.sum() == 5
    assert made.parts.counts.min() > 1
    assert made.support.tolist() == [12] * 4


def test_all_seeds_give_the_same_set(tmp_path):
    sets = [mirage().distill(Run(tmp_path / str(n), seed=n), data="motif-graphs") for n in (0, 3)]
    assert sets[0].graphs.fingerprint == sets[1].graphs.fingerprint


def test_lower_thresholds_give_more(tmp_path):
    data = motif_graphs(graphs=100)
    made = [
        mirage(thresholds=one).distill(tmp_path / str(one), data=data) for one in (0.5, 0.3, 0.2)
    ]
    assert [len(one) for one in made] == sorted(len(one) for one in made)
    assert [one.bytes() for one in made] == sorted(one.bytes() for one in made)


def test_weights_and_multiplicity(tmp_path):
    data = rings_and_paths()
    made = mirage(thresholds=1.0, weights="uniform", multiplicity=True)
    made = made.distill(tmp_path, data=data)
    assert made.support is None
    assert [one.tolist() for one in made.counts] == [[4], [2], [2], [2, 2]]
    # The sum over roots is that over the nodes of the graph, less the isolated one.
    assert made.graphs.root[made.graphs.graph == 0].sum() == 4
    again = limbeck.load(tmp_path)
    assert np.array_equal(again.graphs.root, made.graphs.root)


def test_exclusive_sets_and_their_fallback(tmp_path):
    data = motif_graphs(graphs=100)
    whole = mirage(thresholds=0.2).distill(tmp_path / "whole", data=data)
    alone = mirage(thresholds=0.2, exclusive=True).distill(tmp_path / "alone", data=data)
    assert 0 < len(alone) < len(whole)
    same = dataclasses.replace(data, train=data.train.replace(y=np.arange(80) % 2))
    twice = join_graphs([same.train, same.train])
    both = dataclasses.replace(data, train=twice.replace(y=np.repeat([0, 1], 80)))
    with pytest.warns(UnusualUseWarning, match="of class 'motif 0', 'motif 1' are frequent in"):
        mirage(thresholds=0.3, exclusive=True).distill(tmp_path / "none", data=both)


def test_a_threshold_that_empties_a_class_names_the_largest_usable(tmp_path):
    data = motif_graphs(graphs=100)
    with pytest.raises(ArgumentError, match=r"class 'motif 0' has no set .* lower its threshold"):
        mirage(thresholds=1.0).distill(tmp_path / "one", data=data)
    most = [int(TreeSets.of(data.train, 2, 2000).supports(one).max()) for one in (0, 1)]
    made = mirage(thresholds=tuple(most)).distill(tmp_path / "two", data=data)
    assert sorted(set(made.y.tolist())) == [0, 1]
    with pytest.raises(ArgumentError, match=f"class 'motif 1' has no set .* to {most[1]} graphs"):
        mirage(thresholds=(most[0], most[1] + 1)).distill(tmp_path / "three", data=data)


def test_thresholds_must_fit_the_classes(tmp_path):
    with pytest.raises(SettingsError, match="3 thresholds and motif-graphs has 2 classes"):
        mirage(thresholds=(1, 2, 3)).distill(tmp_path, data="motif-graphs")
    for wrong in (0, 1.5, -0.1):
        with pytest.raises(SettingsError):
            mirage(thresholds=wrong)


def test_caps_are_said(tmp_path):
    data = motif_graphs(graphs=100)
    with pytest.warns(UnusualUseWarning, match="most_sets=2 lets in; those of 2 sets"):
        made = mirage(thresholds=0.2, most_sets=2).distill(tmp_path / "sets", data=data)
    assert len(made) == 4
    with pytest.warns(UnusualUseWarning, match="largest_set=1 lets in"):
        made = mirage(thresholds=0.2, largest_set=1).distill(tmp_path / "size", data=data)
    assert {len(one) for one in made.members} == {1}
    with pytest.warns(UnusualUseWarning, match="more than 6 nodes and are left out"):
        made = mirage(thresholds=0.2, largest_tree=6).distill(tmp_path / "tree", data=data)
    assert made.parts.counts.max() <= 6


def test_deeper_networks_are_said_to_be_approximate(tmp_path):
    judging = {**JUDGING, "networks": ("gin?width=8&layers=3",)}
    with pytest.warns(UnusualUseWarning, match="approximately; raise depth to 3"):
        mirage(judging=judging).distill(tmp_path, data="motif-graphs")
    with pytest.raises(ModelError, match="reads no graphs"):
        mirage(judging={**JUDGING, "networks": ("resnet",)}).distill(
            tmp_path / "b", data="motif-graphs"
        )


def test_more_classes_labels_of_edges_and_directions(tmp_path):
    draws = np.random.default_rng(0)
    counts = draws.integers(4, 9, 60)
    begun = np.cumsum(counts) - counts
    edges = np.concatenate(
        [
            draws.integers(0, count, (2, 8)) + start
            for count, start in zip(counts, begun, strict=True)
        ],
        1,
    )
    data = assemble_graphs(
        counts,
        edges,
        np.arange(60) % 3,
        node_labels=draws.integers(0, 2, counts.sum()),
        edge_labels=np.repeat(np.arange(60) % 3, 8),
    )
    judging = {**JUDGING, "networks": ("gin?width=8&layers=1",)}
    made = mirage(thresholds=0.1, depth=1, judging=judging).distill(tmp_path, data=data)
    assert made.parts.edge_labels is not None
    # Labels of edges tell the classes: no tree is in two of them.
    owners = {}
    for y, members in zip(made.y, made.members, strict=True):
        for part in members:
            owners.setdefault(int(part), set()).add(int(y))
    assert all(len(one) == 1 for one in owners.values())
    assert made.evaluate(data)["auc"] >= 0


def test_the_better_threshold_is_kept(tmp_path):
    data = motif_graphs(graphs=100)
    made = mirage(thresholds=0.4, tries=3, lowering=0.1).distill(run(tmp_path), data=data)
    areas = list(made.facts["tries"].values())
    assert len(areas) == 3
    least = [one["threshold"] for one in made.facts["classes"]]
    assert least == [16 - 4 * int(np.argmax(areas))] * 2


def test_tries_that_empty_a_class_are_passed_over(tmp_path):
    data = motif_graphs(graphs=100)
    high = {"thresholds": 1.0, "lowering": 0.3, "tries": 3}
    made = mirage(**high).distill(run(tmp_path / "one"), data=data)
    assert "0" not in made.facts["tries"]
    with pytest.raises(ArgumentError, match="has no set"):
        mirage(**{**high, "tries": 2, "lowering": 0.01}).distill(run(tmp_path / "two"), data=data)


def test_the_table_has_all_baselines_and_exhibits(tmp_path):
    judging = {**JUDGING, "networks": ("gin?width=8", "sage?width=8")}
    made, baselines, ready = complete(
        mirage(thresholds=0.3, judging=judging), run(tmp_path), {"data": "motif-graphs?graphs=60"}
    )
    rows, _ = made.compared(run(tmp_path), "mirage", baselines, ready)
    assert [(row["name"], row["role"]) for row in rows] == [
        ("mirage", "product"),
        ("mirage on sage?width=8", "reference"),
        ("random graphs", "baseline"),
        ("random graphs on sage?width=8", "reference"),
        ("random graphs, as many bytes", "reference"),
        ("herding graphs", "reference"),
        ("k-center graphs", "reference"),
        ("full data", "reference"),
        ("full data on sage?width=8", "reference"),
    ]
    cost = rows[0]["cost"]
    assert cost["bytes"] == made.bytes()
    assert cost["distil_seconds"] < 5
    assert "distil_seconds" not in rows[2]["cost"]
    charts, sheets, galleries = read_exhibits(tmp_path)
    assert [len(one) for one in (charts, sheets, galleries)] == [1, 1, 1]


@pytest.mark.parametrize("name", ["tiny", "demo"])
def test_presets_warn_of_nothing(tmp_path, name):
    preset = cards.preset("mirage", name)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnusualUseWarning)
        made = limbeck.Mirage(**preset["settings"]).distill(tmp_path, data=preset["inputs"]["data"])
    assert made.summary()
