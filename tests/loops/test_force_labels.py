"""Frames are sampled and labelled by a source in stages."""

import numpy as np
import pytest

from limbeck.data import label_source, labelled
from limbeck.data.labelling import Source
from limbeck.data.names import resolve
from limbeck.errors import DataError, UnusualUseWarning
from limbeck.loops import force_labels
from limbeck.loops.force_frames import Sampling
from limbeck.loops.force_labels import labelled_frames, splits_of
from limbeck.run import Run

SHORT = Sampling(cluster_picoseconds=0.005, every=0.001)


@pytest.fixture(scope="module")
def frames():
    return resolve("molecules?frames=12").test


def lennard_jones(refused=()):
    """Pairs by Lennard-Jones; frames of some numbers of atoms are refused."""
    from ase.calculators.lj import LennardJones

    class Some(LennardJones):
        def calculate(self, atoms=None, *given):
            if atoms is not None and len(atoms) in refused:
                raise RuntimeError("not of this size")
            super().calculate(atoms, *given)

    free = dict.fromkeys((1, 6, 7, 8), 0.0)
    return Source(lambda charge: Some(sigma=0.3, rc=3.0), f"pairs{refused}", free_atoms=free)


def test_frames_are_those_that_are_labelled_at_once(frames, tmp_path, monkeypatch):
    monkeypatch.setattr(force_labels, "TOGETHER", 1)
    source = lennard_jones()
    told, origin = labelled_frames(Run(tmp_path), frames, source)
    assert origin.tolist() == list(range(len(frames)))
    assert told.energy == pytest.approx(labelled(frames, source).energy)


def test_dynamics_are_of_the_source_and_told_again_without_it(frames, tmp_path):
    source = lennard_jones()
    told, origin = labelled_frames(Run(tmp_path), frames.take([0, 1]), source, SHORT)
    assert np.bincount(origin).tolist() == [6, 6]
    assert told.labels == ("energy", "forces")
    broken = Source(lambda charge: 1 / 0, source.name, free_atoms=source._given)
    again, _ = labelled_frames(Run(tmp_path), frames.take([0, 1]), broken, SHORT)
    assert (again.forces == told.forces).all()


def test_frames_without_labels_are_counted(frames, tmp_path, monkeypatch):
    monkeypatch.setattr(force_labels, "TOGETHER", 1)
    size = int(frames.counts[0])
    missing = int((frames.counts == size).sum())
    source = lennard_jones((size,))
    with pytest.warns(UnusualUseWarning, match=f"no labels for {missing} of {len(frames)} frames"):
        told, origin = labelled_frames(Run(tmp_path), frames, source)
    assert len(told) == len(origin) == len(frames) - missing
    every = lennard_jones(tuple(frames.counts.tolist()))
    with pytest.raises(DataError, match=f"none of {len(frames)} frames"):
        labelled_frames(Run(tmp_path), frames, every)


def test_an_unknown_source_is_told(frames, tmp_path):
    with pytest.raises(DataError, match="there is no label source 'tblit'"):
        labelled_frames(Run(tmp_path), frames, "tblit")
    assert label_source("tblite").name.startswith("tblite")


def test_a_start_is_of_one_split():
    origin = np.repeat(np.arange(20), 3)
    splits = np.array(splits_of(origin, 0)).reshape(20, 3)
    assert (splits == splits[:, :1]).all()
    assert sorted(splits[:, 0]) == ["test"] * 4 + ["train"] * 14 + ["valid"] * 2
    assert splits_of(origin, 1) != splits_of(origin, 0)
