"""Stand-ins for teachers of retrieval, and what a method of retrieval must refuse."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from limbeck import keyed
from limbeck.data.retrieval import RetrievalData


def bi_encoder(texts: Sequence[str], *, similarity: Any = "cosine") -> Any:
    """A dense bi-encoder of sentence-transformers that knows nothing, with a vocabulary of texts.

    Args:
        texts: that make its vocabulary.
        similarity: by which it compares vectors.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    from limbeck.bridges.sentence_transformers.encoders import bare, masked_lm, write_masked_lm
    from limbeck.bridges.sentence_transformers.word_pieces import word_pieces

    with keyed.torch_seeded(5), tempfile.TemporaryDirectory() as folder:
        write_masked_lm(Path(folder), word_pieces(texts, 300), layers=1, width=8, length=16)
        body = bare(masked_lm(folder))
    return SentenceTransformer(
        modules=[body, Pooling(body.get_embedding_dimension(), "mean")],
        similarity_fn_name=similarity,
        device="cpu",
    )


def teachers(data: RetrievalData) -> list[Any]:
    """Teachers that a method may not change.

    Args:
        data: a corpus whose words make a vocabulary.
    """
    return [bi_encoder(list(data.documents.values()))]


def bad_inputs(data: RetrievalData) -> dict[str, Callable[[], dict[str, Any]]]:
    """What a method of retrieval must refuse, by what is wrong with it.

    Args:
        data: a corpus whose words make vocabularies.
    """
    texts = list(data.documents.values())
    return {
        "data of another task": lambda: {"data": "digits"},
        "a teacher that measures distances": lambda: {
            "teacher": [bi_encoder(texts, similarity="euclidean")]
        },
        "a teacher of no kind": lambda: {"teacher": ["oracle"]},
        "a student without a vocabulary": lambda: {"student": nn.Linear(2, 2)},
        "a student of no kind": lambda: {"student": "mlp?hidden=8"},
    }
