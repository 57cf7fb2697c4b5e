"""Retrieving: teachers of retrieval by name, and what they say of a corpus, kept raw in stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from limbeck import keyed
from limbeck.data.retrieval import Judged, RetrievalData
from limbeck.errors import ArgumentError, UnknownNameError, nearest
from limbeck.loops.hosted import train_hosted
from limbeck.loops.model_places import PREFIXES, place_of
from limbeck.loops.optim import Optim
from limbeck.loops.text_encoders import Fresh, fresh_encoder
from limbeck.naming import distinct, split_name
from limbeck.run.run import Run
from limbeck.settings import settings

KINDS = ("bm25", "dense", *PREFIXES, "scores")
KNOWN = ("bm25", "dense", "hf:FOLDER", "package:NAME", "scores:FILE")
BM25_OPTIONS = ("stopwords", "k1", "b")
BM25_RANGES = {"k1": (0.0, 100.0), "b": (0.0, 1.0)}
# Languages of bm25s.
STOPWORDS = ("en", "de", "nl", "fr", "es", "pt", "it", "ru", "sv", "no", "zh", "tr", "ko", "da")


@settings
class RetrieverTeaching:
    """How a dense bi-encoder given by name is trained on the training queries.

    Args:
        steps: optimiser steps.
        batch_size: queries a step; the documents of the others are what theirs is told from.
        optim: how it learns.
        scale: what cosines are multiplied by before the softmax over the batch.
    """

    steps: Annotated[int, Field(ge=1)] = 500
    batch_size: Annotated[int, Field(ge=2)] = 32
    optim: Optim = Optim(name="adamw", lr=5e-4, weight_decay=0.01, schedule="linear", warmup=0.1)
    scale: Annotated[float, Field(gt=0)] = 20.0


def retrievers(given: Any, name: str = "teacher") -> list[Any]:
    """What the user gave as teachers, as a list whose names are checked before any work.

    Args:
        given: a name or an object, or several of them.
        name: of the argument.

    Raises:
        ArgumentError: there is none, or an option is unknown.
        UnknownNameError: a name stands for no teacher.
    """
    several = list(given) if isinstance(given, (list, tuple)) else [given]
    several = [one for one in several if one is not None]
    if not several:
        raise ArgumentError(
            f"there are zero {name}s; give at least one, such as --{name} bm25 or hf:FOLDER"
        )
    for one in several:
        if isinstance(one, str):
            _check_name(one)
    return several


def _check_name(name: str) -> None:
    prefix, rest, options = split_name(name)
    kind = prefix or rest
    if kind not in KINDS or bool(prefix) != (kind in (*PREFIXES, "scores")):
        raise UnknownNameError(f"there is no teacher of retrieval {name!r}; {nearest(kind, KNOWN)}")
    if kind == "dense":
        Fresh.of(name)
    elif kind == "bm25":
        for option in options:
            if option not in BM25_OPTIONS:
                raise ArgumentError(
                    f"{name} has no option {option!r}; {nearest(option, BM25_OPTIONS)}"
                )
        _check_bm25(name, options)
    elif options:
        raise ArgumentError(f"{name}: a teacher that is loaded takes no options; leave them out")
    elif kind == "scores":
        if not Path(rest).expanduser().is_file():
            raise UnknownNameError(f"{name}: there is no file {rest}")
    else:
        place_of(prefix, rest)


def _check_bm25(name: str, options: Mapping[str, Any]) -> None:
    for option, (least, most) in BM25_RANGES.items():
        value = options.get(option, least)
        if type(value) not in (int, float) or not least <= value <= most:
            raise ArgumentError(
                f"{name}: {option} is {value!r}, expected a number from {least:g} to {most:g}"
            )
    language = options.get("stopwords")
    if language not in (None, False, *STOPWORDS):
        raise ArgumentError(
            f"{name}: there are no stop words {language!r}; {nearest(str(language), STOPWORDS)}, "
            "or false for none"
        )


def ready_retrievers(run: Run, given: Sequence[Any], data: RetrievalData) -> dict[int, Any]:
    """Frozen teachers that need no training, by their place.

    Args:
        run: says where those compute that are loaded; models that were given stay where they are.
        given: as `retrievers` gives them.
        data: the corpus.
    """
    return {
        place: _ready(run, place, one, data)
        for place, one in enumerate(given)
        if not _is_trained_here(one)
    }


def taught_retrievers(
    run: Run,
    given: Sequence[Any],
    ready: Mapping[int, Any],
    data: RetrievalData,
    teaching: RetrieverTeaching,
) -> list[Any]:
    """Frozen teachers, those that are not ready being trained in stages of the run.

    Args:
        run: the folder.
        given: as `retrievers` gives them.
        ready: as `ready_retrievers` gives them.
        data: the corpus, and the queries that a dense one is trained on.
        teaching: how.

    Returns:
        A teacher for each, with different names.
    """
    found = [
        ready[place] if place in ready else _dense(run, place, one, data, teaching)
        for place, one in enumerate(given)
    ]
    for one, name in zip(found, distinct([one.name for one in found]), strict=True):
        one.name = name
    return found


def _is_trained_here(given: Any) -> bool:
    return isinstance(given, str) and split_name(given)[:2] == ("", "dense")


def _ready(run: Run, place: int, given: Any, data: RetrievalData) -> Any:
    """A teacher that needs no training."""
    from limbeck.bridges.sentence_transformers.loading import loaded
    from limbeck.bridges.sentence_transformers.retrievers import LexicalTeacher, retriever
    from limbeck.bridges.sentence_transformers.tabled import tabled

    if not isinstance(given, str):
        return retriever(given, _name_of(given) or f"teacher {place}")
    prefix, rest, options = split_name(given)
    if prefix in PREFIXES:
        return loaded(place_of(prefix, rest), Path(rest).name, run.engine.device)
    if prefix == "scores":
        return tabled(Path(rest).expanduser(), data)
    return LexicalTeacher(list(data.documents.values()), **options)


def _name_of(given: Any) -> str:
    """What an object, or a function, is called; nothing where it has no name."""
    names = (getattr(given, word, None) for word in ("name", "__name__"))
    return next((one for one in names if isinstance(one, str) and one != "<lambda>"), "")


def _dense(
    run: Run, place: int, name: str, data: RetrievalData, teaching: RetrieverTeaching
) -> Any:
    """A dense bi-encoder trained on the training queries: mean of hidden states, length 1."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    from limbeck.bridges.sentence_transformers.encoders import bare
    from limbeck.bridges.sentence_transformers.retrievers import DenseEncoder

    stage = f"teacher-{place}"
    if not len(data.train):
        raise ArgumentError(
            f"{name} is trained on training queries and {data.name} has none; give a teacher that "
            "is trained already, such as hf:FOLDER, or bm25"
        )
    body = bare(fresh_encoder(run, stage, name, data, dense=True))
    width = body.get_embedding_dimension()
    model = SentenceTransformer(
        modules=[body, Pooling(width, "mean"), Normalize()],
        similarity_fn_name="cosine",
        device="cpu",
    )
    right = answered(data.train)
    asked = list(right)
    size = min(teaching.batch_size, len(asked))

    def examples(step: int) -> list[dict[str, Any]]:
        # No query twice in a batch: documents of the others are what its own is told from.
        key = run.at(stage, step).key
        chosen = _share(run, keyed.permutation(key, len(asked))[:size], size)
        draws = keyed.uniform(key, chosen, 1)[:, 0]
        found = []
        for place, draw in zip(chosen.tolist(), draws.tolist(), strict=True):
            query, documents = asked[place], right[asked[place]]
            text = data.documents[documents[int(draw * len(documents))]]
            found.append({"query": data.train.queries[query], "document_0": text})
        return found

    def learned(**key: Any) -> dict[str, Tensor]:
        loss = MultipleNegativesRankingLoss(model, scale=teaching.scale)
        train_hosted(run, stage, model, loss, examples, teaching.optim, teaching.steps)
        return model.cpu().state_dict()

    model.load_state_dict(run.stage(stage, learned, encoder=name, data=data, teaching=teaching))
    return DenseEncoder(model.to(run.engine.device), "dense")


def answered(judged: Judged) -> dict[str, list[str]]:
    """The documents that are relevant for each query that has some."""
    found = {
        query: [one for one, grade in judged.relevant.get(query, {}).items() if grade > 0]
        for query in judged.queries
    }
    return {query: documents for query, documents in found.items() if documents}


def batch_of(run: Run, stage: str, step: int, count: int, size: int) -> np.ndarray:
    """This process's share of the numbers of a step's batch.

    Each pass over all of them is in an order of its own, and no number depends on how many
    processes there are.

    Args:
        run: its seed keys the order, and its engine tells the share.
        stage: keys the order.
        step: from 0.
        count: how many there are to choose from.
        size: of the whole batch.

    Returns:
        Numbers from 0 to `count` - 1.
    """
    places = np.arange(step * size, (step + 1) * size)
    orders = {
        epoch: keyed.permutation(keyed.key(run.seed, stage, "order", int(epoch)), count)
        for epoch in np.unique(places // count)
    }
    chosen = np.array([orders[place // count][place % count] for place in places])
    return _share(run, chosen, size)


def _share(run: Run, chosen: np.ndarray, size: int) -> np.ndarray:
    """This process's part of a batch's numbers, which all processes drew."""
    if size % run.engine.world:
        raise ArgumentError(
            f"a batch of {size} is shared by {run.engine.world} processes, expected a multiple; "
            "set batch_size, of the method and of its teaching"
        )
    share = len(chosen) // run.engine.world
    return chosen[run.engine.rank * share : (run.engine.rank + 1) * share]
