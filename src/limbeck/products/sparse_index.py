"""An inverted index in memory: which documents hold a token, and how much of it."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse
import torch

from limbeck import files
from limbeck.errors import ArgumentError, CorruptFileError, DataError

KIND = "sparse index"
Positions = npt.NDArray[np.intp]
Scores = npt.NDArray[np.float32]


class SparseIndex:
    """Documents as sparse vectors, searched exactly by dot product.

    It is held by token in compressed columns: four bytes for the document and four for its weight
    in every entry that is not 0, so that 100 active dimensions take 800 bytes a document, and eight
    bytes for each token of the vocabulary.

    Args:
        documents: weights of at least 0, sparse ``(D, V)``.
        ids: what to call the documents, D different ones.
        weights: of tokens on the side of queries, of at least 0, ``(V,)``. They are multiplied
            into the entries once, and a query is then no more than its tokens.
        maker: fingerprint of the retriever that made them, which alone can cut queries for them.

    Raises:
        ArgumentError: shapes do not fit, or a weight is negative or not finite.
        DataError: no document has an entry other than 0, or an id comes twice.

    Example:
        >>> documents = scipy.sparse.csr_array([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
        >>> index = SparseIndex(documents, ["a", "b"], weights=np.array([1.0, 1.0, 0.5]))
        >>> index.search([[2], [1, 2], [0, 0], []], k=2)
        [{'a': 1.0, 'b': 0.5}, {'b': 3.5, 'a': 1.0}, {'a': 1.0}, {}]
    """

    def __init__(
        self,
        documents: Any,
        ids: Sequence[str],
        *,
        weights: npt.ArrayLike | None = None,
        maker: str = "",
    ) -> None:
        rows, self.vocabulary = documents.shape
        self.maker = maker
        self.ids = tuple(ids)
        if len(self.ids) != rows:
            raise ArgumentError(f"documents has {rows} rows and ids {len(self.ids)}, expected both")
        if len(set(self.ids)) != rows:
            twice = next(one for place, one in enumerate(self.ids) if one in self.ids[:place])
            raise DataError(f"ids holds {twice!r} more than once; give every document its own")
        columns = scipy.sparse.csc_matrix(documents, dtype=np.float32, copy=True)
        columns.sum_duplicates()
        _check_weights(columns.data, "documents")
        self.weighted = weights is not None
        if weights is not None:
            columns = _weighted(columns, np.asarray(weights, dtype=np.float32))
        columns.eliminate_zeros()
        if columns.nnz == 0:
            raise DataError(
                f"the {rows} documents have no active dimension: no query finds any of them; train "
                "with a smaller weight of the penalty of density, or warm it up for longer"
            )
        self._starts = columns.indptr.astype(np.int64)
        self._documents = columns.indices.astype(np.int32)
        self._entries: Scores = columns.data

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def bytes(self) -> int:
        """What the index takes in memory, without the ids."""
        return self._starts.nbytes + self._documents.nbytes + self._entries.nbytes

    def search(self, queries: Any, k: int = 10) -> list[dict[str, float]]:
        """The best documents for each of several queries.

        Args:
            queries: lists of tokens, where it does not matter how often one comes; or, for an
                index without weights of its own, sparse vectors ``(Q, V)``.
            k: how many documents, at least 1.

        Returns:
            For each query the scores of documents by id, best first; of equals the earlier
            document. Documents that share no token with the query are not among them.

        Raises:
            ArgumentError: a query is no list of tokens, one of which lies outside the vocabulary,
                vectors have another width or a negative entry, or both sides have weights.
        """
        found = []
        for tokens, weights in self._parts(queries):
            places, scores = self.top(tokens, k, weights=weights)
            pairs = zip(places.tolist(), scores.tolist(), strict=True)
            found.append({self.ids[place]: score for place, score in pairs})
        return found

    def top(
        self, tokens: Iterable[int], k: int = 10, *, weights: Scores | None = None
    ) -> tuple[Positions, Scores]:
        """Positions and scores of the best documents for one query, as `search` has them.

        Args:
            tokens: of the query.
            k: how many documents, at least 1.
            weights: one a token, each of which then comes once; None counts every token once.

        Returns:
            Two arrays, at most k long.

        Raises:
            ArgumentError: as `search`.
        """
        if not isinstance(k, Integral) or k < 1:
            raise ArgumentError(f"k is {k!r}, expected a whole number of at least 1")
        scores = np.zeros(len(self.ids), dtype=np.float32)
        for place, token in enumerate(_different(tokens)):
            if not 0 <= token < self.vocabulary:
                raise ArgumentError(
                    f"queries holds token {token}, expected 0 to {self.vocabulary - 1}; take the "
                    "tokenizer that the documents were encoded with"
                )
            posting = slice(self._starts[token], self._starts[token + 1])
            entries = self._entries[posting]
            if weights is not None:
                entries = entries * weights[place]
            # Faster than adding at an index, though no document comes twice in a posting list.
            np.add.at(scores, self._documents[posting], entries)
        return _best(scores, k)

    def save(self, path: str | Path) -> None:
        """Write the index to one safetensors file, checked when it is read."""
        names = np.frombuffer(json.dumps(self.ids).encode(), dtype=np.uint8)
        tensors = {
            "starts": self._starts,
            "documents": self._documents,
            "entries": self._entries,
            "ids": names.copy(),
        }
        facts = {"kind": KIND, "weighted": str(int(self.weighted)), "maker": self.maker}
        files.save_tensors(
            Path(path), {name: torch.from_numpy(one) for name, one in tensors.items()}, facts
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            CorruptFileError: the file is damaged, or is no index.
            RunError: there is no such file.
        """
        tensors, facts = files.load_tensors(Path(path))
        if facts.get("kind") != KIND:
            raise CorruptFileError(f"{path} holds no {KIND}")
        index = cls.__new__(cls)
        index.ids = tuple(json.loads(tensors["ids"].numpy().tobytes()))
        index.weighted, index.maker = facts["weighted"] == "1", facts.get("maker", "")
        index._starts, index._documents, index._entries = (
            tensors[name].numpy() for name in ("starts", "documents", "entries")
        )
        index.vocabulary = len(index._starts) - 1
        return index

    def _parts(self, queries: Any) -> Iterator[tuple[Iterable[int], Scores | None]]:
        """Tokens and weights of each query."""
        if not scipy.sparse.issparse(queries):
            yield from ((tokens, None) for tokens in queries)
            return
        if self.weighted:
            raise ArgumentError(
                "queries are vectors, and the index has weights of tokens in it; give lists of "
                "tokens, or make the index without weights"
            )
        if queries.shape[1] != self.vocabulary:
            raise ArgumentError(
                f"queries has shape {queries.shape}, expected (Q, {self.vocabulary})"
            )
        rows = scipy.sparse.csr_matrix(queries, dtype=np.float32, copy=True)
        rows.sum_duplicates()
        _check_weights(rows.data, "queries")
        rows.eliminate_zeros()
        for start, end in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
            yield rows.indices[start:end].tolist(), rows.data[start:end]


def _different(tokens: Iterable[int]) -> dict[int, None]:
    """Tokens once each, in their order."""
    try:
        return dict.fromkeys(map(operator.index, tokens))
    except TypeError:
        raise ArgumentError(
            f"queries holds {tokens!r}, expected a list of whole numbers of tokens for each query; "
            "texts are what a SparseRetriever searches for"
        ) from None


def _best(scores: Scores, k: int) -> tuple[Positions, Scores]:
    """The k largest scores above 0, of equals the earlier."""
    places = np.flatnonzero(scores)
    found = scores[places]
    if k < len(found):
        # Of those above 0 only: selection takes many times longer where most values are equal.
        kept = found >= np.partition(found, -k)[-k]
        places, found = places[kept], found[kept]
    order = np.argsort(-found, kind="stable")[:k]
    return places[order], found[order]


def _weighted(columns: Any, weights: Scores) -> Any:
    if weights.shape != (columns.shape[1],):
        raise ArgumentError(
            f"weights has shape {weights.shape} and documents {columns.shape}, expected weights "
            f"({columns.shape[1]},)"
        )
    _check_weights(weights, "weights")
    columns.data *= np.repeat(weights, np.diff(columns.indptr))
    return columns


def _check_weights(values: Scores, name: str) -> None:
    if len(values) and not (values.min() >= 0 and np.isfinite(values.max())):
        raise ArgumentError(
            f"{name} holds values from {values.min():.4g} to {values.max():.4g}, expected finite "
            "ones of at least 0"
        )
