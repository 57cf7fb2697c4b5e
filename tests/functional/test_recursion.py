"""Operators on distributions and the facts about repeated distillation."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ArgumentError
from limbeck.functional.divergences import entropy, soft_target_loss
from limbeck.functional.pools import mean_logits, mean_probabilities
from limbeck.functional.recursion import (
    anchored_recursion,
    anchored_teacher,
    clip_probabilities,
    contraction_bound,
    contraction_rate,
    power_pool,
    soften,
    total_variation,
)


def distributions(*shape, seed=0, concentration=1.0):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(shape, generator=generator, dtype=torch.float64)
    return clip_probabilities((noise.log() / -concentration).softmax(-1))[0]


def kl(base, other):
    return soft_target_loss(
        other, base, student_is="probabilities", teacher_is="probabilities", reduction="none"
    )


seeds = st.integers(0, 10_000)
mixtures = st.sampled_from(["linear", "geometric"])


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(1, 8), st.floats(0, 1), mixtures)
def test_the_exact_recursion_obeys_its_bound(seed, classes, anchor, mixture):
    base, start = distributions(2, classes, seed=seed)
    students = anchored_recursion(start, base, anchors=[anchor] * 5, mixture=mixture)
    torch.testing.assert_close(students.sum(-1), torch.ones(6).double())
    found = kl(base.expand_as(students), students).tolist()
    bound = contraction_bound(max(found[0], 0.0), [anchor] * 5)
    assert all(value <= limit + 1e-9 for value, limit in zip(found, bound, strict=True))


@settings(deadline=None, max_examples=25)
@given(seeds, st.floats(0, 1))
def test_total_variation_of_the_linear_mixture_falls_by_exactly_one_minus_the_anchor(seed, anchor):
    base, start = distributions(2, 5, seed=seed)
    mixed = anchored_teacher(start, base, anchor=anchor)
    expected = (1 - anchor) * total_variation(base, start)
    torch.testing.assert_close(total_variation(base, mixed), expected)


@pytest.mark.parametrize("mixture", ["linear", "geometric"])
def test_ends_of_the_anchor_and_its_fixed_point(mixture):
    base, start = distributions(2, 3, 5)
    for anchor, expected in ((0, start), (1, base)):
        mixed = anchored_teacher(start, base, anchor=anchor, mixture=mixture)
        assert torch.equal(mixed, expected)
    torch.testing.assert_close(anchored_teacher(base, base, mixture=mixture), base)


def test_geometric_mixture_keeps_a_class_out_that_either_rules_out():
    student, base = torch.tensor([0.0, 0.5, 0.5]), torch.tensor([0.2, 0.8, 0.0])
    mixed = anchored_teacher(student, base, anchor=0.5, mixture="geometric")
    assert mixed.tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(ArgumentError, match=r"no class in common.*clip_probabilities"):
        anchored_teacher(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), mixture="geometric")


@settings(deadline=None, max_examples=25)
@given(seeds, st.sampled_from(["power", "uniform"]), st.floats(1, 20))
def test_softening_keeps_the_ranking_and_raises_entropy(seed, family, temperature):
    p = distributions(4, 6, seed=seed)
    softened = soften(p, temperature=temperature, family=family)
    torch.testing.assert_close(softened.sum(-1), torch.ones(4).double())
    assert (softened.argmax(-1) == p.argmax(-1)).all()
    before, after = (entropy(x, kind="probabilities", reduction="none") for x in (p, softened))
    assert (after >= before - 1e-9).all()
    torch.testing.assert_close(soften(p, family=family), p)
    flat = soften(p, temperature=1e9, family=family)
    torch.testing.assert_close(flat, torch.full_like(p, 1 / 6), rtol=0, atol=1e-6)


@pytest.mark.parametrize("weights", [None, [0.2, 0.5, 0.3], [0.0, 1.0, 1.0]])
def test_power_means_hold_the_linear_and_the_geometric_pool(weights):
    members = distributions(3, 4, 5)
    weights = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    linear = mean_probabilities(members.log(), weights).softmax(-1)
    torch.testing.assert_close(power_pool(members, weights), linear)
    geometric = mean_logits(members.log(), weights).softmax(-1)
    torch.testing.assert_close(power_pool(members, weights, exponent=0.0), geometric)
    nearly = power_pool(members, weights, exponent=1e-6)
    torch.testing.assert_close(nearly, geometric, rtol=1e-4, atol=0)
    harmonic = (members.reciprocal() * _shares(weights)).sum(0).reciprocal()
    torch.testing.assert_close(
        power_pool(members, weights, exponent=-1.0), harmonic / harmonic.sum(-1, keepdim=True)
    )


def _shares(weights):
    weights = torch.ones(3).double() if weights is None else weights
    return (weights / weights.sum())[:, None, None]


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.5, 1.0])
def test_zero_probabilities_in_a_pool(exponent):
    members = torch.tensor([[0.0, 0.5, 0.5], [0.5, 0.5, 0.0]], dtype=torch.float64)
    pooled = power_pool(members, exponent=exponent)
    assert pooled.isfinite().all()
    assert (pooled[0] == 0) == (exponent <= 0)
    only = power_pool(members, torch.tensor([1.0, 0.0]), exponent=exponent)
    torch.testing.assert_close(only, members[0])
    assert torch.equal(power_pool(members[:1], exponent=exponent), members[0])


def test_clipping_says_what_it_added():
    p = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]], dtype=torch.float64)
    clipped, added = clip_probabilities(p, least=0.01)
    torch.testing.assert_close(added, torch.tensor([0.02, 0.0]).double())
    assert clipped.min() > 0
    torch.testing.assert_close(clipped.sum(-1), torch.ones(2).double())
    assert torch.equal(clipped[1], p[1])


def test_the_bound_has_a_floor_with_an_anchor_and_drifts_without():
    bound = contraction_bound(0.9, [0.3] * 60, error=0.03)
    assert bound[-1] == pytest.approx(0.1)
    drift = contraction_bound(0.9, [0.0] * 3, error=0.03)
    assert drift == pytest.approx([0.9, 0.93, 0.96, 0.99])
    schedule = contraction_bound(1.0, [0.5, 0.25, 1.0])
    assert schedule == pytest.approx([1.0, 0.5, 0.375, 0.0])


def test_the_rate_is_read_above_the_floor_only():
    falling = [0.8 * 0.7**k for k in range(6)]
    assert contraction_rate(falling) == pytest.approx(0.7)
    floored = [*falling, 0.05, 0.051, 0.049]
    assert contraction_rate(floored, floor=0.05) == pytest.approx(0.7)
    assert math.isnan(contraction_rate([0.8, 0.05, 0.05, 0.05], floor=0.05))
    assert math.isnan(contraction_rate([0.8, 0.0, 0.0]))  # anchor 1: done in one step


def test_gradients_and_compilation():
    base, start = distributions(2, 3, 4)
    leaf = start.log().requires_grad_()
    for mixture in ("linear", "geometric"):

        def mixed(z, mixture=mixture):
            return anchored_teacher(z.softmax(-1), base, mixture=mixture)

        assert torch.autograd.gradcheck(mixed, leaf)
        torch._dynamo.reset()
        compiled = torch.compile(mixed, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(leaf), mixed(leaf))


def test_arguments_are_checked():
    p = distributions(2, 3)
    with pytest.raises(ArgumentError, match=r"anchor is 1\.5"):
        anchored_teacher(p, p, anchor=1.5)
    with pytest.raises(ArgumentError, match="student must hold probabilities"):
        anchored_teacher(2 * p, p)
    with pytest.raises(ArgumentError, match="needs at least 1, use 'power'"):
        soften(p, temperature=0.5, family="uniform")
    with pytest.raises(ArgumentError, match="exponent is 2"):
        power_pool(p, exponent=2)
    with pytest.raises(ArgumentError, match=r"weights has shape \(3,\), expected \(2,\)"):
        power_pool(p, torch.ones(3))
    with pytest.raises(ArgumentError, match="least is 1"):
        clip_probabilities(p, least=1)
    with pytest.raises(ArgumentError, match="error is -1"):
        contraction_bound(1.0, [0.5], error=-1)
    with pytest.raises(ArgumentError, match="finite and at least 0"):
        contraction_rate([math.nan, 1.0])


@pytest.mark.parametrize("exponent", [1e-7, -1e-7, 1e-12, -0.01, 0.0999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_small_exponents_are_near_the_geometric_pool(exponent, dtype):
    members = torch.tensor([[0.9, 0.1], [0.3, 0.7]], dtype=dtype)
    wide, q = members.double(), torch.tensor(exponent, dtype=torch.float64)
    mean = wide.log().mean(0)
    # To the third order of q; the spread of the logarithms decides how fast the mean leaves g.
    away = wide.log() - mean
    moments = [away.pow(k).mean(0) for k in (2, 3, 4)]
    expected = mean + q * moments[0] / 2 + q**2 * moments[1] / 6
    expected = expected + q**3 * (moments[2] - 3 * moments[0] ** 2) / 24
    found = power_pool(members, exponent=exponent)
    torch.testing.assert_close(found.double(), expected.softmax(-1), rtol=2e-5, atol=0)
    if abs(exponent) < 1e-6:
        geometric = power_pool(members, exponent=0.0)
        torch.testing.assert_close(found, geometric, rtol=1e-6, atol=0)


def test_small_exponents_join_the_larger_ones():
    members = torch.randn(3, 5, 4, dtype=torch.float64).softmax(-1).requires_grad_()
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    for sign in (1, -1):
        near, far = (power_pool(members, weights, exponent=sign * q) for q in (0.1 - 1e-14, 0.1))
        torch.testing.assert_close(near, far, rtol=1e-10, atol=0)
    assert torch.autograd.gradcheck(
        lambda p: power_pool(p.softmax(-1), weights, exponent=1e-3), members
    )


@pytest.mark.parametrize("exponent", [1e-3, 0.05, -0.05])
def test_small_exponents_with_classes_ruled_out(exponent):
    members = torch.tensor([[0.5, 0.5, 0.0], [0.3, 0.0, 0.7], [0.6, 0.4, 0.0]]).double()
    leaf = members.requires_grad_()
    found = power_pool(leaf, torch.tensor([0.5, 0.5, 0.0]), exponent=exponent)
    means = 0.5 * members[:2].detach().pow(exponent).sum(0)
    expected = means.pow(1 / exponent)
    torch.testing.assert_close(found, expected / expected.sum())
    assert torch.autograd.grad(found[0], leaf)[0].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_taken_and_made_to_sum_to_one(dtype):
    student, base = torch.randn(2, 30, 100, generator=torch.Generator().manual_seed(0)).softmax(-1)
    low = student.to(dtype), base.to(dtype)
    for mixture in ("linear", "geometric"):
        found = anchored_teacher(*low, mixture=mixture)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.sum(-1), torch.ones(30))
        exact = anchored_teacher(student, base, mixture=mixture)
        torch.testing.assert_close(found, exact, rtol=2e-2, atol=1e-4)
    assert float((total_variation(*low) - total_variation(student, base)).abs().max()) < 0.01
    assert (total_variation(low[0], low[0]) == 0).all()
