"""Tabled scores: a teacher that was asked elsewhere, whose scores came as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from limbeck.data.retrieval import RetrievalData
from limbeck.errors import DataError
from limbeck.fingerprint import fingerprint

COLUMNS = ("query-id", "corpus-id", "score")


class TabledScores:
    """A bi-encoder whose vectors hold scores that were computed elsewhere.

    A query is the row of its scores, and a document has what each query gave it above its least;
    what a query has no score for counts as that least. Losses of ranking and normalised scores are
    the same for scores moved by a constant of the query.

    Args:
        scores: by query id and document id.
        data: texts of these ids.
        name: what to call the teacher.

    Raises:
        DataError: an id has no text in the data, or a score is not finite.
    """

    def __init__(
        self, scores: Mapping[str, Mapping[str, float]], data: RetrievalData, name: str
    ) -> None:
        self.name, self.fingerprint = (
            name,
            fingerprint([(query, list(found.items())) for query, found in scores.items()]),
        )
        texts = {**data.train.queries, **data.validation.queries, **data.test.queries}
        places = {one: place for place, one in enumerate(data.documents)}
        self._rows: dict[str, int] = {}
        entries: list[tuple[int, int, float]] = []
        for row, (query, found) in enumerate(scores.items()):
            _check(query, found, texts, places, name)
            self._rows[texts[query]] = row
            least = min(found.values())
            entries += [(places[one], row, score - least) for one, score in found.items()]
        rows, columns, values = (np.array(one) for one in zip(*entries, strict=True))
        shape = (len(data.documents), len(scores))
        self._documents = sparse.csr_matrix((values.astype(np.float32), (rows, columns)), shape)
        self._places = {text: places[one] for one, text in data.documents.items()}

    def knows(self, texts: Sequence[str]) -> bool:
        """Whether any of these queries was scored."""
        return any(text in self._rows for text in texts)

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
        """What queries gave the documents ``(N, Q)``.

        Raises:
            DataError: a text is not of the corpus.
        """
        lost = next((text for text in texts if text not in self._places), None)
        if lost is not None:
            raise DataError(f"{self.name} has scores of the corpus, which does not hold {lost!r}")
        return self._documents[[self._places[text] for text in texts]]


def tabled(path: Path, data: RetrievalData) -> TabledScores:
    """Read a table of scores: a tab-separated file, csv, JSON lines or Parquet.

    Args:
        path: of a table with the columns ``query-id``, ``corpus-id`` and ``score``.
        data: whose ids they are.

    Raises:
        DataError: the file does not read, or lacks a column.
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
        scores.setdefault(str(query), {})[str(document)] = float(score)
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
        return pd.read_csv(path, sep="," if kind == ".csv" else "\t", dtype=ids)
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
