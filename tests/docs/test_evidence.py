"""What the pages make of records: misses are shown, words follow figures, nothing is cut off."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

from limbeck import cards
from limbeck.plain import unworded

ROOT = Path(__file__).parents[2]


def recorded(path):
    return json.loads(path.read_text())


RECORDED = sorted((ROOT / "results").glob("benchmark-*.json"))
# Records of presets as they are, by what their commands name.
PRESETS = [
    (found, path)
    for path in sorted((ROOT / "results").glob("run-*.json"))
    if (found := re.fullmatch(r"limbeck run (\S+) --preset (\S+)", recorded(path)["command"]))
]


@pytest.fixture
def docs(monkeypatch):
    """Modules of the docs folder by name."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    yield importlib.import_module
    for name in ("render", "result_rows", "evidence", "house"):
        sys.modules.pop(name, None)


def cells(line):
    return [one.strip() for one in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_row_with_a_target_says_whether_it_was_kept(docs, path):
    facts = json.loads(path.read_text())
    render, evidence = docs("render"), docs("evidence")
    name = path.stem.removeprefix("benchmark-")
    text = render.speed([name]) if "ratios" in facts else evidence._plain(facts)
    rows = [cells(line) for line in text.splitlines() if line.startswith("|")]
    assert rows[0][-2:] == ["at most", ""]
    rows = [row for row in rows[2:] if len(row) == len(rows[0])]
    assert all(row[-1] in ("held", "**missed**") for row in rows if row[-2])
    assert not any(row[-1] for row in rows if not row[-2])
    if facts["held"] is not None:
        assert any(row[-1] == "**missed**" for row in rows) == (not facts["held"])
        assert any(row[-2] for row in rows)


def row(role, name, accuracy, **cost):
    return {"role": role, "name": name, "quality": {"accuracy": accuracy}, "cost": cost}


@pytest.mark.parametrize(
    ("ours", "theirs", "word"),
    [(0.9, 0.8, "ahead"), (0.8, 0.9, "behind"), (0.8001, 0.8, "level")],
)
def test_the_word_follows_the_figures(docs, ours, theirs, word):
    rows = [row("product", "kd", ours), row("baseline", "student alone", theirs)]
    shown = f"student alone {100 * theirs:.1f}"
    assert docs("result_rows").beside(rows)[-2:] == [shown, word]


def test_of_a_figure_that_is_better_small_less_is_ahead(docs):
    rows = [row("product", "stack", 0), row("baseline", "average", 0)]
    for one, rmse in zip(rows, (1.0, 2.0), strict=True):
        one["quality"] = {"rmse": rmse}
    assert docs("result_rows").beside(rows)[-1] == "ahead"


def test_a_peer_has_as_much_or_its_cell_says_what_it_had(docs):
    beside = docs("result_rows").beside
    rows = [
        row("product", "datm", 0.5, images=10, parameters=8),
        row("reference", "datm on lenet", 0.9, images=10, parameters=9),
        row("reference", "full data", 0.9, images=99, parameters=8),
        row("reference", "random images on lenet", 0.9, images=10, parameters=9),
        row("reference", "k-means images", 0.4, images=10, parameters=8),
    ]
    assert beside(rows)[-2:] == ["k-means images 40.0", "ahead"]
    rows = [
        row("product", "dmd", 0.5, evaluations=4),
        row("baseline", "teacher in 4 steps", 0.6, evaluations=8),
    ]
    assert beside(rows)[-2:] == ["teacher in 4 steps 60.0 (evaluations: 8, ours 4)", "behind"]
    assert beside(rows[:1])[-2:] == ["", ""]


def test_one_table_has_every_system_every_run_and_all_that_papers_print(docs):
    lines = [cells(line) for line in docs("result_rows").results().splitlines() if line[:1] == "|"]
    assert lines[0] == docs("result_rows").HEADS
    assert {len(line) for line in lines} == {len(lines[0])}
    of_paper = {(line[0], line[3]) for line in lines if line[3]}
    for slug in cards.slugs():
        link = docs("evidence").linked(slug)
        for one in cards.card(slug).published:
            assert (link, one.paper) in of_paper
        assert cards.card(slug).published or (link, "none printed") in of_paper
        claims = docs("result_rows").claims_of(slug)
        (told,) = {line[-1] for line in lines[2:] if line[0] == link}
        assert all(one["held"] for one in claims) == told.startswith("none;")
    runs = {line[1] for line in lines}
    for path in (ROOT / "results").glob("run-*.json"):
        slug = json.loads(path.read_text())["method"]
        assert f"`{path.stem.removeprefix(f'run-{slug}-')}`" in runs
    words = [line[6] for line in lines[2:] if line[4] not in ("", "not run")]
    assert set(words) <= {"ahead", "behind", "level"}


@pytest.mark.parametrize("slug", cards.slugs())
def test_a_card_tells_its_golden_cases_and_what_it_needs(docs, slug):
    text = (cards.card(slug).folder / "README.md").read_text()
    cases = docs("evidence").golden(slug)
    told = f"Golden cases, which the tests repeat: {cases}, in `tests/golden/cases/{slug}.json`."
    assert (told in text) == bool(cases)
    assert not cards.card(slug).extra or cards.card(slug).install in text


def test_choose_by_what_you_have_is_not_wrong_of_regression(docs):
    lines = docs("evidence").by_inputs().splitlines()
    (kd,) = [cells(line) for line in lines if "[`kd`]" in line]
    assert "numbers to predict" in kd[1]
    assert "several labels" in kd[1]
    (generator,) = [cells(line) for line in lines if "[`phased-dmd`]" in line]
    assert generator[1] == "samples with classes"


def test_figures_of_a_claim_are_summed_up_over_seeds(docs):
    claim_figures = docs("evidence").claim_figures
    figures = {"error": [1.0, 3.0, 2.0], "rate": [0.1, 0.1, 0.1], "density": [1.0, None], "n": 5}
    said = claim_figures({**figures, "mean": {"error": 2.0}})
    assert said == "error: 2 (1 to 3); rate: 0.1; density: 1, none; n: 5"


def test_a_table_of_claims_ends_before_what_follows(docs):
    lines = docs("render").claims("kd").splitlines()
    last = max(place for place, line in enumerate(lines) if line.startswith("|"))
    assert lines[last + 1] == ""


@pytest.mark.parametrize(("found", "path"), PRESETS, ids=[path.stem for _, path in PRESETS])
def test_a_recorded_preset_is_the_one_that_there_is(found, path):
    """Figures of settings that were changed since would be of something else."""
    told, preset = unworded(recorded(path)), cards.preset(found[1], found[2])
    for name in ("settings", "inputs"):
        assert_within(preset.get(name, {}), told.get(name, {}))


def assert_within(part, whole):
    if not isinstance(part, dict):
        assert part == whole
        return
    for name, value in part.items():
        assert name in whole
        assert_within(value, whole[name])
