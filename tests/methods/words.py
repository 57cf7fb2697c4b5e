"""A corpus of sixty-four sentences, a retriever that learns from it in a moment, and its inputs."""

from limbeck.data.retrieval import Judged, RetrievalData
from limbeck.methods.sparse_retriever.sparse_retriever import SparseRetriever

NOUNS = ("array", "matrix", "file", "plot", "axis", "row", "column", "label")
VERBS = ("sort", "solve", "read", "draw", "sum", "join", "split", "count")


def corpus(train=24):
    documents = {
        f"d{place}": f"{VERBS[place % 8]} every {NOUNS[place // 8]} of the given input by number"
        for place in range(64)
    }
    asked = {f"q{place}": f"{VERBS[place % 8]} {NOUNS[place // 8]}" for place in range(64)}
    right = {f"q{place}": {f"d{place}": 1} for place in range(64)}
    names = list(asked)

    def judged(part):
        return Judged({one: asked[one] for one in part}, {one: right[one] for one in part})

    return RetrievalData(
        documents, judged(names[:train]), judged(names[40:44]), judged(names[44:]), name="words"
    )


def tiny(**settings):
    given = {
        "steps": 8, "batch_size": 4, "mined": 6, "sparsity_warmup": 4, "optim": {"lr": 1e-3},
        "teaching": {"steps": 8, "batch_size": 4},
    }  # fmt: skip
    return SparseRetriever(**{**given, **settings})


STUDENT = "bert?layers=1&width=16&vocabulary=150&length=16"
DENSE = "dense?layers=1&width=16&vocabulary=150&length=16"
RAW = {"in_batch": False, "normalise": "none"}
INPUTS = {"student": STUDENT, "teacher": ["bm25", DENSE]}


def length_teacher(queries, documents):
    return [
        float(len(set(a.split()) & set(b.split()))) for a, b in zip(queries, documents, strict=True)
    ]
