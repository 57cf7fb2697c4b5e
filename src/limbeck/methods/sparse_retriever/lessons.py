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
    reads_crops,
    reads_pairs,
)
from limbeck.loops.retrieving import batch_of
from limbeck.methods.sparse_retriever.mining import candidates, check_lengths, mined
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
        ArgumentError: fewer documents are ranked for a query than it takes.
        DataError: no training query has a relevant document, or scores that came as data are of
            no such query.
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
        self._leave_out_unscored(teachers, data)
        asked, corpus = Texts(self.queries), Texts(self.texts)
        self.wrong: Numbers = np.zeros((len(self.queries), 0), np.int64)
        self.lengths: Numbers = np.zeros(len(self.queries), np.int64)
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
        miners = [one for one in teachers if one.name in vectors]
        council = Council(list(vectors.values()), normalise, scale)
        self.wrong, self.lengths = mined(
            council, miners, self.queries, len(self.texts), self.right, depth
        )
        # Where all documents answer, others are drawn by chance.
        if self.wrong.shape[1] or not any(one.any_query for one in miners):
            check_lengths(self.lengths, self.answered, list(judged.queries), size, data.name)
        known = candidates(self.wrong, self.right)
        scorers: list[Any] = []
        for one in teachers:
            if one.name in vectors:
                scorers.append(vectors[one.name])
                continue
            said = kept_pairs(run, one, asked, corpus, known)
            scorers.append(PairedScorer(one.name, known, said))
        looked_at = np.array(self.answered[:LOOKED_AT])
        for one, scorer in zip(teachers, scorers, strict=True):
            if self.wrong.shape[1]:
                _check_spread(one.name, scorer.own(looked_at, known[looked_at]))
        self.council = Council(scorers, normalise, scale)

    def _leave_out_unscored(self, teachers: Sequence[Any], data: RetrievalData) -> None:
        """Leave out queries of which a table of scores says nothing: it would call all alike."""
        known = np.ones(len(self.queries), dtype=bool)
        for one in teachers:
            known &= one.knows(self.queries)
        kept = [row for row in self.answered if known[row]]
        if len(kept) == len(self.answered):
            return
        names = " or ".join(one.name for one in teachers if not one.any_query)
        if not kept:
            raise DataError(
                f"{names} has scores of no training query of {data.name} with a relevant document"
            )
        warnings.warn(
            f"{len(self.answered) - len(kept)} of {len(self.answered)} training queries of "
            f"{data.name} are left out: {names} has no scores of them",
            UnusualUseWarning,
            stacklevel=3,
        )
        self.answered = kept

    def examples(self, stage: str, batch_size: int) -> Any:
        """From the step of a stage to this process's rows of the batch."""
        groups: dict[int, Numbers] = {}
        if self.size > 1 and self.wrong.shape[1]:
            groups = {
                length: np.array(strided_groups(range(length), self.size - 1))
                for length in np.unique(self.lengths[self.answered]).tolist()
            }

        def at(step: int) -> list[dict[str, Any]]:
            numbers = batch_of(self.run, stage, step, len(self.answered), batch_size)
            queries = np.array(self.answered)[numbers]
            draws = keyed.uniform(self.run.at(stage, step).key, queries, 1 + self.size)
            found = []
            for query, draw in zip(queries.tolist(), draws, strict=True):
                right = self.right[query]
                documents = [right[int(draw[0] * len(right))]]
                if groups:
                    own = groups[int(self.lengths[query])]
                    documents += self.wrong[query, own[int(draw[1] * len(own))]].tolist()
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
        teachers: frozen, or none; those that cannot be asked about crops are left out and told
            of.
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
        check_crops(teachers)
        for one in teachers:
            if not reads_crops(one):
                warnings.warn(
                    f"{one.name} has no say in what is learned from crops of documents: it cannot "
                    "be asked about them",
                    NoEffectWarning,
                    stacklevel=2,
                )
        asked = [one for one in teachers if reads_crops(one)]
        scorers = [
            VectorScorer(self._ask(one), kept_vectors(run, one, "documents", corpus))
            for one in asked
        ]
        self.council = Council(scorers, normalise, scale) if scorers else None
        # Until the first batch is there, with which they are looked at.
        self._unseen = dict(zip([one.name for one in asked], scorers, strict=True))

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
            while self._unseen:
                name, scorer = self._unseen.popitem()
                _check_spread(name, scorer.every(rows, np.append(rows, others.ravel())))
            return [
                _example(crops[row], row, [row, *more.tolist()], self.texts)
                for row, more in zip(rows.tolist(), others, strict=True)
            ]

        return at

    def _ask(self, teacher: Any) -> Any:
        # Scores that came as data are of queries that somebody asked, and pairs take a pass each.
        return lambda rows: teacher.queries([self._crops[row] for row in rows.tolist()])


def check_crops(teachers: Sequence[Any]) -> None:
    """Raise `ArgumentError` where there are teachers and none can be asked about crops."""
    if teachers and not any(map(reads_crops, teachers)):
        raise ArgumentError(
            f"{' and '.join(one.name for one in teachers)} cannot be asked about crops of "
            "documents; give a bi-encoder or bm25 beside it, or learn from judged queries "
            "alone, with pretraining_steps 0"
        )


def _check_spread(name: str, said: Numbers) -> None:
    """Tell of a teacher that finds all candidates alike, from which nothing is learned."""
    if (said.max(1) == said.min(1)).all():
        warnings.warn(
            f"{name} gives all documents the same score, for each of {len(said)} queries: "
            "nothing is learned from it; leave it out",
            NoEffectWarning,
            stacklevel=3,
        )


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
