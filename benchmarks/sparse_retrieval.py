"""Search without a query model against `bm25s.retrieve`: one query at a time, text in, ten out.

Both sides cut the text into tokens, score the same corpus and take the ten best documents, in NumPy
without compiled kernels: bm25s by its own tokenizer and its default stop words, our side by a
word-piece tokenizer of the corpus and the inverted index with query weights multiplied in. The
documents have their own tokens and others, drawn as often as they occur, until so many dimensions
are active: what a student learns is denser than its text in this way. The figure is how many times
longer our side takes at 100 active dimensions; beside it stand other densities, the largest that
stays within the paper's 1.1, and BM25's weights in our index: bm25s selects slowly where most
documents score 0, which says nothing of what sparse vectors cost.

The corpus is vaswani where the data root has it, else docstrings of installed packages.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import bm25s
import numpy as np
import scipy.sparse
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from limbeck.data.names import ROOT, resolve
from limbeck.data.retrieval import RetrievalData
from limbeck.functional import bm25_idf
from limbeck.products.sparse_index import SparseIndex

TARGET, PAPER = 1.25, 1.1
ACTIVE, DENSITIES = 100, (50, 100, 200, 400, 800)
VOCABULARY, BEST, BLOCKS = 8000, 10, 9
Answer = Callable[[str], object]


def main() -> None:
    torch.set_num_threads(1)
    data = corpus()
    texts = [*data.train.queries.values(), *data.test.queries.values()][:200]
    tokenizer = word_pieces([*data.documents.values()])
    tokens = [one.ids for one in tokenizer.encode_batch([*data.documents.values()])]
    ranker, calls = bm25s.BM25(backend="numpy"), {}
    calls["bm25s"], calls["bm25 here"] = by_words(ranker, [*data.documents.values()])
    dimensions = {}
    for active in DENSITIES:
        documents = padded(tokens, active)
        dimensions[active] = documents.nnz / documents.shape[0]
        index = SparseIndex(documents, [*data.documents], weights=bm25_idf(tokens, VOCABULARY))
        calls[f"{active}"] = searched(tokenizer, index)
    medians = interleaved(calls, texts)
    theirs = medians["bm25s"]
    ratios = {active: round(medians[f"{active}"] / theirs, 3) for active in DENSITIES}
    names = {one: f"a query, {dimensions[one]:.1f} active dimensions" for one in DENSITIES}
    for active, ratio in ratios.items():
        print(f"{names[active]}: {ratio:.2f} times bm25s", file=sys.stderr)
    for name, value in medians.items():
        print(f"{name:10} {value:.3f} ms", file=sys.stderr)
    result = {
        "benchmark": "sparse_retrieval",
        "figure": ratios[ACTIVE],
        "baseline": 1.0,
        "target": TARGET,
        "held": ratios[ACTIVE] <= TARGET,
        "threads": 1,
        "corpus": f"{data.name}, {len(data.documents)} documents",
        "active_dimensions": round(dimensions[ACTIVE], 1),
        "milliseconds": {name: round(value, 4) for name, value in medians.items()},
        "to_bm25_here": round(medians[f"{ACTIVE}"] / medians["bm25 here"], 3),
        "against": "`bm25s.retrieve`",
        "aimed": [names[ACTIVE]],
        "ratios": {names[active]: ratio for active, ratio in ratios.items()},
        "said": within_the_papers({dimensions[one]: ratio for one, ratio in ratios.items()}, data),
    }
    print(json.dumps(result) if "--json" in sys.argv else result)


def within_the_papers(ratios: dict[float, float], data: RetrievalData) -> str:
    """What it takes to stay within the paper's ratio."""
    kept = [active for active, ratio in ratios.items() if ratio <= PAPER]
    most = f"up to {max(kept):.1f}" if kept else "at none of these"
    return (
        f"The paper's {PAPER:g} times BM25 are kept {most} active dimensions, of "
        f"{len(data.documents):,} documents of {data.name}."
    )


def corpus() -> RetrievalData:
    root = os.environ.get(ROOT)
    there = root is not None and (Path(root) / "vaswani").is_dir()
    return resolve("vaswani" if there else "docstrings")


def word_pieces(texts: list[str]) -> Tokenizer:
    """A tokenizer such as students have, made from the corpus."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=["[UNK]"], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def padded(tokens: list[list[int]], active: int) -> scipy.sparse.csr_matrix:
    """Documents of their own tokens and further ones, drawn by how often tokens occur."""
    draw = np.random.default_rng(0)
    counts = np.bincount(np.concatenate(tokens), minlength=VOCABULARY)
    shares = counts / counts.sum()
    rows = []
    for own in tokens:
        row = set(own)
        # Frequent tokens are drawn again and again: several rounds fill a document.
        for _ in range(4):
            row.update(draw.choice(VOCABULARY, max(0, active - len(row)), p=shares).tolist())
        rows.append(sorted(row))
    ends = np.cumsum([0, *map(len, rows)])
    weights = draw.random(ends[-1], dtype=np.float32) + 0.1
    return scipy.sparse.csr_matrix(
        (weights, np.concatenate(rows), ends), (len(rows), VOCABULARY), dtype=np.float32
    )


def by_words(ranker: bm25s.BM25, texts: list[str]) -> tuple[Answer, Answer]:
    """BM25 by its own search, and by our index over the same weights."""
    ranker.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)
    parts = tuple(ranker.scores[name] for name in ("data", "indices", "indptr"))
    # The last of its words is the empty one, which no document holds.
    columns = scipy.sparse.csc_matrix(parts, (len(texts), len(parts[2]) - 1))
    index = SparseIndex(columns, [f"{place}" for place in range(len(texts))])

    def theirs(text: str) -> object:
        words = bm25s.tokenize([text], show_progress=False)
        return ranker.retrieve(words, k=BEST, show_progress=False, backend_selection="numpy")

    def here(text: str) -> object:
        words = bm25s.tokenize([text], show_progress=False, return_ids=False)[0]
        known = [ranker.vocab_dict[word] for word in words if word in ranker.vocab_dict]
        return index.search([known], BEST)

    return theirs, here


def searched(tokenizer: Tokenizer, index: SparseIndex) -> Answer:
    def answer(text: str) -> object:
        return index.search([tokenizer.encode(text).ids], BEST)

    return answer


def interleaved(calls: dict[str, Answer], texts: list[str]) -> dict[str, float]:
    """Median milliseconds of a query by each side, the sides taking turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(BLOCKS):
        for name, answer in calls.items():
            each = []
            for text in texts:
                begun = time.perf_counter()
                answer(text)
                each.append((time.perf_counter() - begun) * 1e3)
            times[name].append(statistics.median(each))
    return {name: statistics.median(each) for name, each in times.items()}


if __name__ == "__main__":
    main()
