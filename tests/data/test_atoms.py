"""Frames from ASE's atoms and back: units, origins of dipoles, labels that some lack."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from tests.data.atoms import box, water

from limbeck.data.atoms import centres, free_energy, from_atoms, to_atoms
from limbeck.data.frames import join
from limbeck.errors import DataError, UnusualUseWarning

FREE = {1: -10.0, 8: -100.0}


def told(atoms, **labels):
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def with_labels(place=(0, 0, 0), charge=0):
    atoms = molecule("H2O")
    atoms.positions += place
    atoms.info["charge"] = charge
    forces = np.arange(9.0).reshape(3, 3)
    # About the origin, as calculators tell it.
    dipole = np.array([0.1, 0.2, 0.3]) + charge * np.array(place)
    return told(atoms, energy=-130.0, forces=forces, charges=[0.1, 0.2, -0.3], dipole=dipole)


def test_units_and_free_atoms():
    frames = from_atoms([with_labels()], free_atoms=FREE)
    assert frames.energy[0] == pytest.approx(-10.0 * 23.0605)
    np.testing.assert_allclose(frames.forces, np.arange(9.0).reshape(3, 3) * 23.0605)
    np.testing.assert_allclose(frames.dipole[0], np.array([0.1, 0.2, 0.3]) / 0.20819427)
    assert frames.charges.tolist() == [0.1, 0.2, -0.3]


def test_there_and_back():
    frames = join([water(2), box(4, species=(8, 1))]).replace(
        energy=[-90.0, -91.0, -80.0],
        forces=np.arange(30.0).reshape(10, 3),
        virial=np.arange(27.0).reshape(3, 3, 3),
        charge=[0.0, 1.0, 0.0],
        molecule=np.arange(10),
        charges=np.arange(10.0),
        dipole=np.ones((3, 3)),
    )
    back = from_atoms(to_atoms(frames, free_atoms=FREE), free_atoms=FREE, check=False)
    for name in ("species", "periodic", "counts", "molecule", "charge"):
        assert np.array_equal(getattr(back, name), getattr(frames, name)), name
    for name in ("positions", "cell", *frames.labels):
        np.testing.assert_allclose(getattr(back, name), getattr(frames, name), atol=1e-9)


def test_dipoles_of_ions_are_told_about_the_centre_of_mass():
    near, far = (from_atoms([with_labels((x, 0, 0), 1)], free_atoms=FREE) for x in (0, 50))
    np.testing.assert_allclose(near.dipole, far.dipole, atol=1e-9)
    np.testing.assert_allclose(to_atoms(far)[0].get_dipole_moment(), [50.1, 0.2, 0.3], atol=1e-9)


def test_stress_becomes_a_virial():
    atoms = Atoms("He", cell=np.eye(3) * 2, pbc=True)
    told(atoms, energy=0.0, forces=np.zeros((1, 3)), stress=[1, 2, 3, 4, 5, 6])
    virial = from_atoms([atoms]).virial[0] / 23.0605
    np.testing.assert_allclose(virial, -8 * np.array([[1, 6, 5], [6, 2, 4], [5, 4, 3]]))


def test_labels_and_charges_beside_results():
    atoms = molecule("H2O")
    atoms.info |= {"energy": -1.0, "total_charge": -1}
    atoms.set_array("forces", np.ones((3, 3)))
    atoms.set_array("molecule", np.array([2, 2, 2]))
    frames = from_atoms([atoms])
    assert (frames.charge.tolist(), frames.labels) == ([-1.0], ("energy", "forces"))
    assert frames.molecule.tolist() == [2, 2, 2]
    bare = molecule("H2O")
    bare.set_initial_charges([1, 0, 0])
    assert from_atoms([bare]).charge.tolist() == [1.0]


def test_a_frame_without_what_others_have():
    bare = molecule("H2O")
    with pytest.raises(DataError, match=r"frame 1 has no energy \(1 of 2 frames have none\)"):
        from_atoms([with_labels(), bare])
    less = told(molecule("H2O"), energy=-130.0, forces=np.zeros((3, 3)))
    with (
        pytest.warns(UnusualUseWarning, match="has no charges"),
        pytest.warns(UnusualUseWarning, match="has no dipole"),
    ):
        frames = from_atoms([with_labels(), less], free_atoms=FREE)
    assert frames.labels == ("energy", "forces")


def test_periodic_in_some_directions():
    with pytest.raises(DataError, match=r"set: frame 1 is periodic in some directions only"):
        from_atoms([molecule("H2O"), Atoms("H", cell=np.eye(3), pbc=(1, 1, 0))], what="set")


def test_totals_without_free_atoms_are_refused():
    with pytest.raises(DataError, match="beyond what any bond gives"):
        from_atoms([with_labels()])


def test_elements_without_a_free_atom():
    with pytest.raises(DataError, match="no energy of a free atom of O, only of H"):
        free_energy(water(), {1: -1.0})


def test_centres_of_mass():
    np.testing.assert_allclose(
        centres(from_atoms([molecule("H2O")]))[0], molecule("H2O").get_center_of_mass(), atol=1e-12
    )
