"""Text encoders by name: one that knows nothing yet, with a vocabulary made of the corpus."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.batch import Batch
from limbeck.data.retrieval import RetrievalData
from limbeck.errors import ArgumentError, nearest
from limbeck.fingerprint import fingerprint
from limbeck.loops.alternate import Models, alternate
from limbeck.loops.optim import Optim
from limbeck.loops.retrieved import Texts
from limbeck.naming import split_name
from limbeck.objectives import Terms
from limbeck.run.run import At, Run

# Of tokens that a masked language model learns from: masked, and in batches of so many texts.
MASKED, BATCH = 0.15, 32
SHORTEST = 3
# A head of attention takes so much of the width.
HEAD_WIDTH = 64


@dataclass(frozen=True)
class Fresh:
    """What the options of ``bert?...`` and ``dense?...`` say.

    Args:
        layers: of the transformer.
        width: of its hidden states.
        vocabulary: size of the vocabulary made of the corpus.
        length: tokens after which texts are cut.
        pretraining: steps of masked language modelling on the corpus.
        lexical: begin as a model that says which tokens occur.
    """

    layers: int = 2
    width: int = 128
    vocabulary: int = 8000
    length: int = 128
    pretraining: int = 0
    lexical: bool = True

    @property
    def heads(self) -> int:
        """Of attention: one for each 64 of the width, and one where it is narrower."""
        return max(1, self.width // HEAD_WIDTH)

    @classmethod
    def of(cls, name: str) -> Fresh:
        """Read a name.

        Raises:
            ArgumentError: an option is unknown or no whole number above 0.

        Example:
            >>> Fresh.of("bert?layers=1&width=32").width
            32
        """
        options = split_name(name)[2]
        for option, value in options.items():
            if option not in cls.__dataclass_fields__:
                raise ArgumentError(
                    f"{name} has no option {option!r}; {nearest(option, cls.__dataclass_fields__)}"
                )
            if option == "lexical":
                if type(value) is not bool:
                    raise ArgumentError(f"{name}: lexical is {value!r}, expected true or false")
                continue
            least = 0 if option == "pretraining" else 1
            if type(value) is not int or value < least:
                raise ArgumentError(
                    f"{name}: {option} is {value!r}, expected a whole number of at least {least}"
                )
        found = cls(**options)
        if found.width % found.heads:
            raise ArgumentError(
                f"{name}: width is {found.width}, expected at most {2 * HEAD_WIDTH - 1} or a "
                f"multiple of {HEAD_WIDTH}: each head of attention takes {HEAD_WIDTH}"
            )
        if found.length < SHORTEST:
            raise ArgumentError(
                f"{name}: length is {found.length}, expected at least {SHORTEST}: two tokens stand "
                "around every text"
            )
        return found


def fresh_encoder(
    run: Run, stage: str, name: str, data: RetrievalData, *, dense: bool = False
) -> Any:
    """A transformer that knows nothing yet, or what masked language modelling told it.

    Args:
        run: the vocabulary is kept in its stages.
        stage: of the encoder; keys its weights.
        name: such as ``bert?layers=2&width=128&vocabulary=8000&length=128&pretraining=0``.
        data: its corpus makes the vocabulary.
        dense: whether its hidden states are wanted, of which there is no lexical start.

    Returns:
        A `Transformer` of sentence-transformers with a head for masked tokens.
    """
    from limbeck.bridges.sentence_transformers.encoders import masked_lm, write_masked_lm

    spec = Fresh.of(name)
    corpus = Texts(list(data.documents.values()))
    kept = run.stage("vocabulary", _vocabulary, corpus=corpus, size=spec.vocabulary)
    with (
        keyed.torch_seeded(keyed.key(run.seed, stage, "weights")),
        tempfile.TemporaryDirectory() as folder,
    ):
        write_masked_lm(
            Path(folder),
            kept["tokenizer"].numpy(),
            layers=spec.layers,
            width=spec.width,
            length=spec.length,
            heads=spec.heads,
            lexical=spec.lexical and not dense,
        )
        made = masked_lm(folder, length=spec.length)
    if spec.pretraining:
        _fill_masks(run, f"{stage}-masked", made, corpus.texts, spec)
    return made


def query_weights(run: Run, encoder: Any, data: RetrievalData | None) -> Tensor:
    """Weights of query tokens ``(V,)``: idf over a corpus, or 1; 0 for special tokens.

    Args:
        run: they are kept in its stages.
        encoder: whose tokenizer cuts texts.
        data: its corpus; None weighs all tokens alike.
    """
    texts = None if data is None else Texts(list(data.documents.values()))
    tokens = encoder.tokenizer.backend_tokenizer.to_str()
    width = encoder.model.config.vocab_size
    of = _Tokens(encoder.tokenizer, fingerprint(tokens))
    return run.stage("query-weights", _weights, of=of, width=width, texts=texts)["weights"]


@dataclass(frozen=True)
class _Tokens:
    """A tokenizer in the key of a stage."""

    tokenizer: Any
    fingerprint: str


def _weights(of: _Tokens, width: int, texts: Texts | None) -> dict[str, Tensor]:
    from limbeck.bridges.sentence_transformers.encoders import token_weights

    tokenizer = of.tokenizer
    corpus = None if texts is None else texts.texts
    return {"weights": token_weights(tokenizer, width, corpus, tokenizer.model_max_length)}


def _vocabulary(corpus: Texts, size: int) -> dict[str, Tensor]:
    from limbeck.bridges.sentence_transformers.word_pieces import word_pieces

    return {"tokenizer": torch.from_numpy(word_pieces(corpus.texts, size))}


def _fill_masks(run: Run, stage: str, made: Any, texts: Sequence[str], spec: Fresh) -> None:
    """Masked language modelling: of some tokens the model is told nothing and must say which."""
    tokenizer, special = made.tokenizer, made.tokenizer.all_special_ids
    optim = Optim("adamw", lr=1e-3, weight_decay=0.01, schedule="linear", warmup=0.1)

    def step(models: Models, batch: Batch, at: At) -> Terms:
        draw = np.random.Generator(np.random.Philox(key=at.key))
        chosen = [texts[place] for place in draw.integers(len(texts), size=BATCH)]
        device = next(models["encoder"].parameters()).device
        tokens = tokenizer(
            chosen, padding=True, truncation=True, max_length=spec.length, return_tensors="pt"
        ).to(device)
        ids, real = tokens.input_ids, tokens.attention_mask.bool()
        real = real & ~torch.isin(ids, torch.tensor(special, device=device))
        hidden = real & (torch.from_numpy(draw.random(ids.shape)).to(device) < MASKED)
        seen = ids.masked_fill(hidden, tokenizer.mask_token_id)
        logits = models["encoder"](input_ids=seen, attention_mask=tokens.attention_mask).logits
        # Where nothing was masked by chance there is nothing to learn either.
        loss = nn.functional.cross_entropy(logits[hidden], ids[hidden], reduction="sum")
        return {"masked": loss / hidden.sum().clamp(min=1)}

    alternate(run, stage, {"encoder": made.model}, {"encoder": optim}, spec.pretraining, step=step)
