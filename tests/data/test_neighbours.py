"""Neighbours: equal to trying every image, in cells of any size and slant."""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.atoms import box, by_trying, spread_out, water

from limbeck.data.frames import Frames
from limbeck.data.neighbours import bonded_molecules, directed, lists_of, whole_molecules

CELLS = {
    "wide": 12 * np.eye(3),
    "small": 3.1 * np.eye(3),
    "tiny": np.diag([2.0, 2.5, 3.0]),
    "slanted": np.array([[4.0, 0, 0], [2.5, 3.5, 0], [-1.0, 1.5, 3.0]]),
}


def as_set(pairs):
    images = map(tuple, pairs.images.tolist())
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), images, strict=True))


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("moved", [0, 30])
def test_periodic_neighbours_equal_all_images(cell, moved):
    positions = spread_out(4, cell=cell, least=0.5)
    # Atoms far outside of their cell, as paths that are whole have them.
    positions = positions + moved * np.array([[1, 0, 0], [0, -1, 0], [0, 0, 1], [1, 1, 1]])
    pairs = lists_of(positions, cell, True, 5.0)
    both = directed(pairs)
    assert len(as_set(both)) == len(both.first) == 2 * len(pairs.first)
    assert as_set(both) == by_trying(positions, cell, 5.0)
    lengths = np.linalg.norm(both.vectors(positions, cell), axis=1)
    assert lengths.max() < 5.0


def test_the_order_depends_on_the_frame_alone():
    frame = box(8)
    first = lists_of(frame.positions, frame.cell[0], True, 5.0)
    order = np.lexsort((*first.images.T[::-1], first.second, first.first))
    assert np.array_equal(order, np.arange(len(order)))
    assert (first.first <= first.second).all()


def test_an_atom_has_its_own_images():
    pairs = lists_of(np.zeros((1, 3)), 2.0 * np.eye(3), True, 2.5)
    assert pairs.images.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert len(directed(pairs).first) == 6


def test_clusters_have_every_pair_or_those_within():
    positions = spread_out(7)
    every = lists_of(positions, np.zeros((3, 3)), False, None)
    assert len(every.first) == 21
    near = lists_of(positions, np.zeros((3, 3)), False, 3.0)
    assert (np.linalg.norm(near.vectors(positions, np.zeros((3, 3))), axis=1) < 3).all()
    assert 0 < len(near.first) < 21


def test_edges_are_sorted_by_receiver():
    both = directed(lists_of(spread_out(7), np.zeros((3, 3)), False, 4.0))
    assert (np.diff(both.first) >= 0).all()
    assert set(zip(both.first, both.second, strict=True)) == set(
        zip(both.second, both.first, strict=True)
    )


def test_molecules_are_found_by_bonds_through_the_border():
    hydrogen = Frames(
        [1, 1, 1, 1],
        [[0.1, 0, 0], [4.7, 0, 0], [2.0, 2, 2], [2.7, 2, 2]],
        [4],
        cell=[5 * np.eye(3)],
        periodic=[True],
    )
    # The first two are 0.4 A apart through the border.
    assert bonded_molecules(hydrogen).tolist() == [0, 0, 1, 1]


def test_an_ion_of_a_metal_is_no_part_of_a_molecule():
    frame = Frames([8, 1, 1, 3], [*water().positions, [0, 0, 1.9]], [4])
    assert bonded_molecules(frame).tolist() == [0, 0, 0, 1]


def test_molecules_are_made_whole():
    random = np.random.default_rng(2)
    cell = np.array([[9.0, 0, 0], [2.0, 8.0, 0], [0, 1.0, 7.0]])
    # A chain longer than half the cell, and a short one.
    chain = np.cumsum(random.normal(size=(7, 3)) * 0.3 + [0.9, 0, 0], axis=0)
    short = np.array([[4.0, 4, 4], [4.7, 4, 4]])
    x = np.concatenate([chain, short]) + np.array([5.0, 3.0, 2.0])
    inside = (x @ np.linalg.inv(cell) % 1) @ cell
    assert np.abs(inside - x).max() > 1
    frames = Frames([6] * 9, inside, [9], cell=[cell], periodic=[True], molecule=[0] * 7 + [1] * 2)
    made = whole_molecules(frames).positions
    for rows in (slice(0, 7), slice(7, 9)):
        np.testing.assert_allclose(np.diff(made[rows], axis=0), np.diff(x[rows], axis=0), atol=1e-9)
    cells = (made - inside) @ np.linalg.inv(cell)
    np.testing.assert_allclose(cells, np.round(cells), atol=1e-9)


def test_molecules_of_clusters_stay_where_they_are():
    line = [[0, 0, 0.0], [30.0, 0, 0]]
    frames = Frames([6, 6], line, [2], cell=[9 * np.eye(3)], molecule=[0, 0])
    assert whole_molecules(frames).positions.tolist() == line
