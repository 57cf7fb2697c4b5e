"""Tables of numbers and texts: what is read, and what is refused."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from torch import nn

from limbeck.data.names import resolve
from limbeck.data.splits import Subset
from limbeck.errors import DataError, ModelError, UnusualUseWarning
from limbeck.products import Student


def frame(rows=60):
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "width": generator.normal(5, 2, rows),
            "kind": ["red", "green", "blue"] * (rows // 3),
            "price": generator.normal(2, 1, rows),
            "label": ["yes", "no"] * (rows // 2),
        }
    )


def csv(tmp_path, table, name="table.csv"):
    table.to_csv(tmp_path / name, index=False)
    return f"csv:{tmp_path / name}"


def everything(data):
    splits = (data.train, data.validation, data.test)
    return np.concatenate([np.asarray(split.take(np.arange(len(split)))["x"]) for split in splits])


def test_words_are_classes_and_words_of_inputs_are_columns(tmp_path):
    data = resolve(csv(tmp_path, frame()) + "?drop=price")
    assert (data.task, data.classes) == ("classification", ("no", "yes"))
    assert [len(data.train), len(data.validation), len(data.test)] == [44, 4, 12]
    assert data.input_space.size == (4,)
    x = everything(data)
    assert (x[:, 1:].sum(1) == 1).all()
    assert sorted([*data.train.ids, *data.validation.ids, *data.test.ids]) == [*range(60)]


def test_rows_keep_their_numbers_and_cells(tmp_path):
    table = frame()
    data = resolve(csv(tmp_path, table) + "?drop=price,kind")
    taken = data.test.take(np.arange(len(data.test)))
    np.testing.assert_allclose(
        taken["x"][:, 0], table.width[data.test.ids].astype(np.float32), rtol=1e-6
    )
    said = [data.classes[int(one)] for one in taken["y"]]
    assert said == table.label[data.test.ids].tolist()


def test_an_index_that_was_written_along_is_left_out_and_told(tmp_path):
    frame().to_csv(tmp_path / "table.csv")
    with pytest.warns(UnusualUseWarning, match="first column of table.csv has no name and numbers"):
        data = resolve(f"csv:{tmp_path / 'table.csv'}?drop=price")
    assert data.input_space.names == ("width", "kind=blue", "kind=green", "kind=red")
    # A column without a name that numbers nothing is one of the inputs.
    frame().set_index(np.arange(5, 65)).to_csv(tmp_path / "table.csv")
    data = resolve(f"csv:{tmp_path / 'table.csv'}?drop=price")
    assert len(data.input_space.names) == 5


def test_fractions_are_a_regression_in_the_unit_asked_for(tmp_path):
    table = frame()
    data = resolve(csv(tmp_path, table) + "?target=price&drop=label&unit=2")
    # Whoever reads predictions is told which number they are, and in which unit.
    assert data.classes == ("price/2",)
    assert (data.task, data.outputs) == ("regression", 1)
    y = data.test.take(np.arange(len(data.test)))["y"]
    np.testing.assert_allclose(y, table.price[data.test.ids].astype(np.float32) / 2, rtol=1e-6)


def test_far_targets_are_warned_of(tmp_path):
    table = frame().assign(price=lambda one: one.price * 1e5)
    with pytest.warns(UnusualUseWarning, match="such as .unit=10"):
        resolve(csv(tmp_path, table) + "?target=price&drop=label")


def test_columns_of_zero_and_one_are_labels(tmp_path):
    table = frame().assign(a=[0, 1] * 30, b=[1, 1, 0] * 20)
    data = resolve(csv(tmp_path, table) + "?target=a,b&drop=label")
    assert (data.task, data.classes) == ("multilabel", ("a", "b"))
    numbers = resolve(csv(tmp_path, table) + "?target=a,b&drop=label&task=regression")
    assert (numbers.task, numbers.outputs) == ("regression", 2)


def test_whole_numbers_are_classes_whatever_they_start_from(tmp_path):
    data = resolve(csv(tmp_path, frame().assign(label=[3, 7] * 30)))
    assert data.classes == ("3", "7")
    many = frame().assign(label=range(1000, 1060))
    big = pd.concat([many.assign(label=many.label + 60 * turn) for turn in range(20)])
    with pytest.raises(DataError, match="task=regression"):
        resolve(csv(tmp_path, big))
    assert resolve(csv(tmp_path, big) + "?task=regression&unit=100").task == "regression"


def test_the_mean_of_the_training_rows_fills_empty_cells(tmp_path):
    table = frame()
    table.loc[::7, "width"] = np.nan
    name = csv(tmp_path, table)
    with pytest.raises(DataError, match=r"width \(9\).*missing=mean"):
        resolve(name)
    data = resolve(name + "?missing=mean&drop=price,kind")
    test = data.test.take(np.arange(len(data.test)))["x"][:, 0]
    trained = np.setdiff1d(np.arange(60), data.test.ids)
    mean = table.width[trained].mean()
    gone = table.width[data.test.ids].isna().to_numpy()
    assert gone.any()
    np.testing.assert_allclose(test[gone], mean, rtol=1e-6)


@pytest.mark.parametrize("packed", [False, True])
def test_texts_are_padded_bytes(tmp_path, packed):
    rows = [{"text": f"sentence {'é' * (number % 5)}", "label": number % 3} for number in range(30)]
    content = "\n".join(map(json.dumps, rows)).encode()
    for split in ("train", "valid", "test"):
        file = tmp_path / f"{split}.jsonl{'.gz' * packed}"
        file.write_bytes(gzip.compress(content) if packed else content)
    data = resolve(f"jsonl:{tmp_path}")
    assert (data.task, data.outputs, data.input_space) == ("classification", 3, None)
    assert len(data.train) == len(data.validation) == len(data.test) == 30
    taken = data.train.take(np.array([4, 0]))
    assert taken["text"].shape == (2, 17)
    assert bytes(taken["text"][0]).rstrip(b"\0").decode() == "sentence éééé"
    few = data.few(6)
    assert isinstance(few.train, Subset)
    assert data.fingerprint != few.fingerprint == data.few(6).fingerprint


def test_a_folder_of_the_root_is_read_in_any_layout(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path))
    (tmp_path / "words").mkdir()
    frame().to_parquet(tmp_path / "words" / "train.parquet")
    frame(30).to_parquet(tmp_path / "words" / "test.parquet")
    data = resolve("words?drop=price")
    assert (len(data.train), len(data.test), data.input_space.size) == (54, 30, (4,))
    (tmp_path / "lone").mkdir()
    csv(tmp_path / "lone", frame(), "anything.csv")
    assert resolve("lone?drop=price").task == "classification"


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t.drop(columns="label"), "", r"\?target=NAME, of width, kind, price"),
        (lambda t: t, "?target=labl", "did you mean label"),
        (lambda t: t, "?drop=wdth", "did you mean width"),
        (lambda t: t, "?targt=label", "did you mean target"),
        (lambda t: t, "?missing=zero", "expected refuse or mean"),
        (lambda t: t, "?task=classify", "expected one of classification"),
        (lambda t: t.assign(label=[None, *t.label[1:]]), "", "label is empty in row 0"),
        (lambda t: t.assign(kind=range(60)).astype({"kind": str}).assign(
            kind=lambda one: "w" + one.kind), "", ""),
        (lambda t: t, "?unit=a", "expected a number above 0"),
        (lambda t: t, "?unit=0", "expected a number above 0"),
        (lambda t: t, "?task=multilabel", "labels are several columns"),
        (lambda t: t.assign(label="one"), "", "the same in every row"),
        (lambda t: t[["label"]], "", "no column to predict from"),
        (lambda t: t.iloc[:0], "", "has no rows"),
        (lambda t: t.assign(text=[1.5] * 60), "?text=text", "holds no text in row 0"),
        (lambda t: t, "?target=kind&task=regression", "words, which are no regression"),
        (lambda t: t, "?target=kind,label", "several targets must be numbers"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, change, options, message):
    name = csv(tmp_path, change(frame())) + options
    if not message:
        assert resolve(name).input_space.size == (62,)
        return
    with pytest.raises(DataError, match=message):
        resolve(name)


def test_damaged_and_absent_files_are_named(tmp_path):
    (tmp_path / "broken.jsonl").write_text('{"text": ')
    with pytest.raises(DataError, match="no whole jsonl file"):
        resolve(f"jsonl:{tmp_path / 'broken.jsonl'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no train\.csv"):
        resolve(f"csv:{tmp_path / 'empty'}")
    many = frame(240).assign(kind=[f"word{number}" for number in range(240)])
    with pytest.raises(DataError, match="240 different words"):
        resolve(csv(tmp_path, many))


def test_words_are_read_as_they_are_written(tmp_path):
    rows = [{"text": str(number), "label": ["1", "01", "None"][number % 3]} for number in range(30)]
    (tmp_path / "w.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = resolve(f"jsonl:{tmp_path / 'w.jsonl'}")
    assert data.classes == ("01", "1", "None")
    table = frame().assign(kind=["None", "NA", "null"] * 20)
    assert resolve(csv(tmp_path, table) + "?drop=width,price").input_space.size == (3,)
    times = [{"created_at": 10.0 * number, "label": number % 2} for number in range(30)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, times)))
    assert resolve(f"jsonl:{tmp_path / 't.jsonl'}").input_space.names == ("created_at",)


def test_inputs_are_known_by_name(tmp_path):
    table = frame()
    data = resolve(csv(tmp_path, table))
    assert data.input_space.names == ("width", "kind=blue", "kind=green", "kind=red", "price")
    student = Student(nn.Linear(5, 2), data.input_space, "classification", data.classes)
    assert "accuracy" in student.evaluate(data)
    swapped = resolve(csv(tmp_path, table[["price", "kind", "width", "label"]]))
    with pytest.raises(ModelError, match="input 0 is 'width' for the student and 'price'"):
        student.evaluate(swapped)


def test_splits_must_share_their_columns_and_cells_be_plain(tmp_path):
    frame().to_csv(tmp_path / "train.csv", index=False)
    frame().assign(more=1.0).to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(DataError, match=r"do not share the columns \['more'\]"):
        resolve(f"csv:{tmp_path}")
    rows = [{"a": [1, 2], "label": number % 2} for number in range(10)]
    (tmp_path / "l.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match="column a holds no number or word in row 0"):
        resolve(f"jsonl:{tmp_path / 'l.jsonl'}")


def test_a_column_of_numbers_called_image_is_a_column_of_numbers(tmp_path):
    for name in ("train", "test"):
        frame().rename(columns={"width": "image"}).to_parquet(tmp_path / f"{name}.parquet")
    assert resolve(f"parquet:{tmp_path}?drop=kind,price").input_space.names == ("image",)
