"""Lessons: what a student reads at each step, and what its teachers say of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from limbeck import keyed
from limbeck.data.retrieval import RetrievalData
from limbeck.errors import ArgumentError, DataError, NoEffectWarning, UnusualUseWarning
from limbeck.functional import strided_groups
from limbeck.functional.teacher_scores import Normalisation
from limbeck.loops.retrieved import (
    Council,
    PairedScorer,
    Texts,
    VectorScorer,
    kept_pairs,
    kept_vectors,
    ranked,
    reads_pairs,
)
from limbeck.loops.retrieving import batch_of
from limbeck.run.run import Run

Numbers = npt.NDArray[Any]
# Words of a crop of a document that stands in for a query.
SHORTEST, LONGEST = 4, 16
# Queries by which teachers that say nothing are found.
LOOKED_AT = 32


class JudgedLesson:
    """Training queries, each with a document that answers it and others that seem to.

    Args:
        run: vectors and ranked lists are kept in its stages.
        data: corpus and training queries.
        teachers: frozen; none draws documents by chance in place of those that seem to answer.
        size: n, documents a query.
        depth: how many documents are ranked for each query.
        normalise: how scores of teachers are brought to one scale.
        scale: of their mean.

    Raises:
        ArgumentError: the corpus holds fewer documents than a query takes.
        DataError: no training query has a relevant document.
    """

    def __init__(
        self,
        run: Run,
        data: RetrievalData,
        teachers: Sequence[Any],
        *,
        size: int,
        depth: int,
        normalise: Normalisation = "min-max",
        scale: float = 30.0,
    ) -> None:
        self.run, self.size = run, size
        self.texts = list(data.documents.values())
        rows = {one: row for row, one in enumerate(data.documents)}
        judged = data.train
        self.right = [
            [rows[one] for one, grade in judged.relevant.get(query, {}).items() if grade > 0]
            for query in judged.queries
        ]
        answered = [row for row, right in enumerate(self.right) if right]
        most = len(self.texts) - (size - 1)
        # Where none is left the documents are too few, which is told below.
        self.answered = [row for row in answered if len(self.right[row]) <= most] or answered
        if len(self.answered) < len(answered):
            warnings.warn(
                f"{len(answered) - len(self.answered)} training queries of {data.name} are left "
                f"out: nearly all documents answer them, and {size - 1} that do not are compared",
                UnusualUseWarning,
                stacklevel=2,
            )
        if not self.answered:
            raise DataError(f"{data.name} has no training query with a relevant document")
        self.queries = list(judged.queries.values())
        asked, corpus = Texts(self.queries), Texts(self.texts)
        self.wrong: Numbers = np.zeros((len(self.queries), 0), np.int64)
        self.council: Council | None = None
        if not teachers:
            return
        vectors = {
            one.name: VectorScorer(
                kept_vectors(run, one, "queries", asked).__getitem__,
                kept_vectors(run, one, "documents", corpus),
            )
            for one in teachers
            if not reads_pairs(one)
        }
        miners = Council(list(vectors.values()), normalise, scale)
        most = max(len(one) for one in self.right)
        found, _ = ranked(miners, len(self.queries), len(self.texts), depth + most)
        self.wrong = _without(found, self.right, depth)
        self._check_candidates(data)
        candidates = _with(self.wrong, self.right)
        scorers: list[Any] = []
        for one in teachers:
            if one.name in vectors:
                scorers.append(vectors[one.name])
                continue
            said = kept_pairs(run, one, asked, corpus, candidates)
            scorers.append(PairedScorer(one.name, candidates, said))
        for one, scorer in zip(teachers, scorers, strict=True):
            self._check_spread(one.name, scorer, candidates)
        self.council = Council(scorers, normalise, scale)

    def _check_candidates(self, data: RetrievalData) -> None:
        found, asked = self.wrong.shape[1], self.size - 1
        if 0 < found < asked:
            raise ArgumentError(
                f"documents_per_query is {self.size}, and {data.name} leaves {found} documents "
                f"beside those that answer a query; set documents_per_query to {found + 1} or less"
            )

    def _check_spread(self, name: str, scorer: Any, candidates: Numbers) -> None:
        """Tell of a teacher that finds all candidates alike, from which nothing is learned."""
        queries = np.array(self.answered[:LOOKED_AT])
        said = scorer.own(queries, candidates[queries])
        if self.wrong.shape[1] and (said.max(1) == said.min(1)).all():
            warnings.warn(
                f"{name} gives all documents the same score, for each of {len(queries)} queries: "
                "nothing is learned from it; leave it out",
                NoEffectWarning,
                stacklevel=2,
            )

    def examples(self, stage: str, batch_size: int) -> Any:
        """From the step of a stage to this process's rows of the batch."""
        groups: Numbers | None = None
        if self.size > 1 and self.wrong.shape[1]:
            groups = np.array(strided_groups(range(self.wrong.shape[1]), self.size - 1))

        def at(step: int) -> list[dict[str, Any]]:
            numbers = batch_of(self.run, stage, step, len(self.answered), batch_size)
            queries = np.array(self.answered)[numbers]
            draws = keyed.uniform(self.run.at(stage, step).key, queries, 1 + self.size)
            found = []
            for query, draw in zip(queries.tolist(), draws, strict=True):
                right = self.right[query]
                documents = [right[int(draw[0] * len(right))]]
                if groups is not None:
                    group = groups[int(draw[1] * len(groups))]
                    documents += self.wrong[query, group].tolist()
                else:
                    documents += (draw[2:] * len(self.texts)).astype(int).tolist()[: self.size - 1]
                found.append(_example(self.queries[query], query, documents, self.texts))
            return found

        return at


class CroppedLesson:
    """Crops of documents as queries: a document answers what was cut out of it.

    Nothing of it was judged, and teachers are asked about each crop when it is read.

    Args:
        run: vectors of documents are kept in its stages.
        data: the corpus.
        teachers: frozen bi-encoders, or none.
        size: n, documents a query; all but the first are drawn by chance.
        normalise: how scores of teachers are brought to one scale.
        scale: of their mean.

    Raises:
        ArgumentError: there are teachers, and none can be asked about texts that come up here.
    """

    def __init__(
        self,
        run: Run,
        data: RetrievalData,
        teachers: Sequence[Any],
        *,
        size: int,
        normalise: Normalisation = "min-max",
        scale: float = 30.0,
    ) -> None:
        self.run, self.size = run, size
        self.texts = list(data.documents.values())
        self._crops: dict[int, str] = {}
        corpus = Texts(self.texts)
        scorers = [
            VectorScorer(self._ask(one), kept_vectors(run, one, "documents", corpus))
            for one in teachers
            # Scores that came as data are of queries that somebody asked.
            if not reads_pairs(one) and not hasattr(one, "knows")
        ]
        if teachers and not scorers:
            raise ArgumentError(
                f"{' and '.join(one.name for one in teachers)} cannot be asked about crops of "
                "documents; give a bi-encoder or bm25 beside it, or learn from judged queries "
                "alone, with pretraining_steps 0"
            )
        self.council = Council(scorers, normalise, scale) if scorers else None

    def examples(self, stage: str, batch_size: int) -> Any:
        """From the step of a stage to this process's rows of the batch."""

        def at(step: int) -> list[dict[str, Any]]:
            rows = batch_of(self.run, stage, step, len(self.texts), batch_size)
            draws = keyed.uniform(self.run.at(stage, step).key, rows, 1 + self.size)
            crops = {
                row: crop(self.texts[row], draw[0], draw[1])
                for row, draw in zip(rows.tolist(), draws, strict=True)
            }
            self._crops = crops
            others = (draws[:, 2:] * len(self.texts)).astype(int)
            return [
                _example(crops[row], row, [row, *more.tolist()], self.texts)
                for row, more in zip(rows.tolist(), others, strict=True)
            ]

        return at

    def _ask(self, teacher: Any) -> Any:
        return lambda rows: teacher.queries([self._crops[row] for row in rows.tolist()])


def crop(text: str, length: float, start: float) -> str:
    """A run of words of a text.

    Args:
        text: of a document.
        length: 0 to 1: from the shortest to the longest crop.
        start: 0 to 1: from the first to the last place where it fits.

    Example:
        >>> crop("one two three four five six", 0.0, 0.99)
        'three four five six'
    """
    words = text.split()
    size = SHORTEST + int(length * (LONGEST - SHORTEST + 1))
    first = int(start * max(1, len(words) - size + 1))
    return " ".join(words[first : first + size])


def _example(query: str, row: int, documents: list[int], texts: Sequence[str]) -> dict[str, Any]:
    columns = {f"document_{slot}": texts[one] for slot, one in enumerate(documents)}
    return {"query": query, **columns, "label": [row, *documents]}


def _without(found: Numbers, right: Sequence[Sequence[int]], depth: int) -> Numbers:
    """Ranked lists ``(Q, m)`` without the documents that do answer."""
    kept = [row[~np.isin(row, answers)][:depth] for row, answers in zip(found, right, strict=True)]
    longest = max(len(row) for row in kept)
    # A list that is short, as nearly all documents answer its query, begins anew.
    return np.stack([np.resize(row if len(row) else found[0][:1], longest) for row in kept])


def _with(wrong: Numbers, right: Sequence[Sequence[int]]) -> Numbers:
    """Candidates ``(Q, m + r)``: what seems to answer, then what does, the last repeated."""
    most = max(len(one) for one in right)
    found = np.empty((len(right), wrong.shape[1] + most), dtype=wrong.dtype)
    for row, (tempting, answers) in enumerate(zip(wrong, right, strict=True)):
        # A query that nothing answers is never asked; its row is filled all the same.
        known = [*tempting, *(answers or tempting[:1])]
        found[row] = [*known, *known[-1:] * (found.shape[1] - len(known))]
    return found
