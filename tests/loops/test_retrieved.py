"""What teachers say of a corpus: ranked in order, with ties as the corpus has them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from limbeck.loops.retrieved import Council, VectorScorer, best, ranked


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 2**20), st.integers(1, 30))
def test_the_best_are_those_of_a_stable_sort(seed, depth):
    scores = np.random.default_rng(seed).integers(0, 6, 30).astype(np.float32)
    assert best(scores, depth).tolist() == np.argsort(-scores, kind="stable")[:depth].tolist()


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_a_corpus_is_ranked_without_a_copy_of_it(kind):
    draw = np.random.default_rng(0)
    queries, documents = (draw.integers(0, 3, (n, 5)).astype(np.float32) for n in (70, 40))
    scorer = VectorScorer(kind(queries).__getitem__, kind(documents))
    every = scorer.every(np.arange(70), None)
    np.testing.assert_array_equal(every, queries @ documents.T)
    if kind is np.asarray:
        assert np.shares_memory(scorer._turned, scorer.documents)
    places, scores = ranked(Council([scorer], "none", 1.0), 70, 40, 7)
    expected = np.argsort(-every, axis=1, kind="stable")[:, :7]
    np.testing.assert_array_equal(places, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(every, expected, 1))
