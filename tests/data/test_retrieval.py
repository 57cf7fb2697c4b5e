"""Retrieval data: what fits together, and parts of it."""

from __future__ import annotations

import pytest

from limbeck.data.retrieval import Judged, RetrievalData
from limbeck.errors import DataError

DOCUMENTS = {name: f"about {name}" for name in "abcdefgh"}


def judged(**relevant):
    """Queries with the documents that answer them, by name."""
    grades = {query: dict.fromkeys(names, 1) for query, names in relevant.items()}
    return Judged({query: f"where is {query}" for query in relevant}, grades)


def data(**splits):
    given = {"train": judged(q="ab", r="c"), "validation": Judged(), "test": judged(t="de")}
    return RetrievalData(DOCUMENTS, **(given | splits), name="letters")


def test_content_makes_the_fingerprint():
    assert data().fingerprint == data().fingerprint
    others = [data(test=judged(t="d")), data(train=Judged()), data(test=judged(u="de"))]
    assert len({data().fingerprint, *(one.fingerprint for one in others)}) == 4


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"test": Judged()}, "no test queries"),
        ({"test": judged(t="dz")}, "names document 'z' for query 't'"),
        ({"test": Judged({"t": "x"}, {"t": {"a": 0}})}, "no relevant document for query 't'"),
        ({"train": Judged({}, {"q": {"a": 1}})}, "query 'q', which has no text"),
    ],
)
def test_what_does_not_fit_is_named(splits, said):
    with pytest.raises(DataError, match=said):
        data(**splits)


@pytest.mark.parametrize("text", ["", "  ", None, 3])
def test_what_holds_no_text_is_refused(text):
    with pytest.raises(DataError, match="letters: document 'z' is .*, expected a text"):
        RetrievalData({**DOCUMENTS, "z": text}, Judged(), Judged(), judged(t="d"), name="letters")
    with pytest.raises(DataError, match="test split: query 't' is .*, expected a text"):
        data(test=Judged({"t": text}, {"t": {"a": 1}}))


def test_few_keeps_training_queries_by_seed():
    some = data(train=judged(**{f"q{number}": "a" for number in range(20)}))
    kept = some.few(5, seed=3)
    assert len(kept.train) == len(kept.train.relevant) == 5
    assert kept.fingerprint == some.few(5, seed=3).fingerprint != some.few(5).fingerprint
    assert kept.documents == some.documents
    with pytest.raises(DataError, match="20 training queries cannot be kept of the 20"):
        some.few(20)


def test_a_part_has_the_queries_that_it_answers():
    whole = data(test=judged(**{name: name for name in DOCUMENTS}))
    part = whole.part(3, seed=1)
    assert len(part.documents) == 3
    assert set(part.test.queries) == set(part.documents)
    for split in (part.train, part.test):
        assert all(set(grades) <= set(part.documents) for grades in split.relevant.values())
    assert part.fingerprint == whole.part(3, seed=1).fingerprint
    with pytest.raises(DataError, match="8 documents cannot be kept of the 8"):
        whole.part(8)
    with pytest.raises(DataError, match="no test queries"):
        data(test=judged(t="d")).part(1, seed=0)
