"""Pairs of layers and optimal transport between them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from limbeck.errors import ArgumentError
from limbeck.functional.layers import layer_pairs, transport_loss, transport_plan

properties = settings(deadline=None, max_examples=60, derandomize=True)
SHAPES = [(1, 1), (1, 4), (4, 1), (3, 3), (4, 6), (5, 12), (7, 3)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def costs(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def least_cost(cost):
    """The same by assignment, every layer cut into equal pieces."""
    pieces = math.lcm(*cost.shape)
    cut = cost.repeat(pieces // cost.shape[0], 0).repeat(pieces // cost.shape[1], 1)
    return cut[linear_sum_assignment(cut)].sum() / pieces


# Pairs


@pytest.mark.parametrize(
    ("strategy", "feature", "expected"),
    [
        ("skip", "hidden", [(0, 0), (1, 2), (2, 4), (3, 7)]),
        ("skip", "attention", [(0, 1), (1, 3), (2, 6)]),
        ("last", "hidden", [(0, 4), (1, 5), (2, 6), (3, 7)]),
        ("last", "attention", [(0, 4), (1, 5), (2, 6)]),
    ],
)
def test_pairs_of_three_layers_and_seven(strategy, feature, expected):
    assert layer_pairs(3, 7, strategy=strategy, feature=feature) == expected


@properties
@given(
    st.integers(1, 40).flatmap(lambda own: st.tuples(st.just(own), st.integers(own, 60))),
    st.sampled_from(["skip", "last"]),
    st.sampled_from(["hidden", "attention"]),
)
def test_pairs_rise_and_end_at_the_top_of_both(sizes, strategy, feature):
    pairs = layer_pairs(*sizes, strategy=strategy, feature=feature)
    top = 0 if feature == "hidden" else 1
    assert [own for own, _ in pairs] == [*range(sizes[0] + 1 - top)]
    others = [other for _, other in pairs]
    assert others == sorted(set(others))
    assert others[0] >= 0
    assert others[-1] == sizes[1] - top


def test_equal_numbers_of_layers_pair_one_to_one():
    for strategy in ("skip", "last"):
        assert layer_pairs(5, 5, strategy=strategy) == [(i, i) for i in range(6)]
        pairs = layer_pairs(5, 5, strategy=strategy, feature="attention")
        assert pairs == [(i, i) for i in range(5)]


# Transport: values


@every_shape
@pytest.mark.parametrize("seed", range(4))
def test_flow_is_the_cheapest(shape, seed):
    cost = costs(*shape, seed=seed)
    if seed == 3:
        cost = (2 * cost).round()  # ties
    plan = transport_plan(cost)
    assert (plan >= 0).all()
    np.testing.assert_allclose(plan.sum(1).numpy(), 1 / shape[0], rtol=1e-12)
    np.testing.assert_allclose(plan.sum(0).numpy(), 1 / shape[1], rtol=1e-12)
    expected = least_cost(cost.numpy())
    assert (plan * cost).sum().item() == pytest.approx(expected, rel=1e-10)
    assert transport_loss(cost).item() == pytest.approx(expected, rel=1e-10)


def test_one_layer_is_compared_with_the_mean_of_all():
    cost = costs(1, 5)
    torch.testing.assert_close(transport_loss(cost), cost.mean())
    torch.testing.assert_close(transport_loss(cost.T), cost.mean())


@pytest.mark.parametrize("size", [1e-8, 1e4, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_size_of_the_costs_changes_nothing(size, dtype):
    cost = costs(5, 7, dtype=dtype)
    assert (transport_plan(size * cost) == transport_plan(cost)).all()


def test_a_large_shift_of_all_costs_changes_nothing():
    cost = costs(5, 7).float().double()
    assert (transport_plan(cost + 2.0**24) == transport_plan(cost)).all()


@pytest.mark.parametrize("value", [0.0, -3.0, 1e4])
def test_costs_that_all_tie_have_their_own_value(value):
    cost = torch.full((4, 6), value, requires_grad=True)
    loss = transport_loss(cost)
    assert loss.item() == pytest.approx(value)
    slope = torch.autograd.grad(loss, cost)[0]
    assert slope.sum().item() == pytest.approx(1)


def test_many_layers_are_soon_matched():
    cost = costs(24, 36)
    assert transport_loss(cost).item() == pytest.approx(least_cost(cost.numpy()))


# Gradients and transformations


@every_shape
def test_gradient_is_the_flow(shape):
    cost = costs(*shape).requires_grad_()
    assert torch.autograd.gradcheck(transport_loss, cost)
    slope = torch.autograd.grad(transport_loss(cost), cost)[0]
    assert (slope == transport_plan(cost)).all()
    assert not transport_plan(cost).requires_grad


def test_gradient_reaches_the_losses_of_the_layers():
    student, teacher = costs(2, 5).requires_grad_(), costs(4, 5, seed=1)
    cost = (student[:, None] - teacher).square().mean(-1)
    assert torch.autograd.gradcheck(
        lambda s: transport_loss((s[:, None] - teacher).square().mean(-1)), student
    )
    shares = transport_plan(cost)
    expected = (2 / 5 * shares[..., None] * (student[:, None] - teacher)).sum(1)
    torch.testing.assert_close(torch.autograd.grad(transport_loss(cost), student)[0], expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    cost = costs(4, 6, dtype=dtype)
    assert transport_plan(cost).dtype == torch.float32
    actual = transport_loss(cost)
    assert actual.dtype == torch.float32
    assert actual.item() == transport_loss(cost.float()).item()


def test_compiles_to_one_graph():
    cost = costs(4, 6).requires_grad_()
    compiled = torch.compile(transport_loss, fullgraph=True, backend="aot_eager")
    pair = compiled(cost), transport_loss(cost)
    torch.testing.assert_close(*pair)
    slopes = [torch.autograd.grad(value, cost)[0] for value in pair]
    torch.testing.assert_close(*slopes)


def test_maps_and_differentiates_as_a_function():
    cost = costs(3, 4, 6)
    mapped = torch.func.vmap(transport_loss)(cost)
    torch.testing.assert_close(mapped, torch.stack([*map(transport_loss, cost)]))
    slopes = torch.func.vmap(torch.func.grad(transport_loss))(cost)
    torch.testing.assert_close(slopes, torch.stack([*map(transport_plan, cost)]))
    across = torch.func.vmap(transport_loss, in_dims=2)(cost.movedim(0, 2))
    torch.testing.assert_close(across, mapped)


# Properties

matrices = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-100, 100))
)


@properties
@given(matrices)
def test_loss_is_that_of_an_assignment_of_pieces(cost):
    expected = least_cost(cost)
    actual = transport_loss(torch.from_numpy(cost)).item()
    assert actual == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert cost.min() - 1e-9 <= actual <= cost.mean() + 1e-9


@properties
@given(matrices, st.randoms(use_true_random=False), st.floats(-50, 50))
def test_order_changes_nothing_and_a_shift_adds_itself(cost, random, shift):
    rows, columns = ([*range(size)] for size in cost.shape)
    random.shuffle(rows)
    random.shuffle(columns)
    expected = transport_loss(torch.from_numpy(cost)).item()
    moved = torch.from_numpy(cost[rows][:, columns])
    assert transport_loss(moved).item() == pytest.approx(expected, abs=1e-9)
    shifted = transport_loss(torch.from_numpy(cost + shift)).item()
    assert shifted == pytest.approx(expected + shift, abs=1e-9)
    turned = transport_loss(torch.from_numpy(cost.T.copy())).item()
    assert turned == pytest.approx(expected, abs=1e-9)


# Errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layer_pairs(5, 4), "student_layers is 5 and teacher_layers 4, expected a student"),
        (lambda: layer_pairs(0, 4), "student_layers is 0"),
        (lambda: layer_pairs(1, 2, strategy="first"), "strategy is 'first', expected one of"),
        (lambda: layer_pairs(1, 2, feature="value"), "feature is 'value', expected one of"),
        (lambda: transport_loss(costs(4)), r"cost has shape \(4,\), expected \(S, T\)"),
        (lambda: transport_loss(costs(0, 4)), r"cost has shape \(0, 4\), expected \(S, T\)"),
        (lambda: transport_plan(costs(2, 2) * math.nan), "cost holds NaN or infinity at 4 of 4"),
        (lambda: transport_loss(costs(2, 2) / 0), "cost holds NaN or infinity"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
