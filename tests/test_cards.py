"""Cards, presets and settings are read without importing a method, and tell the truth about it."""

import ast
import dataclasses
import re
import tomllib

import pytest

from limbeck import cards
from limbeck.data.data import TASKS
from limbeck.data.names import resolve
from limbeck.errors import ArgumentError, SettingsError
from limbeck.method import prepare
from limbeck.run import Run

every_method = pytest.mark.parametrize("slug", cards.slugs())


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder of methods of its own."""
    monkeypatch.setattr(cards, "METHODS", tmp_path)
    known = (cards.slugs, cards.card)
    for function in known:
        function.cache_clear()
    yield tmp_path
    for function in known:
        function.cache_clear()


def write(shelf, slug, text):
    folder = shelf / slug.replace("-", "_")
    folder.mkdir()
    (folder / "card.toml").write_text(text)
    return folder


CARD = """
title = "Meal"
class = "MealV2"
family = "model"
takes = ["teacher", "data"]
reads = ["classification"]
gives = "student"
paper = "arXiv 2009.08453"
summary = "One sentence."
"""


@every_method
def test_settings_read_from_source_are_those_of_the_class(slug):
    fields = dataclasses.fields(cards.load_class(slug))
    listed = cards.settings_of(slug)
    assert [one.name for one in listed] == [field.name for field in fields]
    assert all(one.meaning for one in listed)
    assert all(one.kind and one.default for one in listed)


@every_method
def test_groups_of_settings_open_with_the_defaults_that_they_have(slug):
    def check(made, group):
        listed = cards.settings_of(slug, group)
        assert [one.name for one in listed] == [field.name for field in dataclasses.fields(made)]
        for one in listed:
            value = getattr(made, one.name)
            assert one.meaning
            # A group whose default is None can be opened all the same.
            assert bool(one.group) or not dataclasses.is_dataclass(value)
            if dataclasses.is_dataclass(value):
                check(value, f"{group}.{one.name}" if group else one.name)
            elif isinstance(value, (bool, int, float, str)):
                assert value == ast.literal_eval(one.default), (group, one)

    check(cards.load_class(slug)(), "")


def test_settings_are_checked_without_the_class():
    cards.check_settings("kd", {"temperature": 2, "optim": {"lr": 0.1}, "loss": "dkd"})
    with pytest.raises(SettingsError, match="kd has no setting 'temprature'; did you mean temper"):
        cards.check_settings("kd", {"temprature": 2})
    with pytest.raises(SettingsError, match=r"kd has no setting 'optim\.lrr'; did you mean lr"):
        cards.check_settings("kd", {"optim": {"lrr": 2}})


@every_method
def test_presets_pass_the_check_of_names(slug):
    for preset in cards.presets(slug).values():
        cards.check_settings(slug, preset.get("settings", {}))


@every_method
def test_presets_are_settings_that_the_class_takes(slug):
    method, card = cards.load_class(slug), cards.card(slug)
    found = cards.presets(slug)
    assert {"tiny", "demo"} <= set(found)
    for name, preset in found.items():
        assert set(preset) <= {"settings", "inputs", "seeds"}, name
        method(**preset.get("settings", {}))
        assert set(preset.get("inputs", {})) <= {*card.takes, *card.contract.get("optional", ())}
        assert cards.preset(slug, name) == preset


@every_method
def test_cards_name_the_class_that_is_there(slug):
    assert cards.load_class(slug).__name__ == cards.card(slug).class_name
    assert cards.load_class(slug).card == cards.card(slug)
    assert cards.card(slug).folder.is_dir()


@every_method
def test_cards_tell_which_data_their_method_takes(slug, tmp_path):
    card = cards.card(slug)
    assert set(card.reads) <= {*TASKS, "forces", "graphs", "retrieval"}
    assert resolve(cards.preset(slug, "tiny")["inputs"]["data"]).task in card.reads
    method = cards.load_class(slug)(**cards.preset(slug, "tiny").get("settings", {}))
    for task, name in {"classification": "digits", "regression": "diabetes"}.items():
        if task not in card.reads:
            inputs = {**dict.fromkeys(card.takes, "none"), "data": name}
            with pytest.raises(ArgumentError, match=f"{slug} is for {card.reads[0]}"):
                prepare(method, Run(tmp_path / task), inputs)


def test_kd_reads_what_its_own_tests_teach():
    """Regression and several labels: tests/methods/test_kd.py."""
    assert cards.card("kd").reads == TASKS


@every_method
def test_published_figures_name_where_they_stand(slug):
    card = cards.card(slug)
    facts = tomllib.loads((card.folder / "card.toml").read_text())
    assert "published" in facts, "say published = [] where the paper prints none"
    for one in card.published:
        assert all((one.setting, one.figure, one.paper, one.source))
        assert re.search(r"\d", one.paper)
    assert "<!-- published -->" in (card.folder / "README.md").read_text()


def test_unknown_methods_and_presets_suggest_the_nearest():
    with pytest.raises(SettingsError, match="there is no method 'kdd'; did you mean kd"):
        cards.card("kdd")
    with pytest.raises(SettingsError, match="kd has no preset 'tinny'; did you mean tiny"):
        cards.preset("kd", "tinny")


def test_slugs_have_hyphens_and_folders_underscores(shelf):
    folder = write(shelf, "meal-v2", CARD + "[contract]\nseeds = 2\n")
    (shelf / "unfinished").mkdir()
    assert cards.slugs() == ("meal-v2",)
    assert cards.card("meal-v2").folder == folder
    assert cards.card("meal-v2").contract == {"seeds": 2}


@pytest.mark.parametrize("missing", cards.REQUIRED)
def test_a_card_without_a_fact_is_refused(shelf, missing):
    lines = [line for line in CARD.splitlines() if not line.startswith(missing)]
    write(shelf, "meal", "\n".join(lines))
    with pytest.raises(SettingsError, match=f"the card of meal lacks {missing}"):
        cards.card("meal")


def test_meanings_are_joined_over_lines(shelf):
    folder = write(shelf, "meal-v2", CARD)
    (folder / "meal_v2.py").write_text(
        '''
class MealV2:
    """One sentence.

    Args:
        steps: how many; more is slower,
            and no better: see the paper.
        rate: how fast.

    Example:
        >>> steps: 3
    """

    steps: Annotated[int, Field(ge=0)] = 10
    rate: float
    other: tuple[int, ...] = (1, 2)

    def distill(self): ...
'''
    )
    steps, rate, other = cards.settings_of("meal-v2")
    assert steps == cards.Setting(
        "steps", "int", "10", "how many; more is slower, and no better: see the paper."
    )
    assert (rate.default, rate.meaning) == ("needed", "how fast.")
    assert (other.kind, other.default, other.meaning) == ("tuple[int, ...]", "(1, 2)", "")


def test_a_card_is_plain_toml():
    text = (cards.card("kd").folder / "card.toml").read_text()
    assert tomllib.loads(text)["title"] == cards.card("kd").title


@every_method
def test_phases_are_settings_of_the_method(slug):
    card = cards.card(slug)
    if card.gives == "Student":
        assert set(card.phases) <= {one.name for one in cards.settings_of(slug)}
