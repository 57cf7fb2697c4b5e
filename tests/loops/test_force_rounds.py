"""Rounds of labels for what members' own dynamics came to."""

import dataclasses

import numpy as np
import pytest
import torch
from ase.calculators.lj import LennardJones

from limbeck.data.cutting import cluster_around
from limbeck.data.labelling import label_source, told_by
from limbeck.data.names import resolve
from limbeck.errors import DataError, NoEffectWarning
from limbeck.loops.force_fields import ForceTraining, predicted
from limbeck.loops.force_frames import Sampling, drawn_frames
from limbeck.loops.force_rounds import Rounds, check_source, doubtful_clusters, taught_in_rounds
from limbeck.methods.bamboo.bamboo import BAMBOO
from limbeck.run import Run
from limbeck.testing.forces import teachers

SAMPLING = Sampling(picoseconds=0.002, every=0.001, ensemble="npt")
SHORT = Rounds(count=2, sampling=SAMPLING, clusters=3, epochs=1)
TRAINING = ForceTraining(epochs=1, batch_size=8)


@pytest.fixture(scope="module")
def data():
    return resolve("molecules?frames=30&box=4")


def members(data):
    return [(network, 1.0) for network in teachers(data)]


def test_members_learn_from_what_was_labelled_and_go_on_in_the_same_bits(data, tmp_path):
    begun = members(data)
    before = [{name: one.clone() for name, one in net.state_dict().items()} for net, _ in begun]
    found, more = taught_in_rounds(Run(tmp_path), begun, data, SHORT, TRAINING)
    added = len(more.train) - len(data.train)
    assert 0 < added <= 2 * SHORT.clusters
    assert more.train.labels == data.train.labels
    assert more.validation is data.validation
    assert more.test is data.test
    for (network, error), weights in zip(found, before, strict=True):
        assert error > 0
        assert any(
            not torch.equal(weights[name], one) for name, one in network.state_dict().items()
        )
    # What was labelled is what the source says of it.
    new = more.train.take(range(len(data.train), len(more.train)))
    told, failed = told_by(new, label_source())
    assert not failed
    np.testing.assert_allclose(told.forces, new.forces, atol=1e-4)
    again, same = taught_in_rounds(Run(tmp_path), members(data), data, SHORT, TRAINING)
    np.testing.assert_array_equal(same.train.positions, more.train.positions)
    for (one, _), (other, _) in zip(found, again, strict=True):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name])


def test_without_rounds_nothing_is_done(data, tmp_path):
    given = members(data)
    found, same = taught_in_rounds(Run(tmp_path), given, data, Rounds(), TRAINING)
    assert found == given
    assert same is data
    assert not list(tmp_path.glob("jobs/*"))


def test_clusters_are_those_around_what_is_in_doubt(data):
    networks = teachers(data)
    rounds = Rounds(clusters=2, reach=2.5)
    said = torch.stack([predicted(one, data.train)["forces"] for one in networks])
    doubt = (said[0] - said[1]).norm(dim=1).numpy()
    worst = np.maximum.reduceat(doubt, data.train.bounds[:-1])
    found = doubtful_clusters(networks, data.train, rounds)
    assert len(found) == 2
    place = int(worst.argmax())
    atom = int(doubt[slice(*data.train.bounds[place : place + 2])].argmax())
    wanted = cluster_around(data.train, place, atom, reach=2.5)
    np.testing.assert_allclose(found.take([0]).positions, wanted.positions)
    small = dataclasses.replace(rounds, most_atoms=4)
    assert doubtful_clusters(networks, data.train, small).counts.max() <= 4
    with pytest.raises(DataError, match="more than 1 atoms; raise rounds.most_atoms"):
        doubtful_clusters(networks, data.train, dataclasses.replace(rounds, most_atoms=1))


def test_clusters_with_great_forces_are_left_out(data, tmp_path):
    none = dataclasses.replace(SHORT, count=1, most_force=1e-6)
    with pytest.raises(DataError, match="all 3 clusters"):
        taught_in_rounds(Run(tmp_path), members(data), data, none, TRAINING)


def test_a_source_that_says_something_else_is_refused(data):
    check_source(data, label_source())
    with pytest.raises(DataError, match="GFN1-xTB says forces that are .* from the labels of"):
        check_source(data, label_source("tblite?method=GFN1-xTB"))
    with pytest.raises(DataError, match="says no charges, dipole and molecules has them"):
        check_source(
            data, label_source(LennardJones(), free_atoms=dict.fromkeys((1, 6, 7, 8), 0.0))
        )


def test_boxes_breathe_where_that_is_asked_for(data, tmp_path):
    networks = teachers(data)
    for ensemble, cells in (("nvt", 1), ("npt", 2)):
        sampling = dataclasses.replace(
            SAMPLING, ensemble=ensemble, clusters=1, cluster_picoseconds=0.002
        )
        frames, box = drawn_frames(
            Run(tmp_path / ensemble), networks[:1], data.train, data.liquid, sampling
        )
        assert len(np.unique(frames.cell[box == 0][:, 0, 0])) == cells
        assert not frames.periodic[box == -1].any()


def test_rounds_of_teachers_that_are_given_have_no_effect(data, tmp_path):
    method = BAMBOO(rounds={"count": 1})
    ready = {"data": data, "student": teachers(data)[0], "teacher": teachers(data)}
    with pytest.warns(NoEffectWarning, match="rounds have no effect"):
        method.assemble(Run(tmp_path), ready)
