"""Samples without targets: tables, pictures, arrays."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from limbeck.data.rows import read_rows
from limbeck.data.space import InputSpace
from limbeck.data.tables import read_table
from limbeck.errors import DataError, UnusualUseWarning

SPACE = InputSpace(size=(3,), names=("width", "colour=blue", "colour=red"))
GREY = InputSpace(size=(8, 8), channels=1)


@pytest.fixture
def table(tmp_path):
    def written(text, name="rows.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return written


def test_a_table_gives_the_inputs_of_training(tmp_path):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "width": draw.normal(size=40),
            "a=b": draw.choice(["x", "y=z"], 40),
            "y": draw.normal(size=40),
        }
    )
    frame.to_csv(tmp_path / "all.csv", index=False)
    data = read_table(tmp_path / "all.csv", "csv")
    space = data.input_space
    # Other columns, another order, and some of the words alone.
    frame.drop(columns="y").iloc[:7, ::-1].assign(more=1).to_csv(tmp_path / "new.csv", index=False)
    found = read_rows(tmp_path / "new.csv", space)
    whole = {
        int(row): x
        for split in (data.train, data.validation, data.test)
        for row, x in zip(split.ids, split.take(np.arange(len(split)))["x"], strict=True)
    }
    assert found.ids == list(range(7))
    assert np.allclose(found.x, np.stack([whole[row].numpy() for row in range(7)]))


def test_words_that_training_did_not_hold_are_named(table):
    with pytest.warns(UnusualUseWarning, match="colour holds words that training did not.*green"):
        found = read_rows(table("width,colour\n1,green\n2,red\n"), SPACE)
    assert found.x.tolist() == [[1, 0, 0], [2, 0, 1]]


def test_empty_cells_are_filled_where_that_is_asked_for(table):
    space = InputSpace(size=(3,), names=SPACE.names, mean=(7.0, 0.5, 0.5), std=(1.0, 1.0, 1.0))
    found = read_rows(table("width,colour\n,red\n2,\n"), space, missing="mean")
    assert found.x.tolist() == [[7, 0, 1], [2, 0, 0]]
    with pytest.raises(DataError, match="missing is 'drop', expected refuse or mean"):
        read_rows(table("width,colour\n1,red\n"), space, missing="drop")


def test_words_that_look_like_numbers_stay_as_written(table):
    space = InputSpace(size=(3,), names=("code=01", "code=2", "code=x"))
    assert read_rows(table("code\n01\n2\n"), space).x.tolist() == [[1, 0, 0], [0, 1, 0]]
    found = read_rows(table("code,n\n2,1\n,2\n"), space, missing="mean")
    assert found.x.tolist() == [[0, 1, 0], [0, 0, 0]]


def test_the_longest_column_is_the_one_of_a_word(table):
    space = InputSpace(size=(3,), names=("a", "a=b=x", "a=b=y"))
    assert read_rows(table("a,a=b\n3,y\n"), space).x.tolist() == [[3, 0, 1]]


def test_truth_counts_as_one_and_zero(table):
    space = InputSpace(size=(1,), names=("large",))
    assert read_rows(table("large\nTrue\nFalse\n"), space).x.tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("width\n1\n", "no column 'colour'"),
        ("widht,colour\n1,red\n", "no column 'width'; .*widht"),
        ("width,colour\n1,red\n,red\n", "column width is empty in row 1, and 1 of 2"),
        ("width,colour\nwide,red\n", "column width holds 'wide' in row 0"),
        ("width,colour\n1,\n", "column colour is empty in row 0.*missing=mean"),
        ("width,colour\n", "has no rows"),
    ],
)
def test_what_a_table_lacks_is_named(table, text, said):
    with pytest.raises(DataError, match=said):
        read_rows(table(text), SPACE)


def test_a_space_without_names_takes_columns_as_they_stand(table):
    space = InputSpace(size=(2,))
    assert read_rows(table("b,a\n1,2\n"), space).x.tolist() == [[1, 2]]
    with pytest.raises(DataError, match="3 columns and the model reads"):
        read_rows(table("b,a,y\n1,2,3\n"), space)
    with pytest.raises(DataError, match="the model reads pictures"):
        read_rows(table("b,a\n1,2\n"), GREY)


def test_texts_come_from_their_column(table):
    assert read_rows(table("text,n\nso,1\n"), None).x == ["so"]
    assert read_rows(table('{"sentence": "so"}\n', "rows.jsonl"), None).x == ["so"]
    with pytest.raises(DataError, match=r"no column text or sentence, of n"):
        read_rows(table("n\n1\n"), None)
    assert read_rows(table("review,n\nso,1\n"), None, text="review").x == ["so"]
    with pytest.raises(DataError, match="holds no text in row 1"):
        read_rows(table('{"text": "so"}\n{"text": 1}\n', "rows.jsonl"), None)


def test_pictures_come_in_the_size_of_the_model(tmp_path):
    for name, size in (("b/one.png", (8, 8)), ("a.jpg", (20, 30))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", size, (255, 255, 255)).save(tmp_path / name)
    found = read_rows(tmp_path, GREY)
    assert found.ids == ["a.jpg", "b/one.png"]
    assert found.x.shape == (2, 1, 8, 8)
    assert found.x.dtype == np.uint8
    assert read_rows(tmp_path / "a.jpg", GREY).ids == ["a.jpg"]
    with pytest.raises(DataError, match="only squares are resized"):
        read_rows(tmp_path / "a.jpg", InputSpace(size=(8, 9), channels=3))
    for space, said in ((None, "texts"), (SPACE, "rows of numbers")):
        with pytest.raises(DataError, match=f"the model reads {said}"):
            read_rows(tmp_path, space)
    (tmp_path / "c.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"c\.png does not decode"):
        read_rows(tmp_path, GREY)


def test_arrays_and_what_is_none_of_these(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, 8, 8)))
    assert read_rows(tmp_path / "x.npy", GREY).x.shape == (2, 8, 8)
    np.save(tmp_path / "one.npy", np.ones((8, 8)))
    assert read_rows(tmp_path / "one.npy", GREY).ids == [0]
    for name, wrong in (("w", np.zeros((0, 8, 8))), ("d", np.array(["2020-01-01"], "M8[D]"))):
        np.save(tmp_path / f"{name}.npy", wrong)
        with pytest.raises(DataError, match=r"expected numbers \(N, \.\.\.\) of a sample"):
            read_rows(tmp_path / f"{name}.npy", GREY)
    (tmp_path / "y.npy").write_bytes(b"x")
    np.save(tmp_path / "z.npy", np.array([{}]))
    (tmp_path / "t.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, said in (
        ("y.npy", "no whole array"),
        ("z.npy", "no whole array"),
        ("t.txt", "holds no samples"),
        ("empty", "holds no samples"),
        ("none.csv", "there is no file"),
    ):
        with pytest.raises(DataError, match=said):
            read_rows(tmp_path / name, GREY)
