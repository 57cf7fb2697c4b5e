"""Rankings: figures against their definitions, ties, what is missing; what a search costs."""

from __future__ import annotations

import math
import sys
import time

import numpy as np
import pytest
import scipy.sparse

from limbeck.data.retrieval import Judged
from limbeck.errors import ArgumentError, ModelError
from limbeck.evaluate.figures import columns, main_figure
from limbeck.evaluate.retrieval import per_query, ranking_quality, retrieval_cost
from limbeck.evaluate.words import table_cells

RELEVANT = {"q": {"a": 3, "b": 0, "c": 1}, "r": {"d": 1}}
JUDGED = Judged({"q": "one", "r": "two"}, RELEVANT)


def test_figures_are_those_of_their_definitions():
    run = {"q": {"b": 0.9, "a": 0.8, "x": 0.7, "c": 0.1}, "r": {"x": 2.0, "d": 1.0}}
    found = per_query(run, RELEVANT)
    best = 3 + 1 / math.log2(3)
    assert found["ndcg_at_10"]["q"] == pytest.approx((3 / math.log2(3) + 1 / math.log2(5)) / best)
    assert found["mrr_at_10"] == {"q": 0.5, "r": 0.5}
    assert found["recall_at_100"] == {"q": 1.0, "r": 1.0}
    assert per_query(run, RELEVANT, ["recall_at_2"]) == {"recall_at_2": {"q": 0.5, "r": 1.0}}
    means = ranking_quality(run, JUDGED)
    assert list(means) == ["ndcg_at_10", "mrr_at_10", "recall_at_100"]
    assert means["ndcg_at_10"] == pytest.approx(np.mean([*found["ndcg_at_10"].values()]))


def test_queries_without_an_answer_count_nothing():
    run = {"r": {"d": 1.0}, "unjudged": {"a": 1.0}}
    for given in (run, run | {"q": {}}):
        assert per_query(given, RELEVANT)["ndcg_at_10"] == {"q": 0.0, "r": 1.0}
        assert ranking_quality(given, JUDGED)["recall_at_100"] == 0.5
    assert ranking_quality({}, JUDGED)["mrr_at_10"] == 0.0


@pytest.mark.parametrize(("order", "rank"), [("dzy", 1), ("zdy", 2), ("yzd", 3)])
def test_ties_rank_in_the_order_in_which_they_come(order, rank):
    run = {"r": dict.fromkeys(order, 1.0)}
    assert per_query(run, {"r": {"d": 1}}, ["mrr_at_10"])["mrr_at_10"]["r"] == pytest.approx(
        1 / rank
    )


@pytest.mark.parametrize("name", ["ndcg", "ndcg_at_0", "ndcg_at_ten", "map_at_10", "_at_10"])
def test_unknown_figures_are_named(name):
    with pytest.raises(ArgumentError, match=f"figures has '{name}', expected ndcg"):
        per_query({}, RELEVANT, [name])


def test_what_cannot_be_ranked_is_named():
    with pytest.raises(ArgumentError, match="no query is judged"):
        ranking_quality({}, Judged())
    with pytest.raises(ArgumentError, match="NaN for query 'q'"):
        ranking_quality({"q": {"a": math.nan}}, JUDGED)


def test_a_missing_library_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(ModelError, match=r"pip install 'limbeck\[text\]'"):
        ranking_quality({"q": {"a": 1.0}}, JUDGED)


def test_costs_are_counted_from_entries_that_are_not_zero():
    documents = scipy.sparse.csr_matrix(np.array([[1.0, 0, 2], [0, 0, 1], [1, 3, 1], [0, 0, 0]]))
    documents.data[0] = 0.0  # stored, and still nothing
    queries = scipy.sparse.csr_matrix(np.array([[1.0, 0, 1], [0, 1, 0]]))
    asked = []

    def answer(text):
        asked.append(text)
        time.sleep(0.002)

    texts = [f"text {number}" for number in range(5)]
    cost = retrieval_cost(documents, queries, index_bytes=100, answer=answer, texts=texts)
    assert asked[-5:] == texts
    assert cost["latency_ms"] >= 2
    assert (cost["document_dimensions"], cost["query_dimensions"]) == (1.25, 1.5)
    assert cost["flops"] == pytest.approx(0.25 * 0.5 + 0.25 * 0.5 + 0.75 * 0.5)
    assert cost["index_bytes"] == 100


def test_costs_need_vectors_of_one_vocabulary():
    one, other = scipy.sparse.csr_matrix((2, 3)), scipy.sparse.csr_matrix((2, 4))
    options = {"index_bytes": 0, "answer": str, "texts": ["x"]}
    with pytest.raises(ArgumentError, match="the same vocabulary"):
        retrieval_cost(one, other, **options)
    with pytest.raises(ArgumentError, match="no document, no query or no text"):
        retrieval_cost(one, one, **(options | {"texts": []}))


def test_tables_have_columns_of_rankings_and_searches():
    quality = {"recall_at_100": 0.9, "ndcg_at_10": 0.513, "mrr_at_10": 0.4}
    cost = {"index_bytes": 81_234, "flops": 1.8, "latency_ms": 0.5, "parameters": 1000}
    row = {"name": "distilled", "role": "product", "quality": quality, "cost": cost}
    heads, lines = table_cells([row])
    assert heads == ["", "nDCG@10", "MRR@10", "R@100", "parameters", "index KB", "FLOPS", "ms"]
    assert lines == [["distilled", "51.3", "40.0", "90.0", "1,000", "81.2", "1.80", "0.50"]]
    assert main_figure([row]) == "ndcg_at_10"
    assert columns([quality])[0] == "ndcg_at_10"
