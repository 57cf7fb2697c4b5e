"""Boxes that dynamics start from: read of files and atoms, labelled or not, and packed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from tests.data.atoms import box

from limbeck.data import to_atoms, write_xyz
from limbeck.data.boxes import at_density, with_box
from limbeck.data.names import resolve
from limbeck.data.packing import CONTACT, SLACK, packed, rotations
from limbeck.errors import DataError, UnusualUseWarning
from limbeck.evaluate.liquids import densities


@pytest.fixture(scope="module")
def data():
    return resolve("molecules?frames=20&box=2")


def labelled_box():
    """A box with labels as totals, free atoms and all, which no frame to learn from may have."""
    bare = box(4, species=(8, 1))
    count = int(bare.counts.sum())
    return bare.replace(
        energy=np.array([-6e5 * count]),
        forces=np.zeros((count, 3)),
        virial=np.ones((1, 3, 3)),
    )


@pytest.mark.parametrize("kind", ["file", "atoms", "frames"])
def test_labels_of_a_box_do_not_matter(data, tmp_path, kind):
    frames = labelled_box()
    write_xyz(tmp_path / "box.xyz", frames)
    given = {
        "file": f"xyz:{tmp_path / 'box.xyz'}",
        "atoms": to_atoms(frames)[0],
        "frames": frames,
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = with_box(data, given).liquid
    np.testing.assert_array_equal(found.positions, frames.positions)
    assert found.molecule is not None
    if kind == "atoms":
        assert isinstance(given.calc, SinglePointCalculator)
    if kind != "frames":
        assert found.labels == ()
        # Boxes of several kinds stand together.
        assert len(with_box(data, [given, "H2O?count=2"]).liquid) == 2


def test_a_charged_molecule_is_not_packed(data):
    one = data.train.take([0]).without_labels().replace(charge=np.array([-1.0]))
    with pytest.raises(DataError, match="has a charge of -1 e; .* ions of both signs"):
        packed(one, 4, density=0.5)


def contacts(frames):
    """Distances of atoms of different molecules over the sum of their van der Waals radii."""
    from ase.data import vdw_radii

    side = frames.cell[0, 0, 0]
    apart = frames.positions[:, None] - frames.positions
    apart -= side * np.round(apart / side)
    radii = vdw_radii[frames.species]
    other = frames.molecule[:, None] != frames.molecule
    return (np.linalg.norm(apart, axis=2) / (radii[:, None] + radii))[other]


@pytest.mark.parametrize("density", [0.3, 0.8, 1.0])
def test_a_box_has_the_density_that_is_asked_for_and_no_close_contact(data, density):
    liquid = with_box(data, f"CH4O?count=16&density={density}").liquid
    weight = to_atoms(liquid)[0].get_masses().sum()
    assert weight / np.linalg.det(liquid.cell[0]) * 1.66054 == pytest.approx(density, rel=1e-4)
    assert contacts(liquid).min() > CONTACT * (1 - SLACK) - 1e-4
    # Molecules keep their shape.
    one = liquid.positions.reshape(16, 6, 3)
    lengths = np.linalg.norm(one[:, :, None] - one[:, None], axis=3)
    np.testing.assert_allclose(lengths, lengths[:1].repeat(16, 0), atol=1e-5)


def test_boxes_depend_on_their_key_alone(data):
    one, again, other = (with_box(data, "H2O?count=8", seed=seed).liquid for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.positions, again.positions)
    assert not np.allclose(one.positions, other.positions)


@pytest.mark.parametrize(("count", "density"), [(1, 1.0), (12, 3.0)])
def test_a_density_that_leaves_no_room_is_lowered_and_told(data, count, density):
    with pytest.warns(
        UnusualUseWarning, match=rf"{count} molecules CH4O find no room at {density:g}"
    ):
        liquid = with_box(data, f"CH4O?count={count}&density={density}").liquid
    if count > 1:
        assert contacts(liquid).min() > CONTACT * (1 - SLACK) - 1e-4


def test_rotations_keep_lengths_and_handedness():
    matrices = rotations(np.random.default_rng(0).normal(size=(5, 3)))
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.eye(3)[None].repeat(5, 0), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1)
    np.testing.assert_array_equal(rotations(np.zeros((1, 3)))[0], np.eye(3))


def test_molecules_of_a_box_at_another_density_keep_their_shapes(data):
    molecule = data.train.take([0]).without_labels()
    start = packed(molecule.replace(charge=np.zeros(1)), 6, density=0.6, key=3)
    # As trajectories have it: molecules lie across the walls of the cell.
    wrapped = start.replace(positions=start.positions % start.cell[0, 0, 0])
    for density in (0.4, 0.9):
        moved = at_density(wrapped, density)
        assert densities(moved) == pytest.approx(density)
        assert np.isclose(moved.cell[0], moved.cell[0, 0, 0] * np.eye(3)).all()
        for number in range(6):
            rows = start.molecule == number
            one, other = (frames.positions[rows] for frames in (start, moved))
            np.testing.assert_allclose(other - other[0], one - one[0], atol=1e-6)
