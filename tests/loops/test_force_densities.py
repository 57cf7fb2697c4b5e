"""Densities and pressures by dynamics of boxes."""

import dataclasses
import math

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from tests.bridges.force_fields import Pairwise
from torch import nn

from limbeck.bridges import ase
from limbeck.bridges.ase.conditions import ATMOSPHERE
from limbeck.data.atoms import from_atoms
from limbeck.data.boxes import at_density
from limbeck.data.frames import join
from limbeck.data.names import resolve
from limbeck.data.xyz_files import read_atoms
from limbeck.errors import SettingsError
from limbeck.evaluate.liquids import densities
from limbeck.loops.force_densities import Densities, Held, densities_of, simulated_boxes, together
from limbeck.run import Run
from limbeck.run.run import Options
from limbeck.testing.forces import teachers

HOW = Densities(picoseconds=0.02, settling=0.5, temperature=310.0)


@pytest.fixture(scope="module")
def data():
    return resolve("molecules?frames=30&box=4")


class Path:
    """What a simulation gives, of frames that tell their place by their first coordinate."""

    def __init__(self, densities, pressures=None, stopped=None):
        self.densities, self.stopped = np.array(densities), stopped
        self.rows = {"pressure_atm": np.array(pressures or np.zeros(len(densities)))}

    def __len__(self):
        return len(self.densities)

    def of(self, box):
        self.frames = join([box.replace(positions=box.positions + n) for n in range(len(self))])
        return self


def told(path, box, folder, monkeypatch, pressure, how=HOW):
    seen = {}

    def simulate(atoms, calculator, **options):
        seen.update(options)
        return path.of(box)

    monkeypatch.setattr(ase, "simulate", simulate)
    network = teachers(resolve("molecules?frames=30&box=4"))[0]
    assert isinstance(network, nn.Module)
    (found,) = simulated_boxes(Run(folder), "some", [(network, box, pressure)], how)
    return found, seen


@pytest.mark.parametrize(
    ("path", "density"),
    [
        (Path([1.0, 9.0, 1.1, 1.2, 1.3]), 1.2),
        (Path([1.0, 1.0, 1.1, 0.6, 0.4]), math.nan),
        (Path([1.0, 1.0, 1.1, 1.2, 1.3], stopped="after step 3: heat"), math.nan),
    ],
)
def test_a_box_that_broke_off_or_became_a_gas_has_no_density(
    path, density, data, tmp_path, monkeypatch
):
    found, seen = told(path, data.liquid, tmp_path, monkeypatch, 7.0)
    assert found.density == pytest.approx(density, nan_ok=True)
    assert (seen["ensemble"], seen["pressure"], seen["steps"]) == ("npt", 7.0, 20)
    assert (seen["settling"], seen["temperature"]) == (0.5, 310.0)


def test_the_pressure_of_a_box_is_that_of_the_moments_after_it_settled(data, tmp_path, monkeypatch):
    pressures = [900.0, 900.0, -10.0, -20.0, -60.0]
    path = Path([1.0] * 5, pressures)
    found, seen = told(path, data.liquid, tmp_path / "whole", monkeypatch, None)
    assert seen["ensemble"] == "nvt"
    assert found.pressure == -30.0
    assert found.error == pytest.approx(np.std(pressures[2:], ddof=1) / math.sqrt(3))
    # Frames are of the same moments.
    first = found.frames.positions[found.frames.bounds[:-1], 0] - data.liquid.positions[0, 0]
    assert first == pytest.approx([2.0, 3.0, 4.0])
    path = Path([1.0] * 5, pressures, stopped="after step 9: heat")
    broken, _ = told(path, data.liquid, tmp_path / "broken", monkeypatch, None)
    assert math.isnan(broken.pressure)
    # A box that is held does not become a gas, however it began.
    assert math.isnan(broken.density)


def test_atoms_out_of_reach_push_as_a_gas_does(tmp_path):
    """The sign and the unit of a pressure, its kinetic part and all."""
    gas = bulk("Ar", "fcc", a=40.0, cubic=True) * 2
    how = Densities(picoseconds=8.0, settling=0.0, timestep=10.0, temperature=300.0)
    network = Pairwise(cutoff=6.0)
    box = from_atoms([gas])
    (found,) = simulated_boxes(Run(tmp_path / "wide"), "gas", [(network, box, None)], how)
    ideal = len(gas) * units.kB * 300.0 / gas.get_volume() / ATMOSPHERE
    assert ideal > 0
    assert found.pressure == pytest.approx(ideal, rel=0.2)
    # Squeezed below their size they push harder than a gas of that density.
    dense = at_density(box, 2.2)
    (found,) = simulated_boxes(Run(tmp_path / "dense"), "gas", [(network, dense, None)], how)
    volume = abs(float(np.linalg.det(dense.cell[0])))
    assert found.pressure > 2 * len(gas) * units.kB * 300.0 / volume / ATMOSPHERE
    assert densities(found.frames) == pytest.approx(2.2)


def test_moments_are_read_back_as_they_were_written(tmp_path):
    box = at_density(from_atoms([bulk("Ar", "fcc", a=5.4, cubic=True) * 2]), 1.2)
    how = Densities(picoseconds=0.2, settling=0.02, timestep=2.0, temperature=60.0)
    jobs = [(Pairwise(cutoff=6.0), box, None)]
    (found,) = simulated_boxes(Run(tmp_path), "held", jobs, how)
    images = read_atoms(tmp_path / "jobs" / "held-0-0" / "held" / "trajectory.xyz")
    assert len(images) == 101
    pressures = [one.info["pressure_atm"] for one in images][40:]
    assert found.pressure == pytest.approx(np.mean(pressures))
    np.testing.assert_allclose(found.frames.positions[:32], images[40].positions, atol=1e-6)
    (again,) = simulated_boxes(Run(tmp_path), "held", jobs, how)
    assert again.pressure == found.pressure
    np.testing.assert_array_equal(again.frames.positions, found.frames.positions)


def test_densities_are_those_of_each_pressure(data, tmp_path, monkeypatch):
    seen = []

    def simulate(atoms, calculator, **options):
        seen.append(options["pressure"])
        return Path([0.9 + options["pressure"] / 1000] * 5).of(data.liquid)

    monkeypatch.setattr(ase, "simulate", simulate)
    (network, _) = teachers(data)
    jobs = [(network, data.liquid, pressure) for pressure in (1.0, 101.0)]
    run = Run(tmp_path, options=Options(executor="serial"))
    assert densities_of(run, "some", jobs, HOW) == pytest.approx([0.901, 1.001])
    assert seen == [1.0, 101.0]


def test_too_few_steps_tell_no_mean():
    with pytest.raises(SettingsError, match="4 steps; expected 10 or more: raise picoseconds"):
        Densities(picoseconds=0.004)


def test_paths_of_a_box_have_velocities_of_their_own(data, tmp_path, monkeypatch):
    seeds = []

    def simulate(atoms, calculator, *, seed, **options):
        seeds.append(seed)
        pressures = [0.0, 0.0, *[100.0 * len(seeds)] * 3]
        return Path([1.0, 1.0, *[0.8 + len(seeds) / 10] * 3], pressures).of(data.liquid)

    monkeypatch.setattr(ase, "simulate", simulate)
    how = dataclasses.replace(HOW, paths=2)
    job = (teachers(data)[0], data.liquid, None)
    run = Run(tmp_path, options=Options(executor="serial"))
    one, other = simulated_boxes(run, "some", [job, job], how)
    assert len(set(seeds)) == 2
    assert sorted(seeds[:2]) == sorted(seeds[2:])
    assert (one.pressure, other.pressure) == (150.0, 350.0)
    assert one.density == pytest.approx(0.95)
    # Nothing changes within a path, and paths are 100 atm apart.
    assert one.error == pytest.approx(50.0)
    assert len(one.frames) == 6


def test_a_path_that_broke_off_leaves_a_box_untold(data):
    whole, broken = (Held(1.0, one, 2.0, data.liquid) for one in (5.0, math.nan))
    told = together([whole, broken])
    assert math.isnan(told.pressure)
    assert math.isnan(told.error)
    assert together([whole]).error == 2.0


def test_errors_within_paths_count_where_they_are_more(data):
    paths = [Held(1.0, pressure, 40.0, data.liquid) for pressure in (10.0, 10.0, 10.0, 10.0)]
    assert together(paths).error == pytest.approx(20.0)
