"""What is this method's own: the table, what is stacked on it, members of every kind, bad input."""

import dataclasses
import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB
from torch import nn

import limbeck
from limbeck.bridges.sklearn import RegularizedStackingRegressor
from limbeck.bridges.sklearn.linear import RIDGE_ALPHAS
from limbeck.data import Data, Subset, TensorSplit, digits, friedman, from_arrays
from limbeck.errors import (
    ArgumentError,
    DataError,
    LimbeckError,
    ModelError,
    NotFiniteError,
    SettingsError,
    UnusualUseWarning,
)
from limbeck.experiment import Request, perform
from limbeck.loops.makers import raw_table
from limbeck.method import complete, opened
from limbeck.methods.regularized_meta_learning.pools import POOLS
from limbeck.methods.regularized_meta_learning.regularized_meta_learning import (
    RegularizedMetaLearning,
)
from limbeck.products import StackedPredictor
from limbeck.report import write_report
from limbeck.run import Run
from limbeck.run.exhibits import read_exhibits

LINE, RIDGE = "sklearn:linear-regression", "sklearn:ridge?alpha=1.0"
NEAR, TREE = "sklearn:k-neighbors?n_neighbors=7", "sklearn:extra-tree?max_depth=4"
MEMBERS = [LINE, RIDGE, NEAR, TREE]
QUICK = {"cv": 4, "l1_ratios": (0.5,), "alphas": {"lasso": (0.01, 0.1), "elasticnet": (0.01, 0.1)}}


def method(**settings):
    return RegularizedMetaLearning(**{**QUICK, **settings})


@pytest.fixture(scope="module")
def data():
    return friedman(rows=180)


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    """Product, baselines and the table of one run."""
    run = Run(tmp_path_factory.mktemp("stack") / "run")
    stack, plain, ready = complete(method(), run, {"data": data, "teacher": MEMBERS})
    return stack, plain, ready["teacher"], run.dir


def test_columns_are_what_members_say_of_rows_that_they_did_not_see(made, data):
    _, _, table, _ = made
    x, y = raw_table(data)
    expected = cross_val_predict(LinearRegression(), x, y, cv=table.folds.splits)
    np.testing.assert_allclose(table.table[:, 0], expected, rtol=1e-5)
    np.testing.assert_array_equal(table.target, y)


def test_the_stack_is_the_estimator_on_that_table(made, data):
    stack, _, table, _ = made
    peer = RegularizedStackingRegressor(**{**QUICK, "cv": table.folds.splits})
    peer.fit(table.table, table.target)
    assert [table.names[place] for place in peer.projection_.kept] == list(stack.names)
    columns = data.columns(data.test, np.arange(len(data.test)))
    whole = np.stack([group[0](batch(data)).logits[:, 0].numpy() for group in table.groups], 1)
    np.testing.assert_allclose(
        stack.predict(columns["x"]).numpy(), peer.predict(whole), rtol=1e-4, atol=1e-4
    )
    told = stack.facts["out_of_fold"]
    assert list(told) == ["blend", "ridge", "lasso", "elasticnet"]
    assert told["blend"]["rmse"] == pytest.approx(peer.oof_rmse_)
    for name, said in {
        "blend": peer.oof_prediction_,
        "lasso": peer.meta_models_["lasso"].oof,
    }.items():
        assert told[name] == pytest.approx(
            {
                "rmse": np.sqrt(np.mean((said - table.target) ** 2)),
                "mae": np.abs(said - table.target).mean(),
                "r2": 1 - np.mean((said - table.target) ** 2) / table.target.var(),
                "pearson": np.corrcoef(said, table.target)[0, 1],
            }
        )
    assert stack.facts["weights"] == pytest.approx(peer.weights_)


def batch(data):
    return next(limbeck.data.sequential(data, data.test, len(data.test)))


def test_everything_stays_reachable(made):
    stack, _, table, folder = made
    facts = stack.facts
    (gone,) = facts["removed"]
    assert (gone["reason"], {gone["member"], gone["kept"]}) == ("duplicate", {LINE, RIDGE})
    assert facts["condition_before"] > 100 * facts["condition_after"]
    assert set(facts["errors"]) == set(MEMBERS)
    assert list(facts["coefficients"])[: len(stack.names)] == list(stack.names)
    assert sum(facts["weights"].values()) == pytest.approx(1)
    assert facts["members_trained_on"] == "all training rows"
    frame = pd.read_parquet(folder / "out-of-fold.parquet")
    np.testing.assert_array_equal(frame[MEMBERS].to_numpy(), table.table)
    assert limbeck.load(folder).facts == json.loads(json.dumps(facts))


def test_baselines_are_what_they_are_called(made, data):
    _, plain, table, _ = made
    assert list(plain) == [
        "simple average", "best single", "inverse-error average", "plain linear stack",
        "plain ridge stack", "greedy hill climbing",
    ]  # fmt: skip
    whole = np.stack([group[0](batch(data)).logits[:, 0].numpy() for group in table.groups], 1)
    x = data.columns(data.test, np.arange(len(data.test)))["x"]
    np.testing.assert_allclose(plain["simple average"].predict(x), whole.mean(1), rtol=1e-5)
    best = int(np.argmin(table.errors))
    assert plain["best single"].names == (table.names[best],)
    np.testing.assert_allclose(plain["best single"].predict(x), whole[:, best], rtol=1e-6)
    for name, peer in (
        ("plain linear stack", LinearRegression()),
        ("plain ridge stack", RidgeCV(RIDGE_ALPHAS)),
    ):
        expected = peer.fit(table.table, table.target).predict(whole)
        np.testing.assert_allclose(plain[name].predict(x), expected, rtol=1e-4)
    assert len(plain["greedy hill climbing"].names) < len(MEMBERS)


def test_the_kept_table_is_data_that_gives_the_same_stack(made, tmp_path):
    _, _, table, folder = made
    kept = f"oof:{folder / 'out-of-fold.parquet'}?target=target&task=regression"
    again = method().distill(tmp_path / "again", data=kept)
    assert set(again.facts["errors"]) == set(MEMBERS)
    assert again.facts["stacked_on"] == "predictions"
    loaded = limbeck.load(tmp_path / "again")
    assert torch.equal(loaded.predict(table.table[:5]), again.predict(table.table[:5]))


def test_predictions_are_stacked_without_training(tmp_path):
    draw = np.random.default_rng(0)
    y = draw.normal(size=200)
    said = {
        name: y + draw.normal(size=200) * wide
        for name, wide in zip("abc", (0.3, 0.5, 0.7), strict=True)
    }
    said["copy"] = said["a"] + 1e-3
    stack = method().distill(tmp_path / "run", data=limbeck.from_predictions(said, y))
    assert len(stack.names) == 3
    assert {"b", "c"} < set(stack.names)
    assert stack.facts["members_trained_on"] == "rows that are not stacked on"
    assert not (tmp_path / "run" / "stages").exists()


class Half:
    """An object of the user's own."""

    def fit(self, x, y):
        return self

    def predict(self, x):
        return x[:, 3] * 10


def test_members_that_come_trained_are_stacked_on_validation(data, tmp_path):
    x, y = raw_table(data)
    fitted = LinearRegression().fit(x, y)

    network = nn.Linear(10, 1)
    with pytest.raises(ArgumentError, match="comes trained .* --set fit_on=validation"):
        method().distill(tmp_path / "folds", data=data, teacher=[LINE, fitted])
    stack, _, ready = complete(
        method(fit_on="validation", variance=0.0),
        Run(tmp_path / "run"),
        {"data": friedman(rows=450), "teacher": [fitted, network, NEAR, Half()]},
    )
    assert ready["teacher"].table.shape == (50, 4)
    assert (stack.facts["stacked_on"], stack.facts["rows"]) == ("validation", 50)
    assert set(stack.facts["errors"]) == {"LinearRegression", "Linear", NEAR, "Half"}
    with pytest.raises(ModelError, match="holds .*Half.* trusted="):
        StackedPredictor.load(tmp_path / "run" / "product", nn.Linear(10, 1))


def test_members_of_folds_may_be_averaged(data, tmp_path):
    stack = method(refit=False).distill(tmp_path / "run", data=data, teacher=MEMBERS)
    assert [len(group) for group in stack.groups] == [4] * len(stack.names)
    assert stack.facts["members_trained_on"] == "the folds, averaged"
    assert not [*(tmp_path / "run" / "stages").glob("teacher-*")], "nobody is asked who is trained"
    again = limbeck.load(tmp_path / "run")
    x = np.full((2, 10), 0.5)
    assert torch.equal(again.predict(x), stack.predict(x))


def test_networks_and_estimators_are_members_together(data, tmp_path):
    settings = {"cv": 2, "penalties": ("ridge",), "teaching": {"steps": 20, "batch_size": 32}}
    inputs = {"data": data, "teacher": ["mlp?hidden=8", "mlp?hidden=8", LINE]}
    stack = method(**settings).distill(tmp_path / "run", **inputs)
    assert set(stack.facts["errors"]) == {"mlp?hidden=8", "mlp?hidden=8 (2)", LINE}
    assert set(stack.facts["weights"]) == {"ridge"}


def test_classes_are_stacked_by_their_log_odds(tmp_path):
    members = [
        "sklearn:gaussian-nb?var_smoothing=0.01",
        "sklearn:k-neighbors?n_neighbors=5",
        "sklearn:decision-tree?max_depth=6",
    ]
    settings = {"cv": 3, "strengths": (0.01, 0.1)}
    inputs = {"data": "digits?samples=300", "teacher": members}
    stack, plain, ready = complete(method(**settings), Run(tmp_path / "run"), inputs)
    table, known = ready["teacher"], ready["data"]
    assert table.table.shape == (300, 3, 10)
    np.testing.assert_allclose(table.table.sum(2), 1, atol=1e-4)
    assert list(plain)[3] == "plain logistic stack"
    rows, drawn = stack.compared(Run(tmp_path / "run"), "stack", plain, ready)
    by_name = {row["name"]: row["quality"] for row in rows}
    assert by_name["stack"]["nll"] < by_name["simple average"]["nll"]
    assert set(drawn["sources"]) == {"stack", "simple average"}
    assert stack.probabilities(np.zeros((1, 8, 8), np.float32)).sum() == pytest.approx(1)
    frame = pd.read_parquet(tmp_path / "run" / "out-of-fold.parquet")
    assert f"{members[0]}:7" in frame
    assert limbeck.load(tmp_path / "run").evaluate(known) == stack.evaluate(known)


def test_a_column_of_a_table_given_by_name(tmp_path):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(90, 3)), columns=["rooms", "age", "price"])
    frame.to_csv(tmp_path / "houses.csv", index=False)
    inputs = {"data": f"csv:{tmp_path / 'houses.csv'}", "teacher": [LINE, NEAR]}
    settings = {"cv": 3, "target": "price", "penalties": ["ridge"], "variance": 0.0}
    request = Request("regularized-meta-learning", settings, inputs)
    with pytest.raises(ArgumentError, match="target is 'price' and csv:.* says 'age'"):
        method(target="price").distill(
            tmp_path / "other", data=f"{inputs['data']}?target=age", teacher=[LINE, NEAR]
        )
    with pytest.raises(ArgumentError, match="target is set, .* data is a Data; leave it out"):
        method(target="price").distill(tmp_path / "other", data=friedman(rows=90))
    rows = perform(request, tmp_path / "run", quiet=True)
    assert rows[0]["role"] == "product"
    assert Request.read(tmp_path / "run").data.endswith("houses.csv?target=price")
    loaded = limbeck.load(tmp_path / "run")
    assert loaded.input_space.names == ("rooms", "age")


def test_a_report_draws_weights_conditioning_and_likeness(tmp_path):
    inputs = {"data": "friedman?rows=180", "teacher": MEMBERS}
    request = Request("regularized-meta-learning", {**QUICK}, inputs)
    perform(request, tmp_path / "run", quiet=True)
    text = write_report([tmp_path / "run"]).read_text()
    for part in (
        "regularized-meta-learning has an rmse", "than the simple average",
        "Members and their weights", "coefficient", "decimal logarithm",
        "Correlation of members", "duplicate",
        "mean squared difference", "3 of 4 members stay", "<th>members</th>",
        "Out of fold", "Pearson", "plain linear stack",
    ):  # fmt: skip
        assert part in text, part


def test_duplicates_and_constants_go_and_it_is_said(tmp_path):
    draw = np.random.default_rng(0)
    y = draw.normal(size=200)
    table = {"one": y + 0.3 * draw.normal(size=200), "flat": np.ones(200)}
    table["again"] = table["one"].copy()
    table["other"] = y + 0.5 * draw.normal(size=200)
    data = limbeck.from_predictions(table, y)
    with pytest.warns(UnusualUseWarning, match="members flat predict the same for every row and"):
        stack = method().distill(tmp_path / "run", data=data)
    reasons = {one["member"]: one["reason"] for one in stack.facts["removed"]}
    assert reasons == {"flat": "constant", "again": "duplicate"}
    assert stack.names == ("one", "other")
    only = limbeck.from_predictions({"flat": np.ones(200)}, y)
    with pytest.raises(ArgumentError, match="each is constant"):
        method().distill(tmp_path / "flat", data=only)


def test_validation_that_was_trained_on_is_refused_before_anything_is_trained(tmp_path):
    draw = np.random.default_rng(0)

    def part(ids):
        x = draw.normal(size=(len(ids), 3))
        return TensorSplit({"x": x, "y": x.sum(1)}, np.asarray(ids))

    data = Data(part(range(60)), part(range(55, 90)), part(range(200, 230)), "regression", (), None)
    with pytest.raises(ArgumentError, match="5 validation samples .* are training samples too"):
        method(fit_on="validation").distill(tmp_path / "run", data=data, teacher=[LINE, NEAR])
    assert not (tmp_path / "run" / "stages").exists()


def test_rows_to_stack_on_have_every_class(tmp_path):
    known = digits()
    few = np.flatnonzero(known.validation.y.numpy() != 7)
    lacking = dataclasses.replace(known, validation=Subset(known.validation, few))
    fitted = GaussianNB().fit(*raw_table(known.few(100)))
    with pytest.raises(ArgumentError, match="the validation split of digits has no row of class 7"):
        method(fit_on="validation").distill(tmp_path / "run", data=lacking, teacher=[fitted])
    shares = np.full((30, 2, 3), 1 / 3)
    said = limbeck.from_predictions(shares, np.arange(30) % 2, classes=["a", "b", "c"])
    with pytest.raises(ArgumentError, match="the training split of predictions has no row of cl"):
        method(cv=2).distill(tmp_path / "said", data=said)


def test_members_may_be_called_as_columns_of_the_table(tmp_path):
    draw = np.random.default_rng(0)
    y = draw.normal(size=120)
    said = {name: y + draw.normal(size=120) * 0.5 for name in ("id", "fold", "target", "other")}
    settings = {"penalties": ("ridge",), "variance": 0.0}
    stack = method(**settings).distill(tmp_path / "a", data=limbeck.from_predictions(said, y))
    assert set(stack.names) == set(said)
    path = tmp_path / "a" / "out-of-fold.parquet"
    frame = pd.read_parquet(path)
    assert list(frame) == ["id", "fold", "id (2)", "fold (2)", "target (2)", "other", "target"]
    again = method(**settings).distill(tmp_path / "b", data=f"oof:{path}?target=target")
    assert set(again.facts["errors"]) == {"id (2)", "fold (2)", "target (2)", "other"}


def test_large_numbers_that_differ_little_are_stacked_as_small_ones(tmp_path):
    draw = np.random.default_rng(0)
    y = draw.normal(size=200)
    table = y[:, None] + draw.normal(size=(200, 3)) * [0.3, 0.4, 0.5]
    # A product with the mean is another one far from 0.
    settings = {"penalties": ("ridge",), "interactions": False}
    plain, far = (
        method(**settings).distill(
            tmp_path / str(place), data=limbeck.from_predictions(table + away, y + away)
        )
        for place, away in enumerate((0.0, 1e9))
    )
    assert far.facts["out_of_fold"]["blend"]["rmse"] == pytest.approx(
        plain.facts["out_of_fold"]["blend"]["rmse"], rel=1e-4
    )
    expected = plain.predict(table[:9]).double().numpy()
    np.testing.assert_allclose(far.predict(table[:9] + 1e9).numpy() - 1e9, expected, atol=1e-4)
    data = limbeck.from_predictions(table + 1e9, y + 1e9)
    again = limbeck.load(tmp_path / "1")
    assert again.evaluate(data)["r2"] > 0.9


def test_regressions_of_classes_that_stop_early_are_told(tmp_path):
    members = ["sklearn:gaussian-nb?var_smoothing=0.01", "sklearn:k-neighbors?n_neighbors=5"]
    settings = {"cv": 2, "strengths": (1.0,), "max_iter": 1}
    inputs = {"data": "digits?samples=200", "teacher": members}
    with pytest.warns(ConvergenceWarning, match="plain logistic fits stopped at max_iter=1"):
        stack, _, _ = complete(method(**settings), Run(tmp_path / "run"), inputs)
    assert stack.facts["fits"] == 3 >= stack.facts["unconverged"] > 0
    _, (sheet,), _ = read_exhibits(tmp_path / "run")
    assert f"{stack.facts['unconverged']} of 3 logistic fits stopped before" in sheet.caption


def test_thresholds_of_classes_may_be_relative(tmp_path):
    settings = {"cv": 3, "strengths": (0.1,)}
    data = digits().few(300)
    pool = POOLS["classification"][:4]
    kept = {
        relative: len(
            method(**settings, relative=relative)
            .distill(tmp_path / str(relative), data=data, teacher=list(pool))
            .names
        )
        for relative in (None, False, True)
    }
    assert kept[None] == kept[False] < kept[True]


class Lost:
    """Says nothing that is a number."""

    def fit(self, x, y):
        return self

    def predict(self, x):
        return np.full(len(x), np.nan)


def foreign():
    x = np.random.default_rng(0).normal(size=(30, 64))
    return LogisticRegression().fit(x, np.arange(30) % 3 + 20)


def several():
    x = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    return from_arrays(x, x[:, :2])


@pytest.mark.parametrize(
    ("settings", "inputs", "kind", "said"),
    [
        ({"fit_on": "validation"}, {"teacher": [Lost()]}, NotFiniteError, "Lost predicts NaN"),
        (
            {"fit_on": "validation"},
            {"teacher": [foreign()], "data": digits()},
            ModelError,
            "knows the classes",
        ),
        ({}, {"data": several()}, ArgumentError, "a stack predicts one; name one target"),
        ({"cv": 200}, {"teacher": [LINE]}, ArgumentError, "cv is 200 and friedman has 160 rows"),
        ({}, {"teacher": []}, ArgumentError, "zero members"),
        ({}, {"teacher": [7]}, ArgumentError, "member 7 comes trained"),
        ({}, {"teacher": ["sklearn:rigde"]}, LimbeckError, "did you mean"),
        ({}, {"student": "mlp"}, ArgumentError, "takes no input 'student'"),
    ],
)
def test_bad_input_says_what_to_do(settings, inputs, kind, said, data, tmp_path):
    with pytest.raises(kind, match=said):
        method(**settings).distill(tmp_path / "run", **{"data": data, **inputs})


def test_predictions_that_do_not_fit_their_target_are_refused():
    said = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.raises(DataError, match="50"):
        limbeck.from_predictions(said, np.zeros(49))
    with pytest.raises(DataError):
        limbeck.from_predictions(np.where(said > 1, np.nan, said), np.zeros(50))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cv": 1}, "RegularizedMetaLearning.cv is 1"),
        ({"penalties": ("rigde",)}, "RegularizedMetaLearning.penalties"),
        ({"alphas": {"ridge": (-1.0,)}}, "RegularizedMetaLearning.alphas"),
        ({"penalty": "ridge"}, "did you mean penalties"),
    ],
)
def test_settings_are_checked(settings, said):
    with pytest.raises(SettingsError, match=said):
        RegularizedMetaLearning(**settings)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_pool_of_scikit_learn_stands_in_where_no_member_is_named(task, tmp_path):
    assert 8 <= len(POOLS[task]) <= 12
    known = friedman(rows=90) if task == "regression" else digits().few(100)
    with warnings.catch_warnings():
        # Members of the pool converge.
        warnings.simplefilter("error", ConvergenceWarning)
        with opened(method(cv=2), Run(tmp_path / "run"), {"data": known}) as (_, ready):
            found = ready["teacher"]
    assert found.names == POOLS[task]
    assert np.isfinite(found.table).all()


def test_members_trained_before_a_stop_are_not_trained_again(data, tmp_path, monkeypatch):
    inputs = {"data": data, "teacher": MEMBERS}
    first = method().distill(tmp_path / "run", **inputs)
    fitted = []
    monkeypatch.setattr(LinearRegression, "fit", lambda self, *given: fitted.append(given))
    again = method().distill(tmp_path / "run", **inputs)
    assert not fitted
    assert again.fingerprint == first.fingerprint
