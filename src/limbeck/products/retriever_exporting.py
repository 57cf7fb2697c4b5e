"""Exporting a retriever: for sentence-transformers, for search engines, as arrays, as a graph."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

import limbeck
from limbeck import files
from limbeck.data.names import resolve
from limbeck.data.retrieval import RetrievalData
from limbeck.errors import ArgumentError
from limbeck.networks.making import library
from limbeck.products.export_folder import check_known, check_place, write_export
from limbeck.products.graphs import ONNX_LIBRARIES, Graph, compare, write_onnx
from limbeck.products.sparse_retriever import SparseRetriever

SIDECAR = "retriever.json"
DIGITS = 5

HOW_TO_LOAD = """# Documents as weighted tokens

`documents.jsonl` holds a document in every line: its `id`, its `text`, and under `tokens` the
weight of each token. `idf.json` holds the weight of each query token. The score of a document is
the sum, over the tokens of the query, of both weights multiplied.

## OpenSearch and Elasticsearch

Make an index with the mapping of `mapping.json`: `tokens` is a field of the type `rank_features`.

```console
curl -X PUT localhost:9200/documents -H 'Content-Type: application/json' -d @mapping.json
jq -c '{index: {_id: .id}}, {text: .text, tokens: .tokens}' documents.jsonl > bulk.jsonl
curl -X POST localhost:9200/documents/_bulk -H 'Content-Type: application/x-ndjson' \\
  --data-binary @bulk.jsonl
```

A query is cut into tokens by `tokenizer.json` (the library `tokenizers`, without special tokens).
OpenSearch takes them with their weights:

```json
{"query": {"neural_sparse": {"tokens": {"query_tokens": {"array": 4.2, "sort": 5.1}}}}}
```

Elasticsearch takes one clause a token, boosted by its weight:

```json
{"query": {"bool": {"should": [
  {"rank_feature": {"field": "tokens", "linear": {}, "boost": 4.2}}]}}}
```

with `"field": "tokens.array"` for the token `array`. A full stop in a token is written as
`U+002E` in documents and queries alike: a field's name cannot hold one. Rank features are kept to
about three digits.
"""


def export(
    retriever: SparseRetriever,
    dir: str | Path,
    *,
    to: str,
    data: str | RetrievalData | None = None,
    device: Any = None,
) -> dict[str, Any]:
    """Write a retriever as `SparseRetriever.export` describes it.

    Raises:
        ArgumentError: the format is unknown, or its corpus is missing.
        DataError: there is no such corpus.
        ModelError: a library is missing, or the format cannot say what the retriever does.
        RunError: the folder holds something else or cannot be written.
    """
    check_known(to, {**ALONE, **OF_A_CORPUS}, "retriever")
    if to in OF_A_CORPUS and data is None:
        raise ArgumentError(
            f"{to} holds the documents of a corpus and none came; give data=DATA, on the command "
            "line --data NAME"
        )
    corpus = None
    if data is not None and to in OF_A_CORPUS:
        corpus = resolve(data)
        retriever.see(corpus)
    facts: dict[str, Any] = {
        "limbeck": limbeck.__version__,
        "format": to,
        "fingerprint": retriever.fingerprint,
        "pooling": retriever.pooling,
        "vocabulary": len(retriever.weights),
    }
    if corpus is not None:
        facts |= {"data": corpus.name, "documents": len(corpus.documents)}
    check_place(Path(dir), facts, SIDECAR, "retriever")

    def write(part: Path) -> None:
        if corpus is None:
            ALONE[to](retriever, part, facts)
            return
        vectors = retriever.searchable(list(corpus.documents.values()), device=device)
        OF_A_CORPUS[to](retriever, part, corpus, vectors)

    told = write_export(dir, facts, SIDECAR, write)
    return told | {name: facts[name] for name in ("largest_difference",) if name in facts}


def _sentence_transformers(retriever: SparseRetriever, part: Path, facts: dict[str, Any]) -> None:
    from limbeck.bridges.sentence_transformers.encoders import write_encoder

    write_encoder(retriever.encoder, part)


def _opensearch(
    retriever: SparseRetriever, part: Path, data: RetrievalData, vectors: sparse.csr_matrix
) -> None:
    # Search engines read a full stop in a name as the way to a field of a field.
    names = [name.replace(".", "U+002E") for name in token_names(retriever)]
    lines = (json.dumps(line, ensure_ascii=False) for line in _lines(data, vectors, names))
    files.write_text(part / "documents.jsonl", "".join(f"{line}\n" for line in lines))
    _write_table(retriever, part, names)
    mapping = {
        "mappings": {"properties": {"text": {"type": "text"}, "tokens": {"type": "rank_features"}}}
    }
    files.write_text(part / "mapping.json", json.dumps(mapping, indent=1) + "\n")
    files.write_text(part / "README.md", HOW_TO_LOAD)


def _csr(
    retriever: SparseRetriever, part: Path, data: RetrievalData, vectors: sparse.csr_matrix
) -> None:
    sparse.save_npz(part / "documents.npz", vectors)
    files.write_text(part / "ids.json", json.dumps(list(data.documents)) + "\n")
    _write_table(retriever, part, token_names(retriever))


def _onnx(retriever: SparseRetriever, part: Path, facts: dict[str, Any]) -> None:
    for name in ONNX_LIBRARIES:
        library(name, "export")
    facts["outputs"] = [{"name": "vectors"}]
    made = _graph(retriever)
    compare(made, write_onnx(made, part / "documents.onnx", facts), "retrieval", facts)
    _write_table(retriever, part, token_names(retriever))


ALONE: dict[str, Callable[[SparseRetriever, Path, dict[str, Any]], None]] = {
    "sentence-transformers": _sentence_transformers,
    "onnx": _onnx,
}
# Formats that hold vectors of a corpus.
OF_A_CORPUS: dict[str, Callable[[SparseRetriever, Path, RetrievalData, Any], None]] = {
    "opensearch": _opensearch,
    "csr": _csr,
}


class DocumentNetwork(nn.Module):
    """Network and pooling of documents as one module of plain tensors.

    Args:
        encoder: as `limbeck.bridges.sentence_transformers.encoders.assembled` makes it.
    """

    def __init__(self, network: nn.Module, pooling: nn.Module) -> None:
        super().__init__()
        self.network, self.pooling = network, pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return vectors ``(N, V)`` of tokens ``(N, T)``."""
        logits = self.network(input_ids=input_ids, attention_mask=attention_mask).logits
        features = {"token_embeddings": logits, "attention_mask": attention_mask}
        vectors: Tensor = self.pooling(features)["sentence_embedding"]
        return vectors


def _graph(retriever: SparseRetriever) -> Graph:
    import copy

    from limbeck.bridges.sentence_transformers.encoders import documents_of

    body, pooling = documents_of(copy.deepcopy(retriever.encoder).cpu().eval())
    tokenizer = body.tokenizer
    axes = {0: "batch", 1: "tokens"}
    words = [one for one in sorted(tokenizer.get_vocab()) if re.fullmatch(r"[a-z]+", one)] or ["a"]

    def sample(count: int) -> tuple[tuple[Tensor, ...], Tensor]:
        texts = [" ".join(words[row : row + 4 + row]) for row in range(count)]
        tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        found = retriever.documents(texts).toarray()
        return (tokens.input_ids, tokens.attention_mask), torch.from_numpy(found)

    return Graph(
        DocumentNetwork(body.model, pooling),
        {"input_ids": axes, "attention_mask": axes},
        {"tokens": tokenizer.model_max_length},
        sample,
        what="retriever",
        says="vectors",
    )


def token_names(retriever: SparseRetriever) -> list[str]:
    """What each dimension of a vector is called: its token, and a number where there is none."""
    names = retriever.tokenizer.convert_ids_to_tokens(range(len(retriever.tokenizer)))
    return [
        *names,
        *(f"dimension-{place}" for place in range(len(names), len(retriever.weights))),
    ]


def _write_table(retriever: SparseRetriever, part: Path, names: list[str]) -> None:
    weights = retriever.weights.tolist()
    table = {name: round(one, 6) for name, one in zip(names, weights, strict=True) if one > 0}
    files.write_text(part / "idf.json", json.dumps(table, ensure_ascii=False, indent=0) + "\n")
    tokens = retriever.tokenizer.backend_tokenizer
    own = type(tokens).from_str(tokens.to_str())
    own.no_padding()
    own.enable_truncation(retriever.tokenizer.model_max_length)
    files.write_text(part / "tokenizer.json", own.to_str(pretty=True) + "\n")


def _lines(
    data: RetrievalData, vectors: sparse.csr_matrix, names: list[str]
) -> Iterator[dict[str, Any]]:
    for row, (one, text) in enumerate(data.documents.items()):
        held = slice(vectors.indptr[row], vectors.indptr[row + 1])
        order = np.argsort(-vectors.data[held], kind="stable")
        pairs = zip(vectors.indices[held][order], vectors.data[held][order], strict=True)
        rounded = ((names[place], round(float(weight), DIGITS)) for place, weight in pairs)
        # Search engines refuse a document with a weight of 0.
        tokens = {name: weight for name, weight in rounded if weight > 0}
        yield {"id": one, "text": text, "tokens": tokens}
