"""Packing: rigid molecules in a periodic box, drawn with room and pushed together."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial import cKDTree

from limbeck import keyed
from limbeck.data.atoms import masses
from limbeck.data.elements import formula_of, symbols
from limbeck.data.frames import Floats, Frames, Integers
from limbeck.data.science import science
from limbeck.errors import DataError, UnusualUseWarning
from limbeck.functional.units import DENSE

# Below this charge in e a molecule is neutral: sums of charges that files round.
NEUTRAL = 1e-3
# Atoms of two molecules begin at least this share of their van der Waals radii apart: liquids have
# few contacts that are closer, and force fields know little of them.
CONTACT = 0.85
# Of a contact, how much may be missing in the end.
SLACK = 0.1
# A box is drawn so many times as wide as it shall be, and becomes narrower by this factor a round.
ROOMY, NARROWER = 1.6, 0.97
PUSHES = 400
# A box that is wider than it shall be by more than this is told of.
TOLD = 1e-3
# Nothing hangs on digits behind these, in Angstrom, which processors may compute differently.
DIGITS = 6


def packed(molecule: Frames, count: int, *, density: float, key: int = 0) -> Frames:
    """A cubic periodic box of one molecule many times, at random places and angles.

    Molecules are drawn in a wider box that shrinks, and pushed apart as rigid bodies wherever atoms
    of two come close.

    Args:
        molecule: one frame.
        count: how many.
        density: in g/cm3; where molecules find no room, or one meets its own image, it is lowered
            with a warning.
        key: of the draws.

    Returns:
        One frame, with molecules numbered.

    Raises:
        DataError: the molecule is charged, or ASE is not installed.

    Example:
        >>> water = Frames(
        ...     np.array([8, 1, 1]),
        ...     np.array([[0.0, 0.0, 0.1], [0.0, 0.8, -0.5], [0.0, -0.8, -0.5]]),
        ...     np.array([3]),
        ... )
        >>> box = packed(water, 8, density=0.9)
        >>> box.molecule.max(), box.cell[0, 0, 0].round(2)
        (np.int64(7), np.float64(6.43))
    """
    charge = float(molecule.charge[0])
    if abs(charge) > NEUTRAL:
        raise DataError(
            f"the molecule {formula_of(molecule.species)} has a charge of {charge:+g} e; a box of "
            "it alone would be charged, so give one with ions of both signs: xyz:FILE"
        )
    radii = np.asarray(science("ase.data").vdw_radii)[molecule.species]
    if np.isnan(radii).any():
        (name,) = symbols(molecule.species[np.isnan(radii)][:1])
        raise DataError(f"no van der Waals radius is known of {name}; give a box: xyz:FILE")
    shape = molecule.positions - molecule.positions.mean(0)
    # However a molecule lies, it does not touch its own image.
    within = np.linalg.norm(shape[:, None] - shape, axis=2)
    least = float((within + CONTACT * (radii[:, None] + radii)).max())
    weight = float(masses(molecule).sum()) * count
    wanted = float((DENSE * weight / density) ** (1 / 3))
    pile = _Pile(shape, np.tile(radii, count), count, ROOMY * max(wanted, least), key)
    rounds = int(np.ceil(np.log(max(wanted, least) / pile.side) / np.log(NARROWER)))
    factor = (max(wanted, least) / pile.side) ** (1 / rounds)
    for _ in range(rounds):
        if not pile.shrunk(factor):
            break
    if pile.side > (1 + TOLD) * wanted:
        warnings.warn(
            f"{count} molecules {formula_of(molecule.species)} find no room at {density:g} g/cm3 "
            "without touching each other or their images, and are packed at "
            f"{density * (wanted / pile.side) ** 3:.3g}; take more of them, or a lower density",
            UnusualUseWarning,
            stacklevel=2,
        )
    return Frames(
        np.tile(molecule.species, count),
        pile.positions.reshape(-1, 3).round(DIGITS),
        np.array([count * len(shape)]),
        cell=round(pile.side, DIGITS) * np.eye(3)[None],
        periodic=np.array([True]),
        molecule=np.repeat(np.arange(count), len(shape)),
    )


class _Pile:
    """Rigid molecules in a cubic box: centres ``(M, 3)``, atoms around them ``(M, A, 3)``."""

    def __init__(self, shape: Floats, radii: Floats, count: int, side: float, key: int) -> None:
        self.side, self._radii = side, CONTACT * radii
        self._around = np.stack([turned(shape, keyed.key(key, number)) for number in range(count)])
        self._centres = side * keyed.uniform(keyed.key(key, "at"), np.arange(count), 3)
        self._molecule = np.repeat(np.arange(count), len(shape))

    @property
    def positions(self) -> Floats:
        """Of atoms, ``(M, A, 3)``."""
        return self._centres[:, None] + self._around

    def shrunk(self, factor: float) -> bool:
        """Make the box smaller and push molecules apart; as it was if they find no room."""
        before = self.side, self._centres, self._around
        self.side, self._centres = factor * self.side, factor * self._centres
        for _ in range(PUSHES):
            first, second, push, missing = self._contacts()
            if not len(missing) or missing.max() < SLACK:
                return True
            self._push(first, second, push)
        self.side, self._centres, self._around = before
        return False

    def _contacts(self) -> tuple[Integers, Integers, Floats, Floats]:
        """Pairs of atoms that are too close, the way of the first, and which share is missing."""
        atoms = self.positions.reshape(-1, 3)
        tree = cKDTree(atoms % self.side, boxsize=self.side)
        pairs = tree.query_pairs(2 * self._radii.max(), output_type="ndarray")
        first, second = pairs[self._molecule[pairs[:, 0]] != self._molecule[pairs[:, 1]]].T
        apart = atoms[first] - atoms[second]
        apart -= self.side * np.round(apart / self.side)
        distance = np.maximum(np.linalg.norm(apart, axis=1), 1e-9)
        wanted = self._radii[first] + self._radii[second]
        close = distance < wanted
        first, second, apart = first[close], second[close], apart[close]
        missing = (wanted - distance)[close]
        push = apart * (0.5 * missing / distance[close])[:, None]
        return first, second, push, missing / wanted[close]

    def _push(self, first: Integers, second: Integers, push: Floats) -> None:
        """Move and turn molecules by the mean of what their contacts ask for."""
        count, size = self._around.shape[:2]
        around = self._around.reshape(-1, 3)
        ends, pushes = np.concatenate([first, second]), np.concatenate([push, -push])
        owner, arm = ends // size, around[ends]

        def summed(values: Floats) -> Floats:
            return np.stack([np.bincount(owner, one, count) for one in values.T], 1)

        number = np.maximum(np.bincount(owner, minlength=count), 1)[:, None]
        inertia = np.maximum(summed(np.square(arm).sum(1, keepdims=True)), 1e-9)
        self._centres = self._centres + summed(pushes) / number
        turns = summed(np.cross(arm, pushes)) / inertia
        self._around = np.einsum("mij,maj->mai", rotations(turns), self._around)


def rotations(turns: Floats) -> Floats:
    """Matrices ``(M, 3, 3)`` of rotation vectors ``(M, 3)``, by the formula of Rodrigues.

    Example:
        >>> rotations(np.array([[0.0, 0.0, np.pi / 2]])).round(6)[0] @ [1, 0, 0]
        array([0., 1., 0.])
    """
    angle = np.linalg.norm(turns, axis=1)[:, None, None]
    x, y, z = (turns / np.maximum(angle[:, :, 0], 1e-12)).T
    zero = np.zeros_like(x)
    cross = np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]).transpose(2, 0, 1)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def turned(shape: Floats, key: int) -> Floats:
    """A shape ``(A, 3)`` under a random rotation: a random quaternion of length 1."""
    w, x, y, z = (quarter := normal(keyed.key(key, "turn"), (1, 4))[0]) / np.linalg.norm(quarter)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    return shape @ rotation.T


def normal(key: int, shape: tuple[int, ...]) -> Floats:
    """Normal numbers by key, of two even ones each (Box and Muller)."""
    rows, columns = shape
    even = keyed.uniform(key, np.arange(rows), 2 * columns)
    radius, turn = even[:, :columns], even[:, columns:]
    return np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * turn)
