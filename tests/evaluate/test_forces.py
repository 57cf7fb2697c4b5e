"""Figures of force fields: errors with units, of single frames, of members."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.bridges.force_fields import Pairwise

from limbeck.data.frames import Frames
from limbeck.errors import ArgumentError, NotFiniteError
from limbeck.evaluate.forces import answers, force_quality, force_rmse_by_element, spread


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    positions = np.arange(14)[:, None] * [3.6, 0, 0] + rng.normal(size=(14, 3)) * 0.1
    return Frames([18] * 7 + [6] * 7, positions, [2, 5, 3, 4])


def test_answers_are_those_of_frames_one_by_one(frames):
    model = Pairwise()
    said = answers(model, frames, batch_size=3)
    assert said.labels == ("energy", "forces", "virial", "charges", "dipole")
    for place in range(4):
        alone = answers(model, frames.take([place]))
        assert alone.energy[0] == pytest.approx(said.energy[place])
        np.testing.assert_allclose(alone.forces, said.take([place]).forces, atol=1e-12)
    single = answers(Pairwise().float(), frames)
    np.testing.assert_allclose(single.forces, said.forces, atol=1e-4)


def test_errors_with_their_units(frames):
    told = answers(Pairwise(), frames)
    said = told.replace(
        energy=told.energy + 2.0 * told.counts,
        forces=told.forces + 0.5,
        charges=told.charges + 0.1,
        dipole=told.dipole - 3.0,
    )
    found = force_quality(said, told)
    assert found["force_rmse_kcal_mol_a"] == pytest.approx(0.5)
    assert found["force_mae_kcal_mol_a"] == pytest.approx(0.5)
    assert found["force_zero_rmse_kcal_mol_a"] == pytest.approx(np.sqrt((told.forces**2).mean()))
    assert found["energy_rmse_kcal_mol_atom"] == pytest.approx(0, abs=1e-9)
    assert found["energy_rmse_absolute_kcal_mol_atom"] == pytest.approx(2.0)
    assert found["charge_rmse_e"] == pytest.approx(0.1)
    assert found["dipole_rmse_debye"] == pytest.approx(3.0)


def test_frames_and_elements_are_told_apart(frames):
    told = frames.replace(forces=np.zeros((14, 3)))
    forces = np.zeros((14, 3))
    forces[2:7] = 3.0
    said = frames.replace(forces=forces)
    found = force_quality(said, told)
    assert found["force_rmse_frame_worst_kcal_mol_a"] == pytest.approx(3.0)
    assert found["force_rmse_frame_median_kcal_mol_a"] == 0
    assert "energy_rmse_kcal_mol_atom" not in found
    assert force_rmse_by_element(said, told) == {
        "C": 0.0,
        "Ar": pytest.approx(3 * np.sqrt(5 / 7)),
    }


def test_members_that_agree_have_no_spread(frames):
    one = answers(Pairwise(), frames)
    assert set(spread([one, one]).values()) == {0.0}
    other = one.replace(forces=one.forces + 2.0)
    found = spread([one, other])
    assert found["force_spread_kcal_mol_a"] == pytest.approx(np.sqrt(2))
    with pytest.raises(ArgumentError, match="there are 1 members"):
        spread([one])


def test_what_cannot_be_compared(frames):
    told = answers(Pairwise(), frames)
    with pytest.raises(ArgumentError, match="expected the same frames"):
        force_quality(told.take([0]), told)
    with pytest.raises(ArgumentError, match="must both have forces"):
        force_quality(frames, told)
    with pytest.raises(NotFiniteError, match="energy that are not finite"):
        answers(Pairwise(depth=float("nan")), frames)


def test_training_mode_comes_back(frames):
    model = Pairwise().train()
    with torch.enable_grad():
        answers(model, frames)
    assert model.training
