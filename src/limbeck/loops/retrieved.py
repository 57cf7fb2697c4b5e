"""Retrieved: what teachers say of a corpus, kept raw, and asked again as one at training time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from limbeck.errors import ArgumentError, NotFiniteError
from limbeck.fingerprint import fingerprint
from limbeck.functional import heterogeneous_scores
from limbeck.functional.teacher_scores import Normalisation
from limbeck.run.run import Run

# Queries that are scored against the whole corpus at once.
CHUNK = 64
# Queries whose pairs are stored together.
PART = 256
Numbers = npt.NDArray[Any]
Vectors = Any


class Scorer(Protocol):
    """One teacher over a corpus, asked by row numbers."""

    def own(self, queries: Numbers, documents: Numbers) -> Numbers:
        """Raw scores ``(B, n)`` of queries ``(B,)`` with candidates ``(B, n)``."""

    def every(self, queries: Numbers, documents: Numbers | None) -> Numbers:
        """Raw scores ``(B, M)`` of queries ``(B,)`` with documents ``(M,)``, or with all."""


class VectorScorer:
    """A teacher whose scores are dot products.

    Args:
        queries: from row numbers to vectors.
        documents: vectors of the corpus ``(N, D)``, dense or CSR.
    """

    def __init__(self, queries: Callable[[Numbers], Vectors], documents: Vectors) -> None:
        self.queries, self.documents = queries, documents

    def own(self, queries: Numbers, documents: Numbers) -> Numbers:
        """Raw scores ``(B, n)``."""
        asked, found = self.queries(queries), self.documents[documents.ravel()]
        if not sparse.issparse(found):
            found = found.reshape(*documents.shape, -1)
            return np.einsum("bd,bnd->bn", asked, found)
        each = asked[np.repeat(np.arange(len(queries)), documents.shape[1])]
        return np.asarray(each.multiply(found).sum(1)).reshape(documents.shape)

    def every(self, queries: Numbers, documents: Numbers | None) -> Numbers:
        """Raw scores ``(B, M)``; all documents are not copied for each part of the queries."""
        asked = self.queries(queries)
        if asked.shape[1] != self.documents.shape[1]:
            raise ArgumentError(
                f"a teacher gave vectors of width {asked.shape[1]} for queries and of "
                f"{self.documents.shape[1]} for documents, expected the same"
            )
        said = asked @ (self._turned if documents is None else self.documents[documents].T)
        return np.asarray(said.toarray() if sparse.issparse(said) else said)

    @cached_property
    def _turned(self) -> Vectors:
        """All documents, by dimension ``(D, N)``."""
        turned = self.documents.T
        return turned.tocsr() if sparse.issparse(turned) else turned


class PairedScorer:
    """A teacher that read queries and documents together, for the candidates that were stored.

    Args:
        name: of the teacher.
        candidates: row numbers of documents ``(Q, m)``.
        scores: raw ``(Q, m)``.
    """

    def __init__(self, name: str, candidates: Numbers, scores: Numbers) -> None:
        self.name, self.candidates, self.scores = name, candidates, scores

    def own(self, queries: Numbers, documents: Numbers) -> Numbers:
        """Raw scores ``(B, n)`` of stored candidates."""
        same = self.candidates[queries][:, None, :] == documents[:, :, None]
        if not same.any(-1).all():
            raise ArgumentError(
                f"{self.name} reads query and document together and was not asked about some of "
                "these pairs; draw candidates from those that were mined"
            )
        places = same.argmax(-1)
        return np.take_along_axis(self.scores[queries], places, axis=1)

    def every(self, queries: Numbers, documents: Numbers | None) -> Numbers:
        """Raise `ArgumentError`: not all pairs of a batch were read."""
        raise ArgumentError(
            f"{self.name} reads query and document together, so that scores of every query with "
            "the documents of all would take a pass for each pair; set in_batch to false"
        )


class Council:
    """Several teachers as one: raw scores are brought to one scale and mixed when it is asked.

    Args:
        scorers: one a teacher.
        normalise: how, per query and teacher.
        scale: what the mean is multiplied by.
    """

    def __init__(
        self, scorers: Sequence[Scorer], normalise: Normalisation = "min-max", scale: float = 30.0
    ) -> None:
        self.scorers, self.normalise, self.scale = list(scorers), normalise, scale

    def __call__(self, queries: Tensor, documents: Tensor) -> Tensor:
        """Scores of queries ``(B,)`` with own candidates ``(B, n)``, or with all of ``(M,)``."""
        rows, asked = queries.cpu().numpy(), documents.cpu().numpy()
        kind = "own" if documents.ndim == 2 else "every"
        said = [torch.from_numpy(getattr(one, kind)(rows, asked)) for one in self.scorers]
        return self._mixed(said).to(queries.device)

    def over(self, queries: Numbers) -> Tensor:
        """Scores of some queries with the whole corpus ``(B, N)``."""
        return self._mixed([torch.from_numpy(one.every(queries, None)) for one in self.scorers])

    def _mixed(self, said: Sequence[Tensor]) -> Tensor:
        raw = [one.float() for one in said]
        return heterogeneous_scores(raw, normalise=self.normalise, scale=self.scale)


class Texts:
    """Texts in the key of a stage, told by a fingerprint that is taken once.

    Args:
        texts: in order.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = list(texts)
        self.fingerprint = fingerprint(self.texts)


def reads_pairs(teacher: Any) -> bool:
    """Whether a teacher must read query and document together."""
    return not hasattr(teacher, "documents")


def reads_crops(teacher: Any) -> bool:
    """Whether a teacher scores any document for texts that come up only in training."""
    return teacher.any_query and not reads_pairs(teacher)


def kept_vectors(run: Run, teacher: Any, side: str, texts: Texts) -> Vectors:
    """Vectors of queries or documents, computed once a run.

    Args:
        run: they are kept in its stages.
        teacher: a bi-encoder.
        side: ``"queries"`` or ``"documents"``.
        texts: of which.

    Returns:
        ``(N, D)``, dense or CSR, as the teacher gave them.
    """
    found = run.stage(_word(side, teacher), _encoded, teacher=teacher, side=side, texts=texts)
    if "values" in found:
        return found["values"].numpy()
    parts = tuple(found[name].numpy() for name in ("data", "indices", "indptr"))
    return sparse.csr_matrix(parts, shape=tuple(found["shape"].tolist()))


def _encoded(teacher: Any, side: str, texts: Any) -> dict[str, Tensor]:
    given = getattr(teacher, side)(texts.texts)
    compressed = sparse.issparse(given)
    made: Any = (sparse.csr_matrix if compressed else np.ascontiguousarray)(given, dtype=np.float32)
    if made.ndim != 2 or made.shape[0] != len(texts.texts):
        raise ArgumentError(
            f"{teacher.name} gave vectors of shape {made.shape} for {len(texts.texts)} {side}, "
            f"expected ({len(texts.texts)}, D)"
        )
    _check_finite(made.data if compressed else made, teacher, f"vectors of {side}")
    if not compressed:
        return {"values": torch.from_numpy(made)}
    return {
        "data": torch.from_numpy(made.data),
        "indices": torch.from_numpy(made.indices.astype(np.int32)),
        "indptr": torch.from_numpy(made.indptr.astype(np.int64)),
        "shape": torch.tensor(made.shape),
    }


def kept_pairs(
    run: Run, teacher: Any, queries: Texts, documents: Texts, candidates: Numbers
) -> Numbers:
    """Scores of a teacher that reads query and document together, computed once a run.

    Args:
        run: they are kept in its stages.
        teacher: reads pairs.
        queries: Q of them.
        documents: of the corpus.
        candidates: row numbers of documents ``(Q, m)``.

    Returns:
        Raw scores ``(Q, m)``.
    """
    parts = []
    starts = range(0, len(candidates), PART)
    # Part by part: reading pairs may take hours, and a stop shall not cost all of them.
    with run.progress(f"{run.dir.name} {_word('pairs', teacher)}", len(starts)) as shown:
        for number, start in enumerate(starts):
            rows = slice(start, start + PART)
            found = run.stage(
                f"{_word('pairs', teacher)}-{number}",
                _read,
                teacher=teacher,
                queries=Texts(queries.texts[rows]),
                documents=documents,
                candidates=candidates[rows],
            )
            parts.append(found["scores"].numpy())
            shown.advance()
    return np.concatenate(parts)


def _read(teacher: Any, queries: Texts, documents: Texts, candidates: Numbers) -> dict[str, Tensor]:
    said = np.empty(candidates.shape, np.float32)
    for row, (query, places) in enumerate(zip(queries.texts, candidates, strict=True)):
        texts = [documents.texts[place] for place in places]
        said[row] = teacher.pairs([query] * len(texts), texts)
    _check_finite(said, teacher, "scores")
    return {"scores": torch.from_numpy(said)}


def _check_finite(values: Numbers, teacher: Any, what: str) -> None:
    """Refuse what would be stored, and spoil every run that reads it."""
    lost = values.size - int(np.isfinite(values).sum())
    if lost:
        raise NotFiniteError(
            f"{teacher.name} gave {what} of which {lost} of {values.size} numbers are NaN or "
            "infinite; mend the teacher or leave it out"
        )


def _word(what: str, teacher: Any) -> str:
    """Name of a stage."""
    return f"{what}-{re.sub('[^A-Za-z0-9]+', '-', teacher.name).strip('-')}"


def ranked(council: Council, queries: int, documents: int, depth: int) -> tuple[Numbers, Numbers]:
    """The best documents of the corpus for each query, best first.

    Args:
        council: of bi-encoders.
        queries: how many.
        documents: how many.
        depth: how many to keep, m.

    Returns:
        Row numbers ``(Q, m)`` and scores ``(Q, m)``; ties are in the order of the corpus.
    """
    depth = min(depth, documents)
    places, values = [], []
    for start in range(0, queries, CHUNK):
        scores = council.over(np.arange(start, min(start + CHUNK, queries))).numpy()
        order = np.array([best(row, depth) for row in scores])
        places.append(order)
        values.append(np.take_along_axis(scores, order, axis=1))
    if not places:
        return np.zeros((0, depth), np.int64), np.zeros((0, depth), np.float32)
    return np.concatenate(places), np.concatenate(values)


def best(scores: Numbers, depth: int) -> Numbers:
    """Places of the largest scores, best first, and of equals the earlier.

    Args:
        scores: of all documents ``(N,)``, of which most may be equal.
        depth: m, from 1 to N.

    Returns:
        Row numbers ``(m,)``.

    Example:
        >>> best(np.array([0.0, 2.0, 0.0, 3.0, 0.0]), 4).tolist()
        [3, 1, 0, 2]
    """
    least = np.partition(scores, -depth)[-depth]
    above = np.flatnonzero(scores > least)
    equal = np.flatnonzero(scores == least)[: depth - len(above)]
    return np.concatenate([above[np.argsort(-scores[above], kind="stable")], equal])
