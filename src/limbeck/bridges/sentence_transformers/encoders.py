"""Sparse encoders: a network for documents, a table of weights for queries, as one module."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from scipy import sparse
from sentence_transformers import SparseEncoder
from sentence_transformers.sparse_encoder.modules import (
    Router,
    SparseStaticEmbedding,
    SpladePooling,
    Transformer,
)
from torch import Tensor, nn

from limbeck.bridges.sentence_transformers.pooling import VocabularyPooling, as_one
from limbeck.bridges.sentence_transformers.word_pieces import tokenizer_of
from limbeck.errors import ModelError
from limbeck.functional import bm25_idf
from limbeck.networks.making import library

EXTRA = "text"
# Of a lexical start: the share that is left of weights of places, and by how many deviations
# products of unlike tokens are held below 0: few rise above it, from which others are learned.
FAINT, NOISE = 0.1, 3.0
# Documents encoded together; the logits of all their tokens are held at once.
CHUNK = 32
# Of a tokenizer's file, what depends on how it was loaded.
PASSING = ("is_local", "local_files_only", "name_or_path")


def write_masked_lm(
    folder: Path,
    content: np.ndarray,
    *,
    layers: int,
    width: int,
    length: int,
    heads: int = 1,
    lexical: bool = False,
) -> None:
    """Write a masked language model that knows nothing yet, with its tokenizer.

    Args:
        folder: for the files, as transformers lays them out.
        content: tokenizer as `word_pieces` made it.
        layers: of the transformer.
        width: D, a multiple of `heads`.
        length: tokens after which texts are cut.
        heads: of attention.
        lexical: begin as a model that says of each place the token that stands there, and of no
            other that it could: its vectors of documents are the tokens that occur, as those of
            trained masked language models begin, and not noise over the whole vocabulary.
    """
    transformers = library("transformers", EXTRA)
    tokenizer = tokenizer_of(content, length)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=length,
        pad_token_id=tokenizer.pad_token_id,
    )
    made = transformers.BertForMaskedLM(config)
    if lexical:
        _say_what_stands_there(made)
    _write_model(made, folder)
    tokenizer.save_pretrained(folder)


def _write_model(model: Any, folder: Path) -> None:
    """Write a model as transformers reads it; theirs writes in the first of several processes."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures = [type(model).__name__]
    model.config.to_json_file(folder / "config.json")
    kept: dict[int, tuple[str, Tensor]] = {}
    for name, value in model.state_dict().items():
        # Layers that share weights are tied again when they are read.
        kept.setdefault(value.data_ptr(), (name, value.detach().cpu().contiguous()))
    save_file(dict(kept.values()), folder / "model.safetensors", metadata={"format": "pt"})


@torch.no_grad()
def _say_what_stands_there(model: Any) -> None:
    """Carry the embedding of each token through to the layer that compares it with all."""
    embeddings, head = model.bert.embeddings, model.cls.predictions
    # Weights of the places and segments would drown a quarter of what the tokens say.
    embeddings.position_embeddings.weight.mul_(FAINT)
    embeddings.token_type_embeddings.weight.mul_(FAINT)
    nn.init.eye_(head.transform.dense.weight)
    # Products with other tokens' embeddings vary around 0; most stay below.
    width = model.config.hidden_size
    head.decoder.bias.fill_(-NOISE * model.config.initializer_range * width**0.5)


def masked_lm(folder: str | Path, *, length: int | None = None) -> Transformer:
    """Load a masked language model as a module of sentence-transformers.

    A model without such a head, as most encoders of sentence-transformers are, gets one whose last
    layer is the table of its own tokens.

    Args:
        folder: as transformers or sentence-transformers lay them out, or a hub name.
        length: tokens after which texts are cut; None leaves it at what the model takes.

    Raises:
        ModelError: it does not load, or its tokenizer and its last layer differ in size.
    """
    options = {} if length is None else {"processor_kwargs": {"model_max_length": length}}
    try:
        with quiet():
            found = Transformer(str(folder), transformer_task="fill-mask", **options)
    except Exception as error:  # of many kinds: files, configurations, a hub
        raise ModelError(
            f"hf:{folder} does not load as a masked language model: {error}; expected a folder of "
            "transformers or sentence-transformers with a config.json and a tokenizer"
        ) from error
    size, tokens = found.model.config.vocab_size, len(found.tokenizer)
    if tokens > size:
        raise ModelError(
            f"hf:{folder} has a vocabulary of {size} and a tokenizer of {tokens} tokens; take the "
            "tokenizer that the model was trained with"
        )
    places = getattr(found.model.config, "max_position_embeddings", None)
    if length is not None and places is not None and length > places:
        raise ModelError(
            f"hf:{folder} has places for {places} tokens, and length is {length}; lower it"
        )
    # No path of this machine shall get into what is saved.
    found.model.config.name_or_path = ""
    return found


def token_weights(
    tokenizer: Any, width: int, documents: Iterable[str] | None, length: int
) -> Tensor:
    """Weights of query tokens: idf over a corpus, or 1; 0 for special tokens.

    Args:
        tokenizer: of the encoder.
        width: V, of its last layer.
        documents: the corpus; None weighs all tokens alike.
        length: tokens after which documents are cut.

    Returns:
        float32 ``(V,)``.
    """
    special = tokenizer.all_special_ids
    if documents is None:
        weights = torch.ones(width)
    else:
        ids = (
            tokenizer(one, add_special_tokens=False, truncation=True, max_length=length).input_ids
            for one in documents
        )
        weights = bm25_idf(ids, width, special=special)
    weights[special] = 0.0
    return weights


def assembled(
    documents: Any, weights: Tensor, pooling: SpladePooling, *, frozen: bool = True
) -> SparseEncoder:
    """Put an encoder together: a network for documents, a table of weights for queries.

    Args:
        documents: a masked language model.
        weights: of query tokens ``(V,)``.
        pooling: from its logits to vectors.
        frozen: whether the table stays as it is.

    Returns:
        A `SparseEncoder`, on the CPU, whose scores are dot products.
    """
    table = SparseStaticEmbedding(documents.tokenizer, weights.clone(), frozen=frozen)
    router = Router.for_query_document(query_modules=[table], document_modules=[documents, pooling])
    return SparseEncoder(modules=[router], similarity_fn_name="dot", device="cpu")


def table_of(encoder: Any) -> SparseStaticEmbedding:
    """The table of query weights of an encoder that `assembled` made."""
    return encoder[0].sub_modules["query"][0]


def documents_of(encoder: Any) -> tuple[Any, Any]:
    """Network and pooling of an encoder that `assembled` made."""
    network, pooling = encoder[0].sub_modules["document"]
    return network, pooling


def is_inference_free(encoder: Any) -> bool:
    """Whether an encoder looks queries up in a table and reads documents with a network."""
    try:
        pooling = documents_of(encoder)[1]
        return isinstance(table_of(encoder), SparseStaticEmbedding) and isinstance(
            pooling, SpladePooling
        )
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        return False


@contextmanager
def placed(encoder: Any, device: Any) -> Iterator[None]:
    """Have an encoder on a device inside the block; None leaves it where it is."""
    before = encoder.device
    encoder.to(before if device is None else device)
    try:
        yield
    finally:
        encoder.to(before)


@torch.no_grad()
def document_vectors(encoder: Any, texts: Sequence[str], chunk: int = CHUNK) -> sparse.csr_matrix:
    """Vectors of documents, kept sparse as they are made.

    Args:
        encoder: as `assembled` makes it.
        texts: the documents.
        chunk: how many are encoded together.

    Returns:
        CSR ``(N, V)``, float32.
    """
    network, pooling = documents_of(encoder)
    encoder.eval()
    device = next(network.parameters()).device
    # Texts of like lengths together: padding is computed too.
    order = np.argsort([-len(text) for text in texts], kind="stable")
    rows: list[sparse.csr_matrix] = []
    for start in range(0, len(texts), chunk):
        part = [texts[place] for place in order[start : start + chunk]]
        features = {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in network.preprocess(part).items()
        }
        with as_one(network, pooling):
            vectors = pooling(network(features))["sentence_embedding"]
        rows.append(sparse.csr_matrix(vectors.float().cpu().numpy()))
    width = len(table_of(encoder).weight)
    if not rows:
        return sparse.csr_matrix((0, width), dtype=np.float32)
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return sparse.csr_matrix(sparse.vstack(rows, format="csr")[back])


def query_vectors(encoder: Any, texts: Sequence[str]) -> sparse.csr_matrix:
    """Vectors of queries, for which no network is asked.

    Args:
        encoder: as `assembled` makes it.
        texts: the queries.

    Returns:
        CSR ``(N, V)``, float32.
    """
    table = table_of(encoder)
    weights = table.weight.detach().float().cpu().numpy().clip(min=0)
    found = [np.unique(ids) for ids in plain_tokens(table.tokenizer)(texts)]
    held = [np.asarray(ids, dtype=np.int64)[weights[ids] > 0] if len(ids) else ids for ids in found]
    ends = np.cumsum([0, *map(len, held)])
    columns = np.concatenate([*held, np.zeros(0, np.int64)]).astype(np.int64)
    return sparse.csr_matrix(
        (weights[columns], columns, ends), shape=(len(texts), len(weights)), dtype=np.float32
    )


def plain_tokens(tokenizer: Any) -> Callable[[Sequence[str]], list[list[int]]]:
    """A function from texts to their tokens, with no special ones around them.

    It asks the tokenizer below that of transformers, which takes longer to prepare for a query
    than to cut it.
    """
    length = tokenizer.model_max_length
    own = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    own.no_padding()
    own.no_truncation()

    def tokens(texts: Sequence[str]) -> list[list[int]]:
        encoded = own.encode_batch_fast(list(texts), add_special_tokens=False)
        return [one.ids[:length] for one in encoded]

    return tokens


def write_encoder(encoder: Any, folder: Path, *, alone: bool = True) -> None:
    """Write an encoder as plain sentence-transformers reads it: no code, no time, no path.

    Args:
        encoder: as `assembled` makes it.
        folder: made where it is absent.
        alone: whether nothing beside it says that it prunes.

    Raises:
        ModelError: it prunes, which sentence-transformers cannot.
    """
    network, pooling = documents_of(encoder)
    table = table_of(encoder)
    if isinstance(pooling, VocabularyPooling):
        pooling = pooling.plain(pruned=alone)
    # How the last texts were cut and padded is kept in a tokenizer, and would be written with it.
    network.tokenizer.backend_tokenizer.no_truncation()
    network.tokenizer.backend_tokenizer.no_padding()
    plain = assembled(network, table.weight.detach().relu().cpu(), pooling, frozen=table.frozen)
    with quiet():
        plain.save_pretrained(str(folder), create_model_card=False)
    for path in sorted(folder.rglob("tokenizer_config.json")):
        facts = json.loads(path.read_text())
        kept = {name: value for name, value in facts.items() if name not in PASSING}
        path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


def read_encoder(folder: Path) -> SparseEncoder:
    """Read an encoder that sentence-transformers or `write_encoder` wrote.

    Raises:
        ModelError: it does not load, or asks a network about queries.
    """
    try:
        with quiet():
            found = SparseEncoder(str(folder), device="cpu", local_files_only=True)
    except Exception as error:  # of many kinds: files, configurations
        raise ModelError(f"{folder} does not load with sentence-transformers: {error}") from error
    if not is_inference_free(found):
        raise ModelError(
            f"{folder} holds an encoder that asks a network about queries, expected a Router with "
            "SparseStaticEmbedding for queries and Transformer and SpladePooling for documents"
        )
    documents_of(found)[0].model.config.name_or_path = ""
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and advice off the terminal inside the block."""
    from transformers.utils import logging as told

    bars, level = told.is_progress_bar_enabled(), told.get_verbosity()
    own = logging.getLogger("sentence_transformers")
    before = own.level
    told.disable_progress_bar()
    told.set_verbosity_error()
    own.setLevel(logging.ERROR)
    try:
        yield
    finally:
        own.setLevel(before)
        told.set_verbosity(level)
        if bars:
            told.enable_progress_bar()


def bare(network: Any) -> Transformer:
    """The body of a masked language model alone, as a dense encoder wants it."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        _write_model(network.model, Path(folder))
        network.tokenizer.save_pretrained(folder)
        found = Transformer(
            folder,
            model_kwargs={"add_pooling_layer": False},
            processor_kwargs={"model_max_length": network.tokenizer.model_max_length},
        )
    found.model.config.name_or_path = ""
    return found
