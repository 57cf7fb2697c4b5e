"""Losses of force fields against labels."""

import pytest
import torch

from limbeck.errors import ArgumentError, NotFiniteError
from limbeck.functional import force_field_errors, force_field_loss, force_field_terms


def sides(atoms=5, frames=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"energy": (frames,), "forces": (atoms, 3), "virial": (frames, 3, 3)}
    shapes |= {"charges": (atoms,), "dipole": (frames, 3)}
    student, target = (
        {name: torch.randn(shape, generator=generator).double() for name, shape in shapes.items()}
        for _ in range(2)
    )
    student["charge_response"] = torch.randn(atoms, 3, generator=generator).double()
    return student, target


def test_terms_are_weighted_means_of_squares():
    student, target = sides()
    terms = force_field_terms(student, target, weights={"forces": 2.0}, response_weight=3.0)
    assert set(terms) == {"forces", "charge_response"}
    error = (student["forces"] - target["forces"]).square().mean()
    torch.testing.assert_close(terms["forces"], 2 * error)
    response = student["charge_response"].square().mean()
    torch.testing.assert_close(terms["charge_response"], 3 * response)
    whole = force_field_terms(student, target)
    torch.testing.assert_close(force_field_loss(student, target), sum(whole.values()))


def test_an_offset_of_the_energy_costs_nothing():
    student, target = sides()
    shifted = {**student, "energy": student["energy"] + 500}
    torch.testing.assert_close(force_field_loss(shifted, target), force_field_loss(student, target))
    single, labels = sides(frames=1)
    assert force_field_errors(single, labels)["energy"].item() == 0


def test_labels_that_are_missing_do_not_count():
    student, target = sides()
    del target["virial"]
    assert "virial" not in force_field_terms(student, target)
    assert set(force_field_errors(student, target)) == set(target)


def test_gradients_reach_the_student():
    student, target = sides()
    leaves = {name: value.requires_grad_() for name, value in student.items()}
    force_field_loss(leaves, target).backward()
    assert all(bool(value.grad.abs().sum() > 0) for value in leaves.values())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weights": {"force": 1.0}}, "did you mean forces"),
        ({"weights": {"forces": -1.0}}, "expected at least 0"),
        ({"weights": {"forces": 0.0}}, "nothing above 0"),
        ({"response_weight": -1.0}, "response_weight is -1.0"),
        ({"target": {}}, "target has nothing"),
        ({"target": {"forces": torch.zeros(4, 3)}}, "expected equal shapes"),
        ({"target": {"forces": torch.zeros(5, 3, requires_grad=True)}}, "requires grad"),
        ({"student": {"energy": torch.zeros(2)}}, "student has no 'forces'"),
    ],
)
def test_refusals(change, said):
    student, target = sides()
    given = {"student": student, "target": target, **change}
    with pytest.raises(ArgumentError, match=said):
        force_field_loss(given.pop("student"), given.pop("target"), **given)


def test_a_network_in_inference_has_no_response():
    student, target = sides()
    del student["charge_response"]
    with pytest.raises(ArgumentError, match="network.train"):
        force_field_loss(student, target)
    assert set(force_field_terms(student, target, response_weight=0)) == set(target)


def test_nan_is_told():
    student, target = sides()
    target["forces"][0, 0] = torch.nan
    with pytest.raises(NotFiniteError, match="target\\['forces'\\]"):
        force_field_loss(student, target)
