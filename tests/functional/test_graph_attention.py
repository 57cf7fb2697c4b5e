"""Attention along the edges of a graph."""

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional.graph_attention import (
    attention_weights,
    scalar_messages,
    vector_messages,
)

RECEIVER = torch.tensor([0, 1, 2, 2, 0])


def randn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_messages_written_out():
    query, key, carried, unit, cutoff = randn(5, 4), randn(5, 4), randn(5, 4), randn(5, 3), randn(5)
    weights = attention_weights(query, key, cutoff, heads=2)
    expected = torch.stack([(query * key)[:, head::2].sum(1) for head in range(2)], 1)
    torch.testing.assert_close(weights, torch.nn.functional.silu(expected) * cutoff[:, None])
    heard = scalar_messages(carried, weights, RECEIVER, 4)
    seen = vector_messages(carried, unit, RECEIVER, 4)
    spread = weights.repeat(1, 2) * carried
    for atom in range(4):
        near = atom == RECEIVER
        torch.testing.assert_close(heard[atom], spread[near].sum(0))
        torch.testing.assert_close(seen[:, atom], unit[near].T @ carried[near])


def test_heads_must_divide_the_width():
    with pytest.raises(ArgumentError, match="divides its width"):
        attention_weights(randn(5, 4), randn(5, 4), randn(5), heads=3)
