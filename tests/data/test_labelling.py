"""Label sources: tblite by name, calculators as they are, failures that are named."""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones
from tests.data.atoms import box, water

from limbeck.data.frames import Frames, join
from limbeck.data.labelling import label_source, labelled
from limbeck.data.molecules import molecules
from limbeck.errors import ArgumentError, DataError, UnusualUseWarning


class Picky(Calculator):
    """Says what it is told and fails on three atoms."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if len(self.atoms) == 3:
            raise RuntimeError("three is\ntoo many")
        energy = np.nan if len(self.atoms) == 4 else -2.0 * len(self.atoms)
        forces = np.ones((len(self.atoms), 3))
        self.results = {"energy": energy, "forces": forces, "stress": -np.arange(6.0)}


def test_tight_binding_of_water():
    told = labelled(water(), "tblite")
    assert told.labels == ("energy", "forces", "charges", "dipole")
    # The source takes its own free atoms off; water is bound by about 10 eV.
    assert -400 < told.energy[0] < -200
    assert abs(told.charges.sum()) < 1e-6
    assert 1.5 < np.linalg.norm(told.dipole) < 3.0
    assert labelled(water(), "tblite").fingerprint == told.fingerprint


def test_labels_do_not_depend_on_what_came_before():
    source = label_source("tblite")
    three = water(3).replace(positions=water(3).positions * np.repeat([1, 1.05, 1], 3)[:, None])
    np.testing.assert_array_equal(
        labelled(three, source).forces[6:], labelled(water(), source).forces
    )


def test_charges_of_frames_reach_the_source():
    charged = join([water(), water().replace(charge=[1.0])])
    told = labelled(charged, "tblite?accuracy=1")
    assert told.energy[1] - told.energy[0] > 200
    np.testing.assert_allclose(told.charges[3:].sum(), 1, atol=1e-6)
    with pytest.warns(UnusualUseWarning, match="frames, which are left out: 1; .*has charge 1"):
        assert len(labelled(charged, LennardJones())) == 1


def test_any_calculator_labels():
    pair = Frames([18, 18], [[0, 0, 0.0], [1.2, 0, 0]], [2])
    told = labelled(pair, LennardJones())
    assert told.labels == ("energy", "forces")
    shift = 3.0**-12 - 3.0**-6
    assert told.energy[0] == pytest.approx(4 * 23.0605 * (1.2**-12 - 1.2**-6 - shift))


def test_free_atoms_are_asked_for_once():
    source = label_source(Picky())
    assert source.free_atoms((1, 8)) == {1: -2.0, 8: -2.0}
    given = label_source(Picky(), free_atoms={1: -1.0, 6: 5.0})
    assert given.free_atoms((1,)) == {1: -1.0}
    assert labelled(box(2), given).energy[0] == pytest.approx(23.0605 * (-4.0 - 4.0))
    assert source.fingerprint != given.fingerprint


def test_stress_of_periodic_frames_becomes_a_virial():
    told = labelled(box(2), Picky())
    assert "virial" in told.labels
    assert told.virial[0, 1, 2] == pytest.approx(3 * 216 * 23.0605)


def test_failures_are_named_and_left_out():
    frames = join([box(2), box(3), box(4), box(2)]).replace(periodic=[False] * 4)
    with pytest.warns(
        UnusualUseWarning,
        match="no labels for 2 of 4 frames, which are left out: 1, 2; of frame 1 it says: three is",
    ):
        told = labelled(frames, Picky())
    assert told.counts.tolist() == [2, 2]
    with pytest.raises(DataError, match="of frame 0 it says: three is"):
        labelled(water(2), Picky())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tblight", "no label source 'tblight'; did you mean tblite?"),
        ("tblite?metod=GFN1-xTB", "no option 'metod'; did you mean method?"),
        (7, "source is a int"),
    ],
)
def test_sources_that_are_not_there(name, words):
    with pytest.raises((DataError, ArgumentError), match=words):
        label_source(name)


def test_molecules_are_drawn_by_key():
    data = molecules(frames=20)
    assert molecules(frames=20).fingerprint == data.fingerprint
    other = molecules(frames=20, draw=1)
    assert other.fingerprint != data.fingerprint
    assert [len(one) for one in (data.train, data.validation, data.test)] == [14, 2, 4]
    assert data.liquid.molecule.max() == 11
    assert {number for number in data.elements} <= {1, 6, 7, 8}
    # Both lone molecules and clusters, of which some touch.
    counts = [data.train.one(place)["molecule"].max() + 1 for place in range(14)]
    assert min(counts) == 1 < max(counts)


def test_molecules_refuse_numbers_that_cannot_be():
    with pytest.raises(DataError, match="frames is 5, expected a whole number of at least 10"):
        molecules(frames=5)
    with pytest.raises(DataError, match="no label source"):
        molecules(frames=20, source="magic")


def test_a_box_has_room():
    liquid = molecules(frames=20, box=8).liquid
    from limbeck.data.neighbours import lists_of

    one = liquid.one(0)
    pairs = lists_of(one["positions"], one["cell"], True, 1.7)
    same = one["molecule"][pairs.first] == one["molecule"][pairs.second]
    assert same.all()
    assert not pairs.images.any()
