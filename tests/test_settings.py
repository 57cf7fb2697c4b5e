"""Settings are checked when made, frozen, and print the same text everywhere."""

import dataclasses
from typing import Annotated, Literal

import pytest
from pydantic import Field

from limbeck.errors import SettingsError
from limbeck.plain import unworded
from limbeck.settings import settings


@settings
class Inner:
    rate: Annotated[float, Field(gt=0)] = 0.1
    kind: Literal["sgd", "adam"] = "sgd"


@settings
class Outer:
    temperature: float = 1.0
    steps: Annotated[int, Field(ge=1)] = 10
    inner: Inner = Inner()
    spare: Inner | None = None
    widths: tuple[int, ...] = ()


def test_values_are_brought_into_their_types():
    made = Outer(temperature=2, widths=[3, 4], inner={"rate": 1})
    assert made == Outer(2.0, widths=(3, 4), inner=Inner(rate=1.0))
    assert isinstance(made.temperature, float)
    assert isinstance(made.inner, Inner)


def test_settings_are_frozen_and_can_be_changed_by_copy():
    made = Outer()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.steps = 3
    assert dataclasses.replace(made, steps=3).steps == 3
    with pytest.raises(SettingsError, match=r"Outer\.steps is 0"):
        dataclasses.replace(made, steps=0)


def test_equal_settings_print_equal_text():
    expected = (
        "Outer(temperature=2.0, steps=10, inner=Inner(rate=0.1, kind='sgd'), spare=None, "
        "widths=(1,))"
    )
    assert repr(Outer(temperature=2, widths=[1])) == repr(Outer(2.0, widths=(1,))) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"temprature": 2}, "Outer has no setting 'temprature'; did you mean temperature"),
        ({"inner": {"rte": 2}}, r"Outer has no setting 'inner\.rte'; did you mean rate\? .* kind"),
        ({"spare": {"kinds": 2}}, r"no setting 'spare\.kinds'; did you mean kind\?"),
        ({"steps": 0}, r"Outer\.steps is 0: input should be greater than or equal to 1"),
        ({"steps": 2.5}, r"Outer\.steps is 2\.5: input should be a valid integer"),
        ({"inner": {"rate": -1}}, r"Outer\.inner\.rate is -1: input should be greater than 0"),
        ({"inner": {"kind": "sdg"}}, r"Outer\.inner\.kind is 'sdg': input should be 'sgd' or"),
        ({"temperature": "hot"}, r"Outer\.temperature is 'hot': input should be a valid number"),
        ({"temperature": None}, r"Outer\.temperature is None"),
    ],
)
def test_bad_settings_are_refused_by_name(given, words):
    with pytest.raises(SettingsError, match=words):
        Outer(**given)


def test_all_problems_are_told_at_once():
    with pytest.raises(SettingsError) as found:
        Outer(steps=0, temprature=1)
    assert len(str(found.value).splitlines()) == 2


def test_the_error_stands_alone():
    """The parser's own error would repeat the same in its words."""
    with pytest.raises(SettingsError) as found:
        Outer(steps=0)
    assert found.value.__cause__ is None
    assert found.value.__suppress_context__


def test_a_table_changes_a_nested_default_and_may_stand_alone():
    @settings
    class Inner:
        steps: int = 1
        size: int = 2

    @settings
    class Alone:
        name: str = "a"
        size: int = 2

        @staticmethod
        def whole(given):
            return "name" in given

    @settings
    class Outer:
        inner: Inner = Inner(steps=5)
        alone: Alone = Alone(size=7)
        none: Inner | None = None

    assert Outer(inner={"size": 9}).inner == Inner(steps=5, size=9)
    assert Outer(alone={"size": 1}).alone == Alone(size=1)
    assert Outer(alone={"name": "b"}).alone == Alone(name="b", size=2)
    assert Outer(none={"size": 3}).none == Inner(size=3)
    with pytest.raises(SettingsError, match="stepz"):
        Outer(inner={"stepz": 1})


def test_values_that_do_not_go_together_are_refused_in_the_words_of_the_class():
    @settings
    class Range:
        low: float = 0.0
        high: float = 1.0

        def __post_init__(self):
            if self.low >= self.high:
                raise SettingsError(f"Range.low is {self.low}, expected below {self.high}")

    with pytest.raises(SettingsError, match=r"^Range\.low is 3\.0, expected below 1\.0$"):
        Range(low=3)

    @settings
    class Outer:
        inside: Range = Range()

    # Which group it was, and not all that is in it.
    with pytest.raises(SettingsError, match=r"^Outer\.inside: Range\.low is 3\.0, expected bel"):
        Outer(inside={"low": 3})


def test_none_is_a_word_where_it_can_be_chosen():
    """From a command line or a file the word comes as no value at all."""

    @settings
    class Choice:
        scale: Literal["min-max", "none"] = "min-max"
        band: Literal["low", "none"] | None = "low"
        rate: float | None = 1.0

    chosen = Choice(**unworded({"scale": "none", "band": "none", "rate": "none"}))
    assert (chosen.scale, chosen.band, chosen.rate) == ("none", None, None)
