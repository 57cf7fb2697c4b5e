"""Targets of ensembles of force fields, and the loss against them."""

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import bulk_distillation_loss, bulk_distillation_terms, ensemble_target

COUNTS = torch.tensor([2, 3])


def said(value):
    shapes = {"energy": (2,), "forces": (5, 3), "virial": (2, 3, 3)}
    return {name: torch.full(shape, value) for name, shape in shapes.items()}


def test_mean_and_deviation():
    members = torch.randn(4, 6, 3, dtype=torch.float64)
    mean, deviation = ensemble_target(members)
    torch.testing.assert_close(mean, members.mean(0))
    torch.testing.assert_close(deviation, ((members - mean).square().sum(0) / 3).sqrt())
    alone = ensemble_target(members[:1])
    assert torch.equal(alone.mean, members[0])
    assert float(alone.deviation.abs().sum()) == 0
    with pytest.raises(ArgumentError, match="one row a member"):
        ensemble_target(members[:0])


def test_energies_and_virials_count_by_atom_of_their_frame():
    terms = bulk_distillation_terms(said(2.0), said(0.0), COUNTS)
    by_atom = 4 * (1 / 2 + 1 / 3) / 2
    expected = {"energy": 0.01 * by_atom, "forces": 12.0, "virial": 0.01 * by_atom}
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected)
    loss = bulk_distillation_loss(said(2.0), said(0.0), COUNTS)
    assert loss.item() == pytest.approx(sum(expected.values()))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"counts": torch.tensor([5])}, "number of atoms of each frame"),
        ({"weights": {"charges": 1.0}}, "no use for 'charges'"),
        ({"teacher": {"forces": torch.zeros(5, 3)}}, "teacher has no 'energy'"),
        (
            {"teacher": {name: one.requires_grad_() for name, one in said(0.0).items()}},
            "requires grad",
        ),
    ],
)
def test_refusals(change, text):
    given = {"student": said(1.0), "teacher": said(0.0), "counts": COUNTS, **change}
    order = [given.pop(name) for name in ("student", "teacher", "counts")]
    with pytest.raises(ArgumentError, match=text):
        bulk_distillation_loss(*order, **given)
