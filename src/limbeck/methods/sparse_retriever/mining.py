"""Mining: documents that seem to answer a query, as teachers rank them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from limbeck.errors import ArgumentError
from limbeck.loops.retrieved import Council, ranked

Numbers = npt.NDArray[Any]


def mined(
    council: Council,
    teachers: Sequence[Any],
    queries: Sequence[str],
    documents: int,
    right: Sequence[Sequence[int]],
    depth: int,
) -> tuple[Numbers, Numbers]:
    """Documents that seem to answer each query and do not, best first.

    Args:
        council: of bi-encoders.
        teachers: the same ones. Where all of them are scores that came as data, lists end where
            the scores do: the rest of the corpus was ranked by nobody.
        queries: Q of them.
        documents: N, of the corpus.
        right: row numbers of the documents that do answer, for each query.
        depth: m, how many documents at most.

    Returns:
        Row numbers ``(Q, m)``, shorter lists beginning anew, and how long each list is ``(Q,)``.
    """
    if any(one.any_query for one in teachers):
        most = max(len(one) for one in right)
        found, _ = ranked(council, len(queries), documents, depth + most)
        return _without(found, right, depth)
    scored = [_told(council, teachers, row, text) for row, text in enumerate(queries)]
    return _without(scored, right, depth)


def _told(council: Council, teachers: Sequence[Any], row: int, text: str) -> Numbers:
    """Documents that a query has scores for, best first."""
    rows: Numbers = np.unique(np.concatenate([one.scored(text) for one in teachers]))
    if not len(rows):
        return rows
    said = council(torch.tensor([row]), torch.from_numpy(rows)[None])[0].numpy()
    return rows[np.argsort(-said, kind="stable")]


def check_lengths(
    lengths: Numbers, answered: Sequence[int], names: Sequence[str], size: int, name: str
) -> None:
    """Raise `ArgumentError` where a query has fewer mined documents than a step takes.

    Args:
        lengths: of the lists of all queries ``(Q,)``.
        answered: rows of the queries that are learned from.
        names: ids of all queries.
        size: n; n - 1 are mined.
        name: of the data.
    """
    row = min(answered, key=lambda one: lengths[one])
    found = int(lengths[row])
    if found < size - 1:
        raise ArgumentError(
            f"documents_per_query is {size}, and query {names[row]!r} of {name} has {found} "
            "documents that were ranked for it beside those that answer it; set "
            f"documents_per_query to {found + 1} or less, or give a teacher that ranks more"
        )


def candidates(wrong: Numbers, right: Sequence[Sequence[int]]) -> Numbers:
    """Candidates ``(Q, m + r)``: what seems to answer, then what does, the last repeated."""
    most = max(len(one) for one in right)
    found = np.empty((len(right), wrong.shape[1] + most), dtype=wrong.dtype)
    for row, (tempting, answers) in enumerate(zip(wrong, right, strict=True)):
        # A query that nothing answers is never asked; its row is filled all the same.
        known = [*tempting, *(answers or tempting[:1])] or [0]
        found[row] = [*known, *known[-1:] * (found.shape[1] - len(known))]
    return found


def _without(
    found: Sequence[Numbers] | Numbers, right: Sequence[Sequence[int]], depth: int
) -> tuple[Numbers, Numbers]:
    """Ranked lists without the documents that do answer, and their lengths."""
    kept = [row[~np.isin(row, answers)][:depth] for row, answers in zip(found, right, strict=True)]
    lengths = np.array([len(row) for row in kept])
    longest = lengths.max()
    # An empty list is of a query that is not asked; its row is filled all the same.
    filled = [np.resize(row if len(row) else np.zeros(1, np.int64), longest) for row in kept]
    return np.stack(filled), lengths
