"""Retrieval data: a corpus of documents, and queries with the documents that answer them."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from limbeck import keyed
from limbeck.errors import DataError, UnusualUseWarning
from limbeck.fingerprint import fingerprint

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Judged:
    """Queries of one split, and what was judged of the documents.

    Args:
        queries: text by query id.
        relevant: by query id the grade of every judged document, by its id; grades above 0 are
            relevant.
    """

    queries: Mapping[str, str] = field(default_factory=dict)
    relevant: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.queries)

    def keep(self, ids: list[str]) -> Judged:
        """Some of the queries, in the order given."""
        return Judged(
            {one: self.queries[one] for one in ids},
            {one: self.relevant[one] for one in ids if one in self.relevant},
        )


@dataclass(frozen=True)
class RetrievalData:
    """A corpus with judged queries, ready for retrieval methods.

    Tables report `test`; beside it stands ``validation_ndcg_at_10``, by which settings are chosen.

    Args:
        documents: text by document id, a title in front of it where there is one.
        train: queries to learn from; may be empty, then methods make queries of the documents.
        validation: queries that choices are made on.
        test: queries that tables report.
        name: what to call the data set.

    Raises:
        DataError: there is no document or no test query, a document or query holds no text, a
            judged one does not exist, or a test query has no relevant document.

    Example:
        >>> answers = Judged({"q": "what swims"}, {"q": {"b": 1}})
        >>> data = RetrievalData({"a": "a bird", "b": "a fish"}, Judged(), answers, answers)
        >>> data
        RetrievalData('data', documents=2, train=0, validation=1, test=1)
    """

    documents: Mapping[str, str]
    train: Judged
    validation: Judged
    test: Judged
    name: str = "data"

    task: ClassVar[str] = "retrieval"

    def __post_init__(self) -> None:
        if not self.documents:
            raise DataError(f"{self.name} has no documents")
        if not len(self.test):
            raise DataError(f"{self.name} has no test queries; give qrels of a test split")
        _check_texts(self.documents, f"{self.name}: document")
        for name in SPLITS:
            self._check(name, getattr(self, name))
        known = set(self.train.queries.values())
        both = sum(text in known for text in self.test.queries.values())
        if both:
            warnings.warn(
                f"{self.name}: {both} of {len(self.test)} test queries are training queries too, "
                "of which the table tells what was learned by heart; leave them out of one split",
                UnusualUseWarning,
                stacklevel=3,
            )

    @cached_property
    def fingerprint(self) -> str:
        """Short name of the content of corpus and splits."""
        parts = [
            [
                list(part.queries.items()),
                [(one, list(d.items())) for one, d in part.relevant.items()],
            ]
            for part in (self.train, self.validation, self.test)
        ]
        return fingerprint(list(self.documents.items()), parts)

    def few(self, labels: int, *, seed: int = 0) -> RetrievalData:
        """Keep a number of training queries.

        Args:
            labels: how many.
            seed: which ones; the same number keeps the same queries.

        Raises:
            DataError: there are not that many.
        """
        ids = list(self.train.queries)
        if not 1 <= labels < len(ids):
            raise DataError(
                f"{labels} training queries cannot be kept of the {len(ids)} of {self.name}"
            )
        order = keyed.permutation(keyed.key(seed, "few"), len(ids))[:labels]
        kept = self.train.keep([ids[place] for place in sorted(order.tolist())])
        return dataclasses.replace(self, train=kept)

    def with_test(self, places: Sequence[int]) -> RetrievalData:
        """The data set with some of its test queries alone."""
        ids = list(self.test.queries)
        return dataclasses.replace(self, test=self.test.keep([ids[place] for place in places]))

    def part(self, documents: int, *, seed: int = 0) -> RetrievalData:
        """Keep a number of documents, and of the queries those that one of them answers.

        Args:
            documents: how many.
            seed: which ones; the same number keeps the same documents.

        Raises:
            DataError: there are not that many, or they answer no test query.
        """
        ids = list(self.documents)
        if not 1 <= documents < len(ids):
            raise DataError(
                f"{documents} documents cannot be kept of the {len(ids)} of {self.name}"
            )
        order = keyed.permutation(keyed.key(seed, "part"), len(ids))[:documents]
        kept = {ids[place]: self.documents[ids[place]] for place in sorted(order.tolist())}
        train, validation, test = (_within(getattr(self, name), kept) for name in SPLITS)
        return RetrievalData(kept, train, validation, test, self.name)

    def _check(self, name: str, split: Judged) -> None:
        what = f"{self.name}: the {name} split"
        _check_texts(split.queries, f"{what}: query")
        for query, judged in split.relevant.items():
            if query not in split.queries:
                raise DataError(f"{what} judges documents for query {query!r}, which has no text")
            lost = next((one for one in judged if one not in self.documents), None)
            if lost is not None:
                raise DataError(
                    f"{what} names document {lost!r} for query {query!r}, which is not in the "
                    "corpus; correct the qrels or the corpus"
                )
        if name == "train":
            return
        for query in split.queries:
            if not any(grade > 0 for grade in split.relevant.get(query, {}).values()):
                raise DataError(
                    f"{what} has no relevant document for query {query!r}; leave the query out"
                )

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={len(getattr(self, name))}" for name in SPLITS)
        return f"RetrievalData({self.name!r}, documents={len(self.documents)}, {sizes})"


def _check_texts(texts: Mapping[str, str], what: str) -> None:
    """Raise `DataError` unless all of some texts by id are texts, and hold something."""
    for one, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            said = repr(text) if isinstance(text, str) else f"a {type(text).__name__}"
            raise DataError(f"{what} {one!r} is {said}, expected a text; leave it out")


def _within(split: Judged, documents: Mapping[str, str]) -> Judged:
    """What is judged of some documents, for queries that one of them answers."""
    judged = {
        query: {one: grade for one, grade in grades.items() if one in documents}
        for query, grades in split.relevant.items()
    }
    answered = [query for query, grades in judged.items() if any(g > 0 for g in grades.values())]
    return Judged(
        {query: split.queries[query] for query in answered},
        {query: judged[query] for query in answered},
    )
