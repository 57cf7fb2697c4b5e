"""Clusters cut out of frames."""

import numpy as np
import pytest

from limbeck.data.boxes import with_box
from limbeck.data.cutting import cluster_around, formal_charges, overlaps
from limbeck.data.frames import Frames
from limbeck.data.names import resolve


@pytest.fixture(scope="module")
def box():
    return with_box(resolve("molecules?frames=20&box=2"), "H2O?count=12&density=0.9").liquid


def within(frames, reach):
    """Molecules and images with an atom near the first atom, counted one by one."""
    side, found = frames.cell[0, 0, 0], 0
    for molecule in range(12):
        own = frames.positions[frames.molecule == molecule]
        for shift in np.ndindex(5, 5, 5):
            moved = own + side * (np.array(shift) - 2)
            found += np.linalg.norm(moved - frames.positions[0], axis=1).min() <= reach
    return found


@pytest.mark.parametrize("reach", [1.0, 3.5, 6.0])
def test_a_cluster_holds_the_molecules_within_reach(box, reach):
    found = cluster_around(box, 0, 0, reach=reach)
    assert len(found) == 1
    assert not found.periodic[0]
    assert found.molecule.max() + 1 == within(box, reach)
    assert found.species.tolist() == [8, 1, 1] * int(found.molecule.max() + 1)
    # Molecules stay as they are.
    apart = np.linalg.norm(
        found.positions.reshape(-1, 3, 3)[:, 0] - found.positions.reshape(-1, 3, 3)[:, 1], axis=1
    )
    np.testing.assert_allclose(apart, apart[0], atol=1e-5)


def test_molecules_that_went_through_many_cells_are_found(box):
    side = box.cell[0, 0, 0]
    away = np.array([[3, -7, 2]]) * side * (box.molecule[:, None] % 3)
    moved = box.replace(positions=box.positions + away)
    one, other = (cluster_around(frames, 0, 0, reach=3.5) for frames in (box, moved))
    lengths = [np.sort(np.linalg.norm(frames.positions, axis=1)) for frames in (one, other)]
    np.testing.assert_allclose(*lengths, atol=1e-5)


def test_charges_of_molecules_add_up(box):
    charges = {number: float(number == 0) for number in range(12)}
    assert cluster_around(box, 0, 0, reach=1.0, charges=charges).charge.tolist() == [1]
    assert cluster_around(box, 0, 0, reach=1.0).charge.tolist() == [0]


def test_formal_charges_are_those_of_labels_or_of_frames_of_one_molecule():
    salt = Frames(
        [3, 9, 8, 1, 1], np.arange(15.0).reshape(5, 3), [5],
        molecule=[0, 1, 2, 2, 2], charges=[0.8, -0.9, -0.5, 0.3, 0.3],
    )  # fmt: skip
    assert formal_charges(salt) == {"Li": 1, "F": -1, "H2O": 0}
    assert formal_charges(salt.replace(charges=None)) == {"Li": 0, "F": 0, "H2O": 0}
    ion = Frames([3], np.zeros((1, 3)), [1], charge=[1.0], molecule=[0])
    assert formal_charges(ion) == {"Li": 1}
    # Which molecule of a charged frame has the charge is not known.
    assert formal_charges(salt.replace(charges=None, charge=np.ones(1))) == {}


@pytest.mark.parametrize("reach", [3.0, 5.5, 8.0])
def test_images_are_found_however_far_and_in_any_cell(reach):
    cell = np.array([[5.0, 0, 0], [3.5, 4.0, 0], [-2.0, 1.5, 4.5]])
    draw = np.random.default_rng(0)
    positions = np.concatenate([draw.normal(size=(3, 3)), draw.normal(size=(3, 3)) + 2.0])
    frames = Frames(
        [8, 1, 1] * 2, positions, [6], cell=[cell], periodic=[True], molecule=[0] * 3 + [1] * 3
    )
    count = 0
    for molecule in (0, 1):
        own = positions[3 * molecule : 3 * molecule + 3]
        for shift in np.ndindex(*[15] * 3):
            moved = own + (np.array(shift) - 7) @ cell
            count += np.linalg.norm(moved - positions[0], axis=1).min() <= reach
    assert cluster_around(frames, 0, 0, reach=reach).molecule.max() + 1 == count


def test_atoms_in_one_place_are_seen():
    water = Frames([8, 1, 1], [[0, 0, 0.0], [0.96, 0, 0], [-0.24, 0.93, 0]], [3])
    assert not overlaps(water)
    assert overlaps(water.replace(positions=0.5 * water.positions))


def test_frames_that_do_not_repeat_give_their_neighbourhoods():
    frames = resolve("molecules?frames=20&box=2").train
    place = int(np.argmax([len(np.unique(frames.take([n]).molecule)) for n in range(len(frames))]))
    whole = cluster_around(frames, place, 0, reach=99.0)
    np.testing.assert_array_equal(whole.species, frames.take([place]).species)
