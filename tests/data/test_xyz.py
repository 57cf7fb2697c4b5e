"""Extended XYZ: splits, free atoms, starting boxes, and files that do not read."""

from __future__ import annotations

import gzip
import json
import os

import numpy as np
import pytest
from ase.io import read
from tests.data.atoms import box, water

from limbeck.data.force_data import ForceData
from limbeck.data.frames import join
from limbeck.data.names import ROOT, resolve
from limbeck.data.xyz import read_xyz
from limbeck.data.xyz_files import write_xyz
from limbeck.errors import DataError, UnusualUseWarning

FREE = {1: -10.0, 8: -100.0}
DATA_ROOT = os.environ.get(ROOT)


def told(count, seed=0):
    """Shaken water with labels that could be."""
    rng = np.random.default_rng(seed)
    frames = water(count)
    return frames.replace(
        positions=frames.positions + 0.02 * rng.normal(size=frames.positions.shape),
        energy=-200 + rng.normal(size=count),
        forces=10 * rng.normal(size=frames.positions.shape),
        charges=rng.normal(size=3 * count),
        dipole=rng.normal(size=(count, 3)),
        molecule=np.zeros(3 * count),
    )


@pytest.fixture
def folder(tmp_path):
    """A folder with frames in splits, a box, and free atoms."""
    place = tmp_path / "puddle"
    facts = [{"split": "train"}] * 6 + [{"split": "valid"}] * 2 + [{"split": "test"}] * 3
    write_xyz(place / "clusters.xyz.gz", told(11), free_atoms=FREE, facts=facts)
    write_xyz(place / "start.xyz", box(4, species=(8, 1)))
    (place / "isolated_energies_eV.json").write_text(json.dumps({"H": -10.0, "O": -100.0}))
    return place


@pytest.mark.parametrize("name", ["some.xyz", "some.xyz.gz", "some.extxyz"])
def test_numbers_read_back_in_the_same_bits(tmp_path, name):
    frames = told(3)
    write_xyz(tmp_path / name, frames, free_atoms=FREE)
    images = read(tmp_path / name, index=":", format="extxyz")
    positions = np.concatenate([one.positions for one in images])
    assert np.array_equal(positions, frames.positions)
    assert np.array_equal(np.concatenate([one.arrays["mol"] for one in images]), frames.molecule)
    energy = [one.get_potential_energy() for one in images]
    np.testing.assert_allclose(energy, frames.energy / 23.0605 - 120, rtol=1e-14)


def test_cells_and_virials_read_back(tmp_path):
    slanted = np.array([[6.0, 0, 0], [1, 6, 0], [0, 2, 6]])
    frames = box(4, cell=slanted).replace(
        energy=[-60.0], forces=np.ones((4, 3)), virial=np.arange(9.0).reshape(1, 3, 3)
    )
    write_xyz(tmp_path / "box.xyz", frames)
    image = read(tmp_path / "box.xyz")
    np.testing.assert_allclose(image.cell, slanted)
    assert image.pbc.all()
    np.testing.assert_allclose(image.info["virial"] * 23.0605, frames.virial[0])


def test_the_same_frames_give_the_same_bytes(tmp_path):
    for name in ("a.xyz.gz", "b.xyz.gz"):
        write_xyz(tmp_path / name, told(2))
    assert (tmp_path / "a.xyz.gz").read_bytes() == (tmp_path / "b.xyz.gz").read_bytes()


def test_a_folder_is_found_by_name_or_prefix(folder, monkeypatch):
    monkeypatch.setenv(ROOT, str(folder.parent))
    data = resolve("puddle")
    assert isinstance(data, ForceData)
    assert repr(data) == (
        "ForceData('puddle', train=6, validation=2, test=3, liquid=1, elements=H O)"
    )
    assert data.free_atoms == ((1, -10.0), (8, -100.0))
    assert resolve(f"xyz:{folder}").fingerprint == data.fingerprint
    np.testing.assert_allclose(data.train.energy, told(11).energy[:6])
    np.testing.assert_allclose(data.train.dipole, told(11).dipole[:6], atol=1e-12)
    few = resolve("puddle?labels=4")
    assert (len(few.train), len(few.validation)) == (4, 2)
    assert len(resolve("puddle?samples=3").test) == 2


def test_files_can_be_chosen(folder):
    assert read_xyz(folder, files="clusters").liquid is None
    assert read_xyz(folder, files="clusters+start").liquid is not None
    with pytest.raises(DataError, match="no file 'cluster' .*did you mean clusters?"):
        read_xyz(folder, files="cluster")
    with pytest.raises(DataError, match="is one file"):
        read_xyz(folder / "start.xyz", files="start")


def test_splits_by_names_of_files(folder):
    (folder / "clusters.xyz.gz").unlink()
    for name, count in (("train", 5), ("valid", 2), ("test", 3)):
        write_xyz(folder / f"{name}.xyz", told(count), free_atoms=FREE)
    data = read_xyz(folder)
    assert [len(one) for one in (data.train, data.validation, data.test)] == [5, 2, 3]


def test_splits_that_are_missing_are_cut_from_train(folder):
    write_xyz(folder / "clusters.xyz.gz", told(40), free_atoms=FREE)
    data = read_xyz(folder)
    assert [len(one) for one in (data.train, data.validation, data.test)] == [29, 3, 8]
    seen = np.concatenate([data.train.energy, data.validation.energy, data.test.energy])
    np.testing.assert_allclose(np.sort(seen), np.sort(told(40).energy))
    assert read_xyz(folder).fingerprint == data.fingerprint


def test_validation_is_never_cut_from_test(folder):
    facts = [{"split": "train"}] * 10 + [{"split": "test"}] * 3
    write_xyz(folder / "clusters.xyz.gz", told(13), free_atoms=FREE, facts=facts)
    data = read_xyz(folder)
    assert [len(one) for one in (data.train, data.validation, data.test)] == [9, 1, 3]
    np.testing.assert_allclose(data.test.energy, told(13).energy[10:])


def test_free_atoms_are_fitted_where_there_is_no_file(folder):
    (folder / "isolated_energies_eV.json").unlink()
    frames = told(11)
    mixed = join([frames, *(frames.take([0]).replace(energy=[-200.0]) for _ in range(0))])
    write_xyz(folder / "clusters.xyz.gz", mixed, free_atoms=FREE)
    with pytest.warns(UnusualUseWarning, match="energies of H O are fitted to"):
        data = read_xyz(folder)
    assert abs(data.train.energy.mean()) < 1e-6


def test_an_ion_stands_in_for_its_atom(folder):
    table = {"H+": 5.0, "H": -10.0, "O-": -100.0}
    (folder / "isolated_energies_eV.json").write_text(json.dumps(table))
    assert dict(read_xyz(folder).free_atoms) == FREE


def test_labelled_boxes_beside_clusters_are_not_learned_from(folder):
    labelled = box(4, species=(8, 1)).replace(energy=[5e6], forces=np.ones((4, 3)))
    write_xyz(folder / "start.xyz", labelled)
    data = read_xyz(folder)
    assert (len(data.train), data.liquid.labels) == (6, ())


def test_labelled_boxes_alone_are_learned_from(tmp_path):
    parts = [box(4, seed) for seed in range(12)]
    frames = join(parts).replace(energy=[-200.0] * 12, forces=np.ones((48, 3)))
    write_xyz(tmp_path / "boxes.xyz", frames)
    with pytest.warns(UnusualUseWarning, match="fitted"):
        data = read_xyz(tmp_path / "boxes.xyz")
    assert (data.liquid, len(data.train) + len(data.validation) + len(data.test)) == (None, 12)


def test_bare_clusters_are_left_out_and_counted(folder):
    write_xyz(folder / "bare.xyz", water(2))
    with pytest.warns(UnusualUseWarning, match="left out 2 frames .*frame 0 of bare.xyz"):
        assert len(read_xyz(folder).train) == 6


def rewrite(folder, count, change):
    file = folder / "clusters.xyz.gz"
    lines = gzip.decompress(file.read_bytes()).decode().splitlines(keepends=True)
    change(lines)
    file.write_bytes(gzip.compress("".join(lines[:count]).encode()))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("split=train", "split=learn", "frame 0 of clusters.xyz.gz is of split 'learn'"),
        ("split=train", "other=1", "frame 0 of clusters.xyz.gz has no split"),
        ("energy=-", "energy=nan e=-", "energy of frame 0 holds NaN"),
        ("energy=-", "e=-", None),
        ('pbc="F F F"', 'pbc="T F T"', "periodic in some directions only"),
    ],
)
def test_frames_that_cannot_be_used(folder, old, new, words):
    def change(lines):
        lines[1] = lines[1].replace(old, new)

    rewrite(folder, None, change)
    if words is None:
        with pytest.warns(UnusualUseWarning, match="left out 1 frames"):
            assert len(read_xyz(folder).train) == 5
        return
    with pytest.raises(DataError, match=words):
        read_xyz(folder)


def test_energies_per_atom_are_refused(folder):
    def change(lines):
        for place in range(1, len(lines), 5):
            head, _, tail = lines[place].partition("energy=")
            value, _, rest = tail.partition(" ")
            lines[place] = f"{head}energy={float(value) / 3} {rest}"

    rewrite(folder, None, change)
    with pytest.raises(DataError, match="not per atom"):
        read_xyz(folder)


def test_damaged_files(folder):
    file = folder / "clusters.xyz.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="is damaged"):
        read_xyz(folder)
    file.write_bytes(whole)
    rewrite(folder, 7, lambda lines: None)
    with pytest.raises(DataError, match="does not read as extended XYZ"):
        read_xyz(folder)
    file.write_bytes(gzip.compress(b""))
    with pytest.raises(DataError, match=r"clusters\.xyz\.gz"):
        read_xyz(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1]", "no object of energies"),
        ('{"Hx": 1.0}', "names 'Hx', expected an element"),
        ('{"H": -10.0}', "no energy of a free atom of O"),
    ],
)
def test_free_atoms_that_do_not_read(folder, content, words):
    (folder / "isolated_energies_eV.json").write_text(content)
    with pytest.raises(DataError, match=words):
        read_xyz(folder)


def test_nothing_to_learn_from(folder):
    with pytest.raises(DataError, match="no labelled frames to learn from"):
        read_xyz(folder, files="start")
    with pytest.raises(DataError, match="holds no file"):
        read_xyz(folder.parent)


@pytest.mark.skipif(not DATA_ROOT, reason=f"{ROOT} is not set")
def test_the_electrolyte_of_the_data_root():
    data = resolve("electrolyte-xtb?files=solvent_clusters+liquid_start")
    assert [len(one) for one in (data.train, data.validation, data.test)] == [900, 100, 200]
    assert data.liquid.counts.tolist() == [160]
    # Four rings of ten atoms, and eight chains of fifteen.
    assert sorted(np.bincount(data.liquid.molecule)) == [10] * 4 + [15] * 8
    assert 40 < np.sqrt((data.test.forces**2).mean()) < 60
