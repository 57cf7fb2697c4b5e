"""Graphs: frames laid flat with their neighbours, batches by key, parts of batches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from tests.data.atoms import box, by_trying, spread_out, water

from limbeck.data.frames import Frames, join
from limbeck.data.graphs import GraphBatch, GraphBatches, frames_of, graph, in_turn
from limbeck.errors import ArgumentError

CUTOFFS = {"cutoff": 3.0, "pair_cutoff": 4.0}


@pytest.fixture
def mixed():
    """A cluster, a lone ion, a small box, a wide one."""
    ion = Frames([3], [[1, 2, 3.0]], [1], charge=[1.0])
    cluster = Frames([6, 1, 8, 1], spread_out(4, 5), [4])
    return join([cluster, ion, box(3, 1, 3.0), box(6, 2, 7.0)]).replace(
        energy=[-1.0, -2.0, -3.0, -4.0], charges=np.arange(14.0)
    )


def test_columns_follow_the_contract(mixed):
    made = graph(mixed, range(4), dtype=torch.float64, **CUTOFFS)
    assert made["frame"].tolist() == [0] * 4 + [1] + [2] * 3 + [3] * 6
    assert made["periodic"].tolist() == [False, False, True, True]
    assert made["energy"].tolist() == [-1, -2, -3, -4]
    kinds = {name: column.dtype for name, column in made.items()}
    assert kinds["species"] == kinds["edges"] == kinds["pairs"] == torch.int64
    assert kinds["positions"] == kinds["edge_shifts"] == kinds["charges"] == torch.float64
    assert graph(mixed, [0], **CUTOFFS)["positions"].dtype == torch.float32
    first, second = made["edges"]
    vectors = made["positions"][first] - made["positions"][second] - made["edge_shifts"]
    assert vectors.norm(dim=1).max() < 3.0
    assert bool((made["frame"][first] == made["frame"][second]).all())
    assert bool((first.diff() >= 0).all())


def test_edges_and_pairs_equal_all_images(mixed):
    made = graph(mixed, [2, 3], dtype=torch.float64, **CUTOFFS)
    for place, low, high in ((2, 0, 3), (3, 3, 9)):
        one = mixed.one(place)
        inside = (made["edges"][0] >= low) & (made["edges"][0] < high)
        count = len(by_trying(one["positions"], one["cell"], 3.0))
        assert int(inside.sum()) == count
        mine = (made["pairs"][0] >= low) & (made["pairs"][0] < high)
        assert 2 * int(mine.sum()) == len(by_trying(one["positions"], one["cell"], 4.0))


def test_clusters_have_every_pair_and_their_middle_at_the_origin(mixed):
    made = graph(mixed, [0, 1], cutoff=0.1, pair_cutoff=0.1)
    assert made["edges"].shape == (2, 0)
    assert made["pairs"].shape == (2, 6)
    assert made["positions"][4].tolist() == [0, 0, 0]


def test_a_supercell_has_the_neighbours_of_its_box():
    one = box(3, 4, 3.5)
    shifts = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) @ one.cell[0]
    eight = Frames(
        np.tile(one.species, 8),
        (one.positions + shifts[:, None]).reshape(-1, 3),
        [24],
        cell=2 * one.cell,
        periodic=[True],
    )
    lengths = []
    for frames in (one, eight):
        made = graph(frames, [0], dtype=torch.float64, **CUTOFFS)
        first, second = made["edges"]
        vector = made["positions"][first] - made["positions"][second] - made["edge_shifts"]
        lengths.append(np.sort(vector.norm(dim=1).numpy()))
    np.testing.assert_allclose(lengths[1], np.repeat(lengths[0], 8))


def test_lists_are_found_once(mixed):
    graph(mixed, [0, 2], **CUTOFFS)
    known = mixed.found[3.0, 4.0]
    assert sorted(known) == [0, 2]
    before = known[2]
    graph(mixed, [2, 3], **CUTOFFS)
    assert known[2] is before


def test_lists_are_kept_narrow_and_up_to_a_size(mixed, monkeypatch):
    frames = mixed.take([0, 2, 3])
    made = graph(frames, [0, 1, 2], **CUTOFFS)
    kept = frames.found[3.0, 4.0]
    for one in (one for lists in kept.values() for one in lists):
        assert {one.first.dtype, one.second.dtype} == {np.dtype(np.int32)}
    assert made["edges"].dtype == torch.int64
    sizes = [sum(one.bytes for one in kept[place]) for place in range(3)]
    assert frames.found["bytes"] == sum(sizes) > 0

    monkeypatch.setattr("limbeck.data.graphs.KEPT", sizes[0] + sizes[1])
    again = mixed.take([0, 2, 3])
    same = graph(again, [0, 1, 2], **CUTOFFS)
    assert sorted(again.found[3.0, 4.0]) == [0, 1]
    assert all(torch.equal(same[name], column) for name, column in made.items())


def test_parts_of_a_batch_are_graphs_of_their_frames(mixed):
    whole = GraphBatch(graph(mixed, range(4), **CUTOFFS), key=7)
    for places in ([0, 1], [3], [2, 0]):
        part = frames_of(whole, torch.tensor(places))
        for name, column in graph(mixed, places, **CUTOFFS).items():
            assert torch.equal(part[name], column), name
    pieces = whole.pieces(2)
    assert [piece.size for piece in pieces] == [2, 2]
    assert [piece.key for piece in pieces] == [7, 7]
    assert torch.equal(pieces[1]["species"], whole["species"][5:])
    moved = whole.to("cpu").with_columns(weight=torch.ones(4))
    assert isinstance(moved, GraphBatch)
    assert moved.size == 4


def test_batches_depend_on_their_step_alone():
    frames = water(7)
    made = GraphBatches(frames, 3, seed=1, stage="fit", **CUTOFFS)
    again = GraphBatches(frames, 3, seed=1, stage="fit", **CUTOFFS)
    shown = [batch["id"].tolist() for batch in made.batches(0, 7)]
    assert [again.batch(step)["id"].tolist() for step in (6, 2)] == [shown[6], shown[2]]
    # Three epochs of seven frames.
    assert sorted(itertools.chain(*shown)) == sorted(list(range(7)) * 3)
    assert made.fingerprint == again.fingerprint
    other = GraphBatches(frames, 3, seed=2, stage="fit", **CUTOFFS)
    assert [batch["id"].tolist() for batch in other.batches(0, 7)] != shown


def test_processes_share_a_batch():
    frames = water(8)
    whole = GraphBatches(frames, 4, **CUTOFFS).batch(1)["id"].tolist()
    halves = [GraphBatches(frames, 4, rank=rank, world=2, **CUTOFFS).batch(1) for rank in (0, 1)]
    assert [half["id"].tolist() for half in halves] == [whole[0::2], whole[1::2]]


def test_in_turn_shows_all_once():
    shown = [batch["id"].tolist() for batch in in_turn(water(5), 2, **CUTOFFS)]
    assert shown == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 3, "world": 2}, "2 processes cannot share"),
    ],
)
def test_batch_sizes_that_cannot_be(changes, words):
    size = changes.pop("batch_size")
    with pytest.raises(ArgumentError, match=words):
        GraphBatches(water(4), size, **CUTOFFS, **changes)


def test_cutoffs_are_lengths():
    with pytest.raises(ArgumentError, match="cutoff is 0"):
        graph(water(), [0], cutoff=0, pair_cutoff=5.0)
