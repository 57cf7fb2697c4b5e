"""Networks that judge sets of graphs."""

import numpy as np
import pytest
import torch

from limbeck.data.motif_graphs import motif_graphs
from limbeck.errors import ArgumentError, ModelError
from limbeck.evaluate.figures import main_figure
from limbeck.evaluate.graph_sets import GraphJudging, graph_quality, judge_graphs
from limbeck.evaluate.words import table_cells
from limbeck.loops.graph_training import GraphTraining
from limbeck.run.run import Options, Run

SHORT = {"steps": 5, "batch_size": 8}


def run(folder, seed=0):
    return Run(folder, seed=seed, options=Options(executor="serial"))


def test_area_of_two_and_of_more_classes():
    sklearn = pytest.importorskip("sklearn.metrics")
    logits = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    target = torch.arange(40) % 3
    chances = logits.double().softmax(1)
    expected = sklearn.roc_auc_score(target, chances, multi_class="ovr")
    assert graph_quality(logits, target)["auc"] == pytest.approx(expected)
    two = logits[:, :2]
    expected = sklearn.roc_auc_score(target % 2, two.double().softmax(1)[:, 1])
    assert graph_quality(two, target % 2)["auc"] == pytest.approx(expected)
    assert np.isnan(graph_quality(two, torch.zeros(40, dtype=torch.long))["auc"])


def test_draws_follow_weights():
    graphs = motif_graphs(graphs=40).train.take([0, 1, 2]).replace(weight=[1, 0, 3])
    assert GraphTraining().cumulative(graphs).tolist() == [0.25, 0.25, 1]
    assert GraphTraining(draw="uniform").cumulative(graphs)[0] == pytest.approx(1 / 3)


def test_rows_repeat_and_depend_on_the_seed(tmp_path):
    data = motif_graphs(graphs=60)
    judging = GraphJudging(("gin?width=8", "sage?width=8"), 2, SHORT)
    cost = {"graphs": 48, "bytes": 10}
    found = judge_graphs(run(tmp_path / "one"), "all", data, judging, cost)
    rows = found.rows("baseline")
    assert [row["name"] for row in rows] == ["all", "all on sage?width=8"]
    assert [row["role"] for row in rows] == ["baseline", "reference"]
    assert rows[0]["cost"]["parameters"] > rows[0]["cost"]["graphs"] == 48
    assert main_figure(rows) == "auc"
    assert table_cells(rows)[0][-3:] == ["KB", "train s", "parameters"]
    again = judge_graphs(run(tmp_path / "two"), "all", data, judging, cost)
    assert again.mean("nll") == found.mean("nll")
    other = judge_graphs(run(tmp_path / "three", seed=1), "all", data, judging, cost)
    assert other.mean("nll") != found.mean("nll")


def test_finished_networks_are_read_back(tmp_path):
    data = motif_graphs(graphs=60)
    judging = GraphJudging(networks=("gin?width=8",), repeats=1, training=SHORT)
    first = judge_graphs(run(tmp_path), "all", data, judging, {})
    begun = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors"))
    assert judge_graphs(run(tmp_path), "again", data, judging, {}).figures == first.figures
    assert begun == sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors"))
    on_validation = judge_graphs(run(tmp_path), "v", data, judging, {}, split="validation")
    assert on_validation.figures != first.figures


def test_names_are_checked_before_any_work():
    data = motif_graphs(graphs=60)
    assert GraphJudging().check(data) == {"gin": 2, "gcn": 2, "gat": 2, "sage": 2}
    with pytest.raises(ModelError, match="reads no graphs"):
        GraphJudging(networks=("cnn",)).check(data)
    with pytest.raises(ArgumentError, match="is empty"):
        GraphJudging(networks=()).check(data)
