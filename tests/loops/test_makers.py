"""Teachers by name of either kind: who makes them, from which rows, once."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

import limbeck
from limbeck.bridges.sklearn import estimator_bytes
from limbeck.data import TensorSplit, digits, from_arrays
from limbeck.data.tables import read_csv
from limbeck.errors import ArgumentError, ModelError, UnusualUseWarning
from limbeck.evaluate.quality import collect, quality
from limbeck.loops.makers import EstimatorMaker, NetworkMaker, maker_of, raw_table
from limbeck.loops.teach import Teaching, taught
from limbeck.networks.names import build
from limbeck.run import Run

NONE = Teaching(steps=0)
FOREST = "sklearn:random-forest?n_estimators=20"


@pytest.fixture(scope="module")
def data():
    return digits().few(100)


def said(source, data):
    return collect(source, data, data.validation)[0]


def test_names_of_estimators_are_told_apart():
    for name in ("sklearn:ridge", "sklearn:x", "file:a/b.skops"):
        assert isinstance(maker_of(name), EstimatorMaker)
    for name in ("mlp", "timm:resnet18", "file:w.safetensors?network=mlp", "nonsense:x", ""):
        assert isinstance(maker_of(name), NetworkMaker)


def test_an_estimator_is_fitted_once_on_the_rest(data, tmp_path):
    run = Run(tmp_path)
    first = taught(run, [FOREST, "sklearn:logistic-regression?scale=true"], data, NONE)
    logits, target = collect(first, data, data.validation)
    assert quality(logits, target, data.task)["accuracy"] > 0.9
    assert first.members[0].name == FOREST
    stages = sorted(tmp_path.glob("stages/*"))
    assert [stage.name.split("-")[1] for stage in stages] == ["0", "1"]
    written = [stage.stat().st_mtime_ns for stage in stages]
    again = taught(Run(tmp_path), [FOREST, "sklearn:logistic-regression?scale=true"], data, NONE)
    assert again.fingerprint == first.fingerprint
    assert torch.equal(said(again, data), logits)
    assert [stage.stat().st_mtime_ns for stage in stages] == written


def test_draws_hang_on_seed_and_place(data, tmp_path):
    one, two = taught(Run(tmp_path / "a"), [FOREST, FOREST], data, NONE).members
    assert not torch.equal(said(one, data), said(two, data))
    same = taught(Run(tmp_path / "b"), FOREST, data, NONE).members[0]
    assert same.stored == one.stored
    other = taught(Run(tmp_path / "c", seed=1), FOREST, data, NONE).members[0]
    assert other.stored != one.stored


def test_it_does_not_learn_what_the_student_learns_from(data, tmp_path):
    columns = data.train.take(np.arange(len(data.train)))
    spoilt = TensorSplit({**columns, "y": (columns["y"] + 1) % 10}, ids=data.train.ids)
    changed = dataclasses.replace(data, train=spoilt)
    first = taught(Run(tmp_path / "a"), FOREST, data, NONE).members[0]
    assert taught(Run(tmp_path / "b"), FOREST, changed, NONE).members[0].stored == first.stored


def test_it_learns_from_rows_before_normalisation(data):
    rows, y = raw_table(data)
    taken = data.train.take(np.arange(len(data.train)))
    assert np.allclose(rows, taken["x"].reshape(len(rows), -1).numpy() / 255, atol=1e-6)
    assert np.array_equal(y, taken["y"].numpy())


def test_classes_whose_names_are_numbers_are_not_mixed_up(tmp_path):
    """Names 1 to 3 stand at places 0 to 2, and a class may be absent from training."""
    x = np.repeat(np.arange(3.0), 20)
    lines = "a,label\n" + "".join(f"{v},{int(v) + 1}\n" for v in x)
    (tmp_path / "t.csv").write_text(lines)
    data = read_csv(tmp_path / "t.csv")
    assert data.classes == ("1", "2", "3")
    some = np.flatnonzero(data.train.y.numpy() > 0)
    data = dataclasses.replace(data, train=TensorSplit(data.train.take(some)))
    with pytest.warns(UnusualUseWarning, match="sklearn:gaussian-nb has not met class 1 and"):
        big = taught(Run(tmp_path / "run"), "sklearn:gaussian-nb", data, NONE)
    logits, target = collect(big, data, data.test)
    known = target > 0
    assert torch.equal(logits[known].argmax(1), target[known])


def test_a_file_of_skops_is_a_teacher(data, tmp_path):
    model = LogisticRegression(max_iter=500).fit(*raw_table(data))
    (tmp_path / "m.skops").write_bytes(estimator_bytes(model))
    run = Run(tmp_path / "run")
    big = taught(run, f"file:{tmp_path / 'm.skops'}", data, NONE)
    told = said(limbeck.teacher(model), data)
    assert torch.allclose(said(big.members[0], data), told)
    assert not run.dir.exists()
    with pytest.raises(ArgumentError, match=r"a file of skops has no options"):
        taught(run, f"file:{tmp_path / 'm.skops'}?network=mlp", data, NONE)
    with pytest.raises(ModelError, match=r"absent\.skops does not exist"):
        taught(run, "file:absent.skops", data, NONE)


def test_whether_a_name_learns(data, tmp_path):
    save_file(build("mlp?hidden=4", data.input_space, 10).state_dict(), tmp_path / "w.safetensors")
    learning = {
        "sklearn:gaussian-nb": True,
        "file:m.skops": False,
        "mlp?hidden=4": True,
        f"file:{tmp_path / 'w.safetensors'}?network=mlp?hidden=4": False,
    }
    for name, learns in learning.items():
        assert maker_of(name).learns(name, data) is learns
    with pytest.raises(ModelError, match="has no classifier 'gausian'; did you mean gaussian-nb"):
        maker_of("sklearn:gausian").learns("sklearn:gausian", data)


def test_texts_are_no_rows(tmp_path):
    (tmp_path / "t.csv").write_text("text,label\n" + "good,yes\nbad,no\n" * 20)
    with pytest.raises(ModelError, match="estimators read rows of numbers"):
        taught(Run(tmp_path / "run"), "sklearn:gaussian-nb", read_csv(tmp_path / "t.csv"), NONE)


def test_methods_that_look_into_networks_refuse_it_before_it_is_fitted(data, tmp_path):
    run = Run(tmp_path / "run")
    asked = []
    with pytest.raises(ModelError, match=r"'sklearn:ridge' has none; give a network"):
        taught(run, "sklearn:ridge", data, NONE, check=asked.append)
    model = LogisticRegression(max_iter=20).fit(*raw_table(data))
    with pytest.raises(ModelError, match=r"teacher\(LogisticRegression\) has none"):
        taught(run, model, data, NONE, check=asked.append)
    assert not asked
    assert not run.dir.exists()


def test_a_regression_learns_from_numbers(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 3))
    data = from_arrays(x, x @ [1.0, 2.0, 3.0], standardise=True)
    big = taught(Run(tmp_path), ["sklearn:ridge?alpha=1e-6", "sklearn:svr"], data, NONE)
    logits, target = collect(big.members[0], data, data.test)
    assert quality(logits, target, data.task)["rmse"] < 1e-3


def test_the_whole_method_takes_names_of_estimators(data, tmp_path):
    method = limbeck.KD(steps=20)
    student = method.distill(tmp_path / "a", teacher=FOREST, student="mlp?hidden=4", data=data)
    assert student.evaluate(data)["accuracy"] > 0
    with pytest.raises(ModelError, match="no networks.*'sklearn:'.*are no students"):
        method.distill(tmp_path / "b", teacher="mlp", student="sklearn:ridge", data=data)
