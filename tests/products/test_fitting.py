"""Whether data is what a product was made for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import limbeck
from limbeck.data import Judged, RetrievalData, digits, from_arrays
from limbeck.errors import ArgumentError, ModelError
from limbeck.plan import _with_test_of
from limbeck.products.fitting import check_same

ASKED = Judged({f"q{n}": f"question {n}" for n in range(9)}, {f"q{n}": {"a": 1} for n in range(9)})
CORPUS = RetrievalData({"a": "a bird", "b": "a fish"}, Judged(), Judged(), ASKED)


def test_a_corpus_is_no_data_of_a_classifier():
    with pytest.raises(ModelError, match=r"classification with 10 outputs and data is retrieval;"):
        check_same(CORPUS, "classification", 10, digits().classes, "the student", "does")


def test_methods_for_other_tasks_say_so(tmp_path):
    with pytest.raises(ArgumentError, match="kd is for classification .*, and data is retrieval"):
        limbeck.KD().distill(tmp_path, teacher="mlp", student="mlp", data=CORPUS)


def test_parts_of_the_test_split_are_spread_evenly():
    assert list(_with_test_of(CORPUS, 3).test.queries) == ["q0", "q4", "q8"]
    assert len(_with_test_of(digits(), 5).test) == 5


def test_numbers_have_names_where_a_table_gave_them():
    numbers = from_arrays(np.zeros((20, 2)), np.linspace(0, 1, 20))
    price = dataclasses.replace(numbers, classes=("price",))
    for data, names in ((numbers, ("price",)), (price, ()), (price, ("price",))):
        check_same(data, "regression", 1, names, "the student", "does")
    with pytest.raises(ModelError, match="number 0 is 'price/10' for the student and 'price' in"):
        check_same(price, "regression", 1, ("price/10",), "the student", "does")
