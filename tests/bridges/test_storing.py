"""Estimators as bytes: equal fits are equal files, and strange files are refused."""

import hashlib
import io
import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from limbeck.bridges.sklearn import (
    RegularizedStackingRegressor,
    estimator_bytes,
    read_estimator,
)
from limbeck.errors import ModelError

X, Y = make_friedman1(60, random_state=0)
KINDS = {
    "ridge": Ridge(),
    "pipeline": make_pipeline(StandardScaler(), Ridge()),
    "forest": RandomForestClassifier(5, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=3, random_state=0),
    "histograms": HistGradientBoostingRegressor(max_iter=3, random_state=0),
    "neighbours": KNeighborsRegressor(3, algorithm="kd_tree"),
    "logistic": LogisticRegression(),
    "svc": SVC(),
    "bayes": GaussianNB(),
    "network": MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0),
    "stack": RegularizedStackingRegressor([("r", Ridge()), ("n", KNeighborsRegressor(3))], cv=3),
}
CLASSIFIERS = ("forest", "logistic", "svc", "bayes")


def fitted(kind):
    return KINDS[kind].fit(X, Y.mean() < Y if kind in CLASSIFIERS else Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_says_what_was_written(kind):
    one = fitted(kind)
    stored = estimator_bytes(one)
    read = read_estimator(stored)
    assert type(read) is type(one)
    # Before it is asked: trees of neighbours count how often they were.
    assert estimator_bytes(read) == stored
    assert np.array_equal(read.predict(X), one.predict(X))


PROGRAM = """
import sys, numpy as np
junk = [np.full(size, number, np.uint8) for number in range(int(sys.argv[1])) for size in (64, 512)]
del junk
from sklearn.datasets import make_friedman1
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from limbeck.bridges.sklearn.storing import estimator_bytes
import hashlib
X, y = make_friedman1(200, random_state=0)
for one in (
    RandomForestClassifier(7, random_state=0).fit(X, y > 14),
    GradientBoostingRegressor(n_estimators=5, random_state=0).fit(X, y),
):
    print(hashlib.sha256(estimator_bytes(one)).hexdigest())
"""


def test_two_processes_write_the_same_bytes():
    """Though memory that nobody writes to holds something else in each."""
    said = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(number)], capture_output=True, text=True, check=True
        ).stdout
        for number in (0, 250)
    ]
    assert said[0] == said[1]
    assert len(said[0].split()) == 2


def test_a_file_is_read_as_bytes_are(tmp_path):
    stored = estimator_bytes(fitted("ridge"))
    path = tmp_path / "ridge.skops"
    path.write_bytes(stored)
    digest = hashlib.sha256(stored).hexdigest()
    assert hashlib.sha256(estimator_bytes(read_estimator(path))).hexdigest() == digest
    assert estimator_bytes(read_estimator(str(path))) == stored


def test_files_that_skops_wrote_are_read(tmp_path):
    import skops.io

    one = fitted("forest")
    skops.io.dump(one, tmp_path / "forest.skops")
    read = read_estimator(tmp_path / "forest.skops")
    assert np.array_equal(read.predict_proba(X), one.predict_proba(X))


def test_zip_files_hold_no_time():
    with zipfile.ZipFile(io.BytesIO(estimator_bytes(fitted("forest")))) as found:
        assert {one.date_time[0] for one in found.infolist()} == {1980}


class Own:
    """A model that is no class of a library that is trusted."""

    def __init__(self):
        self.slope = 2.0

    def predict(self, X):
        return X[:, 0] * self.slope


def test_other_types_are_refused_by_name_until_they_are_trusted():
    stored = estimator_bytes(Own())
    name = f"{Own.__module__}.Own"
    with pytest.raises(ModelError, match=rf"holds {name}, and only classes.*trusted=\['{name}'\]"):
        read_estimator(stored)
    assert read_estimator(stored, trusted=[name]).slope == 2.0


def test_functions_of_trusted_libraries_are_refused():
    """A pipeline that calls numpy.load is a way to run code."""
    one = make_pipeline(FunctionTransformer(np.load), Ridge())
    with pytest.raises(ModelError, match=r"holds numpy\.load"):
        read_estimator(estimator_bytes(one))


@pytest.mark.parametrize("name", ["numpy.memmap", "sklearn.datasets._openml.GzipFile"])
def test_a_class_that_empties_a_file_when_it_is_made_is_refused(tmp_path, name):
    """A file may say of which class a loss is, and with which arguments it is made."""
    victim = tmp_path / "victim"
    victim.write_text("still here")
    module, _, leaf = name.rpartition(".")
    with zipfile.ZipFile(io.BytesIO(estimator_bytes((str(victim), "wb")))) as found:
        arguments = json.loads(found.read("schema.json"))
    crafted = {
        "__class__": leaf,
        "__module__": module,
        "__loader__": "LossNode",
        "__reduce__": {"args": arguments},
        "content": arguments | {"content": []},
    }
    crafted |= {one: arguments[one] for one in ("protocol", "_skops_version")}
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("schema.json", json.dumps(crafted))
    with pytest.raises(ModelError, match=f"holds {name}"):
        read_estimator(written.getvalue())
    assert victim.read_text() == "still here"


def test_isotonic_steps_are_read():
    one = IsotonicRegression(out_of_bounds="clip").fit(X[:, 0], Y)
    assert np.array_equal(
        read_estimator(estimator_bytes(one)).predict(X[:, 0]), one.predict(X[:, 0])
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged or a pickle"),
        (pickle.dumps(Ridge()), "damaged or a pickle"),
        (estimator_bytes(Ridge())[:-40], "damaged or a pickle"),
    ],
)
def test_damaged_files_and_pickles_are_refused(tmp_path, content, words):
    path = tmp_path / "model.skops"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"model\.skops is not read: it is {words}"):
        read_estimator(path)
    with pytest.raises(ModelError, match=words):
        read_estimator(content)


def test_an_absent_file_is_said():
    with pytest.raises(ModelError, match=r"absent\.skops does not exist"):
        read_estimator("absent.skops")


def test_what_cannot_be_written_is_refused():
    one = make_pipeline(FunctionTransformer(lambda x: x), Ridge())
    with pytest.raises(ModelError, match="the Pipeline cannot be stored"):
        estimator_bytes(one)
