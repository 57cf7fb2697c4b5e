"""Word pieces: a vocabulary made of a corpus, the same one for the same corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from limbeck.errors import ArgumentError
from limbeck.networks.making import library

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
INSIDE = "##"
# Letters take two entries each; the others are unknown.
LETTERS_SHARE = 4


def word_pieces(texts: Iterable[str], size: int) -> np.ndarray:
    """Make a vocabulary of word pieces, in lower case.

    Args:
        texts: the corpus.
        size: of the vocabulary, at most.

    Returns:
        The tokenizer's file as bytes ``(L,)``, as `tokenizer_of` reads it.

    Raises:
        ArgumentError: the size leaves no room for letters, or the texts hold none.
        ModelError: tokenizers is missing.
    """
    tokenizers = library("tokenizers", "text")
    texts = list(texts)
    normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    letters = _letters((normalizer.normalize_str(text) for text in texts), size)
    if not letters:
        raise ArgumentError(
            f"vocabulary is {size} and there are texts of no letter, or no room for letters; "
            f"expected at least {4 * LETTERS_SHARE + len(SPECIAL)} and a corpus"
        )
    # Whatever the trainer numbers itself, it numbers in an order that changes from run to run, and
    # it breaks ties by number: letters that have theirs beforehand make the vocabulary replay.
    given = [*SPECIAL, *letters, *(INSIDE + letter for letter in letters)]
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=given, show_progress=False
    )
    made = _tokenizer(tokenizers, tokenizers.models.WordPiece(unk_token="[UNK]"))
    made.train_from_iterator(texts, trainer)
    vocabulary = made.get_vocab()
    whole = _tokenizer(tokenizers, tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    whole.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ends
    )
    whole.add_special_tokens(list(SPECIAL))
    return np.frombuffer(whole.to_str().encode(), dtype=np.uint8).copy()


def tokenizer_of(content: np.ndarray, length: int) -> Any:
    """A tokenizer of transformers from what `word_pieces` made.

    Args:
        content: the tokenizer's file as bytes ``(L,)``.
        length: tokens after which texts are cut.
    """
    tokenizers, transformers = library("tokenizers", "text"), library("transformers", "text")
    made = tokenizers.Tokenizer.from_str(np.asarray(content, dtype=np.uint8).tobytes().decode())
    names = {f"{name.strip('[]').lower()}_token": name for name in SPECIAL}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, model_max_length=length, **names
    )


def _tokenizer(tokenizers: Any, model: Any) -> Any:
    made = tokenizers.Tokenizer(model)
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.decoder = tokenizers.decoders.WordPiece(prefix=INSIDE)
    return made


def _letters(texts: Iterable[str], size: int) -> list[str]:
    """Letters by how often they occur, as many as there is room for, in the order of their code."""
    counts = Counter(letter for text in texts for letter in text if not letter.isspace())
    room = max(0, size - len(SPECIAL)) // LETTERS_SHARE
    most = sorted(counts, key=lambda letter: (-counts[letter], letter))[:room]
    return sorted(most)
