"""The inverted index: exact, with ties in order, and the same after it was saved."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ArgumentError, CorruptFileError, DataError
from limbeck.files import save_tensors
from limbeck.products.sparse_index import SparseIndex


def corpus(seed=0, documents=40, vocabulary=25, density=0.2):
    """Documents with weights that are whole, so that many scores tie."""
    draw = np.random.default_rng(seed)
    dense = draw.integers(1, 4, (documents, vocabulary)) * (
        draw.random((documents, vocabulary)) < density
    )
    return scipy.sparse.csr_matrix(dense.astype(np.float32)), [f"d{n}" for n in range(documents)]


def written_out(documents, ids, query, k):
    scores = documents.toarray() @ query
    order = sorted((place for place in range(len(ids)) if scores[place]), key=lambda p: -scores[p])
    return {ids[place]: float(scores[place]) for place in order[:k]}


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(0, 2**20), st.integers(1, 60))
def test_search_is_the_product_written_out_with_ties_in_order(seed, k):
    documents, ids = corpus(seed)
    draw = np.random.default_rng(seed + 1)
    queries = draw.integers(0, 3, (6, 25)).astype(np.float32) * (draw.random((6, 25)) < 0.3)
    found = SparseIndex(documents, ids).search(scipy.sparse.csr_matrix(queries), k)
    for query, own in zip(queries, found, strict=True):
        expected = written_out(documents, ids, query, k)
        assert (own, list(own)) == (expected, list(expected))


def test_weights_of_tokens_are_those_of_queries():
    documents, ids = corpus()
    weights = np.random.default_rng(3).random(25).astype(np.float32)
    weights[4] = 0
    tokens = [[1, 7, 7, 4], [4], [], [24, 0, 11]]
    vectors = np.zeros((4, 25), np.float32)
    for row, own in zip(vectors, tokens, strict=True):
        row[own] = weights[own]
    found = SparseIndex(documents, ids, weights=weights).search(tokens)
    expected = SparseIndex(documents, ids).search(scipy.sparse.csr_matrix(vectors))
    assert found[1] == found[2] == {}
    for own, other in zip(found, expected, strict=True):
        assert own == pytest.approx(other)


def test_one_query_is_as_it_is_among_others():
    documents, ids = corpus()
    index = SparseIndex(documents, ids)
    together = index.search([[token, token + 3] for token in range(20)], 5)
    assert together == [index.search([[token, token + 3]], 5)[0] for token in range(20)]
    places, scores = index.top([0, 3], 5)
    assert [ids[place] for place in places] == list(together[0])
    assert scores.tolist() == list(together[0].values())


def test_it_comes_back_from_its_file(tmp_path):
    documents, ids = corpus()
    index = SparseIndex(documents, ids, weights=np.ones(25), maker="somebody")
    index.save(tmp_path / "index.safetensors")
    again = SparseIndex.load(tmp_path / "index.safetensors")
    queries = [[token] for token in range(25)]
    assert again.search(queries) == index.search(queries)
    assert (again.ids, again.bytes, again.vocabulary) == (index.ids, index.bytes, 25)
    assert again.maker == index.maker == "somebody"
    assert index.bytes == 8 * documents.nnz + 8 * 26
    with pytest.raises(ArgumentError, match="the index has weights of tokens in it"):
        again.search(documents[:2])
    save_tensors(tmp_path / "other.safetensors", {}, {})
    with pytest.raises(CorruptFileError, match="holds no sparse index"):
        SparseIndex.load(tmp_path / "other.safetensors")


def test_what_is_given_stays_as_it_is():
    documents, ids = corpus()
    before = documents.copy()
    SparseIndex(documents, ids, weights=np.full(25, 2.0)).search([[1]])
    assert (documents != before).nnz == 0
    single = documents.tocsc()
    SparseIndex(single, ids, weights=np.full(25, 2.0))
    assert (single != before.tocsc()).nnz == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ids": ["a"]}, "40 rows and ids 1"),
        ({"ids": ["a"] * 40}, "'a' more than once"),
        ({"weights": np.ones(3)}, r"expected weights \(25,\)"),
        ({"weights": -np.ones(25)}, "weights holds values from -1"),
        ({"documents": corpus()[0] * np.nan}, "documents holds values from nan"),
        ({"documents": corpus()[0] * 0}, "no active dimension"),
        ({"weights": np.zeros(25)}, "no active dimension"),
    ],
)
def test_what_cannot_be_searched_is_refused(change, said):
    documents, ids = corpus()
    given = {"documents": documents, "ids": ids} | change
    with pytest.raises((ArgumentError, DataError), match=said):
        SparseIndex(given.pop("documents"), given.pop("ids"), **given)


@pytest.mark.parametrize(
    ("queries", "k", "said"),
    [
        ([[25]], 10, "token 25, expected 0 to 24"),
        ([[-1]], 10, "token -1"),
        ([[1]], 0, "k is 0"),
        ([[1]], "3", "k is '3', expected a whole number"),
        ([[1]], 2.5, "k is 2.5"),
        ("text", 10, "queries holds 't', expected a list of whole numbers"),
        ([["sort"]], 10, r"queries holds \['sort'\]"),
        (scipy.sparse.csr_matrix(np.ones((1, 3))), 10, r"expected \(Q, 25\)"),
        (scipy.sparse.csr_matrix(-np.ones((1, 25))), 10, "queries holds values from -1"),
    ],
)
def test_queries_that_do_not_fit_are_named(queries, k, said):
    with pytest.raises(ArgumentError, match=said):
        SparseIndex(*corpus()).search(queries, k)
