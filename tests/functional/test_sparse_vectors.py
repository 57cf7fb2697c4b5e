"""Sparse vectors: the penalty in all its forms, pooling of logits, tables of query weights."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ArgumentError
from limbeck.functional.sparse_vectors import (
    bm25_idf,
    flops_regularizer,
    inference_free_query,
    splade_head,
    splade_pool,
)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 3), st.floats(1e-3, 20))
def test_penalty_of_documents_is_relative_to_idf_for_effective_weights(seed, queries, slots, top):
    draw = torch.Generator().manual_seed(seed)
    documents = torch.rand(queries * slots, 7, generator=draw, dtype=torch.float64)
    idf = 1e-3 + top * torch.rand(7, generator=draw, dtype=torch.float64)
    asked = (torch.rand(1, 7, generator=draw) < 0.5).double()
    effective = idf * documents
    torch.testing.assert_close(
        (asked * idf) @ documents.T, asked @ effective.T, rtol=1e-6, atol=1e-9
    )
    torch.testing.assert_close(
        flops_regularizer(effective, slots=slots, idf=idf),
        flops_regularizer(documents, slots=slots),
        rtol=1e-6,
        atol=0,
    )


def test_frequent_tokens_lose_by_the_slope_of_the_score_alone():
    """The penalty pulls all alike, the score pushes by idf: what is left differs."""
    document = torch.full((1, 3), 0.5, requires_grad=True)
    flops_regularizer(document).backward()
    assert document.grad[0].unique().numel() == 1
    effective = torch.full((1, 3), 0.5, requires_grad=True)
    flops_regularizer(effective, idf=torch.tensor([0.5, 1.0, 2.0])).backward()
    torch.testing.assert_close(effective.grad[0], torch.tensor([4.0, 1.0, 0.25]))


def test_slots_take_means_of_their_own():
    vectors = torch.rand(12, 5)
    each = [flops_regularizer(vectors[slot::3]) for slot in range(3)]
    torch.testing.assert_close(flops_regularizer(vectors, slots=3), sum(each))
    same = vectors[:1].expand(12, 5)
    torch.testing.assert_close(flops_regularizer(same, slots=3), 3 * flops_regularizer(same))


def test_documents_at_the_threshold_count_as_empty():
    vectors = torch.tensor([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]], requires_grad=True)
    value = flops_regularizer(vectors, threshold=2)
    assert value.item() == 3.0  # the mean still runs over two documents
    value.backward()
    assert vectors.grad[0].tolist() == [0.0, 0.0, 0.0]
    assert flops_regularizer(vectors, threshold=0) == flops_regularizer(vectors)


def test_signs_are_of_no_account_and_halves_are_summed_in_float32():
    vectors = torch.randn(4, 3)
    torch.testing.assert_close(flops_regularizer(vectors), flops_regularizer(vectors.abs()))
    assert flops_regularizer(torch.full((2, 70_000), 1.0, dtype=torch.float16)).item() == 70_000
    leaf = vectors.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: flops_regularizer(v, slots=2), leaf)


@pytest.mark.parametrize(
    ("vectors", "options", "said"),
    [
        (torch.ones(5, 3), {"slots": 2}, "equally many documents"),
        (torch.ones(0, 3), {}, "equally many documents"),
        (torch.ones(4, 3), {"slots": 0}, "slots is 0"),
        (torch.ones(4), {}, "expected \\(B \\* n, V\\)"),
        (torch.ones(4, 3).long(), {}, "floating-point"),
        (torch.ones(4, 3), {"threshold": -1}, "threshold is -1"),
        (torch.ones(4, 3), {"idf": torch.ones(4)}, "idf has shape"),
        (torch.ones(4, 3), {"idf": torch.tensor([1.0, 0.0, 2.0])}, "above 0"),
        (torch.full((4, 3), math.nan), {}, "NaN"),
    ],
)
def test_penalty_says_what_is_wrong(vectors, options, said):
    with pytest.raises(ArgumentError, match=said):
        flops_regularizer(vectors, **options)


def written_out(logits, mask, activation="log1p", pooling="max", prune=None):
    value = (logits * mask[..., None]).relu().log1p()
    value = value.log1p() if activation == "double_log1p" else value
    value = value.amax(1) if pooling == "max" else value.sum(1)
    return value if prune is None else value * (value > prune * value.amax(1, keepdim=True))


@pytest.mark.parametrize("activation", ["log1p", "double_log1p"])
@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize("prune", [None, 0.3])
def test_pooling_is_that_of_every_token_written_out(activation, pooling, prune):
    logits = torch.randn(3, 4, 6, dtype=torch.float64).requires_grad_()
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1]])
    options = {"activation": activation, "pooling": pooling, "prune": prune}
    value, expected = splade_pool(logits, mask, **options), written_out(logits, mask, **options)
    torch.testing.assert_close(value, expected)
    weights = torch.rand_like(value)
    slopes = [torch.autograd.grad((one * weights).sum(), logits)[0] for one in (value, expected)]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_pooling_has_derivatives_of_both_orders(pooling):
    logits = torch.randn(2, 3, 4, dtype=torch.float64).requires_grad_()
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    one = lambda z: splade_pool(z, mask, pooling=pooling)  # noqa: E731
    assert torch.autograd.gradcheck(one, logits)
    assert torch.autograd.gradgradcheck(one, logits)


def test_padding_may_hold_anything_and_no_token_gives_an_empty_document():
    logits = torch.randn(2, 3, 4)
    mask = torch.tensor([[True, False, False], [False, False, False]])
    padded = logits.masked_fill(~mask[..., None], math.nan)
    value = splade_pool(padded, mask)
    torch.testing.assert_close(value, splade_pool(logits, mask))
    assert value[1].tolist() == [0.0] * 4
    assert splade_pool(torch.randn(2, 0, 4), torch.ones(2, 0)).tolist() == [[0.0] * 4] * 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_logarithm_is_taken_in_float32(dtype):
    logits = torch.randn(2, 3, 4).to(dtype)
    value = splade_pool(logits, torch.ones(2, 3))
    torch.testing.assert_close(value, splade_pool(logits.float(), torch.ones(2, 3)), rtol=0, atol=0)
    assert value.dtype == torch.float32


def test_pooling_compiles():
    logits, mask = torch.randn(2, 3, 4), torch.ones(2, 3)
    compiled = torch.compile(splade_pool, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(logits, mask), splade_pool(logits, mask))


@pytest.mark.parametrize(
    ("mask", "options", "said"),
    [
        (torch.ones(2, 4), {}, "mask has shape"),
        (torch.ones(2, 3), {"activation": "relu"}, "activation"),
        (torch.ones(2, 3), {"pooling": "mean"}, "pooling"),
        (torch.ones(2, 3), {"prune": 1.5}, "prune is 1.5"),
    ],
)
def test_pooling_says_what_is_wrong(mask, options, said):
    with pytest.raises(ArgumentError, match=said):
        splade_pool(torch.ones(2, 3, 5), mask, **options)
    with pytest.raises(ArgumentError, match="NaN"):
        splade_pool(torch.full((2, 3, 5), math.nan), torch.ones(2, 3))


def test_padding_of_a_query_does_not_hide_the_same_token():
    ids, mask = torch.tensor([[3, 1, 3], [2, 2, 2]]), torch.tensor([[1, 1, 0], [1, 0, 0]])
    idf = torch.tensor([1.0, 2.0, 3.0, 4.0])
    value = inference_free_query(ids, idf, mask=mask)
    assert value.tolist() == [[0.0, 2.0, 0.0, 4.0], [0.0, 0.0, 3.0, 0.0]]


def test_learned_weights_of_queries_have_a_slope_where_they_count():
    idf = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    inference_free_query(torch.tensor([[1, 2], [2, 2]]), idf, special=[0]).sum().backward()
    assert idf.grad.tolist() == [0.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (torch.tensor([[0, 3]]), "tokens from 0 to 3, expected 0 to 2"),
        (torch.tensor([[-1, 2]]), "tokens from -1"),
        (torch.tensor([0, 1]), "expected \\(N, T\\)"),
        (torch.tensor([[0.0]]), "whole numbers"),
    ],
)
def test_queries_outside_the_vocabulary_are_refused(ids, said):
    with pytest.raises(ArgumentError, match=said):
        inference_free_query(ids, torch.ones(3))


def test_documents_of_special_tokens_only_are_none():
    documents = ([0, token] for token in (2, 2, 0))
    expected = math.log(1 + 0.5 / 2.5)
    torch.testing.assert_close(
        bm25_idf(documents, 3, special=[0]), torch.tensor([1.0, 1.0, expected])
    )


@pytest.mark.parametrize(
    ("documents", "said"),
    [([], "no document"), ([[0]], "no document"), ([[1, 5]], "token 5, expected 0 to 4")],
)
def test_a_corpus_without_tokens_is_refused(documents, said):
    with pytest.raises(ArgumentError, match=said):
        bm25_idf(documents, 5, special=[0])


def layer(rows=3, tokens=5, width=4, vocabulary=7, dtype=torch.float64):
    draw = torch.Generator().manual_seed(2)
    hidden = torch.randn(rows, tokens, width, generator=draw, dtype=dtype)
    weight = torch.randn(vocabulary, width, generator=draw, dtype=dtype)
    bias = torch.randn(vocabulary, generator=draw, dtype=dtype)
    mask = torch.ones(rows, tokens).tril(2)
    mask[-1] = 0
    return hidden, weight, bias, mask


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("activation", ["log1p", "double_log1p"])
@pytest.mark.parametrize("prune", [None, 0.5])
def test_a_layer_and_its_pooling_as_one_are_both_in_turn(activation, prune, biased):
    hidden, weight, bias, mask = layer()
    leaves = [hidden, weight, *([bias] if biased else [])]
    for one in leaves:
        one.requires_grad_(True)
    bias = bias if biased else None
    options = {"activation": activation, "prune": prune}
    found = splade_head(hidden, weight, bias, mask, **options)
    logits = torch.nn.functional.linear(hidden, weight, bias)
    expected = splade_pool(logits, mask, **options)
    torch.testing.assert_close(found, expected)
    assert not found[-1].any()
    upstream = torch.rand(found.shape, dtype=found.dtype)
    slopes = torch.autograd.grad((found * upstream).sum(), leaves)
    for slope, same in zip(
        slopes, torch.autograd.grad((expected * upstream).sum(), leaves), strict=True
    ):
        torch.testing.assert_close(slope, same)


def test_a_layer_in_half_precision_pools_in_float32():
    hidden, weight, bias, mask = layer(dtype=torch.float32)
    weight.requires_grad_(True)
    found = splade_head(hidden.bfloat16(), weight, bias, mask)
    assert found.dtype == torch.float32
    found.sum().backward()
    assert weight.grad.dtype == torch.float32
    torch.testing.assert_close(found, splade_head(hidden, weight, bias, mask), atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"weight": torch.rand(7, 3)}, r"weight has shape \(7, 3\)"),
        ({"bias": torch.rand(6)}, r"bias has shape \(6,\)"),
        ({"mask": torch.ones(3, 4)}, r"mask has shape \(3, 4\)"),
        ({"hidden": torch.rand(5, 4)}, "hidden"),
        ({"hidden": torch.full((3, 5, 4), torch.nan)}, "NaN"),
    ],
)
def test_a_layer_says_what_is_wrong(changed, said):
    names = ("hidden", "weight", "bias", "mask")
    whole = dict(zip(names, layer(dtype=torch.float32), strict=True))
    with pytest.raises(ArgumentError, match=said):
        splade_head(**{**whole, **changed})
