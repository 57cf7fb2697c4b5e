"""Force fields by name."""

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.networks.names import build

from .atom_graphs import graph_of


def test_by_name():
    model = build("get?species=OLiH&width=16&heads=4&layers=4&radial=8&cutoff=4", None, 1)
    assert model.species == (1, 3, 8)
    assert (model.cutoff, model.pair_cutoff, len(model.layers)) == (4.0, 10.0, 4)
    assert model.limbeck_spec.startswith("get?species=OLiH")
    other = build(model.limbeck_spec, None, 1)
    other.load_state_dict(model.state_dict())
    graph = graph_of([8, 1, 1], [[0.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]], dtype=torch.float32)
    assert torch.equal(other(graph)["forces"], model(graph)["forces"])
    assert "OLiH" not in repr(model)
    assert "HLiO, cutoff=4.0" in repr(model)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("get", "species=HCO"),
        ("get?species=HXx", "no element is Xx"),
        ("get?species=HCO&width=15", "width is 15"),
        ("get?species=HCO&heads=5", "divisor of width"),
        ("get?species=HCO&layers=1", "at least 2"),
        ("get?species=HCO&cutoff=0", "cutoff is 0"),
        ("get?species=HCO&radial=0", "count is 0"),
        ("get?species=HCO&depth=3", "no option 'depth'"),
    ],
)
def test_names_that_are_refused(name, said):
    with pytest.raises(ArgumentError, match=said):
        build(name, None, 1)
