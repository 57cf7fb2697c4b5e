"""The batch of a step is a function of seed, stage and step, whoever asks and in what order."""

import numpy as np
import pytest
import torch

from limbeck import keyed
from limbeck.data import Loader, Views, from_arrays, sequential
from limbeck.errors import ArgumentError
from limbeck.keyed import torch_seeded

COUNT, SIZE = 20, 6


@pytest.fixture(scope="module")
def data():
    """Twenty training images; the first pixel of each tells which one it is."""
    x = np.random.default_rng(0).random((COUNT, 1, 4, 4)).astype(np.float32)
    x[:, 0, 0, 0] = np.arange(COUNT)
    y = np.arange(COUNT) % 2
    return from_arrays(x, y, test=(x[:4], y[:4]), validation=(x[4:8], y[4:8]), standardise=True)


def loader(data, size=SIZE, **options):
    return Loader(data, data.train, size, **{"seed": 3, "stage": "student", **options})


def same(first, second):
    return (
        set(first) == set(second)
        and all(torch.equal(first[name], second[name]) for name in first)
        and (first.key, first.space) == (second.key, second.space)
    )


def test_every_sample_comes_once_an_epoch(data):
    ids = torch.cat([batch["id"] for batch in loader(data).batches(0, 10)])
    assert len(ids) == 3 * COUNT
    for epoch in range(3):
        part = ids[epoch * COUNT : (epoch + 1) * COUNT]
        assert sorted(part.tolist()) == [*range(COUNT)]


def test_epochs_have_orders_of_their_own(data):
    ids = torch.cat([batch["id"] for batch in loader(data).batches(0, 10)])
    assert len({tuple(part.tolist()) for part in ids.split(COUNT)}) == 3


def test_a_batch_spans_the_border_of_two_epochs(data):
    stream = loader(data)
    assert [stream.epoch(step) for step in (0, 3, 4, 7)] == [0, 0, 1, 2]
    batch = stream.batch(3)
    assert batch.size == SIZE
    before = torch.cat([stream.batch(step)["id"] for step in range(3)])
    assert set(before.tolist()).isdisjoint(batch["id"][:2].tolist())


def test_a_batch_does_not_depend_on_what_was_read_before(data):
    forward, backward = loader(data), loader(data)
    first = [forward.batch(step) for step in range(8)]
    second = [backward.batch(step) for step in reversed(range(8))][::-1]
    late = list(loader(data).batches(5, 8))
    assert all(map(same, first, second))
    assert all(map(same, first[5:], late))


def test_columns_of_a_row_belong_together(data):
    batch = loader(data).batch(2)
    x = data.input_space.denormalise(batch["x"])[:, 0, 0, 0]
    torch.testing.assert_close(x, batch["id"].float(), atol=1e-4, rtol=0)
    assert torch.equal(batch["y"], batch["id"] % 2)
    assert batch.key == keyed.key(3, "student", 2)
    assert batch.space == data.input_space


@pytest.mark.parametrize("views", [None, Views(flip=True, crop=1)])
def test_worker_processes_change_nothing(data, views):
    here = list(loader(data, views=views).batches(1, 6))
    with torch_seeded(0):
        before = torch.get_rng_state()
        there = list(loader(data, views=views, workers=2).batches(1, 6))
        after = torch.get_rng_state()
    assert len(there) == 5
    assert all(map(same, here, there))
    # A resumed run starts its workers at another step: they must not draw from the step's seed.
    assert torch.equal(before, after)


def test_ranks_share_the_batch_of_one_process(data):
    views = Views(flip=True, crop=1)
    whole = loader(data, views=views)
    ranks = [loader(data, views=views, rank=rank, world=2) for rank in range(2)]
    for step in range(7):
        one = whole.batch(step)
        parts = [rank.batch(step) for rank in ranks]
        assert [part.size for part in parts] == [3, 3]
        assert all(part.key == one.key for part in parts)
        for name in one:
            together = torch.empty_like(one[name])
            together[0::2], together[1::2] = parts[0][name], parts[1][name]
            assert torch.equal(together, one[name])


def test_views_differ_from_epoch_to_epoch(data):
    stream = loader(data, size=COUNT, views=Views(crop=2))
    seen = []
    for step in range(3):
        batch = stream.batch(step)
        seen.append(batch["x"][batch["id"].argsort()])
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


@pytest.mark.parametrize("change", [{"seed": 4}, {"stage": "teacher"}])
def test_seeds_and_stages_have_orders_of_their_own(data, change):
    first, second = loader(data).batch(0), loader(data, **change).batch(0)
    assert first["id"].tolist() != second["id"].tolist()
    assert first.key != second.key


def test_a_batch_is_at_most_the_split(data):
    stream = loader(data, size=1000)
    assert stream.batch_size == COUNT
    assert sorted(stream.batch(0)["id"].tolist()) == [*range(COUNT)]


def test_impossible_batch_sizes_are_refused(data):
    with pytest.raises(ArgumentError, match="batch_size is 0, expected at least 1"):
        loader(data, size=0)
    with pytest.raises(ArgumentError, match="2 processes cannot share evenly"):
        loader(data, size=5, world=2)


def test_sequential_reads_every_sample_once_in_order(data):
    batches = list(sequential(data, data.train, 8))
    assert [batch.size for batch in batches] == [8, 8, 4]
    assert torch.cat([batch["id"] for batch in batches]).tolist() == [*range(COUNT)]
    whole = next(sequential(data, data.train))
    assert torch.equal(torch.cat([batch["x"] for batch in batches]), whole["x"])
    assert len({batch.key for batch in batches}) == 3
