"""Figures and charts of simulations, on argon by Lennard-Jones."""

import numpy as np
import pytest

from limbeck.bridges.ase import simulate
from limbeck.evaluate.trajectories import trajectory_charts, trajectory_figures


def argon(**options):
    from ase.build import bulk
    from ase.calculators.lj import LennardJones

    atoms = bulk("Ar", cubic=True) * 2
    calculator = LennardJones(epsilon=0.0104, sigma=3.4, rc=5.0, smooth=True)
    return simulate(atoms, calculator, timestep=2.0, steps=60, every=2, **options)


@pytest.fixture(scope="module")
def path():
    return argon(temperature=60.0)


def test_figures_of_a_crystal(path):
    found = trajectory_figures(path, "nvt")
    assert found["picoseconds"] == pytest.approx(0.12)
    assert found["stopped"] is None
    assert found["density_g_cm3"] == pytest.approx(1.82, abs=0.05)
    assert found["density_g_cm3_std"] == pytest.approx(0.0, abs=1e-9)
    assert 0 < found["diffusion_cm2_s"] < 1e-3
    assert "drift_kcal_mol_atom_ns" not in found


def test_without_a_bath_the_energy_hardly_drifts():
    found = trajectory_figures(argon(ensemble="nve", temperature=30.0), "nve")
    assert abs(found["drift_kcal_mol_atom_ns"]) < 10


def test_charts_show_what_a_liquid_has(path):
    charts = trajectory_charts(path, "Argon")
    assert {one.title for one in charts} == {"Argon"}
    labels = [one.y_label for one in charts]
    assert labels[0] == "temperature, K"
    assert "density, g/cm³" in labels
    distances = next(one for one in charts if one.y_label == "g(r)")
    (line,) = distances.lines
    assert line.name == "Ar-Ar"
    # The nearest neighbours of the crystal, 3.72 A apart.
    assert line.x[int(np.argmax(line.y))] == pytest.approx(3.72, abs=0.3)
    moved = charts[-1].lines[0]
    assert moved.y[0] == pytest.approx(0.0, abs=1e-9)


def test_a_cluster_has_no_density():
    from ase.calculators.lj import LennardJones
    from ase.cluster import Octahedron

    atoms = Octahedron("Ar", 3)
    found = simulate(atoms, LennardJones(epsilon=0.0104, sigma=3.4), temperature=10.0, steps=20)
    assert "density_g_cm3" not in trajectory_figures(found, "nvt")
    assert len(trajectory_charts(found, "Cluster")) == 2
