"""The page of a comparison shows entries, pairs, ranks and failures, and loads nothing."""

import re

import pytest

from limbeck.comparison import Outcome, contest
from limbeck.evaluate.words import paired_cells, tournament_cells, tournament_verdict
from limbeck.report import plots, write_comparison

NAMES = ["none", "kd", "kd:dkd", "meal-v2"]
COST = {"parameters": 610, "macs": 592, "latency_ms": 0.03, "bytes": 2440, "steps": 20}


def facts(accuracies, failed=(), seeds=(0, 1, 2)):
    planned = contest(
        NAMES, preset="tiny", seeds=seeds, inputs={"data": "folder:/srv/someone/flowers?size=8"}
    )
    rows = [
        {"entry": name, "seed": seed, "quality": {"accuracy": value}, "cost": COST}
        for name, column in accuracies.items()
        for seed, value in enumerate(column)
    ]
    teachers = [
        {"name": "mlp?hidden=32", "role": "teacher", "quality": {"accuracy": 0.75}, "cost": COST}
    ]
    outcome = Outcome(rows, list(failed), teachers, "limbeck compare")
    return {**outcome.facts(planned), "environment": {"python": "3"}}


WHOLE = {
    "none": [0.5, 0.52, 0.51],
    "kd": [0.75, 0.77, 0.74],
    "kd:dkd": [0.7, 0.71, 0.72],
    "meal-v2": [0.6, 0.62, 0.61],
}


def test_the_page_has_its_parts_and_loads_nothing(tmp_path):
    path = tmp_path / "page.html"
    write_comparison(facts(WHOLE), path, "Comparison first")
    text = path.read_text()
    for part in (
        "Comparison first", "Quality beside cost", "kd:dkd less kd", "critical difference",
        "75.3 ±1.5", "width=device-width", "teacher mlp?hidden=32", "20 optimiser steps",
    ):  # fmt: skip
        assert part in text, part
    links = re.findall(r"""(?:src|href)\s*=\s*["']([^"'#][^"']*)["']|url\(([^#)][^)]*)\)""", text)
    assert not links
    assert "<script" not in text
    assert "folder:flowers?size=8" in text
    assert "someone" not in text
    assert "Failed" not in text


def test_a_failed_entry_has_its_place_on_the_page(tmp_path):
    path = tmp_path / "page.html"
    failed = [
        {"entry": "meal-v2", "seed": seed, "error": "5 < 6 is no <reason>"} for seed in (0, 1)
    ]
    some = {name: WHOLE[name] for name in NAMES[:3]}
    write_comparison(facts(some, failed), path, "one failed")
    text = path.read_text()
    assert "meal-v2, seed 1: 5 &lt; 6 is no &lt;reason&gt;" in text
    assert "<td>failed</td>" in text


def test_a_single_seed_makes_a_page_without_ranks(tmp_path):
    path = tmp_path / "page.html"
    one = facts({name: column[:1] for name, column in WHOLE.items()}, seeds=(0,))
    write_comparison(one, path, "one seed")
    assert "Mean ranks" not in path.read_text()
    assert "ranks need three entries and two seeds" in tournament_verdict(one)


def test_cells_show_shares_in_percent_and_gaps_as_gaps():
    heads, lines = tournament_cells(facts(WHOLE))
    row = dict(zip(heads, lines[1], strict=True))
    assert (row["accuracy"], row["rank"], row["steps"]) == ("75.3 ±1.5", "1.00", "20")
    assert row["train s"] == ""
    heads, lines = paired_cells(facts(WHOLE))
    assert lines[0][:2] == ["kd less none", "+24.3"]
    assert len(lines) == 6


def test_the_verdict_names_the_best_and_the_groups():
    said = tournament_verdict(facts(WHOLE))
    assert said.startswith(
        "kd has the best mean accuracy, 75.3 ±1.5. By ranks over 3 seeds entries"
    )
    assert "differ (Friedman p = 0.029)" in said
    assert said.endswith("kd, kd:dkd, meal-v2; kd:dkd, meal-v2, none")


@pytest.mark.parametrize("critical", [0.5, 9.0])
def test_the_rank_diagram_draws_every_name_and_a_long_difference(critical):
    ranks = {"a": 1.0, "b": 2.2, "c": 2.8}
    svg = plots.rank_diagram(ranks, critical, [["a"], ["b", "c"]])
    assert all(name in svg for name in ("a  1.00", "b  2.20", "c  2.80"))
    assert ("longer than the line" in svg) == (critical > 2)
