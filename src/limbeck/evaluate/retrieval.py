"""What a ranking of documents is worth, and what it costs to have it."""

from __future__ import annotations

import math
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from limbeck.data.retrieval import Judged
from limbeck.errors import ArgumentError, NotFiniteError
from limbeck.networks.making import library

Figures = dict[str, float]
# By query id the scores of documents by id.
Ranked = Mapping[str, Mapping[str, float]]
RANKING = ("ndcg_at_10", "mrr_at_10", "recall_at_100")
MEASURES = {"ndcg": "nDCG", "mrr": "RR", "recall": "R"}
WARM_UP = 3


def ranking_quality(run: Ranked, judged: Judged, figures: Sequence[str] = RANKING) -> Figures:
    """Mean figures of rankings over the judged queries.

    Args:
        run: by query id the scores of the documents found, by id.
        judged: the queries and what was judged of the documents.
        figures: such as ``"ndcg_at_10"``, ``"mrr_at_10"``, ``"recall_at_100"``.

    Returns:
        Fractions by name. A query without a document found counts 0.

    Raises:
        ArgumentError: a figure is unknown, no query is judged, or a score is NaN.
        ModelError: ir-measures is not installed.

    Example:
        >>> judged = Judged({"q": "what swims", "r": "what flies"}, {"q": {"b": 1}, "r": {"a": 1}})
        >>> ranking_quality({"q": {"a": 2.0, "b": 1.0}}, judged, ["mrr_at_10"])
        {'mrr_at_10': 0.25}
    """
    found = per_query(run, judged.relevant, figures)
    return {name: statistics.fmean(values.values()) for name, values in found.items()}


def per_query(
    run: Ranked, relevant: Mapping[str, Mapping[str, int]], figures: Sequence[str] = RANKING
) -> dict[str, dict[str, float]]:
    """Figures of rankings for every judged query, for tests of whether one ranker is better.

    nDCG has the grade as its gain and the discount 1 / log2(rank + 1), of the reciprocal rank and
    recall every grade above 0 is relevant. Documents of equal score rank in the order in which
    they come.

    Args:
        run: as `ranking_quality` has it; queries that are not judged are left out.
        relevant: by query id the grades of documents by id.
        figures: as `ranking_quality` has them.

    Returns:
        By figure, then by query in the order of `relevant`.

    Raises:
        ArgumentError: as `ranking_quality`.
        ModelError: ir-measures is not installed.

    Example:
        >>> per_query({"q": {"a": 1.0, "b": 1.0}}, {"q": {"b": 1}}, ["mrr_at_10"])
        {'mrr_at_10': {'q': 0.5}}
    """
    if not relevant:
        raise ArgumentError("no query is judged; give judgements, as data.test.relevant")
    measures = {_measure(name): name for name in figures}
    found = {name: dict.fromkeys(relevant, 0.0) for name in figures}
    ranked = {query: _by_rank(query, run[query]) for query in relevant if run.get(query)}
    if ranked:
        grades = {query: dict(relevant[query]) for query in ranked}
        for one in library("ir_measures", "text").iter_calc([*measures], grades, ranked):
            found[measures[one.measure]][one.query_id] = float(one.value)
    return found


def retrieval_cost(
    documents: Any,
    queries: Any,
    *,
    index_bytes: int,
    answer: Callable[[str], Any],
    texts: Sequence[str],
) -> Figures:
    r"""What searching sparse vectors costs on this machine.

    .. math:: \mathrm{FLOPS} = \sum_t P(\text{query has } t) \, P(\text{document has } t)

    Args:
        documents: vectors of the corpus, sparse ``(D, V)``.
        queries: vectors of the queries, sparse ``(Q, V)``.
        index_bytes: what the index takes.
        answer: called with one text, as in use: tokenisation, search and all.
        texts: of queries.

    Returns:
        ``index_bytes``; ``document_dimensions`` and ``query_dimensions``, the mean number of
        entries other than 0; ``flops``; ``latency_ms``, the median over the texts, one at a time.

    Raises:
        ArgumentError: widths differ, or there is no document, query or text.

    Example:
        >>> documents = scipy.sparse.csr_array([[1.0, 0.0], [1.0, 2.0]])
        >>> queries = scipy.sparse.csr_array([[0.0, 3.0]])
        >>> cost = retrieval_cost(
        ...     documents, queries, index_bytes=24, answer=str.split, texts=["what swims"]
        ... )
        >>> cost["document_dimensions"], cost["flops"]
        (1.5, 0.5)
    """
    if documents.shape[1] != queries.shape[1]:
        raise ArgumentError(
            f"documents has shape {documents.shape} and queries {queries.shape}, expected the same "
            "vocabulary"
        )
    if not (documents.shape[0] and queries.shape[0] and len(texts)):
        raise ArgumentError("there is no document, no query or no text to search for")
    return {
        "index_bytes": index_bytes,
        "document_dimensions": float(_share_of(documents).sum()),
        "query_dimensions": float(_share_of(queries).sum()),
        "flops": float(_share_of(documents) @ _share_of(queries)),
        "latency_ms": round(median_latency(answer, texts), 4),
    }


def median_latency(answer: Callable[[str], Any], texts: Sequence[str]) -> float:
    """Median milliseconds of a search, every text once, after a few that are not counted."""
    for text in texts[:WARM_UP]:
        answer(text)
    times = []
    for text in texts:
        begun = time.perf_counter()
        answer(text)
        times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)


def _share_of(vectors: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The share of vectors that have an entry, for each token."""
    columns = scipy.sparse.csc_matrix(vectors, copy=True)
    columns.eliminate_zeros()
    return np.diff(columns.indptr) / columns.shape[0]


def _measure(name: str) -> Any:
    """The measure of ir-measures that a figure is."""
    word, at, cutoff = name.partition("_at_")
    if word not in MEASURES or not at or not re.fullmatch("[1-9][0-9]*", cutoff):
        raise ArgumentError(
            f"figures has {name!r}, expected {', '.join(MEASURES)} with a number of documents, "
            "such as ndcg_at_10"
        )
    return getattr(library("ir_measures", "text"), MEASURES[word]) @ int(cutoff)


def _by_rank(query: str, scores: Mapping[str, float]) -> dict[str, float]:
    """Scores that are ranks: measures break ties by names, which is of no use."""
    if any(math.isnan(score) for score in scores.values()):
        raise NotFiniteError(
            f"run holds a score that is NaN for query {query!r}; did a model fail?"
        )
    best = sorted(scores, key=scores.__getitem__, reverse=True)
    return {document: float(len(best) - rank) for rank, document in enumerate(best)}
