"""Predictions as data: layouts, logs of probabilities, members that teach, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import torch

import limbeck
from limbeck.data import from_predictions
from limbeck.data.names import resolve
from limbeck.errors import ArgumentError, DataError, ModelError, UnusualUseWarning
from limbeck.evaluate.quality import collect
from limbeck.functional.stack_columns import LEAST_PROBABILITY
from limbeck.loops.teach import Teaching, taught
from limbeck.naming import brings_members
from limbeck.run import Run
from limbeck.teachers import predicted

RANDOM = np.random.default_rng(0)
Y = RANDOM.normal(size=60)
SAID = Y[:, None] + RANDOM.normal(size=(60, 3)) * [0.1, 0.2, 0.3]
LABELS = np.arange(60) % 3
SHARES = RANDOM.dirichlet([1, 1, 1], size=(60, 2))


def table(split):
    return split.take(np.arange(len(split)))


def test_numbers_stay_as_they_are():
    data = from_predictions(SAID, Y, members=["a", "b", "c"])
    assert (data.task, data.outputs, data.members) == ("regression", 1, ("a", "b", "c"))
    assert np.allclose(table(data.train)["x"], SAID[data.train.ids].astype(np.float32))
    assert (data.input_space.mean, data.input_space.names) == ((), ("a", "b", "c"))
    assert [len(one) for one in (data.train, data.validation, data.test)] == [43, 5, 12]


def test_probabilities_become_their_logarithms():
    shares = SHARES.copy()
    shares[0, 0] = [0, 0, 1]
    data = from_predictions(shares, LABELS, test=(shares, LABELS), classes=["x", "y", "z"])
    assert (data.task, data.classes, data.members) == (
        "classification",
        ("x", "y", "z"),
        ("member-0", "member-1"),
    )
    x = table(data.test)["x"]
    assert np.allclose(x, np.log(np.clip(shares, LEAST_PROBABILITY, None)), atol=1e-5)
    again = from_predictions(np.log(shares + 1), LABELS, scores="logits")
    assert np.allclose(table(again.train)["x"], np.log(shares + 1)[again.train.ids], atol=1e-6)


@pytest.mark.parametrize("given", [dict, pd.DataFrame])
def test_names_come_from_a_mapping_or_a_table(given):
    columns = {"one": SAID[:, 0], "two": SAID[:, 1]}
    other = {"two": SAID[:9, 1], "one": SAID[:9, 0]}
    data = from_predictions(given(columns), Y, test=(given(other), Y[:9]))
    assert data.members == ("one", "two")
    assert np.allclose(table(data.test)["x"], SAID[:9, :2].astype(np.float32))
    by_class = from_predictions({"m": SHARES[:, 0], "n": SHARES[:, 1]}, LABELS)
    assert by_class.input_space.shape == (2, 3)


@pytest.mark.parametrize(
    ("predictions", "y", "options", "words"),
    [
        (SAID[:, 0], Y, {}, r"have shape \(60,\), expected \(N, K\) numbers"),
        (SAID, Y, {"members": ["a"]}, r"have shape \(60, 3\), expected \(N, 1\)"),
        (SAID, Y, {"members": ["a", "b", "a"]}, "name 'a' more than once"),
        (SAID, LABELS, {}, "whole numbers for targets: give a prediction for each class"),
        (SAID[:30], Y, {}, "different numbers of rows"),
        (SHARES * 2, LABELS, {}, "are no probabilities: they lie from .*say scores=logits"),
        (SHARES - 0.5, LABELS, {}, "are no probabilities"),
        (SHARES, LABELS, {"scores": "odds"}, "scores is 'odds', expected one of probabilities"),
        (SHARES, LABELS, {"classes": ["x", "y"]}, "labels from 0 to 2, expected 0 to 1"),
        (SHARES, LABELS, {"classes": list("wxyz")}, r"shape \(2, 3\), expected \(2, 4\)"),
        (SHARES, Y, {}, "expected one integer class index"),
        (np.where(SAID > 2, np.nan, SAID), Y, {}, "NaN or infinite"),
        ({"a": Y, "b": SAID}, Y, {}, r"different shapes: a \(60,\), b \(60, 3\)"),
        ({"a": Y}, Y, {"test": ({"b": Y}, Y)}, "of test are of b, expected of a"),
        ({}, Y, {}, "expected"),
    ],
)
def test_what_does_not_fit_is_refused(predictions, y, options, words):
    with pytest.raises(DataError, match=words):
        from_predictions(predictions, y, **options)


def test_members_are_part_of_the_content():
    first = from_predictions(SAID, Y, members=["a", "b", "c"])
    assert first.fingerprint == from_predictions(SAID, Y, members=["a", "b", "c"]).fingerprint
    assert first.fingerprint != from_predictions(SAID, Y, members=["a", "c", "b"]).fingerprint


def test_a_member_says_its_slice(tmp_path):
    data = from_predictions(SAID, Y, members=["a", "b", "c"])
    told, _ = collect(predicted(1, "b"), data, data.test)
    assert np.allclose(told[:, 0], SAID[data.test.ids, 1].astype(np.float32))
    shares = from_predictions(SHARES, LABELS)
    told, _ = collect(predicted(0, "m"), shares, shares.test)
    assert np.allclose(told.exp(), SHARES[shares.test.ids, 0], atol=1e-5)
    with pytest.raises(ArgumentError, match=r"x has shape \(2, 3\).*c is at place 3"):
        taught(Run(tmp_path), predicted(3, "c"), data, Teaching(steps=0))
    with pytest.raises(ArgumentError, match="place is -1, expected 0 or more"):
        predicted(-1, "a")


def test_members_teach_where_no_teacher_is_given(tmp_path):
    data = from_predictions(SHARES, LABELS, members=["m", "n"])
    student = limbeck.KD(steps=5).distill(tmp_path / "a", student="mlp?hidden=4", data=data)
    assert student.logits(np.zeros((2, 2, 3))).shape == (2, 3)
    from limbeck.method import complete

    inputs = {"student": "mlp?hidden=4", "data": data}
    _, _, ready = complete(limbeck.KD(steps=5), tmp_path / "a", inputs)
    assert [one.name for one in ready["teacher"].members] == ["m", "n"]
    told, _ = collect(ready["teacher"], data, data.test)
    assert np.allclose(told.softmax(1), SHARES[data.test.ids].mean(1), atol=1e-5)


def test_other_data_still_needs_a_teacher(tmp_path):
    with pytest.raises(ArgumentError, match="got no teacher"):
        limbeck.KD(steps=5).distill(tmp_path, student="mlp?hidden=4", data="digits")


# Tables


def oof(**more):
    columns = {f"m{place}": SAID[:, place] for place in range(3)}
    return pd.DataFrame({"id": np.arange(60) + 100, "fold": LABELS, **columns, "y": Y, **more})


def classes(labels=("no", "yes", "zero")):
    columns = {
        f"{member}:{label}": SHARES[:, place, number]
        for place, member in enumerate(("sklearn:ridge", "net"))
        for number, label in enumerate(labels)
    }
    return pd.DataFrame({**columns, "label": np.array(labels)[LABELS]})


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_table_of_numbers_is_read(tmp_path, kind):
    path = tmp_path / f"said.{kind}"
    getattr(oof(), f"to_{kind}")(path, index=False)
    data = resolve(f"oof:{path}?target=y")
    assert (data.name, data.members, data.task) == ("said", ("m0", "m1", "m2"), "regression")
    rows = table(data.train)
    places = data.train.ids - 100
    assert np.allclose(rows["x"], SAID[places].astype(np.float32), atol=1e-5)
    assert np.array_equal(rows["fold"], LABELS[places])
    assert resolve(f"oof:{path}?drop=m1").members == ("m0", "m2")


def test_a_table_of_classes_is_read(tmp_path):
    classes().to_parquet(tmp_path / "c.parquet")
    data = resolve(f"oof:{tmp_path / 'c.parquet'}")
    assert data.members == ("sklearn:ridge", "net")
    assert data.classes == ("no", "yes", "zero")
    places = data.train.ids
    assert np.allclose(table(data.train)["x"].exp(), SHARES[places], atol=1e-5)
    assert np.array_equal(table(data.train)["y"], LABELS[places])


def test_classes_may_be_numbers_in_any_order_and_absent_from_the_rows(tmp_path):
    frame = classes((10, 2, 7)).iloc[LABELS != 1]
    frame.to_csv(tmp_path / "c.csv", index=False)
    data = resolve(f"oof:{tmp_path / 'c.csv'}")
    assert data.classes == ("2", "7", "10")
    assert set(data.train.y.tolist()) == {1, 2}
    said = table(data.train)["x"][:, 0].exp()
    assert np.allclose(said, SHARES[LABELS != 1][data.train.ids][:, 0][:, [1, 2, 0]], atol=1e-5)


def test_a_folder_has_splits(tmp_path):
    oof().iloc[:40].to_csv(tmp_path / "train.csv", index=False)
    oof().iloc[40:].to_csv(tmp_path / "test.csv", index=False)
    data = resolve(f"oof:{tmp_path}?target=y")
    assert (len(data.train) + len(data.validation), len(data.test)) == (40, 20)


@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        (oof(), "?target=fald", "has no column 'fald'; did you mean fold"),
        (oof(note="x"), "", r"columns note hold words; leave columns out with \?drop=NAME"),
        (oof(m4=[np.nan] + [0.0] * 59), "", "empty cells in m4; drop rows"),
        (oof()[["id", "y"]], "", "there is no other column"),
        (oof(id=[1] * 60), "", "column id holds a number more than once"),
        (oof(id=0.5), "", r"column id holds no whole numbers; rename or \?drop=id"),
        (oof(fold="a"), "", "column fold holds no whole numbers"),
        (oof(y=LABELS), "", "'m0' is not called member:class.*task=regression"),
        (oof(), "?task=labels", "task is 'labels', expected classification or regression"),
        (oof(), "?unit=0", "unit is 0, expected a number above 0"),
        (oof(), "?targt=y", "no option 'targt'; did you mean target"),
        (classes().drop(columns="net:yes"), "", "member net has no column for class yes"),
        (classes().assign(label="maybe").head(59), "", "holds the same in every row"),
        (classes().replace("yes", "maybe"), "", "has no column for class maybe"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, frame, options, words):
    path = tmp_path / "t.parquet"
    frame.to_parquet(path)
    with pytest.raises(DataError, match=words):
        resolve(f"oof:{path}{options}")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "t.txt").write_text("a")
    with pytest.raises(DataError, match=r"t\.txt is no parquet, csv, jsonl file"):
        resolve(f"oof:{tmp_path / 't.txt'}")
    with pytest.raises(DataError, match="holds no train.parquet"):
        resolve(f"oof:{tmp_path}")


def test_whole_numbers_may_be_a_regression(tmp_path):
    oof(y=LABELS).to_parquet(tmp_path / "t.parquet")
    data = resolve(f"oof:{tmp_path / 't.parquet'}?task=regression")
    assert (data.task, data.members) == ("regression", ("m0", "m1", "m2"))


def test_another_unit_is_that_of_targets_and_predictions(tmp_path):
    far = oof(y=Y * 1000)
    far[["m0", "m1", "m2"]] *= 1000
    far.to_parquet(tmp_path / "t.parquet")
    with pytest.warns(UnusualUseWarning, match="give another unit"):
        resolve(f"oof:{tmp_path / 't.parquet'}")
    data = resolve(f"oof:{tmp_path / 't.parquet'}?unit=1000")
    places = data.train.ids - 100
    assert np.allclose(table(data.train)["x"], SAID[places], atol=1e-5)
    assert np.allclose(data.train.y, Y[places], atol=1e-5)


def test_which_data_brings_members():
    assert brings_members("oof:x.csv")
    assert brings_members(from_predictions(SAID, Y))
    assert not any(map(brings_members, ["csv:x.csv", "digits", (SAID, Y), None]))


def test_a_student_of_members_refuses_others(tmp_path):
    """A student knows the members it was trained on by their names."""
    data = from_predictions(SAID, Y, members=["a", "b", "c"])
    student = limbeck.KD(steps=2).distill(tmp_path / "a", student="mlp?hidden=4", data=data)
    with pytest.raises(ModelError, match="input 1 is 'b' for the student and 'c' in predictions"):
        student.evaluate(from_predictions(SAID, Y, members=["a", "c", "b"]))
    assert torch.isfinite(student.logits(SAID[:3])).all()
