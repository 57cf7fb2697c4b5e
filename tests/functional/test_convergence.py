"""Predicted bounds, estimated floors and fitted rates of chains."""

import math

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import (
    anchored_recursion,
    chain_distances,
    clip_probabilities,
    contraction_bound,
    estimate_floor,
    fit_rate,
    pooled_variance,
    predict_rate,
)


def pair(seed=0, samples=200, classes=6):
    generator = torch.Generator().manual_seed(seed)
    drawn = 2 * torch.randn(2, samples, classes, generator=generator, dtype=torch.float64)
    return clip_probabilities(drawn.softmax(-1))[0]


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.7])
def test_an_exact_chain_shows_the_predicted_rates(alpha):
    start, base = pair()
    for mixture in ("linear", "geometric"):
        students = anchored_recursion(start, base, anchors=[alpha] * 12, mixture=mixture)
        found = chain_distances(base, students)
        expected = predict_rate([alpha] * 12, mixture)
        kl = found["kl"].mean(1)
        late = float(kl[-1] / kl[-2])
        assert expected.late_kl_rate - 0.02 < late < expected.kl_rate
        if mixture == "linear":
            assert fit_rate(found["tv"], floor=0.0).rate == pytest.approx(expected.tv_rate)
            mean = found["tv"].mean(1)
            bound = predict_rate([alpha] * 12, start=float(mean[0])).bound
            torch.testing.assert_close(mean, torch.tensor(bound, dtype=torch.float64))


def test_students_with_error_stay_below_the_bound_and_end_below_the_floor():
    start, base = pair(1)
    generator = torch.Generator().manual_seed(3)
    alpha, error = 0.25, 0.02
    students = [start]
    for _ in range(40):
        meant = (1 - alpha) * students[-1] + alpha * base
        other = torch.rand(base.shape, generator=generator, dtype=torch.float64)
        other = other / other.sum(-1, keepdim=True)
        # Mixing a share of at most `error` moves total variation by at most as much.
        students.append((1 - error) * meant + error * other)
    tv = chain_distances(base, torch.stack(students))["tv"].mean(1).tolist()
    expected = predict_rate([alpha] * 40, error=error, start=tv[0])
    assert all(value <= bound + 1e-12 for value, bound in zip(tv, expected.bound, strict=True))
    assert expected.floor == pytest.approx(0.08)
    assert tv[-1] < expected.floor
    fitted = fit_rate(chain_distances(base, torch.stack(students))["tv"])
    assert fitted.rate == pytest.approx(1 - alpha, abs=0.1)
    assert fitted.low <= fitted.rate <= fitted.high
    assert 3 <= fitted.read < 41


def test_predictions_of_schedules_and_of_no_anchor():
    schedule = predict_rate([0.5, 0.25, 0.0])
    assert schedule.bound == pytest.approx((1.0, 0.5, 0.375, 0.375))
    assert not schedule.converges
    assert schedule.floor == pytest.approx(0.375)
    drift = predict_rate([0.0] * 3, error=0.01, start=0.2)
    assert drift.bound == pytest.approx((0.2, 0.21, 0.22, 0.23))
    assert math.isinf(drift.floor)
    assert predict_rate([1.0]).floor == 0
    # KL has no triangle inequality: the bound of the geometric family is that of exact students.
    geometric = predict_rate([0.3] * 2, "geometric", 0.05)
    assert list(geometric.bound) == contraction_bound(1.0, [0.3] * 2)
    assert geometric.distance == "KL(base || student)"


def test_floors_of_chains_that_have_settled_or_not():
    for rate, floor in ((0.7, 0.04), (0.9, 0.03), (0.5, 0.0)):
        early = [floor + 0.3 * rate**k for k in range(6)]
        assert estimate_floor(early) == pytest.approx(floor, abs=1e-9)
    assert estimate_floor([0.3, 0.05, 0.049, 0.05]) == pytest.approx(0.0495)
    assert estimate_floor([0.3, 0.2, 0.1]) == 0.0
    assert estimate_floor([0.1, 0.2, 0.4, 0.8]) == 0.0


def test_a_fit_without_three_generations_above_the_floor_is_refused():
    fitted = fit_rate(torch.tensor([[0.3], [0.03], [0.03], [0.03]]))
    assert math.isnan(fitted.rate)
    assert math.isnan(fitted.low)
    assert fitted.read == 1
    assert math.isnan(fit_rate(torch.zeros(5, 3)).rate)
    with pytest.raises(ArgumentError, match="N above 0"):
        fit_rate(torch.zeros(5, 0))
    with pytest.raises(ArgumentError, match="finite and at least 0"):
        fit_rate(torch.tensor([[math.nan], [0.1]]))


def test_the_interval_knows_how_many_samples_there_are():
    generator = torch.Generator().manual_seed(0)
    steps = torch.arange(6.0)[:, None]
    wide = 0.3 * (0.5 + 0.4 * torch.rand(1, 20, generator=generator)) ** steps
    many = 0.3 * (0.5 + 0.4 * torch.rand(1, 2000, generator=generator)) ** steps
    few, more = fit_rate(wide, floor=0.0), fit_rate(many, floor=0.0)
    assert few.high - few.low > 3 * (more.high - more.low)
    assert fit_rate(wide, floor=0.0) == few
    assert fit_rate(wide, floor=0.0, seed=1) != few


def test_identical_chains_are_at_distance_zero():
    base = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    for values in chain_distances(base, base.expand(3, 2, 2)).values():
        assert (values == 0).all()
    single = torch.ones(4, 1)
    assert all((v == 0).all() for v in chain_distances(single, single.expand(2, 4, 1)).values())
    with pytest.raises(ArgumentError, match=r"expected students \(G \+ 1, 2, 2\)"):
        chain_distances(base, base)


def test_variance_of_a_pool_of_correlated_errors():
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(200_000, 1, generator=generator)
    own = torch.randn(200_000, 4, generator=generator)
    rho, deviation = 0.3, 0.5
    errors = deviation * (rho**0.5 * shared + (1 - rho) ** 0.5 * own)
    expected = pooled_variance([deviation**2] * 4, correlation=rho)
    assert expected == pytest.approx(deviation**2 * (rho + (1 - rho) / 4))
    assert float(errors.mean(1).var()) == pytest.approx(expected, rel=0.02)
    assert pooled_variance([1.0, 4.0], [3.0, 1.0]) == pytest.approx(9 / 16 + 4 / 16)
    with pytest.raises(ArgumentError, match="correlation is 2"):
        pooled_variance([1.0], correlation=2)
    with pytest.raises(ArgumentError, match="weights"):
        pooled_variance([1.0, 1.0], [1.0])


def test_errors_cannot_all_be_at_odds():
    assert pooled_variance([1.0] * 3, correlation=-0.5) == pytest.approx(0, abs=1e-12)
    assert pooled_variance([1.0, 1.0], correlation=-1) == 0
    assert pooled_variance([1.0], correlation=-1) == 1
    with pytest.raises(ArgumentError, match="correlation is -1.0, expected from -0.5 to 1 for 3"):
        pooled_variance([1.0, 1.0, 1.0], correlation=-1.0)
