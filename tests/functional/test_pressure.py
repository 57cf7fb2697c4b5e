"""Pressure between molecules, and the loss that moves it."""

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import alignment_pressure_loss, virial_pressure

VOLUME = torch.tensor([1000.0, 2000.0], dtype=torch.float64)


def test_an_ideal_gas_has_its_pressure_as_a_virial():
    """3 N k T of virial is the pressure of N molecules at T: 1 atm at 273.15 K in 22.4 l/mol."""
    virial = torch.tensor([3 * 0.0019872041 * 273.15], dtype=torch.float64)
    volume = torch.tensor([22413.97 / 0.602214], dtype=torch.float64)
    assert virial_pressure(virial, volume).item() == pytest.approx(1.0, rel=1e-4)


def test_the_loss_is_zero_at_the_wanted_change_and_its_slope_leads_there():
    before = torch.tensor([10.0, -4.0], dtype=torch.float64)
    wanted = torch.tensor([-200.0, 50.0], dtype=torch.float64)
    after = before + wanted / virial_pressure(torch.ones(2, dtype=torch.float64), VOLUME)
    assert alignment_pressure_loss(after, before, wanted, volume=VOLUME).item() < 1e-18
    virial = before.clone().requires_grad_()
    each = alignment_pressure_loss(virial, before, wanted, volume=VOLUME, reduction="none")
    assert each.tolist() == pytest.approx([200.0**2, 50.0**2])
    (slope,) = torch.autograd.grad(each.sum(), virial)
    assert (slope > 0).tolist() == [True, False]


def test_refusals():
    ones = torch.ones(2, dtype=torch.float64)
    with pytest.raises(ArgumentError, match="requires grad"):
        alignment_pressure_loss(ones, ones.clone().requires_grad_(), ones, volume=VOLUME)
    with pytest.raises(ArgumentError, match="target has shape"):
        alignment_pressure_loss(ones, ones, ones[:1], volume=VOLUME)
    with pytest.raises(ArgumentError, match="volume has shape"):
        alignment_pressure_loss(ones, ones, ones, volume=VOLUME[:1])
