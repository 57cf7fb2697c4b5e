"""Documents of your own become a search index whose queries need no model.

Run it: python examples/sparse_retriever.py
"""

import json
import tempfile
from pathlib import Path

import limbeck
from limbeck.data.names import resolve

# Your data: a folder in BEIR's layout (beir:FOLDER), or as here docstrings of an installed package.
data = resolve("docstrings?packages=numpy&samples=200")


def shared_words(queries: list[str], documents: list[str]) -> list[float]:
    """A teacher of your own: any function that scores pairs, such as a service you call."""
    pairs = zip(queries, documents, strict=True)
    return [len({*one.lower().split()} & {*other.lower().split()}) for one, other in pairs]


# Functions and cross-encoders score what the other teachers find: no scores across the batch.
method = limbeck.SparseRetriever(
    in_batch=False,
    documents_per_query=4,
    mined=20,
    steps=40,
    batch_size=8,
    sparsity_warmup=10,
    optim={"lr": 1e-3},
)
retriever = method.distill(
    tempfile.mkdtemp(),
    data=data,
    teacher=["bm25", shared_words],
    student="bert?layers=1&width=64&vocabulary=1500&length=48",
)
print(retriever.summary())

retriever.index(data.documents)
for query in list(data.test.queries.values())[:3]:
    (found,) = retriever.search(query, k=1)
    print(f"{query[:48]:48} -> {next(iter(found.items()), None)}")

row = retriever.measure(data)
quality, cost = row["quality"], row["cost"]
print(
    f"nDCG@10 {quality['ndcg_at_10']:.3f}, {cost['document_dimensions']:.0f} tokens a document, "
    f"{cost['index_bytes'] / 1e3:.0f} KB of index, {cost['latency_ms']:.2f} ms a query"
)

# What OpenSearch, Elasticsearch and others load: docs/retrieval.md tells how.
folder = Path(tempfile.mkdtemp()) / "export"
retriever.export(folder, to="opensearch", data=data)
first = json.loads((folder / "documents.jsonl").open().readline())
print(first["id"], dict(list(first["tokens"].items())[:4]))
