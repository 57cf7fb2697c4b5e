"""Exhibits are plain data beside a run: what is written is read back, damage is told."""

import json
import math

import pytest

from limbeck.errors import CorruptFileError
from limbeck.run.exhibits import (
    EXHIBITS,
    Bars,
    Chart,
    Gallery,
    Line,
    Matrix,
    Sheet,
    read_exhibits,
    write_exhibits,
)


def test_what_is_written_is_read_back(tmp_path):
    line = Line("height", [0, 1, 2], [1.0, math.inf, 0.5], "bound")
    chart = Chart("Falls", "it falls", "step", "height", [line], logarithmic=True)
    sheet = Sheet("Steps", ["step", "height"], [["0", "1.0"]], "all of them")
    gallery = Gallery("All", "all of them", [""], ["a"], [["iVBOR"]])
    write_exhibits(tmp_path, [chart], [sheet], [gallery])
    (found,), (table,), (pictures,) = read_exhibits(tmp_path)
    assert pictures == gallery
    assert found.lines == [Line("height", [0, 1, 2], [1.0, None, 0.5], "bound")]
    assert (found.title, found.logarithmic) == ("Falls", True)
    assert table == sheet
    json.loads((tmp_path / EXHIBITS).read_text())


def test_every_kind_of_drawing_comes_back_as_it_was(tmp_path):
    drawings = [
        Chart("Lines", "they rise", "step", "height", [Line("height", [0], [1.0])]),
        Bars("Weights", "of members", "weight", ["a", "b"], [0.5, None]),
        Matrix("Likeness", "of members", ["a", "b"], [[1.0, None], [None, 1.0]], 0.0, 1.0),
    ]
    write_exhibits(tmp_path, drawings)
    assert read_exhibits(tmp_path)[0] == drawings


def test_a_run_without_exhibits_has_none(tmp_path):
    assert read_exhibits(tmp_path) == ([], [], [])
    (tmp_path / EXHIBITS).write_text('{"charts": [], "sheets": []}')
    assert read_exhibits(tmp_path) == ([], [], [])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"charts": [{"lines": []}], "sheets": []}',
        '{"charts": [], "sheets": [], "galleries": [1]}',
        '{"charts": [{"kind": "pie"}], "sheets": []}',
    ],
)
def test_damage_is_told(tmp_path, text):
    (tmp_path / EXHIBITS).write_text(text)
    with pytest.raises(CorruptFileError, match="does not read"):
        read_exhibits(tmp_path)
