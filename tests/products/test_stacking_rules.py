"""Rules say what the estimators say whose weights they hold, and refuse what does not fit."""

import numpy as np
import pytest
import torch

from limbeck.bridges.sklearn import RegularizedStackingClassifier, RegularizedStackingRegressor
from limbeck.errors import ArgumentError, RunError
from limbeck.functional import row_statistics
from limbeck.functional.pools import mean_probabilities
from limbeck.products.stacking_rules import AverageRule, LinearRule, LogisticRule, rule_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def numbers(members=5, rows=200):
    draw = np.random.default_rng(0)
    target = draw.standard_normal(rows)
    return target[:, None] + draw.uniform(0.2, 1, members) * draw.standard_normal(
        (rows, members)
    ), target


def probabilities(classes, members=3, rows=200):
    draw = np.random.default_rng(1)
    y = np.arange(rows) % classes
    logits = draw.standard_normal((rows, members, classes)) + 2 * np.eye(classes)[y][:, None]
    shares = np.exp(logits)
    return shares / shares.sum(2, keepdims=True), y


@pytest.mark.parametrize("members", [4, 5])
@pytest.mark.parametrize(
    ("statistics", "interactions"), [(True, True), (False, True), (True, False)]
)
def test_a_linear_rule_is_the_blend_of_three_penalties(members, statistics, interactions):
    table, target = numbers(members)
    options = {"statistics": statistics, "interactions": interactions}
    stack = RegularizedStackingRegressor(cv=4, max_iter=200, l1_ratios=(0.5,), **options)
    stack.fit(table, target)
    rule = LinearRule(*stack.affine(), **options)
    kept = table[:, stack.projection_.kept]
    rule.check(kept.shape[1], 1)
    said = torch.from_numpy(kept.T)[..., None]
    np.testing.assert_allclose(
        rule.columns(said).numpy(), row_statistics(kept, **options), atol=1e-12
    )
    np.testing.assert_allclose(rule(said)[:, 0].numpy(), stack.predict(table), atol=1e-10)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_logistic_rule_is_the_stacked_regression(classes):
    table, y = probabilities(classes)
    stack = RegularizedStackingClassifier(cv=3, strengths=(0.1, 1.0)).fit(table, y)
    rule = LogisticRule(*stack.affine())
    kept = table[:, stack.projection_.kept]
    rule.check(kept.shape[1], classes)
    said = torch.from_numpy(np.log(kept)).permute(1, 0, 2)
    np.testing.assert_allclose(
        rule(said).softmax(-1).numpy(), stack.predict_proba(table), atol=1e-10
    )


def test_an_average_is_that_of_the_pool():
    table, _ = probabilities(3)
    said, weights = torch.from_numpy(np.log(table)).permute(1, 0, 2), [0.5, 0.0, 1.5]
    rule = AverageRule(weights, of="probabilities")
    expected = mean_probabilities(said, torch.tensor(weights, dtype=torch.float64))
    torch.testing.assert_close(rule(said).softmax(-1), expected.softmax(-1))
    mean = AverageRule([1.0, 1.0, 2.0], of="numbers")(torch.tensor([[[1.0]], [[2.0]], [[3.0]]]))
    assert mean.item() == 2.25


@pytest.mark.parametrize(
    "rule",
    [
        AverageRule([1.0, 2.0], of="numbers"),
        LinearRule([1.0, 2.0, 3.0, 4.0], 0.5, statistics=False),
        LogisticRule([[1.0, 2.0], [3.0, 4.0]], [0.5, 0.0]),
    ],
    ids=lambda rule: rule.kind,
)
def test_a_rule_comes_back_from_plain_values(rule):
    again = rule_of(rule.facts(), rule.state_dict())
    said = torch.randn(2, 5, 1 if rule.kind != "logistic" else 2)
    assert torch.equal(again(said), rule(said))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ArgumentError, match="of is 'labels', expected probabilities or numbers"):
        AverageRule([1.0], of="labels")
    with pytest.raises(ArgumentError, match="weights"):
        AverageRule([0.0, 0.0], of="numbers")
    with pytest.raises(ArgumentError, match=r"coef of the rule has shape \(3,\), expected \(9,\)"):
        LinearRule([1.0, 2.0, 3.0], 0.0).check(3, 1)
    with pytest.raises(ArgumentError, match="gives one number a sample, not 2"):
        LinearRule([1.0], 0.0, statistics=False, interactions=False).check(1, 2)
    with pytest.raises(ArgumentError, match=r"expected \(3, 6\)"):
        LogisticRule([[1.0]], [0.0]).check(2, 3)
    with pytest.raises(
        RunError, match="of the kind 'tree', which this version of limbeck does not"
    ):
        rule_of({"kind": "tree"}, {})
