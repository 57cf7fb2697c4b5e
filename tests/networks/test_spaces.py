"""Choices in braces, functions and lists of names; codes, draws and changes."""

import pytest
from torch import nn

from limbeck import keyed
from limbeck.data import InputSpace
from limbeck.errors import ArgumentError, ModelError, UnknownNameError
from limbeck.fingerprint import fingerprint
from limbeck.networks.spaces import Space, space_of

SMALL = InputSpace(size=(8, 8), channels=1)


def test_codes_and_choices_are_one_another():
    space = space_of("resnet-s1")
    codes = list(space.codes())
    assert len(codes) == len(set(codes)) == space.size == 64
    assert all(space.encode(space.decode(code)) == code for code in codes)
    assert space.spec((0, 1, 3)) == "resnet?blocks=1x3x7"


def test_a_list_of_names_and_whole_names_in_braces():
    names = ["mlp?hidden=8", "cnn"]
    assert [space_of(names).spec(code) for code in space_of(names).codes()] == names
    space = space_of("{mlp?hidden=8,cnn}")
    assert [space.spec(code) for code in space.codes()] == names
    assert list(space.choices) == ["network"]


def test_a_function_may_make_names_or_modules():
    named = Space({"width": (4, 8)}, lambda width: f"mlp?hidden={width}")
    assert named.spec((1,)) == "mlp?hidden=8"
    assert named.build((1,), SMALL, 10).limbeck_spec == "mlp?hidden=8"
    made = Space({"width": (4, 8)}, lambda width: nn.Linear(64, width))
    assert made.spec((1,)) is None
    assert made.build((1,), SMALL, 10).out_features == 8


@pytest.mark.parametrize("count", [1, 2, 9])
def test_changes_differ_in_as_many_choices(count):
    space = space_of("nas-bench-201")
    code = space.sample(keyed.key(0))
    seen = {space.mutate(code, keyed.key(number), count) for number in range(200)}
    assert {sum(a != b for a, b in zip(one, code, strict=True)) for one in seen} == {min(count, 6)}
    assert len(seen) > 20


def test_draws_reach_every_candidate_and_replay():
    space = space_of("mlp?hidden={1,2,3}&bias={1,2}")
    drawn = [space.sample(keyed.key(number)) for number in range(100)]
    assert set(drawn) == set(space.codes())
    assert drawn[7] == space.sample(keyed.key(7))


def test_content_decides_the_fingerprint():
    one, other = space_of("mlp?hidden={4,8}"), space_of("mlp?hidden={4,9}")
    assert fingerprint(one) == fingerprint(space_of("mlp?hidden={4,8}")) != fingerprint(other)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ("resnet-s2", UnknownNameError, "did you mean resnet-s1"),
        ("mlp?hidden=64", UnknownNameError, "put choices in braces"),
        ("mlp?hidden={8,8}", ArgumentError, "each once"),
        (3, ArgumentError, "space is a int"),
        ([], ArgumentError, "at least one"),
    ],
)
def test_what_is_no_space_is_refused(given, error, said):
    with pytest.raises(error, match=said):
        space_of(given)


def test_choices_that_cannot_be_stored_are_refused():
    with pytest.raises(ArgumentError, match="words and numbers"):
        Space({"act": (nn.ReLU, nn.GELU)}, lambda act: act())
    with pytest.raises(ArgumentError, match="no choices"):
        Space({}, lambda: "mlp")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda width: nn.Linear(width, -1), "width=4 gives no network: RuntimeError"),
        (lambda width: f"mlp?hiden={width}", "width=4 gives no network: mlp has no option"),
        (lambda width: width, "width=4 gives a int, expected a torch module"),
    ],
)
def test_an_invalid_network_is_told_by_its_choices(make, said):
    with pytest.raises(ModelError, match=said):
        Space({"width": (4, 8)}, make).build((0,), SMALL, 10)


def test_an_unknown_choice_is_told():
    space = space_of("mlp?hidden={4,8}")
    with pytest.raises(ArgumentError, match="expected one of '4', '8'"):
        space.encode({"hidden": "5"})
    with pytest.raises(ArgumentError, match="expected hidden"):
        space.encode({"width": "4"})


def test_values_that_are_equal_are_no_choice():
    with pytest.raises(ArgumentError, match="each once"):
        Space({"bias": (1, True)}, lambda bias: "mlp")
