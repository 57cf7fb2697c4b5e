"""Frames: held flat, taken apart and joined, and refused where they cannot be true."""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.atoms import box, water

from limbeck.data.frame_checks import check_frames
from limbeck.data.frames import Frames, join, ranges
from limbeck.errors import DataError, UnusualUseWarning

LINE = [[0, 0, 0.0], [1, 0, 0], [2, 0, 0]]


def labelled(**changed):
    labels = {"energy": [-200.0], "forces": np.zeros((3, 3))} | changed
    return Frames([8, 1, 1], LINE, [3], **labels)


def test_taking_and_joining_are_inverse():
    first = water(2, energy=[-1.0, -2.0], forces=np.arange(18.0).reshape(6, 3))
    second = labelled()
    both = join([first, second])
    assert (len(both), both.atoms, both.labels) == (3, 9, ("energy", "forces"))
    assert both.take([0, 1]).fingerprint == first.fingerprint
    assert both.take([2]).fingerprint == second.fingerprint
    turned = both.take([2, 0])
    assert turned.energy.tolist() == [-200.0, -1.0]
    np.testing.assert_array_equal(turned.forces[3:], first.forces[:3])


def test_what_not_all_have_is_left_out():
    assert join([labelled(), water()]).labels == ()


def test_fingerprint_tells_contents():
    assert labelled().fingerprint == labelled().fingerprint
    assert labelled().fingerprint != labelled(energy=[-200.1]).fingerprint
    assert labelled().fingerprint != labelled(charge=[1.0]).fingerprint


def test_ranges_skip_nothing():
    assert ranges(np.array([], dtype=int), np.array([], dtype=int)).tolist() == []
    assert ranges(np.array([5, 0]), np.array([0, 2])).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"forces": np.full((3, 3), np.nan)}, "forces of frame 0 holds NaN"),
        ({"energy": [np.inf]}, "energy of frame 0 holds NaN or infinity"),
        ({"energy": [1.0, 2.0]}, r"energy has shape \(2,\), expected \(1,\)"),
        ({"charges": [1.0]}, r"charges has shape \(1,\), expected \(3,\)"),
    ],
)
def test_labels_that_cannot_be(change, words):
    with pytest.raises(DataError, match=words):
        labelled(**change)


def test_nan_names_its_frame():
    forces = np.zeros((9, 3))
    forces[7, 1] = np.nan
    with pytest.raises(DataError, match="frame 2"):
        water(3, forces=forces)


def test_empty_frames_and_places():
    with pytest.raises(DataError, match="frame 1 has no atom"):
        Frames([1], [[0, 0, 0.0]], [1, 0])
    with pytest.raises(DataError, match="there are 1 frames"):
        water().take([1])
    with pytest.raises(DataError, match="no frames to join"):
        join([])


@pytest.mark.parametrize("apart", [0.0, 0.29])
def test_overlapping_atoms(apart):
    close = Frames([8, 1], [[0, 0, 0.0], [apart, 0, 0]], [2])
    with pytest.raises(DataError, match=r"set: atoms 0 \(O\) and 1 \(H\) of frame 1 are less"):
        check_frames(join([Frames([8], [[0, 0, 0.0]], [1]), close]), "set")


def test_an_image_may_overlap():
    close = Frames([8, 1], [[0.1, 0, 0], [3.95, 0, 0]], [2], cell=[np.eye(3) * 4], periodic=[True])
    with pytest.raises(DataError, match="atoms 0"):
        check_frames(close)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (np.zeros((3, 3)), "no volume"),
        (np.diag([6.0, 6.0, -6.0]), "left-handed"),
        (np.array([[6.0, 0, 0], [6, 0, 0], [0, 0, 6]]), "no volume"),
    ],
)
def test_impossible_cells(cell, words):
    with pytest.raises(DataError, match=f"the cell of frame 0 .*{words}"):
        check_frames(box().replace(cell=cell[None]))


def varied(count=40, per_atom=False, scale=1.0):
    """Chains of carbon and hydrogen whose energies are sums with a little noise."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 12, count)
    species = [np.where(rng.random(size) < 0.4, 6, 1) for size in sizes]
    energy = np.array([np.where(one == 6, -120.0, -40.0).sum() for one in species])
    energy += rng.normal(size=count) * np.sqrt(sizes)
    energy = (energy / sizes if per_atom else energy) * scale
    positions = [np.arange(size)[:, None] * [1.1, 0, 0] for size in sizes]
    forces = rng.normal(size=(sizes.sum(), 3)) * 30
    return Frames(
        np.concatenate(species), np.concatenate(positions), sizes, energy=energy, forces=forces
    )


def test_energies_of_whole_frames_pass():
    assert check_frames(varied()).labels == ("energy", "forces")


def test_energies_per_atom_are_told():
    with pytest.warns(UnusualUseWarning, match="look like energies per atom"):
        check_frames(varied(per_atom=True))


def test_energies_that_no_bond_gives():
    with pytest.raises(DataError, match=r"frame \d+ has .* beyond what any bond gives"):
        check_frames(varied(scale=20))


def test_units_that_are_mixed_up():
    frames = varied()
    with pytest.warns(UnusualUseWarning, match="same units"):
        check_frames(frames.replace(forces=frames.forces * 4000))
