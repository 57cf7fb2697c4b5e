"""Pools of several members' distributions: values, identities, edges and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from limbeck.errors import ArgumentError
from limbeck.functional.pools import mean_logits, mean_probabilities

POOLS = (mean_probabilities, mean_logits)
INF = math.inf
properties = settings(deadline=None, max_examples=40, derandomize=True)


def logits(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


@st.composite
def ensembles(draw, limit=20.0):
    """Member logits (K, N, C) and a weight above 0 for each member."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    members = draw(arrays(np.float64, shape, elements=st.floats(-limit, limit)))
    weights = draw(arrays(np.float64, shape[0], elements=st.floats(0.01, 1)))
    return torch.from_numpy(members), torch.from_numpy(weights)


# Values


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_linear_pool_is_the_weighted_mean_of_softened_probabilities(temperature):
    members = logits(3, 4, 5)
    each = (members / temperature).softmax(-1).numpy()
    for weights in ([1.0, 1.0, 1.0], [0.2, 0.5, 0.3], [0.0, 4.0, 1.0]):
        share = torch.tensor(weights, dtype=torch.float64)
        pooled = mean_probabilities(members, share, temperature=temperature)
        expected = np.average(each, axis=0, weights=weights)
        np.testing.assert_allclose((pooled / temperature).softmax(-1), expected, rtol=1e-9)


def test_geometric_pool_is_the_normalised_product_of_powers():
    members, weights = logits(3, 4, 5), torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    product = (members.softmax(-1) ** weights[:, None, None]).prod(0)
    expected = product / product.sum(-1, keepdim=True)
    torch.testing.assert_close(mean_logits(members, weights).softmax(-1), expected)
    torch.testing.assert_close(mean_logits(members), members.mean(0))


@pytest.mark.parametrize("pool", POOLS)
def test_weights_may_differ_from_sample_to_sample(pool):
    members = logits(3, 4, 5)
    weights = logits(3, 4, seed=1).exp()
    expected = [pool(members[:, [n]], weights[:, n])[0] for n in range(4)]
    torch.testing.assert_close(pool(members, weights), torch.stack(expected))


@pytest.mark.parametrize("pool", POOLS)
def test_one_weight_a_member_where_members_and_samples_are_as_many(pool):
    members, weights = logits(3, 3, 5), torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    torch.testing.assert_close(pool(members, weights), pool(members, weights[:, None].expand(3, 3)))


# Identities


@properties
@given(ensembles(limit=1e4), st.sampled_from(POOLS), st.sampled_from(["float64", "float16"]))
def test_one_member_is_that_member_to_the_bit(ensemble, pool, dtype):
    members = ensemble[0][:1].to(getattr(torch, dtype))
    for weights in (None, ensemble[1][:1]):
        pooled = pool(members, weights)
        assert pooled.dtype == members.dtype
        assert torch.equal(pooled, members[0])
    assert torch.equal(mean_probabilities(members, temperature=3.0), members[0])


@properties
@given(ensembles(), st.floats(1e-3, 1e3), st.sampled_from(POOLS))
def test_only_the_proportions_of_weights_count(ensemble, factor, pool):
    members, weights = ensemble
    torch.testing.assert_close(
        pool(members, weights * factor), pool(members, weights), rtol=1e-9, atol=1e-9
    )


@properties
@given(ensembles(), st.randoms(use_true_random=False), st.sampled_from(POOLS))
def test_order_of_members_does_not_matter(ensemble, random, pool):
    members, weights = ensemble
    order = list(range(len(members)))
    random.shuffle(order)
    torch.testing.assert_close(
        pool(members[order], weights[order]), pool(members, weights), rtol=1e-9, atol=1e-9
    )


@properties
@given(ensembles(), st.sampled_from(POOLS))
def test_equal_members_pool_to_themselves(ensemble, pool):
    members, weights = ensemble
    same = members[:1].expand_as(members)
    torch.testing.assert_close(
        pool(same, weights).softmax(-1), members[0].softmax(-1), rtol=1e-9, atol=1e-12
    )


@properties
@given(ensembles())
def test_linear_pool_lies_between_its_members(ensemble):
    members, weights = ensemble
    each, pooled = members.softmax(-1), mean_probabilities(members, weights).softmax(-1)
    assert (pooled >= each.amin(0) - 1e-12).all()
    assert (pooled <= each.amax(0) + 1e-12).all()


@pytest.mark.parametrize("pool", POOLS)
def test_weight_of_zero_leaves_a_member_out(pool):
    members = logits(3, 4, 5)
    members[1, :, 2] = -INF
    left = pool(members, torch.tensor([0.3, 0.0, 0.7]))
    torch.testing.assert_close(left, pool(members[[0, 2]], torch.tensor([0.3, 0.7])))
    assert left.isfinite().all()


# Gradients and transformations


@pytest.mark.parametrize("pool", POOLS)
def test_gradients_are_right(pool):
    members = logits(3, 2, 4).requires_grad_()
    weights = logits(3, seed=1).exp().requires_grad_()
    assert torch.autograd.gradcheck(pool, (members, weights))
    assert torch.autograd.gradcheck(lambda z: mean_probabilities(z, temperature=3.0), (members,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("pool", POOLS)
def test_half_precision_is_computed_in_float32(pool, dtype):
    members, weights = logits(7, 4, 50, dtype=dtype), logits(7, seed=1).exp()
    pooled = pool(members, weights)
    assert pooled.dtype == dtype
    assert torch.equal(pooled, pool(members.float(), weights).to(dtype))


@pytest.mark.parametrize("pool", POOLS)
def test_compiles_to_one_graph(pool):
    members, weights = logits(3, 2, 4), logits(3, seed=1).exp()
    compiled = torch.compile(pool, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(members, weights), pool(members, weights))


@pytest.mark.parametrize("pool", POOLS)
def test_maps_and_differentiates_as_a_function(pool):
    members, weights = logits(5, 3, 2, 4), logits(5, 3, seed=1).exp()
    mapped = torch.func.vmap(pool)(members, weights)
    torch.testing.assert_close(mapped, torch.stack([*map(pool, members, weights)]))
    slope = torch.func.grad(lambda z: pool(z, weights[0]).square().sum())(members[0])
    leaf = members[0].clone().requires_grad_()
    expected = torch.autograd.grad(pool(leaf, weights[0]).square().sum(), leaf)[0]
    torch.testing.assert_close(slope, expected)


# Edges


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_are_finite(pool, dtype):
    rows = [[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]]
    members = torch.tensor(rows, dtype=dtype)[:, None].requires_grad_()
    pooled = pool(members)
    assert pooled.isfinite().all()
    assert torch.autograd.grad(pooled.sum(), members)[0].isfinite().all()


def test_tied_certain_members_share_the_linear_pool():
    """Members that are certain of different classes leave both classes even."""
    members = torch.tensor([[[1e4, 0.0, 0.0]], [[0.0, 1e4, 0.0]]])
    assert mean_probabilities(members).softmax(-1).tolist() == [[0.5, 0.5, 0.0]]


def test_masked_class_stays_in_a_linear_pool_and_leaves_a_geometric_one():
    members = torch.tensor([[[0.0, 0.0, -INF]], [[0.0, 0.0, 0.0]]])
    linear = mean_probabilities(members).softmax(-1)
    torch.testing.assert_close(linear, torch.tensor([[5 / 12, 5 / 12, 1 / 6]]))
    assert mean_logits(members).softmax(-1).tolist() == [[0.5, 0.5, 0.0]]


@pytest.mark.parametrize("pool", POOLS)
def test_class_that_every_member_masks_is_as_if_it_were_not_there(pool):
    members = logits(3, 2, 4)
    members[..., 1] = -INF
    kept = [0, 2, 3]
    leaf = members.clone().requires_grad_()
    pooled = pool(leaf)
    assert (pooled[:, 1] == -INF).all()
    torch.testing.assert_close(pooled[:, kept], pool(members[..., kept]))
    slope = torch.autograd.grad(pooled[:, kept].square().sum(), leaf)[0]
    assert slope.isfinite().all()
    assert (slope[..., 1] == 0).all()


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("weights", [None, torch.ones(2), torch.ones(2, 0)])
def test_batch_of_zero(pool, weights):
    assert pool(torch.zeros(2, 0, 3), weights).shape == (0, 3)


@pytest.mark.parametrize("pool", POOLS)
def test_one_class(pool):
    assert pool(logits(3, 2, 1)).softmax(-1).tolist() == [[1.0], [1.0]]


# Errors


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(
    ("shape", "weights", "message"),
    [
        ((2, 3), None, r"member_logits has shape \(2, 3\), expected \(K, N, C\)"),
        ((0, 2, 3), None, r"member_logits has shape \(0, 2, 3\), expected at least one member"),
        ((2, 4, 3), [1.0], r"weights has shape \(1,\), expected \(2,\).*or \(2, 4\)"),
        ((2, 4, 3), [[1.0], [1.0]], r"weights has shape \(2, 1\), expected \(2,\)"),
        ((2, 4, 3), [1.0, -0.5], r"weights must be at least 0 .* got \[1.0, -0.5\]"),
        ((2, 4, 3), [0.0, 0.0], "weights must be at least 0 with a finite sum above 0"),
        ((2, 4, 3), [1.0, INF], "weights must be at least 0 with a finite sum"),
        ((2, 4, 3), [1.0, math.nan], "weights must be at least 0"),
        ((2, 2, 3), [[1.0, 0.0], [1.0, 0.0]], "sum above 0 for every sample"),
        ((1, 2, 3), [-1.0], "weights must be at least 0"),
    ],
)
def test_argument_that_does_not_fit_is_named(pool, shape, weights, message):
    weights = None if weights is None else torch.tensor(weights)
    with pytest.raises(ArgumentError, match=message):
        pool(torch.zeros(shape), weights)


def test_temperature_is_named():
    with pytest.raises(ArgumentError, match=r"temperature is 0, expected a finite number above 0"):
        mean_probabilities(torch.zeros(2, 1, 3), temperature=0)


@pytest.mark.parametrize("pool", POOLS)
def test_a_member_that_diverged_is_named_unless_it_has_no_weight(pool):
    members = logits(2, 3, 4)
    members[1, 2, 0] = math.nan
    with pytest.raises(ArgumentError, match="member_logits hold NaN or infinity"):
        pool(members)
    with pytest.raises(ArgumentError, match="member_logits hold NaN or infinity"):
        pool(members[1:])
    if pool is mean_logits:
        assert pool(members, torch.tensor([1.0, 0.0])).isfinite().all()
