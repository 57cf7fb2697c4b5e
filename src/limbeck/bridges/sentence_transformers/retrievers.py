"""Retrievers: what scores documents for queries, frozen, each with a tokenizer of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from limbeck.errors import ArgumentError, DataError, ModelError
from limbeck.fingerprint import fingerprint, fingerprint_of_object
from limbeck.networks.making import library

EXTRA = "text"
# Dense ``(N, D)``, or CSR.
Vectors = Any
BATCH = 64


class Teacher:
    """What every teacher of retrieval has, beside vectors of both sides or scores of pairs.

    It is asked about any text, or, with `any_query` false, about queries alone whose scores it has.
    """

    name: str
    fingerprint: str
    any_query = True

    def knows(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Whether it has something to say of each of these queries ``(N,)``."""
        return np.ones(len(texts), dtype=bool)


class DenseEncoder(Teacher):
    """A bi-encoder of sentence-transformers; with a cosine as its similarity, vectors of length 1.

    Args:
        model: a `SentenceTransformer`.
        name: what to call it.
    """

    def __init__(self, model: Any, name: str) -> None:
        self.model = model.eval().requires_grad_(False)
        self.name, self.fingerprint = name, _content(model)
        similarity = model.similarity_fn_name or "cosine"
        if similarity not in ("cosine", "dot"):
            raise ModelError(
                f"{name} compares vectors by {similarity}, expected cosine or dot: scores of a "
                "teacher are dot products"
            )
        self._unit = similarity == "cosine"

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries ``(N, D)``."""
        return self._encode(self.model.encode_query, texts)

    def documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents ``(N, D)``."""
        return self._encode(self.model.encode_document, texts)

    def _encode(self, encode: Callable[..., Any], texts: Sequence[str]) -> Vectors:
        made = encode(
            list(texts), batch_size=BATCH, normalize_embeddings=self._unit, show_progress_bar=False
        )
        return np.asarray(made, dtype=np.float32)


class SparseTeacher(Teacher):
    """A sparse encoder of sentence-transformers, with or without a network for queries.

    Args:
        model: a `SparseEncoder`.
        name: what to call it.
    """

    def __init__(self, model: Any, name: str) -> None:
        self.model = model.eval().requires_grad_(False)
        self.name, self.fingerprint = name, _content(model)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries ``(N, V)``."""
        return self._encode(self.model.encode_query, texts)

    def documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents ``(N, V)``."""
        return self._encode(self.model.encode_document, texts)

    def _encode(self, encode: Callable[..., Any], texts: Sequence[str]) -> Vectors:
        made = encode(
            list(texts), batch_size=BATCH, save_to_cpu=True, show_progress_bar=False
        ).coalesce()
        places, values = made.indices().numpy(), made.values().float().numpy()
        return sparse.csr_matrix((values, tuple(places)), shape=tuple(made.shape))


class CrossTeacher(Teacher):
    """A cross-encoder of sentence-transformers.

    Args:
        model: a `CrossEncoder` with one output.
        name: what to call it.
    """

    def __init__(self, model: Any, name: str) -> None:
        self.model = model
        model.eval().requires_grad_(False)
        self.name, self.fingerprint = name, _content(model)
        if model.num_labels != 1:
            raise ModelError(f"{name} has {model.num_labels} outputs, expected one: a score")

    def pairs(self, queries: Sequence[str], documents: Sequence[str]) -> npt.NDArray[np.float32]:
        """Logits ``(N,)``: a sigmoid would squash the differences that are learned from."""
        from torch import nn

        made = self.model.predict(
            list(zip(queries, documents, strict=True)),
            batch_size=BATCH,
            activation_fn=nn.Identity(),
            show_progress_bar=False,
        )
        return np.asarray(made, dtype=np.float32)


class LexicalTeacher(Teacher):
    """BM25 by bm25s: the weights of its index are the vectors of documents.

    Args:
        corpus: the documents it is made of.
        name: what to call it.
        stopwords: language whose stop words are left out, or None.
        k1: how fast a word that is repeated stops counting.
        b: how much long documents are held back.

    Raises:
        DataError: the corpus holds no word.
    """

    def __init__(
        self,
        corpus: Sequence[str],
        name: str = "bm25",
        *,
        stopwords: str | None = "en",
        k1: float = 1.5,
        b: float = 0.75,
    ) -> None:
        self.name = name
        self._bm25s = library("bm25s", EXTRA)
        self._stopwords = stopwords
        index = self._bm25s.BM25(method="lucene", k1=k1, b=b)
        found = self._words(corpus)
        if not any(found):
            raise DataError(
                f"{name} finds no word in the {len(corpus)} documents, of two letters at least and "
                "no stop word; give another teacher"
            )
        index.index(found, show_progress=False)
        self._index = index
        # bm25s numbers words in an order that differs from process to process, and what one keeps
        # another reads.
        held, count = index.scores, len(corpus)
        width = len(held["indptr"]) - 1
        # The last of them is the empty word, which no document holds.
        words = sorted(word for word, place in index.vocab_dict.items() if place < width)
        self._places = {word: place for place, word in enumerate(words)}
        by_word = sparse.csc_matrix(
            (held["data"], held["indices"], held["indptr"]),
            shape=(count, width),
            dtype=np.float32,
        )
        self._corpus = list(corpus)
        self._vectors = sparse.csr_matrix(by_word[:, [index.vocab_dict[word] for word in words]])
        self._width = self._vectors.shape[1]
        self.fingerprint = fingerprint("bm25", list(corpus), stopwords, k1, b)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """How often each word occurs in the queries ``(N, W)``."""
        rows, columns = [], []
        for row, words in enumerate(self._words(texts)):
            known = [self._places[word] for word in words if word in self._places]
            rows += [row] * len(known)
            columns += known
        ones = np.ones(len(rows), np.float32)
        return sparse.csr_matrix((ones, (rows, columns)), shape=(len(texts), self._width))

    def documents(self, texts: Sequence[str]) -> Vectors:
        """Weights of words in the documents of the corpus ``(N, W)``.

        Raises:
            ArgumentError: they are other documents, of which the index holds no weights.
        """
        if list(texts) != self._corpus:
            raise ArgumentError(
                "BM25 weighs documents of the corpus that it was made of, and was asked about "
                "others; make it of these documents"
            )
        return self._vectors

    def search(self, text: str, k: int) -> None:
        """Find the best documents of the corpus as bm25s does, for whoever takes the time."""
        words = self._bm25s.tokenize([text], stopwords=self._stopwords, show_progress=False)
        k = min(k, len(self._corpus))
        self._index.retrieve(words, k=k, show_progress=False, backend_selection="numpy")

    def _words(self, texts: Sequence[str]) -> list[list[str]]:
        found: list[list[str]] = self._bm25s.tokenize(
            list(texts), stopwords=self._stopwords, return_ids=False, show_progress=False
        )
        return found


class CalledTeacher(Teacher):
    """A plain function as a teacher.

    Args:
        function: from N queries and N documents to scores ``(N,)``.
        name: what to call it.
    """

    def __init__(self, function: Callable[[list[str], list[str]], Any], name: str) -> None:
        self.function, self.name = function, name
        self.fingerprint = fingerprint_of_object(function)

    def pairs(self, queries: Sequence[str], documents: Sequence[str]) -> npt.NDArray[np.float32]:
        """What the function says ``(N,)``."""
        given = self.function(list(queries), list(documents))
        try:
            said = np.asarray(given, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ArgumentError(
                f"{self.name} gave scores that are no numbers ({error}), expected one a pair"
            ) from None
        if said.shape != (len(queries),):
            raise ArgumentError(
                f"{self.name} gave scores of shape {said.shape} for {len(queries)} pairs, expected "
                f"({len(queries)},)"
            )
        return said


class GivenVectors(Teacher):
    """What somebody else made, or a product of this library, with vectors of both sides.

    Args:
        given: has ``queries`` and ``documents``, as `DenseEncoder` has them.
        name: what to call it.
    """

    def __init__(self, given: Any, name: str) -> None:
        self.given, self.name, self.fingerprint = given, name, fingerprint_of_object(given)
        # Whose parameters are counted.
        self.model = getattr(given, "encoder", None)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries ``(N, D)``, dense or CSR."""
        return self.given.queries(texts)

    def documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents ``(N, D)``, dense or CSR."""
        return self.given.documents(texts)


class GivenPairs(Teacher):
    """What somebody else made, which reads query and document together.

    Args:
        given: has ``pairs``, as `CrossTeacher` has it.
        name: what to call it.
    """

    def __init__(self, given: Any, name: str) -> None:
        self.given, self.name, self.fingerprint = given, name, fingerprint_of_object(given)

    def pairs(self, queries: Sequence[str], documents: Sequence[str]) -> npt.NDArray[np.float32]:
        """Scores ``(N,)``."""
        said: npt.NDArray[np.float32] = self.given.pairs(queries, documents)
        return said


def retriever(model: Any, name: str) -> Any:
    """The teacher that a model, or a plain function, is; the model itself stays as it was named.

    Args:
        model: a `SentenceTransformer`, `SparseEncoder` or `CrossEncoder`, or a
            `limbeck.products.SparseRetriever`; what has ``queries`` and ``documents``, or
            ``pairs``; a function of queries and documents.
        name: what to call it.

    Raises:
        ArgumentError: it is none of these, or what it holds cannot be told from something else.
    """
    from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder

    if isinstance(model, Teacher):
        made = copy.copy(model)
        made.name = name
        return made
    if _can(model, "queries", "documents"):
        return GivenVectors(model, name)
    if _can(model, "pairs"):
        return GivenPairs(model, name)
    if isinstance(model, SparseEncoder):
        return SparseTeacher(model, name)
    if isinstance(model, SentenceTransformer):
        return DenseEncoder(model, name)
    if isinstance(model, CrossEncoder):
        return CrossTeacher(model, name)
    if callable(model):
        return CalledTeacher(model, name)
    raise ArgumentError(
        f"{name} is of the type {type(model).__name__}, expected a name, a SentenceTransformer, "
        "SparseEncoder or CrossEncoder, an object with queries and documents, or a function of "
        "queries and documents"
    )


def _can(model: Any, *names: str) -> bool:
    return all(callable(getattr(model, name, None)) for name in names)


def _content(model: Any) -> str:
    """Fingerprint of a model of sentence-transformers, with what it does before its network."""
    told = ("prompts", "default_prompt_name", "max_seq_length", "similarity_fn_name")
    return fingerprint(model, [getattr(model, name, None) for name in told])
