"""A new method passes the contract as it is written, and is refused where it cannot be."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import limbeck.methods
from limbeck import cards
from limbeck.errors import RunError, SettingsError
from limbeck.scaffold import Plan, scaffold
from limbeck.scaffold.making import METHODS, contents, shortest
from limbeck.testing.contract import check_method

ROOT = Path(__file__).parents[2]
FAMILIES = sorted({cards.card(slug).family for slug in cards.slugs()})


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of which methods are found beside those that stand."""
    (tmp_path / METHODS).mkdir(parents=True)
    known = (cards.slugs, cards.card)
    places = [*limbeck.methods.__path__, str(tmp_path / METHODS)]
    monkeypatch.setattr(limbeck.methods, "__path__", places)
    yield tmp_path
    for function in known:
        function.cache_clear()
    for name in [one for one in sys.modules if one.startswith("limbeck.methods.my_way")]:
        del sys.modules[name]


def admit(checkout, monkeypatch):
    monkeypatch.setattr(cards, "METHODS", checkout / METHODS)
    cards.slugs.cache_clear()
    cards.card.cache_clear()


def test_a_new_method_passes_the_contract(checkout, monkeypatch):
    made = scaffold(Plan.of("my-way"), checkout)
    assert all((checkout / path).is_file() for path in made)
    admit(checkout, monkeypatch)
    assert cards.slugs() == ("my-way",)
    assert cards.card("my-way").class_name == "MyWay"
    check_method("my-way", checkout / "contract")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_one_to_begin_with(family):
    plan = Plan.of("my-way", family=family)
    made = contents(plan)
    assert cards.card(plan.like).family == family
    source = made[METHODS / "my_way" / "my_way.py"]
    assert '@method("my-way")' in source
    assert "class MyWay:" in source
    for path, text in made.items():
        if path.suffix == ".py":
            compile(text, str(path), "exec")
            assert f"limbeck.methods.{plan.like.replace('-', '_')}" not in text


def test_what_is_written_follows_the_style(checkout):
    scaffold(Plan.of("my-way", title="A way of one's own"), checkout)
    options = ("--config", str(ROOT / "pyproject.toml"))
    known = ("--config", 'lint.isort.known-first-party=["limbeck"]')
    for command in (("check", *options, *known), ("format", "--check", *options)):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, str(checkout)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_pages_of_a_new_method_are_up_to_date():
    text = contents(Plan.of("my-way"))[METHODS / "my_way" / "README.md"]
    assert "<!-- numbers -->\n\nNo runs recorded yet.\n\n<!-- /numbers -->" in text
    assert "<!-- claims -->\n\nNot tested yet.\n\n<!-- /claims -->" in text
    assert "<!-- published -->\n\nIts paper prints no figures.\n\n<!-- /published -->" in text
    assert "$" not in text


def test_a_new_method_reads_and_needs_what_the_one_it_begins_as_does():
    made = contents(Plan.of("my-way", like="mirage"))
    facts = tomllib.loads(made[METHODS / "my_way" / "card.toml"])
    assert (facts["reads"], facts["extra"], facts["published"]) == (["graphs"], "graph", [])
    assert "pip install 'limbeck[graph]'" in made[METHODS / "my_way" / "README.md"]


@pytest.mark.parametrize(
    ("slug", "options", "said"),
    [
        ("My way", {}, "is no name of a method"),
        ("kd", {}, "there is a method kd already"),
        ("my-way", {"family": "mdel"}, "did you mean model"),
        ("my-way", {"like": "kdd"}, "did you mean kd"),
        ("my-way", {"like": "kd", "family": "data"}, "kd is of the family model, not data"),
        ("my-way", {"name": "my way"}, "is no name of a class"),
    ],
)
def test_names_that_cannot_be_are_refused(slug, options, said):
    with pytest.raises(SettingsError, match=said):
        Plan.of(slug, **options)


def test_nothing_is_written_over_and_only_in_a_checkout(checkout):
    with pytest.raises(RunError, match="is no checkout of limbeck"):
        scaffold(Plan.of("my-way"), checkout / "src")
    (checkout / "examples").mkdir()
    (checkout / "examples" / "my_way.py").write_text("mine")
    with pytest.raises(RunError, match=r"examples.my_way\.py exist already"):
        scaffold(Plan.of("my-way"), checkout)
    assert not (checkout / METHODS / "my_way").exists()


def test_the_shortest_of_a_family_is_a_method_of_it():
    assert cards.card(shortest("model")).family == "model"
