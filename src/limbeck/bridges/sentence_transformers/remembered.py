"""Remembered: texts that come again and again in training are cut into tokens once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

# Texts of which tokens are kept, some kilobytes each; further ones are cut anew every time.
MOST = 100_000
ROWS = {"input_ids", "attention_mask", "token_type_ids"}
Preprocess = Callable[..., dict[str, Any]]


class RememberedTokens:
    """What a model's `preprocess` gives, to the bit, with the tokens of each text kept in memory.

    A tokenizer cuts a text whole before it leaves out what is too long, so that long documents cost
    as much in each epoch as in the first.

    Args:
        preprocess: of a model of sentence-transformers, from texts to padded tensors.
        tokenizer: of the model; pads.
        most: texts to remember.
    """

    def __init__(self, preprocess: Preprocess, tokenizer: Any, most: int = MOST) -> None:
        self.preprocess, self.tokenizer, self.most = preprocess, tokenizer, most
        self._rows: dict[tuple[Any, ...], dict[str, list[int]]] = {}
        self._rest: dict[tuple[Any, ...], dict[str, Any]] = {}

    def __call__(self, texts: Sequence[str], **options: Any) -> dict[str, Any]:
        """Features of texts, as `preprocess` gives them with these options."""
        told = tuple(sorted(options.items()))
        keys = [(told, text) for text in texts]
        fresh = list(dict.fromkeys(key[1] for key in keys if key not in self._rows))
        if fresh and (len(self._rows) + len(fresh) > self.most or not self._learn(fresh, told)):
            return self.preprocess(texts, **options)
        padded = self.tokenizer.pad(
            [self._rows[key] for key in keys], padding=True, return_tensors="pt"
        )
        return {**padded, **self._rest[told]}

    def _learn(self, texts: list[str], told: tuple[Any, ...]) -> bool:
        """Keep the tokens of texts; False where features are no rows of tokens."""
        made = self.preprocess(texts, **dict(told))
        if (
            not ROWS
            >= {name for name, value in made.items() if isinstance(value, Tensor)}
            >= {
                "input_ids",
                "attention_mask",
            }
        ):
            return False
        self._rest[told] = {name: one for name, one in made.items() if name not in ROWS}
        real = made["attention_mask"].bool()
        columns = {name: one for name, one in made.items() if name in ROWS}
        for row, text in enumerate(texts):
            self._rows[told, text] = {
                name: values[row][real[row]].tolist() for name, values in columns.items()
            }
        return True
