"""Texts: sentences as padded bytes, so that every model can cut them its own way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.data.splits import Indices
from limbeck.fingerprint import fingerprint


def encode_texts(texts: Sequence[str]) -> Tensor:
    """UTF-8 bytes of texts, padded with zeros to the longest.

    Args:
        texts: N strings.

    Returns:
        uint8 ``(N, L)``.

    Example:
        >>> encode_texts(["ab", "c"])
        tensor([[97, 98],
                [99,  0]], dtype=torch.uint8)
    """
    return _padded([np.frombuffer(text.encode(), np.uint8) for text in texts])


def decode_texts(encoded: Tensor) -> list[str]:
    """The texts that `encode_texts` made bytes of.

    Example:
        >>> decode_texts(encode_texts(["ab", "c"]))
        ['ab', 'c']
    """
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in encoded.cpu().numpy()]


class TextSplit:
    """Labelled texts; a batch has the column ``"text"``, padded bytes ``(N, L)``.

    Args:
        texts: N strings.
        y: targets, one a text.
        ids: sample ids; None counts from 0.
        named: whether the ids name samples in other splits too; None says so where ids are given.
    """

    def __init__(
        self,
        texts: Sequence[str],
        y: Any,
        ids: Indices | None = None,
        *,
        named: bool | None = None,
    ) -> None:
        parts = [text.encode() for text in texts]
        self._bytes = np.frombuffer(b"".join(parts), np.uint8)
        self._ends = np.cumsum([0, *map(len, parts)])
        self._y = torch.tensor(np.asarray(y))
        self.ids = np.arange(len(parts), dtype=np.int64) if ids is None else ids
        self.named = ids is not None if named is None else named

    def __len__(self) -> int:
        return len(self._ends) - 1

    @property
    def y(self) -> Tensor | None:
        return self._y

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self._bytes, self._ends, self._y, self.ids)

    def take(self, indices: Indices) -> dict[str, Tensor]:
        rows = [self._bytes[self._ends[one] : self._ends[one + 1]] for one in indices]
        return {
            "text": _padded(rows),
            "y": self._y[torch.from_numpy(np.ascontiguousarray(indices))],
        }


def _padded(rows: Sequence[Any]) -> Tensor:
    padded = np.zeros((len(rows), max(map(len, rows), default=0)), np.uint8)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return torch.from_numpy(padded)
