"""Dynamics: the ensembles are sampled, a stop changes no bit, and nothing explodes unseen."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones
from ase.io import read
from tests.bridges.force_fields import Pairwise

from limbeck.bridges.ase import ForceFieldCalculator, Limits, dynamics, relaxed, simulate
from limbeck.bridges.ase.conditions import ATMOSPHERE
from limbeck.bridges.ase.trajectory import Record
from limbeck.errors import ArgumentError, DataError, Interrupted, RunError
from limbeck.evaluate.liquids import densities, energy_drift


class Springs(Calculator):
    """Atoms that are held where they were; without places an ideal gas."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, places=None, stiffness=1.0):
        super().__init__()
        self.places, self.stiffness = places, stiffness

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        moved = 0.0 * self.atoms.positions
        if self.places is not None:
            moved = self.atoms.positions - self.places
        self.results = {
            "energy": 0.5 * self.stiffness * float((moved**2).sum()),
            "forces": -self.stiffness * moved,
            "stress": np.zeros(6),
        }


class Failing(LennardJones):
    """Goes wrong after so many calls."""

    def __init__(self, fault, calls, **options):
        super().__init__(**options)
        self.fault, self.calls = fault, calls

    def calculate(self, *given, **named):
        super().calculate(*given, **named)
        self.calls -= 1
        if self.calls < 0:
            self.fault(self.results)


def argon(cells=2):
    return bulk("Ar", "fcc", a=5.4, cubic=True) * cells


def calculator():
    return ForceFieldCalculator(Pairwise(cutoff=6.0))


FAST = {"temperature": 60.0, "timestep": 4.0, "every": 5}


def test_total_energy_is_kept_without_a_bath():
    done = simulate(argon(), calculator(), ensemble="nve", steps=300, **FAST)
    assert (done.steps, len(done), done.stopped) == (300, 61, None)
    assert np.ptp(done.totals) < 0.02 * np.ptp(done.energies)
    assert abs(energy_drift(done.times, done.totals, 32)) < 5
    assert np.abs(done.atoms.get_momenta().sum(0)).max() < 1e-9
    assert done.times[-1] == pytest.approx(1.2)
    assert done.temperatures[0] == pytest.approx(60)


def test_a_bath_gives_positions_and_velocities_their_temperature():
    places = np.random.default_rng(0).normal(size=(40, 3)) * 20
    atoms = Atoms("Ar40", places)
    done = simulate(
        atoms,
        Springs(places),
        temperature=200,
        timestep=20.0,
        relaxation=0.2,
        steps=2000,
        every=10,
        limits=Limits(bonds=None),
    )
    half = slice(len(done) // 4, None)
    assert done.temperatures[half].mean() == pytest.approx(200, rel=0.06)
    # Each of 120 springs holds kT / 2.
    expected = 60 * units.kB * 200 * 23.0605
    assert done.energies[half].mean() == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("ensemble", ["nvt", "npt", "nve"])
@pytest.mark.parametrize("count", [1, 3])
def test_velocities_begin_at_the_temperature(ensemble, count):
    atoms = Atoms(f"Ar{count}", np.eye(3)[:count] * 4, cell=np.eye(3) * 12, pbc=True)
    done = simulate(atoms, calculator(), ensemble=ensemble, steps=0)
    assert done.temperatures[0] == pytest.approx(300)
    if ensemble == "nve" and count > 1:
        assert np.abs(done.atoms.get_momenta().sum(0)).max() < 1e-12


def test_pressure_gives_an_ideal_gas_its_volume():
    places = np.stack(np.meshgrid(*[[0, 4, 8]] * 3), -1).reshape(-1, 3)[:12]
    atoms = Atoms("Ar12", places, cell=np.eye(3) * 10, pbc=True)
    heat = units.kB * 300
    pressure = 12 * heat / 1000 / ATMOSPHERE
    done = simulate(
        atoms,
        Springs(),
        ensemble="npt",
        pressure=pressure,
        timestep=10.0,
        relaxation=0.1,
        barostat=1.0,
        steps=3000,
        every=10,
        limits=Limits(bonds=None),
    )
    volume = done.rows["volume_a3"][50:]
    # (N + 1) kT / P; short as it is, the mean is known to a tenth.
    assert volume.mean() == pytest.approx(13 * heat / (pressure * ATMOSPHERE), rel=0.25)
    assert volume.std() > 0.1 * volume.mean()
    np.testing.assert_allclose(done.densities, densities(done.frames), rtol=1e-6)


@pytest.mark.parametrize("ensemble", ["nvt", "npt", "nve"])
def test_a_stop_changes_no_bit(ensemble, tmp_path, monkeypatch):
    monkeypatch.setattr(dynamics, "CHUNK", 20)
    given = {"ensemble": ensemble, "pressure": 50.0, **FAST}
    whole = simulate(argon(), calculator(), steps=70, out=tmp_path / "whole", **given)
    # Killed in the third chunk, with a part of it written behind the state.
    broken, calls = calculator(), []
    compute = broken.calculate

    def killed(*args, **named):
        calls.append(1)
        if len(calls) > 55:
            raise KeyboardInterrupt
        compute(*args, **named)

    broken.calculate = killed
    with pytest.raises(KeyboardInterrupt):
        simulate(argon(), broken, steps=70, out=tmp_path / "cut", **given)
    with (tmp_path / "cut" / "trajectory.xyz").open("a") as file:
        file.write("32\nhalf a fra")
    cut = simulate(argon(), calculator(), steps=70, out=tmp_path / "cut", **given)
    free = simulate(argon(), calculator(), steps=70, **given)
    for name in ("trajectory.xyz", "thermo.jsonl", "state.safetensors"):
        written = [(tmp_path / folder / name).read_bytes() for folder in ("whole", "cut")]
        assert written[0] == written[1], name
    for other in (cut, free):
        assert other.frames.fingerprint == whole.frames.fingerprint
        assert np.array_equal(other.atoms.get_momenta(), whole.atoms.get_momenta())
        assert all(np.array_equal(other.rows[name], whole.rows[name]) for name in whole.rows)


def test_states_do_not_wait_for_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(dynamics, "CHUNK", 10)

    class Stop:
        asked = True

    given = {**FAST, "every": 25}
    with pytest.raises(Interrupted, match="stopped at step 10 of 50"):
        simulate(argon(1), calculator(), steps=50, out=tmp_path, stop=Stop(), **given)
    cut = simulate(argon(1), calculator(), steps=50, out=tmp_path, **given)
    often = simulate(argon(1), calculator(), steps=50, **FAST)
    np.testing.assert_array_equal(cut.rows["step"], [0, 25, 50])
    assert cut.frames.fingerprint == often.frames.take([0, 5, 10]).fingerprint


def test_what_is_done_is_not_done_again(tmp_path):
    first = simulate(argon(1), calculator(), steps=20, out=tmp_path, **FAST)
    broken = calculator()
    broken.calculate = None
    second = simulate(argon(1), broken, steps=20, out=tmp_path, **FAST)
    assert second.frames.fingerprint == first.frames.fingerprint
    longer = simulate(argon(1), calculator(), steps=30, out=tmp_path, **FAST)
    assert (longer.steps, len(longer)) == (30, 7)


def test_files_read_elsewhere(tmp_path):
    done = simulate(argon(1), calculator(), steps=20, out=tmp_path, **FAST)
    images = read(tmp_path / "trajectory.xyz", index=":")
    assert len(images) == len(done) == 5
    assert np.array_equal(images[-1].get_momenta(), done.atoms.get_momenta())
    rows = [json.loads(line) for line in (tmp_path / "thermo.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 5, 10, 15, 20]
    assert {"temperature_k", "density_g_cm3", "pressure_atm"} <= set(rows[0])


def test_a_folder_of_another_simulation_is_refused(tmp_path):
    simulate(argon(1), calculator(), steps=5, out=tmp_path, **FAST)
    for change in ({"seed": 1}, {"temperature": 61.0}):
        with pytest.raises(RunError, match="other atoms, settings or force field"):
            simulate(argon(1), calculator(), steps=5, out=tmp_path, **{**FAST, **change})


def test_a_damaged_state_begins_anew(tmp_path):
    first = simulate(argon(1), calculator(), steps=10, out=tmp_path, **FAST)
    state = tmp_path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-8])
    again = simulate(argon(1), calculator(), steps=10, out=tmp_path, **FAST)
    assert again.frames.fingerprint == first.frames.fingerprint


def heavy(atoms):
    atoms.set_masses(50.0 * np.ones(len(atoms)))


@pytest.mark.parametrize(
    "change",
    [
        lambda atoms: atoms.info.update(charge=1),
        lambda atoms: atoms.set_initial_charges([1.0, 0, 0, 0]),
        heavy,
        lambda atoms: atoms.set_pbc(False),
    ],
)
def test_other_atoms_are_another_simulation(change, tmp_path):
    start = argon(1)
    start.set_momenta(np.random.default_rng(0).normal(size=(4, 3)))
    simulate(start, calculator(), steps=5, out=tmp_path, **FAST)
    change(start)
    with pytest.raises(RunError, match="other atoms, settings or force field"):
        simulate(start, calculator(), steps=5, out=tmp_path, **FAST)


def test_another_calculator_or_other_limits_are_another_simulation(tmp_path):
    options = {"epsilon": 0.0104, "sigma": 3.4, "rc": 6.0}
    simulate(argon(1), LennardJones(**options), steps=5, out=tmp_path, **FAST)
    simulate(argon(1), LennardJones(**options), steps=10, out=tmp_path, **FAST)
    for other, limits in (({**options, "sigma": 3.3}, None), (options, Limits(jump=40.0))):
        with pytest.raises(RunError, match="other atoms, settings or force field"):
            simulate(argon(1), LennardJones(**other), steps=10, limits=limits, out=tmp_path, **FAST)


@pytest.mark.parametrize(
    "name", ["trajectory.xyz", "thermo.jsonl", "last-good.xyz", "state.safetensors"]
)
def test_files_of_somebody_else_stay(name, tmp_path):
    (tmp_path / name).write_text("my own work")
    with pytest.raises(RunError, match=f"holds {name}, which no simulation of limbeck wrote"):
        simulate(argon(1), calculator(), steps=5, out=tmp_path, **FAST)
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "my own work"


def test_a_start_that_was_killed_is_known(tmp_path, monkeypatch):
    def killed(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Record, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            simulate(argon(1), calculator(), steps=5, out=tmp_path, **FAST)
    (tmp_path / "trajectory.xyz").write_text("4\nhalf a fra")
    assert len(simulate(argon(1), calculator(), steps=5, out=tmp_path, **FAST)) == 2
    assert len(read(tmp_path / "trajectory.xyz", index=":")) == 2


def test_seeds_differ_and_repeat():
    paths = [
        simulate(argon(1), calculator(), steps=10, seed=seed, **FAST).frames.fingerprint
        for seed in (0, 0, 1)
    ]
    assert paths[0] == paths[1] != paths[2]


def test_a_polite_stop_saves_first(tmp_path, monkeypatch):
    monkeypatch.setattr(dynamics, "CHUNK", 10)

    class Stop:
        asked = True

    with pytest.raises(Interrupted, match="stopped at step 10 of 30; the state is saved"):
        simulate(argon(1), calculator(), steps=30, out=tmp_path, stop=Stop(), **FAST)
    told = []

    class Shown:
        def advance(self, steps, text=None):
            told.append(steps)

    simulate(argon(1), calculator(), steps=30, out=tmp_path, progress=Shown(), **FAST)
    assert told == [10, 10, 10]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda results: results.update(energy=np.nan), "numbers are not finite"),
        (lambda results: results.update(energy=results["energy"] + 100), "energy changed"),
        (lambda results: results["forces"].__imul__(1e5), "K, above|changed by"),
    ],
)
def test_an_explosion_is_stopped_with_the_last_good_frame(fault, words, tmp_path):
    options = {"epsilon": 0.0104, "sigma": 3.4, "rc": 6.0}
    broken = Failing(fault, 13, **options)
    done = simulate(argon(1), broken, steps=40, out=tmp_path, **FAST)
    assert re.search(words, done.stopped)
    assert 8 < done.steps < 15
    sound = simulate(argon(1), LennardJones(**options), steps=done.steps, **FAST)
    np.testing.assert_array_equal(done.atoms.positions, sound.atoms.positions)
    last = read(tmp_path / "last-good.xyz")
    assert last.info["step"] == done.steps
    np.testing.assert_array_equal(last.positions, done.atoms.positions)
    # It stays stopped: going on would fail in the same step.
    again = simulate(argon(1), broken, steps=40, out=tmp_path, **FAST)
    assert (again.steps, again.stopped) == (done.steps, done.stopped)


def test_a_broken_bond_is_named():
    class Repelling(Calculator):
        implemented_properties = ["energy", "forces"]  # noqa: RUF012

        def calculate(self, atoms=None, properties=(), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            away = self.atoms.positions - self.atoms.positions.mean(0)
            energy = -0.5 * float((away**2).sum())
            self.results = {"energy": energy, "forces": away}

    hot = Limits(heat=1e6)
    done = simulate(molecule("H2O"), Repelling(), steps=400, temperature=10, limits=hot)
    assert "the bond of atoms 0 (O) and " in done.stopped
    assert "times what it was at the start" in done.stopped


def test_words_of_the_force_field_end_it():
    closing = Atoms("Ar2", [(0, 0, 0), (3.0, 0, 0)])
    closing.set_velocities([(0.1, 0, 0), (-0.1, 0, 0)])
    free = ForceFieldCalculator(Pairwise(depth=0.0))
    wide = Limits(heat=1e6, bonds=None)
    done = simulate(closing, free, ensemble="nve", steps=500, timestep=1.0, limits=wide)
    assert "they overlap" in done.stopped
    assert len(done) == done.steps // 10 + 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ensemble": "nvpt"}, "ensemble is 'nvpt'"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"timestep": float("nan")}, "timestep is nan"),
        ({"pressure": float("nan")}, "pressure is nan"),
        ({"steps": 1.5}, "steps is 1.5"),
        ({"every": 0}, "every is 0"),
    ],
)
def test_settings_that_cannot_be(change, words):
    with pytest.raises(ArgumentError, match=words):
        simulate(argon(1), calculator(), **{**FAST, **change})


def test_a_cluster_has_no_pressure():
    with pytest.raises(ArgumentError, match="not periodic; choose nvt"):
        simulate(Atoms("Ar"), calculator(), ensemble="npt")
    with pytest.raises(ArgumentError, match="bonds from below 1"):
        Limits(bonds=(1.2, 2.0))
    with pytest.raises(DataError, match="overlap|apart"):
        simulate(Atoms("Ar2", [(0, 0, 0), (0, 0, 0.1)]), calculator(), steps=1)


def test_relaxing_goes_downhill():
    atoms = argon(1)
    atoms.positions[0] += 0.4
    found = relaxed(atoms, calculator(), force=0.05)
    found.calc = calculator()
    assert np.abs(found.get_forces()).max() * 23.0605 < 0.05
    assert not found.get_momenta().any()
    assert abs(atoms.positions[0] - 0.4).max() < 1e-12


def test_a_box_settles_before_constant_pressure(tmp_path, monkeypatch):
    places = np.stack(np.meshgrid(*[[0, 2.9, 5.8]] * 3), -1).reshape(-1, 3)
    atoms = Atoms("Ar27", places, cell=np.eye(3) * 8.7, pbc=True)
    how = {"temperature": 100.0, "timestep": 2.0, "seed": 1}
    still = simulate(atoms, calculator(), settling=0.0, steps=0, **how)
    np.testing.assert_allclose(
        still.frames.positions, relaxed(atoms, calculator()).positions, atol=1e-12
    )
    moving = simulate(atoms, calculator(), settling=0.1, steps=4, every=2, **how)
    assert len(moving) == 3
    np.testing.assert_array_equal(moving.frames.cell[0], atoms.cell)
    assert not np.allclose(moving.frames.positions[:27], still.frames.positions)
    again = simulate(atoms, calculator(), settling=0.1, steps=4, every=2, out=tmp_path, **how)
    np.testing.assert_array_equal(moving.frames.positions, again.frames.positions)
    # What moves already has settled.
    gone = simulate(moving.atoms, calculator(), settling=0.1, steps=0, **how)
    np.testing.assert_array_equal(gone.frames.positions, moving.atoms.positions)
    # Resumed, it does not settle again.
    monkeypatch.setattr(dynamics, "_settled", None)
    on = simulate(atoms, calculator(), settling=0.1, steps=6, every=2, out=tmp_path, **how)
    np.testing.assert_array_equal(on.frames.positions[:81], again.frames.positions)


def test_a_box_that_breaks_off_while_it_settles_is_broken(tmp_path):
    atoms = argon(2)
    hot = Limits(heat=1.0)
    how = {"temperature": 300.0, "timestep": 2.0, "seed": 1, "limits": hot, "out": tmp_path}
    for _ in range(2):
        path = simulate(atoms, calculator(), settling=0.1, steps=10, **how)
        assert path.stopped.startswith("while settling, after step 1: the temperature is")
        assert (path.steps, len(path)) == (0, 1)
        assert (tmp_path / "last-good.xyz").is_file()
