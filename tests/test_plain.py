"""Plain values: what TOML holds, what is laid over it, and what a person types."""

import tomllib

import pytest
import tomli_w
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st

from limbeck.errors import SettingsError
from limbeck.loops import Optim
from limbeck.plain import merge, parse_assignments, parse_value, to_plain

properties = options(deadline=None, max_examples=100, derandomize=True)
words = st.text("abcxyz_-", min_size=1, max_size=6)
leaves = st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | words
tables = st.recursive(
    leaves, lambda inner: st.dictionaries(words, inner, max_size=4) | st.lists(inner, max_size=3)
)


def test_settings_survive_being_written():
    for made in (Optim(), Optim("sgd", lr=0.3, milestones=(0.5, 0.7), clip=1.0)):
        text = tomli_w.dumps(to_plain(made))
        assert Optim(**tomllib.loads(text)) == made


def test_what_toml_has_no_word_for_is_left_out():
    assert to_plain({"a": None, "b": (1, {"c": None, "d": 2}), 3: "x"}) == {
        "b": [1, {"d": 2}],
        "3": "x",
    }


@properties
@given(st.dictionaries(words, tables, max_size=4))
def test_plain_values_stay_as_they_are(table):
    assert to_plain(table) == table
    assert merge(table, {}) == merge({}, table) == merge(table, table) == table


@properties
@given(*[st.dictionaries(words, tables, max_size=4)] * 2)
def test_changes_win_and_the_base_is_left_alone(base, changes):
    before = repr(base)
    merged = merge(base, changes)
    assert repr(base) == before
    assert set(merged) == {*base, *changes}
    for name, value in merged.items():
        if name not in changes:
            assert value == base[name]
        elif isinstance(value, dict) and isinstance(base.get(name), dict):
            assert value == merge(base[name], changes[name])
        else:
            assert value == changes[name]


@properties
@given(leaves)
def test_values_are_read_as_they_are_shown(value):
    assert parse_value(repr(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("TRUE", True), ("none", None), ("sgd", "sgd"), ("64x64", "64x64"), ("1e-3", 0.001),
        ("", ""), ("-2", -2), ("(1, 2)", (1, 2)), ("a=b", "a=b"), ("[1, sgd]", "[1, sgd]"),
        ("'1'", "1"), ("{[]: 1}", "{[]: 1}"), ("f()", "f()"), ("\0", "\0"),
    ],
)  # fmt: skip
def test_anything_else_is_text(text, value):
    read = parse_value(text)
    assert read == value
    assert type(read) is type(value)


def test_assignments_build_nested_tables():
    words = ["optim.lr = 0.1", "steps=3", "optim.clip=none", "views.crop=2", "steps=4"]
    assert parse_assignments(words) == {
        "optim": {"lr": 0.1, "clip": None},
        "steps": 4,
        "views": {"crop": 2},
    }
    assert parse_assignments(["name=a=b"]) == {"name": "a=b"}


@pytest.mark.parametrize("word", ["steps", "=3", " =3", ".lr=1", "optim.=1", "optim..lr=1", "."])
def test_words_without_a_name_or_value_are_refused(word):
    with pytest.raises(SettingsError, match="expected NAME=VALUE, such as temperature=2"):
        parse_assignments([word])


def test_a_value_cannot_be_a_table_too():
    with pytest.raises(SettingsError, match="optim already has a value of its own"):
        parse_assignments(["optim=sgd", "optim.lr=1"])
