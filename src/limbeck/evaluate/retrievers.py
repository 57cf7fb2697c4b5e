"""Retrievers side by side: a sparse student, those it is compared with, its teachers and BM25."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from torch import nn

from limbeck.data.retrieval import RetrievalData
from limbeck.errors import DataError
from limbeck.evaluate.retrieval import median_latency, ranking_quality
from limbeck.functional.teacher_scores import Normalisation
from limbeck.loops.retrieved import (
    Council,
    Texts,
    VectorScorer,
    kept_vectors,
    ranked,
    reads_pairs,
)
from limbeck.run.run import Run

Row = dict[str, Any]
LEXICAL = "bm25"
ROLES = ("product", "baseline")
# Documents that are ranked for each query: as many as recall looks at.
DEPTH = 100
# Queries of which the median latency is taken, and documents that such a one asks for.
TIMED, SHOWN = 50, 10
# What settings are chosen by.
CHOSEN = "ndcg_at_10"


def retriever_rows(
    run: Run,
    entries: Mapping[str, Any],
    teachers: Sequence[Any],
    data: RetrievalData,
    normalise: Normalisation = "min-max",
) -> list[Row]:
    """Rows of sparse retrievers, their teachers, the teachers' ensemble and BM25.

    Args:
        run: keeps what teachers say of the corpus.
        entries: sparse retrievers by name: the product, its baseline, references.
        teachers: frozen.
        data: the test queries are reported.
        normalise: how the ensemble brings scores to one scale.

    Returns:
        Rows ``{"name", "role", "quality", "cost"}``.
    """
    rows = [
        retriever_row(
            name, ROLES[place] if place < 2 else "reference", one, data, run.engine.device
        )
        for place, (name, one) in enumerate(entries.items())
    ]
    return rows + _taught(run, teachers, data, normalise)


def retriever_row(name: str, role: str, one: Any, data: RetrievalData, device: Any = None) -> Row:
    """The row of a sparse retriever on the test queries.

    Where there are queries to choose on, ``validation_ndcg_at_10`` stands beside, by which settings
    can be chosen that the test queries have no say in.

    Args:
        name: of the row.
        role: of the row.
        one: a `SparseRetriever`.
        data: its corpus is indexed.
        device: where documents are encoded; None leaves the retriever where it is.
    """
    quality = ranking_quality(one.ranked(data, data.test, DEPTH, device=device), data.test)
    if len(data.validation):
        found = ranking_quality(one.ranked(data, data.validation, SHOWN), data.validation, [CHOSEN])
        quality[f"validation_{CHOSEN}"] = found[CHOSEN]
    return {"name": name, "role": role, "quality": quality, "cost": one.cost(data)}


def _taught(
    run: Run, teachers: Sequence[Any], data: RetrievalData, normalise: Normalisation
) -> list[Row]:
    from limbeck.bridges.sentence_transformers.retrievers import LexicalTeacher

    asked, corpus = Texts(list(data.test.queries.values())), Texts(list(data.documents.values()))
    # Scores that came as data may be of training queries only.
    teachers = [one for one in teachers if one.knows(asked.texts).all()]
    several: list[tuple[str, Any]] = [("teacher", one) for one in teachers]
    if not any(isinstance(one, LexicalTeacher) for one in teachers):
        # A corpus without a word has no such row.
        with contextlib.suppress(DataError):
            several.append(("reference", LexicalTeacher(corpus.texts, LEXICAL)))
    scorers = {
        one.name: VectorScorer(
            kept_vectors(run, one, "queries", asked).__getitem__,
            kept_vectors(run, one, "documents", corpus),
        )
        for _, one in several
        if not reads_pairs(one)
    }
    if not scorers:
        return []
    own = [scorers[one.name] for one in teachers if one.name in scorers]
    # Where no teacher ranks the corpus, BM25 says what those that read pairs are asked about.
    council = Council(own or list(scorers.values()), normalise)
    places, scores = ranked(council, len(asked.texts), len(corpus.texts), DEPTH)
    costs = {
        name: _cost(one, scorers[name].documents, asked.texts)
        for name, one in ((one.name, one) for _, one in several)
        if name in scorers
    }
    rows = []
    if len(own) > 1:
        together = [costs[one.name] for one in teachers if one.name in costs]
        parts = {part for cost in together for part in cost}
        total = {part: sum(cost.get(part, 0) for cost in together) for part in sorted(parts)}
        rows.append(_row("ensemble", "ensemble", data, places, scores, total))
    for role, one in several:
        if one.name in scorers:
            alone = Council([scorers[one.name]], "none", 1.0)
            found = ranked(alone, len(asked.texts), len(corpus.texts), DEPTH)
            rows.append(_row(one.name, role, data, *found, costs[one.name]))
        else:
            found, latency = _read_again(one, asked.texts, corpus.texts, places)
            cost = {**_sizes(one), "latency_ms": latency}
            rows.append(_row(one.name, role, data, *found, cost))
    return rows


def _row(
    name: str, role: str, data: RetrievalData, places: Any, scores: Any, cost: Mapping[str, float]
) -> Row:
    ids = list(data.documents)
    found = {
        query: {ids[place]: float(score) for place, score in zip(row, said, strict=True)}
        for query, row, said in zip(data.test.queries, places, scores, strict=True)
    }
    quality = ranking_quality(found, data.test)
    return {"name": name, "role": role, "quality": quality, "cost": dict(cost)}


def _read_again(
    teacher: Any, queries: Sequence[str], documents: Sequence[str], places: Any
) -> tuple[tuple[Any, Any], float]:
    """What a teacher that reads pairs makes of what the others rank highest, and a query's ms."""
    scores = np.empty(places.shape, np.float32)
    taken = []
    for row, (query, found) in enumerate(zip(queries, places, strict=True)):
        texts = [documents[place] for place in found]
        begun = time.perf_counter()
        scores[row] = teacher.pairs([query] * len(texts), texts)
        taken.append(1000 * (time.perf_counter() - begun))
    order = np.argsort(-scores, axis=1, kind="stable")
    found = np.take_along_axis(places, order, 1), np.take_along_axis(scores, order, 1)
    return found, round(statistics.median(taken), 4)


def _cost(teacher: Any, vectors: Any, queries: Sequence[str]) -> dict[str, float]:
    """Parameters and index of a bi-encoder, and what a query takes: of BM25 by bm25s' own search,
    else by plain products. Scores that came as data cost whoever made them."""
    from limbeck.bridges.sentence_transformers.retrievers import LexicalTeacher

    if not teacher.any_query:
        return {}
    compressed = sparse.issparse(vectors)
    parts = (vectors.data, vectors.indices, vectors.indptr) if compressed else (vectors,)

    by_token = vectors.T.tocsr() if compressed else vectors.T

    def search(text: str) -> None:
        if isinstance(teacher, LexicalTeacher):
            teacher.search(text, SHOWN)
            return
        said = teacher.queries([text]) @ by_token
        scores = said.toarray()[0] if compressed else said[0]
        np.argpartition(-scores, min(SHOWN, len(scores) - 1))

    return {
        **_sizes(teacher),
        "index_bytes": sum(one.nbytes for one in parts),
        "latency_ms": round(median_latency(search, queries[:TIMED]), 4),
    }


def _sizes(teacher: Any) -> dict[str, float]:
    model = getattr(teacher, "model", None)
    if not isinstance(model, nn.Module):
        return {}
    return {"parameters": sum(one.numel() for one in model.parameters())}
