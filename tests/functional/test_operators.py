"""Operators carry their parameters, have names, compose, and are the functions behind them."""

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import (
    Anchoring,
    MetaTeacher,
    Pooling,
    Softening,
    anchored_teacher,
    keep_largest,
    power_pool,
    soften,
)


def distributions(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).softmax(-1)


def test_operators_are_the_functions_behind_them():
    members, student = distributions(3, 4, 5), distributions(4, 5, seed=1)
    weights = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    assert torch.equal(Softening(3.0)(student), soften(student, temperature=3.0))
    pooled = Pooling(0.0, weights=(0.2, 0.3, 0.5))(members)
    assert torch.equal(pooled, power_pool(members, weights, exponent=0.0))
    mixed = Anchoring(0.4, "geometric")(student, pooled)
    assert torch.equal(mixed, anchored_teacher(student, pooled, anchor=0.4, mixture="geometric"))


def test_they_compose_to_the_teacher_of_a_generation():
    members, student = distributions(3, 4, 5), distributions(4, 5, seed=1)
    rule = MetaTeacher(Softening(2.0), Pooling(0.0), Anchoring(0.25))
    # The geometric pool commutes with softening.
    expected = 0.75 * soften(student, temperature=2.0) + 0.25 * soften(
        power_pool(members, exponent=0.0), temperature=2.0
    )
    torch.testing.assert_close(rule(student, members), expected, rtol=0, atol=1e-6)
    assert rule.name == "power softening, T=2; geometric pool; linear anchoring, alpha=0.25"


def test_a_teacher_of_certain_members_is_positive_and_says_what_it_added():
    sure = torch.eye(3, dtype=torch.float64)[None].expand(2, 3, 3)
    rule = MetaTeacher(pooling=Pooling(-1.0), least=1e-3)
    assert bool((rule(sure[0], sure) > 0).all())
    assert rule.clipped(sure) == pytest.approx(2e-3)


def test_the_rest_of_a_truncated_teacher_is_spread_evenly():
    p = distributions(6, 5)
    kept = keep_largest(p, 2)
    torch.testing.assert_close(kept.sum(-1), torch.ones(6).double())
    top = p.topk(2)
    torch.testing.assert_close(kept.gather(-1, top.indices), top.values)
    assert (kept.sort(-1).values[:, 0] == kept.sort(-1).values[:, 2]).all()
    assert torch.equal(keep_largest(p, 5), p)
    members = distributions(2, 4, 5)
    known = MetaTeacher(keep=1).base(members)
    torch.testing.assert_close(known, MetaTeacher().base(keep_largest(members, 1)))


def test_mass_on_any_set_of_classes_is_the_mean_of_the_members():
    members = distributions(3, 7, 6)
    weights = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    pooled = Pooling(1.0, (0.5, 0.2, 0.3))(members)
    unsafe = [1, 4]
    masses = members[..., unsafe].sum(-1)
    torch.testing.assert_close(pooled[..., unsafe].sum(-1), (weights[:, None] * masses).sum(0))


def test_parameters_are_checked_at_once():
    for make, said in (
        (lambda: Softening(0.0), "temperature is 0"),
        (lambda: Softening(family="flat"), "family is 'flat'"),
        (lambda: Pooling(2.0), "exponent is 2"),
        (lambda: Pooling(weights=(0.0, 0.0)), "weights must be at least 0"),
        (lambda: Anchoring(1.2), "anchor is 1.2"),
        (lambda: Anchoring(mixture="mean"), "mixture is 'mean'"),
        (lambda: keep_largest(torch.tensor([1.0]), 0), "count is 0"),
    ):
        with pytest.raises(ArgumentError, match=said):
            make()
