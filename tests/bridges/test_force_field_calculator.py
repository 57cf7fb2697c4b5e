"""A force field as ASE's calculator: units, stress, Verlet lists, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from tests.bridges.force_fields import Pairwise
from torch import nn

from limbeck.bridges.ase import ForceFieldCalculator
from limbeck.bridges.ase.verlet import VerletList
from limbeck.data.atoms import from_atoms
from limbeck.data.graphs import edges_and_pairs, graph
from limbeck.errors import ArgumentError, DataError, NotFiniteError
from limbeck.functional.units import EV


def argon(cells=2, shaken=0.1, seed=0):
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True) * cells
    atoms.positions += shaken * np.random.default_rng(seed).normal(size=atoms.positions.shape)
    return atoms


@pytest.mark.parametrize("over", ["edges", "pairs"])
def test_it_says_what_the_network_says(over):
    model = Pairwise(over=over)
    atoms = argon()
    atoms.calc = ForceFieldCalculator(model)
    frames = from_atoms([argon()])
    said = model(graph(frames, [0], cutoff=8.0, pair_cutoff=8.0, dtype=torch.float64))
    assert atoms.get_potential_energy() == pytest.approx(float(said["energy"].detach()) / EV)
    np.testing.assert_allclose(atoms.get_forces(), said["forces"].detach() / EV, atol=1e-12)


@pytest.mark.parametrize("cells", [1, 2])
def test_forces_and_stress_are_derivatives(cells):
    """Of a cell smaller than the cutoff, too."""
    atoms = argon(cells)
    atoms.calc = ForceFieldCalculator(Pairwise())
    forces, stress = atoms.get_forces(), atoms.get_stress()
    assert not np.allclose(stress, 0)
    first = calculate_numerical_forces(atoms, eps=1e-4, iatoms=[0, 1])
    np.testing.assert_allclose(forces[:2], first, atol=1e-7)
    numerical = calculate_numerical_stress(atoms, eps=1e-5)
    np.testing.assert_allclose(stress, numerical, atol=1e-8)


def test_a_supercell_is_so_many_boxes():
    one, eight = argon(1), argon(1) * 2
    for atoms in (one, eight):
        atoms.calc = ForceFieldCalculator(Pairwise())
    assert eight.get_potential_energy() == pytest.approx(8 * one.get_potential_energy())
    np.testing.assert_allclose(eight.get_forces(), np.tile(one.get_forces(), (8, 1)), atol=1e-12)
    np.testing.assert_allclose(eight.get_stress(), one.get_stress(), atol=1e-14)


def test_single_precision_is_near():
    double, single = argon(), argon()
    double.calc = ForceFieldCalculator(Pairwise())
    single.calc = ForceFieldCalculator(Pairwise().float())
    # Far from their cell, as paths that are whole bring them.
    single.positions += 50 * single.cell.array.sum(0)
    np.testing.assert_allclose(single.get_forces(), double.get_forces(), atol=1e-5)
    assert single.get_forces().dtype == np.float64


def test_lists_last_and_are_renewed_in_time():
    atoms, rng = argon(), np.random.default_rng(1)
    kept = ForceFieldCalculator(Pairwise(), skin=0.6)
    for step in range(30):
        atoms.positions += 0.05 * rng.normal(size=atoms.positions.shape)
        atoms.set_cell(atoms.cell * (1 - 0.002 * (step % 3)), scale_atoms=True)
        atoms.calc = kept
        forces = atoms.get_forces()
        atoms.calc = ForceFieldCalculator(Pairwise(), skin=0.0)
        np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-10)
    assert 2 < kept.lists.builds < 25


def test_lists_equal_fresh_ones_in_a_cell_that_shears():
    atoms, rng = argon(1), np.random.default_rng(2)
    lists = VerletList(4.5, 5.5, 0.8)
    positions, cell = atoms.positions, atoms.cell.array.copy()
    for _ in range(20):
        strain = np.eye(3) + 0.03 * rng.normal(size=(3, 3))
        cell, positions = cell @ strain, positions @ strain + 0.02 * rng.normal(size=(4, 3))
        inside, *found = lists.at(positions, cell, True)
        fresh = edges_and_pairs(inside.numpy(), cell, True, 4.5, 5.5)
        for ours, theirs in zip(found, fresh, strict=True):
            expected = (theirs.vectors(inside.numpy(), cell) ** 2).sum(1)
            np.testing.assert_allclose(np.sort(ours.squared), np.sort(expected))
            assert len(np.unique(ours.shifts, axis=0)) <= 125
    assert 1 < lists.builds < 20


def test_half_of_the_skin_decides():
    lists = VerletList(3.0, 3.0, 1.0)
    positions = np.array([[0, 0, 0.0], [3.4, 0, 0]])
    for moved, builds in ((0.0, 1), (0.49, 1), (0.51, 2)):
        lists.at(positions + np.array([[moved, 0, 0], [0, 0, 0]]), np.zeros((3, 3)), False)
        assert lists.builds == builds


def test_charges_and_dipoles_of_an_ion():
    ion = Atoms("HC", [(0, 0, 0), (0, 0, 2)], info={"charge": 1})
    ion.calc = ForceFieldCalculator(Pairwise())
    np.testing.assert_allclose(ion.get_charges(), [0.5, 0.5])
    # About the origin: half a charge 2 A away.
    np.testing.assert_allclose(ion.get_dipole_moment(), [0, 0, 1.0], atol=1e-4)
    ion.positions += [3, 0, 0]
    np.testing.assert_allclose(ion.get_dipole_moment(), [3, 0, 1.0], atol=1e-4)
    ion.calc = ForceFieldCalculator(Pairwise(), charge=-1)
    np.testing.assert_allclose(ion.get_charges(), [-0.5, -0.5])


def test_free_atoms_are_added():
    pair = Atoms("Ar2", [(0, 0, 0), (0, 0, 4)])
    pair.calc = ForceFieldCalculator(Pairwise())
    bound = pair.get_potential_energy()
    pair.calc = ForceFieldCalculator(Pairwise(), free_atoms={18: -100.0})
    assert pair.get_potential_energy() == pytest.approx(bound - 200)
    pair.calc = ForceFieldCalculator(Pairwise(), free_atoms={1: -1.0})
    with pytest.raises(DataError, match="no energy of Ar"):
        pair.get_potential_energy()


def test_a_lone_atom_and_one_frame_after_another():
    calculator = ForceFieldCalculator(Pairwise())
    for atoms in (Atoms("Ar"), argon(1), Atoms("Ar2", [(0, 0, 0), (0, 0, 4)]), Atoms("C")):
        atoms.calc = calculator
        assert np.isfinite(atoms.get_forces()).all()


def test_a_model_in_training_stays_so():
    model = Pairwise().train()
    atoms = argon(1)
    atoms.calc = ForceFieldCalculator(model)
    atoms.get_forces()
    assert model.training


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        (Atoms("FeAr", [(0, 0, 0), (3, 0, 0)]), "does not know Fe; it was made for H, C, Ar"),
        (Atoms("Ar2", [(0, 0, 0), (0.1, 0, 0)]), r"atoms 0 \(Ar\) and 1 \(Ar\) are 0.1 A apart"),
        (Atoms("Ar", cell=np.eye(3) * 5, pbc=(1, 1, 0)), "periodic in some directions only"),
        (Atoms("Ar", cell=np.zeros((3, 3)), pbc=True), "has no volume"),
        (Atoms("Ar", cell=np.eye(3) * 0.2, pbc=True), "they overlap"),
    ],
)
def test_atoms_that_it_refuses(atoms, words):
    atoms.calc = ForceFieldCalculator(Pairwise())
    with pytest.raises(DataError, match=words):
        atoms.get_potential_energy()


def test_models_that_it_refuses():
    with pytest.raises(ArgumentError, match="Linear without a number cutoff"):
        ForceFieldCalculator(nn.Linear(1, 1))
    with pytest.raises(ArgumentError, match="skin is -1"):
        ForceFieldCalculator(Pairwise(), skin=-1)
    atoms = argon(1)
    atoms.calc = ForceFieldCalculator(Pairwise(depth=float("nan")))
    with pytest.raises(NotFiniteError, match="energy that are not finite"):
        atoms.get_potential_energy()
