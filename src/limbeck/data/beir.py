"""BEIR folders: a corpus and queries as JSON lines, judgements as tables."""

from __future__ import annotations

import gzip
import json
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from limbeck import keyed
from limbeck.data.retrieval import Judged, RetrievalData
from limbeck.errors import DataError, UnusualUseWarning

CORPUS, QUERIES = "corpus.jsonl", "queries.jsonl"
SPLITS = {
    "train": ("train",),
    "validation": ("validation", "valid", "dev"),
    "test": ("test",),
}
# Of the training queries, where there is no split to choose on: a tenth, but so many if half of
# them is as many.
SHARE, LEAST = 0.1, 10
Grades = dict[str, dict[str, int]]


def is_beir(path: Path) -> bool:
    """Whether a folder holds a corpus in BEIR's layout."""
    return path.is_dir() and any((path / name).is_file() for name in _names(CORPUS))


def read_beir(path: Path, *, titles: bool = True) -> RetrievalData:
    """Read a folder in BEIR's layout; every file may be packed by gzip.

    ``corpus.jsonl`` has ``_id``, ``text`` and perhaps ``title`` in every line, ``queries.jsonl``
    has ``_id`` and ``text``, and ``qrels/test.tsv``, ``qrels/train.tsv`` and ``qrels/dev.tsv`` (or
    ``valid.tsv``, ``validation.tsv``) have a query, a document and a grade in every line, behind a
    line of heads. Where there is no table to choose on, a tenth of the training queries is, by
    their ids; without training queries there are none to choose on.

    Args:
        path: the folder.
        titles: put a document's title in front of its text.

    Returns:
        The data set, without documents that hold no text and queries that no document answers,
        both of which one warning counts.

    Raises:
        DataError: a file is missing or damaged, an id comes twice, or a judgement names a query or
            document that does not exist or holds no text.
    """
    if type(titles) is not bool:
        raise DataError(f"titles is {titles!r}, expected true or false, such as ?titles=false")
    documents = _texts(_file(path, CORPUS), titles)
    queries = _texts(_file(path, QUERIES), False)
    graded = _judgements(path)
    for split, grades in graded.items():
        _check_named(grades, queries, documents, f"{path}: the {split} table")
    answered = {split: _answered(grades) for split, grades in graded.items()}
    empty = sum(not text for text in documents.values())
    unanswered = sum(len(graded[split]) - len(answered[split]) for split in graded)
    if empty or unanswered:
        warnings.warn(
            f"{path}: left out {empty} documents without a text and {unanswered} queries without "
            "a relevant document",
            UnusualUseWarning,
            stacklevel=2,
        )
    splits = {
        split: Judged({query: queries[query] for query in grades}, grades)
        for split, grades in answered.items()
    }
    train = splits.get("train", Judged())
    if "validation" in splits:
        validation = splits["validation"]
    else:
        train, validation = _cut(train)
    held = {name: text for name, text in documents.items() if text}
    return RetrievalData(held, train, validation, splits["test"], path.name)


def _names(name: str) -> tuple[str, str]:
    return name, f"{name}.gz"


def _file(path: Path, name: str) -> Path:
    found = next((path / one for one in _names(name) if (path / one).is_file()), None)
    if found is None:
        inside = sorted(one.name for one in path.iterdir()) if path.is_dir() else []
        raise DataError(
            f"{path} has no {name} and no {name}.gz, found {', '.join(inside) or 'nothing'}; a "
            f"BEIR folder holds {CORPUS}, {QUERIES} and qrels/test.tsv"
        )
    return found


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers from 1."""
    opener: Any = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{file} is damaged ({error}); fetch it again") from None


def _texts(file: Path, titles: bool) -> dict[str, str]:
    """Texts by id, empty ones too."""
    found: dict[str, str] = {}
    for number, line in _lines(file):
        try:
            entry = json.loads(line)
            name, text = str(entry["_id"]), entry["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{file}, line {number} is no object with _id and text ({error})"
            ) from None
        if name in found:
            raise DataError(f"{file}, line {number}: id {name!r} comes a second time; give new ids")
        parts = [entry.get("title") if titles else None, text]
        other = next((one for one in parts if not isinstance(one, str | None)), None)
        if other is not None:
            raise DataError(
                f"{file}, line {number}: title or text of {name!r} is a {type(other).__name__}, "
                "expected a text; write it as one"
            )
        found[name] = " ".join(part.strip() for part in parts if part).strip()
    if not found:
        raise DataError(f"{file} holds no line")
    return found


def _judgements(path: Path) -> dict[str, Grades]:
    """Grades by query and document, of every split that has a table."""
    found: dict[str, Grades] = {}
    for split, stems in SPLITS.items():
        places = [path / "qrels" / name for stem in stems for name in _names(f"{stem}.tsv")]
        file = next((place for place in places if place.is_file()), None)
        if file is not None:
            found[split] = _grades(file)
        elif split == "test":
            inside = sorted(one.name for one in (path / "qrels").glob("*"))
            raise DataError(
                f"{path} has no qrels/test.tsv, found {', '.join(inside) or 'nothing'} in qrels; "
                "give a table query-id, corpus-id, score"
            )
    return found


def _grades(file: Path) -> Grades:
    grades: Grades = {}
    for number, line in _lines(file):
        cells = line.split("\t")
        if number == 1 and len(cells) == 3 and not _is_grade(cells[2]):
            continue  # the heads
        if len(cells) != 3 or not _is_grade(cells[2]):
            raise DataError(
                f"{file}, line {number} is {line!r}, expected query-id, corpus-id and a whole "
                "number, with tabs between them"
            )
        judged = grades.setdefault(cells[0], {})
        if judged.setdefault(cells[1], int(cells[2])) != int(cells[2]):
            raise DataError(
                f"{file}, line {number} grades document {cells[1]!r} for query {cells[0]!r} once "
                "more, and otherwise; keep one line"
            )
    return grades


def _is_grade(cell: str) -> bool:
    return cell.strip().removeprefix("-").isdecimal()


def _check_named(
    grades: Grades, queries: Mapping[str, str], documents: Mapping[str, str], what: str
) -> None:
    """Every query and document that is judged is there and holds a text."""
    for query, judged in grades.items():
        if not queries.get(query):
            state = "has no text" if query in queries else f"is not in {QUERIES}"
            raise DataError(f"{what} names query {query!r}, which {state}; leave its lines out")
        for document in judged:
            if not documents.get(document):
                state = "has no text" if document in documents else f"is not in {CORPUS}"
                raise DataError(
                    f"{what} names document {document!r} for query {query!r}, which {state}; "
                    "correct the corpus, or leave the line out"
                )


def _answered(grades: Grades) -> Grades:
    return {
        query: judged
        for query, judged in grades.items()
        if any(grade > 0 for grade in judged.values())
    }


def _cut(train: Judged) -> tuple[Judged, Judged]:
    """Training queries, and those of them that are to be chosen on."""
    ids = list(train.queries)
    count = max(int(SHARE * len(ids)), min(LEAST, len(ids) // 2))
    chosen = set(sorted(ids, key=lambda one: keyed.key("validation", one))[:count])
    return (
        train.keep([one for one in ids if one not in chosen]),
        train.keep([one for one in ids if one in chosen]),
    )
