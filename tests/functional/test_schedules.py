"""Numbers that change over a run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ArgumentError
from limbeck.functional.schedules import evaluation_rate, piecewise_constant, quadratic_warmup

PIECES = [(0, 99, 0.01), (100, 100, 0.005), (101, 179, 0.001)]


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 0.01), (50, 0.01), (99, 0.01), (100, 0.005), (101, 0.001), (179, 0.001)],
)
def test_both_ends_of_a_piece_belong_to_it(at, value):
    assert piecewise_constant(at, PIECES) == value


def test_pieces_may_begin_anywhere():
    assert piecewise_constant(-2, [(-3, -1, 1.0), (0, 4, 2.0)]) == 1.0
    assert piecewise_constant(5, [(5, 5, 3.0)]) == 3.0


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(1, 5), st.floats(-10, 10)), min_size=1, max_size=5),
    st.integers(-10, 10),
)
def test_values_are_those_of_a_written_out_list(lengths, start):
    written, pieces, first = [], [], start
    for length, value in lengths:
        pieces.append((first, first + length - 1, value))
        written += [value] * length
        first += length
    assert [piecewise_constant(at, pieces) for at in range(start, first)] == written


@pytest.mark.parametrize(
    ("at", "pieces", "message"),
    [
        (180, PIECES, "180 is in no piece: they reach from 0 to 179"),
        (-1, PIECES, "-1 is in no piece"),
        (0, [], r"pieces is empty, expected at least one \(first, last, value\)"),
        (0, [(0, 9, 1.0), (11, 20, 2.0)], "one from 11 to 20, expected one that begins at 10"),
        (0, [(0, 9, 1.0), (9, 20, 2.0)], "one from 9 to 20, expected one that begins at 10"),
        (0, [(5, 4, 1.0)], "one from 5 to 4, expected one that begins at 5 and does not end"),
        (0, [(10, 19, 1.0), (0, 9, 2.0)], "one from 0 to 9, expected one that begins at 20"),
    ],
)
def test_gaps_overlaps_and_places_outside_are_named(at, pieces, message):
    with pytest.raises(ArgumentError, match=message):
        piecewise_constant(at, pieces)


def test_evaluation_drops_its_rate_once_after_half_of_the_epochs():
    rates = [evaluation_rate(epoch, 1000, 0.01) for epoch in range(1001)]
    assert rates[:502] == [0.01] * 502
    assert rates[502:] == pytest.approx([0.001] * 499)
    assert [evaluation_rate(epoch, 1, 0.01) for epoch in (0, 1)] == [0.01, 0.01]


@pytest.mark.parametrize(("epoch", "epochs"), [(-1, 3), (4, 3), (0, 0)])
def test_epochs_outside_an_evaluation_are_refused(epoch, epochs):
    with pytest.raises(ArgumentError, match=f"epoch is {epoch} of {epochs}"):
        evaluation_rate(epoch, epochs, 0.1)


def test_warm_up_is_full_at_its_last_step_and_stays():
    weights = [quadratic_warmup(step, 2.0, 5) for step in range(8)]
    assert weights == sorted(weights)
    assert weights[4:] == [2.0] * 4
    assert quadratic_warmup(0, 2.0, 0) == 2.0
    with pytest.raises(ArgumentError, match="warmup_steps -1"):
        quadratic_warmup(0, 2.0, -1)
