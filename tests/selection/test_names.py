"""Selections by name give what the functions give."""

import numpy as np
import pytest

from limbeck import selection
from limbeck.errors import ArgumentError
from limbeck.selection import SELECTIONS, needs, selected

LABELS = np.repeat(np.arange(3), 8)
FEATURES = np.random.default_rng(0).standard_normal((24, 3))
COUNTS = np.arange(24) % 5


@pytest.mark.parametrize("name", SELECTIONS)
def test_a_name_stands_for_its_function(name):
    found = selected(name, LABELS, 2, features=FEATURES, counts=COUNTS, seed_key=4)
    first = {"features": FEATURES, "counts": COUNTS, "": None}[needs(name)]
    if first is None:
        expected = selection.random_selection(LABELS, 2, 4)
    else:
        expected = getattr(selection, name.replace("-", "_"))(first, LABELS, 2)
    assert (found == expected).all()


def test_the_nearest_name_is_suggested():
    with pytest.raises(ArgumentError, match="did you mean k-means"):
        selected("kmeans", LABELS, 2)


@pytest.mark.parametrize(("name", "what"), [("herding", "features"), ("forgetting", "counts")])
def test_what_is_missing_is_named(name, what):
    with pytest.raises(ArgumentError, match=f"reads {what} and got none"):
        selected(name, LABELS, 2)
