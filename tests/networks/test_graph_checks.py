"""What a graph of atoms must be, and the elements that one is made of."""

import pytest
import torch

from limbeck.data.elements import SYMBOLS, species_of, symbol
from limbeck.errors import ArgumentError
from limbeck.networks.graph_checks import check_apart, unknown_element


def test_symbols_are_in_the_order_of_their_numbers():
    assert len(SYMBOLS) == 118
    assert [SYMBOLS.index(name) + 1 for name in ("H", "Li", "P", "Br", "Rn", "Og")] == [
        1, 3, 15, 35, 86, 118,
    ]  # fmt: skip
    assert symbol(0) == "element 0"


@pytest.mark.parametrize("species", ["", "hc", "HQ", [], [0], [119]])
def test_species_that_are_none(species):
    with pytest.raises(ArgumentError, match="expected symbols such as"):
        species_of(species)


def test_nothing_is_too_close_without_edges():
    check_apart(torch.zeros(0), torch.zeros(2, 0, dtype=torch.long))
    assert "Br, U" in str(unknown_element(torch.tensor([92, 35]), (1,)))
