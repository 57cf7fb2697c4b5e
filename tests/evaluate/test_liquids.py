"""Figures of liquids: against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from limbeck.data.atoms import from_atoms
from limbeck.data.frames import Frames, join
from limbeck.errors import ArgumentError
from limbeck.evaluate.liquids import (
    densities,
    diffusion_coefficient,
    energy_drift,
    mean_squared_displacement,
    radial_distribution,
    time_to_failure,
    unwrapped,
)


def gas(frames=60, atoms=60, side=10.0, seed=0):
    rng = np.random.default_rng(seed)
    species = np.tile(np.repeat([1, 8], atoms // 2), frames)
    return Frames(
        species,
        rng.random((frames * atoms, 3)) * side,
        [atoms] * frames,
        cell=np.tile(side * np.eye(3), (frames, 1, 1)),
        periodic=[True] * frames,
        molecule=np.tile(np.arange(atoms) // 2, frames),
    )


def walk(frames=400, atoms=200, step=0.1, drift=(0.0, 0, 0), seed=0):
    """Brownian motion of D = step^2 / 2 a frame, with the whole moving along."""
    rng = np.random.default_rng(seed)
    moves = step * rng.normal(size=(frames, atoms, 3))
    moves[0] = 0
    paths = np.cumsum(moves, 0) + np.arange(frames)[:, None, None] * np.array(drift)
    return Frames(np.full(frames * atoms, 18), paths.reshape(-1, 3), [atoms] * frames)


def test_density_of_a_crystal():
    argon = from_atoms([bulk("Ar", "fcc", a=5.26, cubic=True) * 2] * 2)
    np.testing.assert_allclose(densities(argon), 4 * 39.948 * 1.66053907 / 5.26**3, rtol=1e-6)
    with pytest.raises(ArgumentError, match="periodic"):
        densities(Frames([18], [[0, 0, 0.0]], [1]))


@pytest.mark.parametrize("pair", [("H", "H"), ("H", "O"), ("O", "H")])
def test_an_ideal_gas_has_no_structure(pair):
    middles, found = radial_distribution(gas(), *pair, bins=10)
    assert middles[-1] == pytest.approx(4.75)
    np.testing.assert_allclose(found[3:], 1, atol=0.1)
    assert (found[3:] * middles[3:] ** 2).sum() / (middles[3:] ** 2).sum() == pytest.approx(1, 0.02)


def test_both_orders_are_one():
    ours, theirs = (radial_distribution(gas(5), *pair)[1] for pair in ("HO", "OH"))
    np.testing.assert_allclose(ours, theirs)


def test_shells_of_a_crystal():
    argon = from_atoms([bulk("Ar", "fcc", a=5.0, cubic=True)])
    middles, found = radial_distribution(argon, "Ar", "Ar", reach=4.0, bins=400)
    shell = middles[found > 0]
    np.testing.assert_allclose(shell, 5 / np.sqrt(2), atol=0.01)
    # Twelve neighbours, however small the cell: the sum of g over the shell counts them.
    counted = (found * 4 / 3 * np.pi * np.diff(np.linspace(0, 4, 401) ** 3)).sum() * 3 / 125
    assert counted == pytest.approx(12)


def test_bonds_can_be_left_out():
    side = 8.0
    one = Frames(
        [1, 1], [[0, 0, 0], [0.7, 0, 0.0]], [2], cell=[side * np.eye(3)], periodic=[True]
    ).replace(molecule=[0, 0])
    assert radial_distribution(one, "H", "H")[1].max() > 0
    assert radial_distribution(one, "H", "H", between=True)[1].max() == 0
    with pytest.raises(ArgumentError, match="not numbered"):
        radial_distribution(one.replace(molecule=None), "H", "H", between=True)
    with pytest.raises(ArgumentError, match="hold no 'He'"):
        radial_distribution(one, "H", "He")


def test_displacements_of_straight_paths_are_squares():
    paths = np.arange(10)[:, None, None] * np.array([[1.0, 0, 0], [0, 2.0, 0]])
    frames = Frames([1, 8] * 10, paths.reshape(-1, 3), [2] * 10)
    lags = np.arange(10.0) ** 2
    np.testing.assert_allclose(
        mean_squared_displacement(frames, still=False), 2.5 * lags, atol=1e-9
    )
    hydrogen = mean_squared_displacement(frames, elements=["H"], still=False)
    np.testing.assert_allclose(hydrogen, lags, atol=1e-9)


def test_displacements_equal_their_definition():
    frames = walk(20, 5)
    paths = frames.positions.reshape(20, 5, 3)
    plain = [((paths[k:] - paths[: 20 - k]) ** 2).sum(2).mean() for k in range(20)]
    found = mean_squared_displacement(frames, still=False)
    np.testing.assert_allclose(found, plain, atol=1e-12)


def test_brownian_motion_has_its_coefficient():
    known = 1e-4 * 0.1**2 / 2 / 0.5
    for drift in ((0, 0, 0), (0.3, 0, 0)):
        moved = mean_squared_displacement(walk(drift=drift))
        assert diffusion_coefficient(moved, 0.5) == pytest.approx(known, rel=0.15)


def test_too_few_frames_to_fit():
    with pytest.raises(ArgumentError, match="too few to fit"):
        diffusion_coefficient(np.arange(3.0), 1.0)


@pytest.mark.parametrize("slant", [0.0, 2.0])
def test_paths_are_made_whole(slant):
    cell = np.array([[3.0, 0, 0], [slant, 3, 0], [0, 0, 3]])
    whole = walk(100, 20, step=0.2).replace(cell=np.tile(cell, (100, 1, 1)), periodic=[True] * 100)
    scaled = whole.positions @ np.linalg.inv(cell)
    inside = whole.replace(positions=(scaled % 1.0) @ cell)
    moved = [mean_squared_displacement(one) for one in (whole, unwrapped(inside))]
    np.testing.assert_allclose(*moved, atol=1e-9)
    assert np.abs(mean_squared_displacement(inside) - moved[0]).max() > 0.1


def test_frames_of_several_systems_are_no_trajectory():
    with pytest.raises(ArgumentError, match="do not hold the same atoms"):
        mean_squared_displacement(join([walk(2, 3), walk(2, 4)]))


def test_drift_is_a_slope():
    times = np.linspace(0, 2, 50)
    totals = 7 + 0.003 * times + 1e-6 * np.sin(times * 40)
    assert energy_drift(times, totals, 3) == pytest.approx(1.0, rel=0.01)
    with pytest.raises(ArgumentError, match="at least 2"):
        energy_drift(np.zeros(1), np.zeros(1), 1)


def test_time_to_failure_counts_those_that_held():
    assert time_to_failure([1.0, 3.0, 10.0, 10.0], [True, True, False, False]) == {
        "failures": 0.5,
        "shortest_ps": 1.0,
        "mean_time_to_failure_ps": 12.0,
    }
    assert time_to_failure([5.0], [False])["mean_time_to_failure_ps"] is None
    with pytest.raises(ArgumentError, match="times has 0"):
        time_to_failure([], [])


def test_pairs_between_molecules_do_not_depend_on_where_atoms_are_put():
    cell, line = 8 * np.eye(3), [[7.8, 4, 4], [8.5, 4, 4]]
    whole = Frames([1, 1], line, [2], cell=[cell], periodic=[True], molecule=[0, 0])
    wrapped = whole.replace(positions=np.asarray(line) % 8)
    g = [radial_distribution(one, "H", "H", reach=9.0, between=True)[1] for one in (whole, wrapped)]
    np.testing.assert_allclose(g[0], g[1])
    assert not g[0][:50].any()
    # Images of the own molecule count.
    assert g[0].any()
