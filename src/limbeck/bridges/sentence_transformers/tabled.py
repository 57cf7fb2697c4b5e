"""Tabled scores: a teacher that was asked elsewhere, whose scores came as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from limbeck.bridges.sentence_transformers.retrievers import Teacher
from limbeck.data.retrieval import RetrievalData
from limbeck.errors import DataError
from limbeck.fingerprint import fingerprint

COLUMNS = ("query-id", "corpus-id", "score")


class TabledScores(Teacher):
    """A bi-encoder whose vectors hold scores that were computed elsewhere.

    A query is the row of its scores, and a document has what each query gave it above its least;
    what a query has no score for counts as that least. Losses of ranking and normalised scores are
    the same for scores moved by a constant of the query.

    Args:
        scores: by query id and document id.
        data: texts of these ids.
        name: what to call the teacher.

    Raises:
        DataError: an id has no text in the data, two ids have the same, or a score is not finite.
    """

    any_query = False

    def __init__(
        self, scores: Mapping[str, Mapping[str, float]], data: RetrievalData, name: str
    ) -> None:
        self.name, self.fingerprint = (
            name,
            fingerprint([(query, list(found.items())) for query, found in scores.items()]),
        )
        texts = {**data.train.queries, **data.validation.queries, **data.test.queries}
        places = {one: place for place, one in enumerate(data.documents)}
        self._corpus = list(data.documents.values())
        self._rows: dict[str, int] = {}
        self._scored: list[npt.NDArray[np.int64]] = []
        entries: list[tuple[int, int, float]] = []
        for row, (query, found) in enumerate(scores.items()):
            _check(query, found, texts, places, name)
            if self._rows.setdefault(texts[query], row) != row:
                raise DataError(
                    f"{name} scores documents for two queries of one text, {texts[query]!r}, the "
                    f"second being {query!r}; leave the lines of one out"
                )
            self._scored.append(np.array(sorted(places[one] for one in found), np.int64))
            least = min(found.values())
            entries += [(places[one], row, score - least) for one, score in found.items()]
        rows, columns, values = (np.array(one) for one in zip(*entries, strict=True))
        shape = (len(data.documents), len(scores))
        self._documents = sparse.csr_matrix((values.astype(np.float32), (rows, columns)), shape)

    def knows(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Whether each of these queries was scored ``(N,)``."""
        return np.array([text in self._rows for text in texts], dtype=bool)

    def scored(self, text: str) -> npt.NDArray[np.int64]:
        """Row numbers of the documents that a query has a score for, in their order."""
        row = self._rows.get(text)
        return np.zeros(0, np.int64) if row is None else self._scored[row]

    def queries(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Which rows of the table the queries are ``(N, Q)``; one without scores is 0."""
        known = [(row, self._rows[text]) for row, text in enumerate(texts) if text in self._rows]
        rows, columns = zip(*known, strict=True) if known else ((), ())
        ones = np.ones(len(known), np.float32)
        return sparse.csr_matrix(
            (ones, (np.array(rows, int), np.array(columns, int))),
            shape=(len(texts), self._documents.shape[1]),
        )

    def documents(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """What queries gave the documents of the corpus ``(N, Q)``.

        Raises:
            DataError: they are other documents, or in another order.
        """
        if list(texts) != self._corpus:
            raise DataError(
                f"{self.name} has scores of the corpus that its ids are of, and was asked about "
                "other documents; give a table of these"
            )
        return self._documents


def tabled(path: Path, data: RetrievalData) -> TabledScores:
    """Read a table of scores: a tab-separated file, csv, JSON lines or Parquet.

    Args:
        path: of a table with the columns ``query-id``, ``corpus-id`` and ``score``.
        data: whose ids they are.

    Raises:
        DataError: the file does not read, lacks a column, or says something twice or of no number.
    """
    table = _read(path)
    lost = [name for name in COLUMNS if name not in table.columns]
    if lost:
        raise DataError(
            f"{path} has no column {' and no column '.join(lost)}, found "
            f"{', '.join(map(str, table.columns))}; expected {', '.join(COLUMNS)}"
        )
    scores: dict[str, dict[str, float]] = {}
    for query, document, score in table[list(COLUMNS)].itertuples(index=False):
        said, query, document = scores.setdefault(str(query), {}), str(query), str(document)
        if document in said:
            raise DataError(
                f"{path} scores document {document!r} for query {query!r} once more; keep one line"
            )
        try:
            said[document] = float(score)
        except (TypeError, ValueError):
            raise DataError(
                f"{path} has the score {score!r} of document {document!r} for query {query!r}, "
                "expected a number"
            ) from None
    if not scores:
        raise DataError(f"{path} holds no scores")
    return TabledScores(scores, data, path.name.split(".")[0])


def _read(path: Path) -> Any:
    import pandas as pd

    kind = next((one for one in reversed(path.suffixes) if one != ".gz"), "")
    ids = {"query-id": str, "corpus-id": str}
    try:
        if kind == ".parquet":
            return pd.read_parquet(path)
        if kind == ".jsonl":
            return pd.read_json(path, lines=True, dtype=ids)
        # All as text: an id may read NA, or like a number.
        return pd.read_csv(
            path, sep="," if kind == ".csv" else "\t", dtype=str, keep_default_na=False
        )
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} does not read as a table of scores ({error})") from None


def _check(
    query: str,
    found: Mapping[str, float],
    texts: Mapping[str, str],
    places: Mapping[str, int],
    name: str,
) -> None:
    if query not in texts:
        raise DataError(f"{name} scores documents for query {query!r}, which the data do not have")
    for document, score in found.items():
        if document not in places:
            raise DataError(
                f"{name} scores document {document!r} for query {query!r}, which is not in the "
                "corpus; leave its line out"
            )
        if not np.isfinite(score):
            raise DataError(
                f"{name} has the score {score} of document {document!r} for query {query!r}; "
                "leave its line out"
            )
