"""``limbeck simulate``: files, figures and charts of dynamics with a run's force field."""

import json

import pytest

from limbeck.data.names import resolve
from limbeck.products import ForceField
from limbeck.run.exhibits import read_exhibits
from limbeck.testing.forces import teachers

SHORT = ("--picoseconds", "0.01", "--every", "0.0005")


@pytest.fixture
def field(tmp_path):
    network, _ = teachers(resolve("molecules?frames=30&box=4"))
    ForceField(network).save(tmp_path / "field")
    return tmp_path / "field"


def test_a_product_moves_atoms_of_a_file(field, tmp_path, limbeck):
    from ase.build import molecule
    from ase.io import read, write

    write(tmp_path / "start.xyz", molecule("H2O"))
    said = limbeck(
        "simulate", "field", "--start", "start.xyz", "--picoseconds", "0.01", "--every", "0.001",
        "--ensemble", "nve", "--out", "out", "--json",
    )  # fmt: skip
    assert said.status == 0, said.err
    figures = json.loads(said.out)
    assert figures["picoseconds"] == pytest.approx(0.01)
    assert "drift_kcal_mol_atom_ns" in figures
    assert len(read(tmp_path / "out" / "trajectory.xyz", ":")) == 11
    assert json.loads((tmp_path / "out" / "figures.json").read_text())["stopped"] is None


def test_atoms_of_a_file_are_predicted_without_labels(field, tmp_path, limbeck):
    from ase.build import molecule
    from ase.io import write

    write(tmp_path / "new.xyz", [molecule("H2O"), molecule("CH4")])
    said = limbeck("predict", "field", "--rows", "new.xyz", "--json")
    assert said.status == 0, said.err
    rows = json.loads(said.out.splitlines()[-1])["predictions"]
    assert rows["atoms"] == [3, 5]
    energy = ForceField.load(field).predict(molecule("H2O")).energy[0]
    assert rows["energy_kcal_mol"][0] == pytest.approx(energy, rel=1e-5)
    wrong = limbeck("predict", "field", "--rows", "none.xyz")
    assert wrong.status == 1
    assert "none.xyz" in wrong.err


def test_a_run_starts_from_its_box_and_charts_join_its_report(tmp_path, limbeck):
    assert limbeck("run", "bamboo", "--preset", "tiny", "--out", "run").status == 0
    said = limbeck("simulate", "run", *SHORT, "--json")
    assert said.status == 0, said.err
    figures = json.loads(said.out)
    assert figures["density_g_cm3"] > 0.1
    # A force field of four epochs does not hold for long, and says so.
    assert figures["stopped"] is None or any(
        word in figures["stopped"] for word in ("overlap", "bond", "temperature")
    )
    captions = [one.caption for one in read_exhibits(tmp_path / "run")[0]]
    assert sum("density" in one for one in captions) == 1
    assert any("distance" in one for one in captions)
    # Once more: it is done already, and its charts take the place of the earlier ones.
    assert json.loads(limbeck("simulate", "run", *SHORT, "--json").out) == figures
    assert [one.caption for one in read_exhibits(tmp_path / "run")[0]] == captions
    assert limbeck("report", "run").status == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--out", "out"), "--start FILE"),
        (("--start", "nowhere.xyz", "--out", "out"), "--start FILE"),
    ],
)
def test_what_to_start_from_must_be_told(field, limbeck, words, said):
    done = limbeck("simulate", "field", *words)
    assert done.status == 2
    assert said in done.err


def test_conditions_that_do_not_exist_are_told(field, tmp_path, limbeck):
    from ase.build import molecule
    from ase.io import write

    write(tmp_path / "start.xyz", molecule("H2O"))
    to = ("--start", "start.xyz", "--out", "out")
    done = limbeck("simulate", "field", *to, "--ensemble", "npv")
    assert done.status == 2
    assert "'npv'" in done.err
    done = limbeck("simulate", "field", *to, "--ensemble", "npt")
    assert done.status == 2
    assert "not periodic" in done.err


@pytest.mark.parametrize("words", [(), ("--out", "field"), ("--out", "field/simulations/a")])
def test_a_product_stays_whole(field, tmp_path, limbeck, words):
    from ase.build import molecule
    from ase.io import write

    write(tmp_path / "start.xyz", molecule("H2O"))
    before = sorted(field.rglob("*"))
    done = limbeck("simulate", "field", "--start", "start.xyz", "--picoseconds", "0.001", *words)
    assert done.status == 2
    assert "outside it" in done.err
    assert sorted(field.rglob("*")) == before
    ForceField.load(field)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--timestep", "0"), "--timestep is 0.0"),
        (("--timestep", "nan"), "--timestep is nan"),
        (("--every", "-1"), "--every is -1.0"),
        (("--picoseconds", "inf"), "--picoseconds is inf"),
        (("--pressure", "nan"), "pressure is nan"),
    ],
)
def test_numbers_that_cannot_be_are_told(field, tmp_path, limbeck, words, said):
    from ase.build import molecule
    from ase.io import write

    write(tmp_path / "start.xyz", molecule("H2O"))
    done = limbeck("simulate", "field", "--start", "start.xyz", "--out", "out", *words)
    assert done.status == 2, done.err
    assert said in done.err
    assert not (tmp_path / "out").exists()


def test_any_file_that_ase_reads_is_a_start(field, tmp_path, limbeck):
    from ase.build import molecule
    from ase.io import write

    water = molecule("H2O")
    water.center(vacuum=4)
    write(tmp_path / "start.pdb", water)
    to = ("--picoseconds", "0.001", "--out", "out")
    done = limbeck("simulate", "field", "--start", "start.pdb", *to)
    assert done.status == 0, done.err
    (tmp_path / "broken.cif").write_text("nothing")
    done = limbeck("simulate", "field", "--start", "broken.cif", *to)
    assert done.status == 1
    assert "does not read as atoms" in done.err


def test_an_explosion_is_told(field, tmp_path, limbeck, monkeypatch):
    from ase.build import molecule
    from ase.io import write

    from limbeck.bridges.ase.guards import Guard

    write(tmp_path / "start.xyz", molecule("H2O"))
    monkeypatch.setattr(Guard, "fault", lambda *given: "it is too hot")
    done = limbeck("simulate", "field", "--start", "start.xyz", "--out", "out")
    assert done.status == 0
    assert "Warning: the simulation broke off after 0 of 20000 steps" in done.err
    assert "it is too hot" in done.err
    assert (tmp_path / "out" / "last-good.xyz").is_file()


def test_a_box_by_name_is_that_of_the_run_whatever_the_seed(tmp_path, limbeck):
    from ase.io import read

    done = limbeck("run", "bamboo", "--preset", "tiny", "--liquid", "CH4?count=2", "--out", "run")
    assert done.status == 0, done.err
    starts = []
    for seed in ("0", "1"):
        assert limbeck("simulate", "run", *SHORT, "--seed", seed, "--out", seed).status == 0
        starts.append(read(tmp_path / seed / "trajectory.xyz", 0))
    assert len(starts[0]) == 10
    assert (starts[0].positions == starts[1].positions).all()
    assert (starts[0].get_momenta() != starts[1].get_momenta()).any()
