"""Samples that were trained on are found in validation wherever ids tell, and nowhere else."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from limbeck.data import Data, TensorSplit, digits, from_arrays
from limbeck.data.checking import check_unseen
from limbeck.data.names import resolve
from limbeck.data.whitened import normalised
from limbeck.errors import ArgumentError

DRAW = np.random.default_rng(0)


def part(ids, **options):
    columns = {"x": DRAW.random((len(ids), 3)), "y": np.arange(len(ids)) % 2}
    return TensorSplit(columns, np.asarray(ids), **options)


def data_of(train, validation, **more):
    return Data(
        train, validation, part(range(900, 910)), "classification", ("a", "b"), None, **more
    )


def test_rows_that_were_given_one_id_are_found():
    data = data_of(part(range(40)), part(range(38, 50)), name="mine")
    with pytest.raises(ArgumentError, match=r"2 validation samples of mine .* first has id 38"):
        check_unseen(data)
    check_unseen(data_of(part(range(40)), part(range(40, 50))))


def test_what_teachers_learn_from_counts_too():
    data = data_of(part(range(10)), part(range(30, 40)), rest=part(range(10, 31)))
    with pytest.raises(ArgumentError, match="1 validation samples"):
        check_unseen(data)


def test_numbers_that_nobody_gave_raise_no_alarm(tmp_path):
    x, y = DRAW.random((60, 3)), np.arange(60) % 2
    check_unseen(from_arrays(x, y, validation=(x[:20] + 1, y[:20])))
    check_unseen(data_of(part(range(40), named=False), part(range(40), named=False)))
    for name in ("train", "validation", "test"):
        frame = pd.DataFrame(DRAW.random((30, 2)), columns=["a", "b"]).assign(y=y[:30])
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    data = resolve(f"csv:{tmp_path}?target=y")
    check_unseen(data)
    check_unseen(normalised(data))
    check_unseen(normalised(digits()))


def test_a_table_of_predictions_tells_by_its_column_of_ids(tmp_path):
    for name in ("train", "validation", "test"):
        said = DRAW.normal(size=(30, 2))
        frame = pd.DataFrame(said, columns=["a", "b"]).assign(y=said.mean(1))
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    check_unseen(resolve(f"oof:{tmp_path}?target=y"))
    for name, first in (("train", 0), ("validation", 25), ("test", 60)):
        path = tmp_path / f"{name}.csv"
        pd.read_csv(path).assign(id=np.arange(30) + first).to_csv(path, index=False)
    with pytest.raises(ArgumentError, match="5 validation samples .* id 25"):
        check_unseen(resolve(f"oof:{tmp_path}?target=y"))


def test_parts_of_one_split_tell_as_before():
    data = digits()
    check_unseen(data)
    with pytest.raises(ArgumentError, match="are training samples too"):
        check_unseen(dataclasses.replace(data, validation=data.train))
