"""A batch is a mapping of columns that keeps its key and space through every change."""

import pickle

import pytest
import torch

from limbeck.data import Batch, InputSpace
from limbeck.errors import DataError

SPACE = InputSpace(size=(3,))


@pytest.fixture
def batch():
    columns = {"id": torch.arange(7), "x": torch.arange(21.0).reshape(7, 3)}
    return Batch(columns, key=5, space=SPACE)


def test_reads_like_a_mapping(batch):
    assert list(batch) == ["id", "x"]
    assert len(batch) == 2
    assert batch.size == 7
    assert "x" in batch
    assert "y" not in batch
    assert batch.get("y") is None
    assert batch.get("y", 3) == 3
    assert batch.get("x") is batch["x"]


def test_an_unknown_column_suggests_the_nearest(batch):
    with pytest.raises(DataError, match="no column 'idd'; did you mean id"):
        batch["idd"]


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(DataError, match=r"'x': 2, 'y': 3"):
        Batch({"x": torch.zeros(2), "y": torch.zeros(3)})


def test_key_and_space_survive_every_change(batch):
    changed = [
        batch.to("cpu"),
        batch.rows(slice(0, 2)),
        batch.with_columns(y=torch.zeros(7)),
        *batch.pieces(3),
        pickle.loads(pickle.dumps(batch)),
    ]
    assert all((one.key, one.space) == (5, SPACE) for one in changed)


def test_a_changed_batch_leaves_the_old_one_alone(batch):
    replaced = batch.with_columns(x=torch.zeros(7, 1), y=torch.ones(7))
    assert replaced["x"].shape == (7, 1)
    assert batch["x"].shape == (7, 3)
    assert "y" not in batch


@pytest.mark.parametrize("count", [1, 2, 3, 7, 9])
def test_pieces_put_together_are_the_batch(batch, count):
    pieces = batch.pieces(count)
    sizes = [piece.size for piece in pieces]
    assert len(pieces) == min(count, 7)
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(torch.cat([piece["x"] for piece in pieces]), batch["x"])


def test_rows_takes_an_index(batch):
    assert batch.rows(torch.tensor([4, 1]))["id"].tolist() == [4, 1]
