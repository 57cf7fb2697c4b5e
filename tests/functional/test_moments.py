"""Regressions from sums are those of the rows, and folds add up."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, LinearRegression, Ridge

from limbeck.errors import ArgumentError
from limbeck.functional import combined, compressed, mean_squared_errors, moments, ridge_path
from limbeck.functional.moments import deviations, intercepts, rescaled


def rows(seed=0, count=80, width=5):
    draw = np.random.default_rng(seed)
    features = draw.standard_normal((count, width)) * np.arange(1, width + 1) + 100
    return features, features @ draw.standard_normal(width) + draw.standard_normal(count)


def test_parts_add_up_whatever_their_sizes():
    features, target = rows()
    whole = moments(features, target)
    parts = [moments(features[at], target[at]) for at in (slice(1), slice(1, 50), slice(50, None))]
    for found, expected in zip(combined(parts), whole, strict=True):
        np.testing.assert_allclose(found, expected)
    with pytest.raises(ArgumentError, match="parts is empty"):
        combined([])


def test_weights_are_repeated_rows():
    features, target = rows()
    weights = np.random.default_rng(1).integers(0, 4, len(target))
    weighted = moments(features, target, weights=weights)
    repeated = moments(features.repeat(weights, 0), target.repeat(weights))
    for found, expected in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e4])
def test_ridge_is_that_of_the_rows(alpha):
    features, target = rows()
    peer = Ridge(alpha=alpha).fit(features, target)
    seen = moments(features, target)
    coefficients = ridge_path(seen, [alpha])
    np.testing.assert_allclose(coefficients[0], peer.coef_, rtol=1e-8)
    constants = intercepts(seen, coefficients)
    np.testing.assert_allclose(constants, peer.intercept_, rtol=1e-8)
    fresh, truth = rows(1)
    expected = np.mean((truth - peer.predict(fresh)) ** 2)
    found = mean_squared_errors(moments(fresh, truth), coefficients, constants)
    np.testing.assert_allclose(found, [expected], rtol=1e-8)


def test_without_a_penalty_repeated_columns_share():
    features, target = rows()
    doubled = np.column_stack([features, features[:, 0]])
    coefficients = ridge_path(moments(doubled, target), [0.0])[0]
    plain = LinearRegression().fit(features, target).coef_
    np.testing.assert_allclose(coefficients[[0, 5]], plain[[0, 0]] / 2, rtol=1e-6)


def test_compressed_rows_give_the_same_elastic_net():
    features, target = rows()
    peer = ElasticNet(alpha=0.05, l1_ratio=0.3, tol=1e-10, max_iter=100_000).fit(features, target)
    few, aim = compressed(moments(features, target))
    assert few.shape == (6, 5)
    options = {"l1_ratio": 0.3, "tol": 1e-10, "fit_intercept": False, "max_iter": 100_000}
    found = ElasticNet(alpha=0.05 * len(target) / len(few), **options).fit(few, aim)
    np.testing.assert_allclose(found.coef_, peer.coef_, rtol=1e-5)


def test_scales_are_those_of_standardised_features():
    features, target = rows()
    features[:, 2] = 0.1
    seen = moments(features, target)
    scale = deviations(seen)
    assert scale[2] == 1.0
    np.testing.assert_allclose(np.delete(scale, 2), np.delete(features.std(0), 2))
    np.testing.assert_allclose(deviations(rescaled(seen, scale))[:2], 1.0)


def test_bad_arguments_are_refused():
    features, target = rows()
    with pytest.raises(ArgumentError, match=r"target has shape \(3,\), expected \(80,\)"):
        moments(features, target[:3])
    with pytest.raises(ArgumentError, match="penalties of at least 0"):
        ridge_path(moments(features, target), [-1.0])
