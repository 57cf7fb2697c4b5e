"""Boxes that dynamics start from: read of files and atoms, labelled or not, and packed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from tests.data.atoms import box

from limbeck.data import to_atoms, write_xyz
from limbeck.data.boxes import packed, with_box
from limbeck.data.names import resolve
from limbeck.errors import DataError


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
