"""Reports of chains: errors, bounds, verdicts, tables and charts, without a network."""

import json
import math
from dataclasses import replace

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.evaluate.convergence import Chain, convergence_report
from limbeck.evaluate.convergence_charts import convergence_exhibits
from limbeck.functional import (
    Anchoring,
    MetaTeacher,
    Pooling,
    Softening,
    anchored_recursion,
)


def pair(seed=0, samples=300, classes=5):
    generator = torch.Generator().manual_seed(seed)
    drawn = 2 * torch.randn(2, samples, classes, generator=generator, dtype=torch.float64)
    return drawn.softmax(-1)


def chain(alphas, *, error=0.0, mixture="linear", seed=0, at_base=False):
    """A chain whose students mix `error` of a fixed wrong answer into their teacher."""
    start, base = pair(seed)
    start = base if at_base else start
    wrong = base.flip(-1)
    students = [start]
    for alpha in alphas:
        meant = anchored_recursion(students[-1], base, anchors=[alpha], mixture=mixture)[1]
        students.append((1 - error) * meant + error * wrong)
    made = torch.stack(students)
    return Chain(base, made, made.log(), base.argmax(-1), tuple(alphas), mixture)


def test_an_exact_chain_has_no_error_and_the_predicted_rate():
    report = convergence_report(chain([0.3] * 6), resamples=50)
    assert report.column("error")[1:] == pytest.approx([0.0] * 6, abs=1e-12)
    assert math.isnan(report.column("error")[0])
    assert report.state == "contracting"
    assert report.tv.rate == pytest.approx(0.7)
    assert report.kl.rate < 0.7
    assert report.column("tv") == pytest.approx(list(report.prediction.bound))
    assert report.column("agreement")[-1] > report.column("agreement")[0]


def test_error_gives_a_floor_below_its_prediction():
    report = convergence_report(chain([0.5] * 20, error=0.05), resamples=50)
    assert report.state == "floored"
    end = report.facts["ended_at"]
    assert report.tv.floor == pytest.approx(end)
    assert 0 < end <= report.prediction.floor + 1e-6
    assert report.prediction.floor == pytest.approx(report.facts["largest_error"] / 0.5)
    assert "predicted to end at" in report.verdict
    assert report.settled is not None
    assert report.column("tv")[report.settled - 1] - report.column("tv")[report.settled] < 0.005


def test_without_an_anchor_the_chain_drifts():
    report = convergence_report(chain([0.0] * 5, error=0.05, at_base=True), resamples=50)
    assert report.state == "drifting"
    assert "has no anchor" in report.verdict
    assert math.isinf(report.prediction.floor)
    assert report.to_plain()["prediction"]["floor"] is None


def test_anchor_one_is_done_at_once_and_has_no_rate():
    report = convergence_report(chain([1.0] * 3), resamples=50)
    assert math.isnan(report.tv.rate)
    assert "too few generations" in report.verdict
    assert report.column("tv")[1:] == pytest.approx([0.0] * 3, abs=1e-9)


def test_the_geometric_family_is_bounded_in_kl():
    report = convergence_report(chain([0.3] * 5, mixture="geometric"), resamples=50)
    assert report.prediction.distance == "KL(base || student)"
    for found, bound in zip(report.column("kl"), report.prediction.bound, strict=True):
        assert found <= bound + 1e-12


def test_schedules_draw_the_product_of_what_is_left():
    report = convergence_report(chain([0.5, 0.25]), resamples=50)
    charts, (sheet,) = convergence_exhibits(report)
    bound = next(line for line in charts[0].lines if line.style == "bound")
    start = report.column("tv")[0]
    assert list(bound.y) == pytest.approx([start, start * 0.5, start * 0.375])
    assert len(sheet.rows) == 3
    assert all(len(row) == len(sheet.heads) for row in sheet.rows)


def test_charts_show_measured_bounds_and_floor():
    charts, _ = convergence_exhibits(convergence_report(chain([0.3] * 4, error=0.02)))
    assert [line.style for line in charts[0].lines] == [
        "measured", "bound", "bound", "floor", "floor",
    ]  # fmt: skip
    kl = charts[1].lines
    assert all(low <= high for low, high in zip(kl[2].y, kl[1].y, strict=True))
    geometric = convergence_report(chain([0.3] * 4, mixture="geometric"), resamples=50)
    assert "holds near the base" in convergence_exhibits(geometric)[0][0].lines[1].name


def test_reports_are_saved_as_plain_values(tmp_path):
    report = convergence_report(chain([0.3] * 4), resamples=50)
    report.save(tmp_path / "convergence.json")
    stored = json.loads((tmp_path / "convergence.json").read_text())
    assert len(stored["generations"]) == 5
    assert stored["fits"]["tv"]["rate"] == pytest.approx(0.7)
    assert stored["samples"] == 300
    heads, cells = report.table()
    assert heads[:2] == ["generation", "TV"]
    assert len(cells) == 5


def test_the_error_is_that_at_the_temperature_of_the_generation():
    """Students that match their teachers have no error, whatever the temperature was."""
    generator = torch.Generator().manual_seed(0)
    start, known = (2 * torch.randn(2, 100, 5, generator=generator).double()).softmax(-1)
    anchors, temperatures = (0.5, 0.5), (4.0, 1.0)
    rules = [
        MetaTeacher(Softening(t), Pooling(1.0), Anchoring(a))
        for t, a in zip(temperatures, anchors, strict=True)
    ]
    students, meant, matched = [start], [], []
    for rule in rules:
        target = rule(students[-1], known[None])
        # What softens to the target.
        own = target.pow(rule.softening.temperature)
        students.append(own / own.sum(-1, keepdim=True))
        meant.append(target)
        matched.append(rule.soft(students[-1]))
    last = rules[-1]
    facts = {
        "base": last.base(known[None]),
        "students": last.soft(torch.stack(students)),
        "logits": torch.stack(students).log(),
        "target": known.argmax(-1),
        "anchors": anchors,
        "temperature": 1.0,
        "temperatures": temperatures,
    }
    exact = Chain(**facts, matches=(torch.stack(meant), torch.stack(matched)))
    report = convergence_report(exact, resamples=20)
    assert report.column("error")[1:] == pytest.approx([0, 0], abs=1e-6)
    assert report.facts["temperatures"] == [4.0, 1.0]
    with pytest.raises(ArgumentError, match="give matches"):
        Chain(**facts)


def test_an_anchored_chain_that_begins_at_its_floor_is_floored():
    made = chain([0.3] * 4, error=0.05, at_base=True)
    report = convergence_report(made, resamples=20)
    assert report.column("tv")[-1] > report.column("tv")[0]
    assert report.column("tv")[-1] <= report.prediction.floor
    assert report.state == "floored"
    assert "predicted to end at" in report.verdict
    assert convergence_report(chain([0.3] * 5), resamples=20).facts["temperatures"] == [1.0] * 5


def test_an_anchored_chain_that_leaves_its_floor_drifts():
    """A generation whose teacher was another than the anchored one ends above what is allowed."""
    made = chain([0.3] * 3, error=0.01, at_base=True)
    far = made.base.flip(-1)
    students = torch.cat([made.students[:3], far[None]])
    meant = students[1:] * 0.99 + 0.01 * made.base
    other = replace(made, students=students, matches=(meant, students[1:]))
    report = convergence_report(other, resamples=20)
    assert report.state == "drifting"
    assert "is anchored" in report.verdict
