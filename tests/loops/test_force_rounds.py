"""Rounds of labels for what members' own dynamics came to."""

import dataclasses

import numpy as np
import pytest
import torch

from limbeck.data.boxes import with_molecules
from limbeck.data.cutting import cluster_around, formal_charges
from limbeck.data.labelling import label_source, told_by
from limbeck.data.names import resolve
from limbeck.errors import ArgumentError, DataError, NoEffectWarning
from limbeck.functional.units import EV
from limbeck.loops import force_rounds
from limbeck.loops.force_fields import ForceTraining, predicted
from limbeck.loops.force_frames import Sampling, drawn_frames
from limbeck.loops.force_rounds import (
    Rounds,
    check_rounds,
    doubtful_clusters,
    taught_in_rounds,
)
from limbeck.methods.bamboo.bamboo import BAMBOO
from limbeck.run import Run
from limbeck.testing.forces import teachers

SAMPLING = Sampling(picoseconds=0.002, every=0.001, ensemble="npt", settling=0.001)
SHORT = Rounds(count=2, sampling=SAMPLING, clusters=3, epochs=1)
TRAINING = ForceTraining(epochs=1, batch_size=8)


@pytest.fixture(scope="module")
def data():
    return resolve("molecules?frames=30&box=4")


def members(data):
    return [(network, 1.0) for network in teachers(data)]


def test_members_learn_from_what_was_labelled_and_go_on_in_the_same_bits(
    data, tmp_path, monkeypatch
):
    begun = members(data)
    before = [{name: one.clone() for name, one in net.state_dict().items()} for net, _ in begun]
    found, more = taught_in_rounds(Run(tmp_path), begun, data, SHORT, TRAINING)
    added = len(more.train) - len(data.train)
    assert 0 < added <= 2 * SHORT.clusters
    assert more.train.labels == data.train.labels
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
    # Which clusters are in doubt is not asked again.
    monkeypatch.setattr(force_rounds, "doubtful_clusters", None)
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
    networks, rounds = teachers(data), Rounds(clusters=2, reach=2.5)
    frames = with_molecules(data.train)
    charges = formal_charges(frames)
    said = torch.stack([predicted(one, frames)["forces"] for one in networks])
    doubt = (said[0] - said[1]).norm(dim=1).numpy()
    worst = np.maximum.reduceat(doubt, frames.bounds[:-1])
    found = doubtful_clusters(networks, frames, rounds, charges)
    assert len(found) == 2
    place = int(worst.argmax())
    atom = int(doubt[slice(*frames.bounds[place : place + 2])].argmax())
    wanted = cluster_around(frames, place, atom, reach=2.5)
    np.testing.assert_allclose(found.take([0]).positions, wanted.positions)
    small = dataclasses.replace(rounds, most_atoms=4)
    assert doubtful_clusters(networks, frames, small, charges).counts.max() <= 4
    with pytest.raises(DataError, match=r"\d+ larger than rounds.most_atoms; raise"):
        doubtful_clusters(networks, frames, dataclasses.replace(rounds, most_atoms=1), charges)
    with pytest.raises(DataError, match=r"\d+ of unknown charge"):
        doubtful_clusters(networks, frames, rounds, {})
    squeezed = frames.replace(positions=0.3 * frames.positions)
    with pytest.raises(DataError, match="overlapping"):
        doubtful_clusters(networks, squeezed, rounds, charges)


def test_clusters_of_a_box_do_not_repeat(data):
    found = doubtful_clusters(
        teachers(data), data.liquid, Rounds(), formal_charges(with_molecules(data.train))
    )
    assert not found.periodic.any()
    assert found.charge.tolist() == [0]


def test_what_a_round_adds_has_the_energies_of_free_atoms_taken_off_as_the_data_have(
    data, tmp_path
):
    moved = {number: energy - 3.0 for number, energy in data.free_atoms}
    other = dataclasses.replace(
        data,
        **{
            split: frames.replace(energy=frames.energy + 3.0 * EV * frames.counts)
            for split, frames in (("train", data.train), ("validation", data.validation))
        },
        free_atoms=tuple(sorted(moved.items())),
    )
    once = dataclasses.replace(SHORT, count=1)
    plain, shifted = (
        taught_in_rounds(Run(tmp_path / name), members(data), one, once, TRAINING)[1].train
        for name, one in (("plain", data), ("shifted", other))
    )
    assert len(plain) > len(data.train)
    np.testing.assert_allclose(shifted.energy - plain.energy, 3.0 * EV * plain.counts, rtol=1e-5)


def test_words_key_the_draws(data, tmp_path):
    networks = teachers(data)
    one, other = (
        drawn_frames(
            Run(tmp_path / word), networks[:1], data.train, data.liquid, SAMPLING, word=word
        )[0]
        for word in ("round-0-frames", "round-1-frames")
    )
    assert not np.allclose(one.positions, other.positions, atol=1e-4)


def test_clusters_with_great_forces_are_left_out(data, tmp_path):
    none = dataclasses.replace(SHORT, count=1, most_force=1e-6)
    with pytest.raises(DataError, match="of round 0 have forces above"):
        taught_in_rounds(Run(tmp_path), members(data), data, none, TRAINING)


def test_a_source_that_says_something_else_is_refused_before_anything_learns(data, tmp_path):
    check_rounds(SHORT, data)
    other = dataclasses.replace(SHORT, source="tblite?method=GFN1-xTB")
    with pytest.raises(DataError, match="GFN1-xTB says another energy than molecules"):
        check_rounds(other, data)
    with pytest.raises(DataError, match="no label source 'nonsense'"):
        check_rounds(dataclasses.replace(SHORT, source="nonsense"), data)
    labelled = data.train.replace(virial=np.zeros((len(data.train), 3, 3)))
    with pytest.raises(DataError, match="says no virial of clusters and molecules has them"):
        check_rounds(SHORT, dataclasses.replace(data, train=labelled))
    short = dataclasses.replace(SHORT, sampling=Sampling(picoseconds=0.001, every=0.01))
    with pytest.raises(ArgumentError, match=r"lower rounds\.sampling\.every"):
        check_rounds(short, data)
    with pytest.raises(ArgumentError, match="nothing gives frames"):
        BAMBOO(rounds={"count": 1}).assemble(
            Run(tmp_path), {"data": data, "student": "get?width=8&heads=2", "liquid": "none"}
        )
    assert not list(tmp_path.glob("jobs/*"))


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
