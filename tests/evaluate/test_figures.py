"""One table knows every figure: how it is called and written, and whether less of it is better."""

import pytest

from limbeck.errors import ArgumentError
from limbeck.evaluate.figures import FIGURES, MAIN, columns, figure, main_figure


def test_those_that_decide_are_known_and_have_words_where_they_are_no_shares():
    for name in MAIN:
        assert figure(name).share or figure(name).said, name
    assert not any(figure(name).higher for name in ("rmse", "frechet", "sliced_wasserstein"))


def test_the_first_that_all_rows_hold_decides():
    rows = [{"quality": {"sliced_wasserstein": 0.1, "mmd": 0.2}}, {"quality": {"mmd": 0.2}}]
    assert main_figure(rows[:1]) == "sliced_wasserstein"
    with pytest.raises(ArgumentError, match="rank them by"):
        main_figure(rows)


def test_columns_come_in_one_order_without_what_is_not_shown():
    groups = [{"kid": 1, "density": 1, "frechet": 1}, {"recall": 1, "brier": 1}]
    assert columns(groups) == ["frechet", "kid", "recall", "density"]
    assert columns(groups, without="frechet") == ["kid", "recall", "density"]


@pytest.mark.parametrize(
    ("name", "value", "sign", "text"),
    [
        ("accuracy", 0.5, "", "50.0"),
        ("rmse", 0.5, "+", "+0.500"),
        ("kid", 0.00123, "", "0.0012"),
        ("modes", 7.5, "", "7.5"),
        ("unknown", 2.0, "", "2.000"),
    ],
)
def test_values_are_written_as_their_figure_asks(name, value, sign, text):
    assert figure(name).write(value, sign) == text
    assert name == "unknown" or name in FIGURES
