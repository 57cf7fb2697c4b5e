"""A training step of the sparse retriever and encoding of documents beside sentence-transformers.

Both sides have the same network, weights, tokens and optimiser. Theirs is `SpladePooling`,
`SpladeLoss` with `SparseDistillKLDivLoss`, and `encode_document`; ours is `SparseDistillation`,
which also penalises by slot and scores whole batches, and `document_vectors`. The figure is our
time over theirs, the larger of both. One thread; medians of interleaved runs.

Run it: python benchmarks/sparse_encoding.py [--json]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sentence_transformers.sparse_encoder import losses
from torch import Tensor

from limbeck.bridges.sentence_transformers.encoders import (
    assembled,
    document_vectors,
    read_encoder,
    write_encoder,
)
from limbeck.bridges.sentence_transformers.losses import SparseDistillation
from limbeck.bridges.sentence_transformers.pooling import VocabularyPooling
from limbeck.data.names import resolve
from limbeck.loops.text_encoders import fresh_encoder, query_weights
from limbeck.run import Run

TARGET, BLOCKS = 1.1, 9
DATA, STUDENT = "docstrings", "bert?layers=2&width=128&vocabulary=8000&length=64"
QUERIES, SLOTS, ENCODED, BATCH = 12, 2, 256, 32
Call = Callable[[], object]


def main() -> None:
    torch.set_num_threads(1)
    data = resolve(DATA)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = encoders(Path(folder), data)
    texts = list(data.documents.values())[:ENCODED]
    ratios = {
        "training step": ratio(step_of_ours(ours, data), step_of_theirs(theirs, data)),
        "encoding documents": ratio(
            lambda: document_vectors(ours, texts, BATCH),
            lambda: theirs.encode_document(texts, batch_size=BATCH, show_progress_bar=False),
        ),
    }
    for name, value in ratios.items():
        print(f"{name}: {value:.3f} of sentence-transformers' time", file=sys.stderr)
    figure = max(ratios.values())
    row = {
        "benchmark": "sparse_encoding",
        "figure": round(figure, 3),
        "baseline": 1.0,
        "target": TARGET,
        "held": figure <= TARGET,
        "threads": 1,
        "against": "sentence-transformers",
        "aimed": list(ratios),
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
    }
    if "--json" in sys.argv:
        print(json.dumps(row))


def encoders(folder: Path, data: Any) -> tuple[Any, Any]:
    """The same encoder as ours and as sentence-transformers reads it."""
    run = Run(folder / "run")
    network = fresh_encoder(run, "student", STUDENT, data)
    weights = query_weights(run, network, data)
    ours = assembled(network, weights, VocabularyPooling(width=len(weights)))
    write_encoder(ours, folder / "written")
    return ours, read_encoder(folder / "written")


def batch(encoder: Any, data: Any) -> list[dict[str, Tensor]]:
    """Tokens of queries and of two columns of documents."""
    texts = list(data.documents.values())
    columns = [
        list(data.train.queries.values())[:QUERIES],
        *(texts[slot * QUERIES : (slot + 1) * QUERIES] for slot in range(SLOTS)),
    ]
    tasks = ["query", *["document"] * SLOTS]
    return [
        {**encoder.preprocess(column, task=task), "task": task}
        for column, task in zip(columns, tasks, strict=True)
    ]


def teacher(queries: Tensor, documents: Tensor) -> Tensor:
    """Scores that cost nothing."""
    width = documents.shape[-1] if documents.ndim == 2 else len(documents)
    return torch.rand(len(queries), width)


def step_of_ours(encoder: Any, data: Any) -> Call:
    """Forward, backward and update, with every document of the batch a candidate."""
    labels = torch.arange(QUERIES * (1 + SLOTS)).reshape(QUERIES, -1)
    loss = SparseDistillation(encoder, teacher, step=1000)
    return updated(encoder, loss, batch(encoder, data), labels)


def step_of_theirs(encoder: Any, data: Any) -> Call:
    """Forward, backward and update, with a query's own documents as candidates."""
    loss = losses.SpladeLoss(
        encoder,
        losses.SparseDistillKLDivLoss(encoder),
        document_regularizer_weight=0.004,
    )
    return updated(encoder, loss, batch(encoder, data), torch.rand(QUERIES, SLOTS))


def updated(encoder: Any, loss: Any, features: list[dict[str, Tensor]], labels: Tensor) -> Call:
    """A step of a loss in sentence-transformers' protocol."""
    encoder.train()
    learning = [one for one in encoder.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=1e-5)

    def step() -> None:
        optimiser.zero_grad()
        sum(loss([dict(one) for one in features], labels).values()).backward()
        optimiser.step()

    return step


def ratio(ours: Call, theirs: Call) -> float:
    """Median time of ours over that of theirs, in turns."""
    times: dict[Call, list[float]] = {ours: [], theirs: []}
    for block in range(BLOCKS + 1):
        for call, seen in times.items():
            begun = time.perf_counter()
            call()
            if block:
                seen.append(time.perf_counter() - begun)
    return statistics.median(times[ours]) / statistics.median(times[theirs])


if __name__ == "__main__":
    main()
