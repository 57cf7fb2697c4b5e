"""Pooling over the vocabulary by limbeck's kernel, as a module of sentence-transformers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from sentence_transformers.sparse_encoder.modules import SpladePooling
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.functional import splade_head, splade_pool

# What sentence-transformers calls the functions before its own logarithm.
ACTIVATIONS = {"log1p": "relu", "double_log1p": "log1p_relu"}


class VocabularyPooling(SpladePooling):
    """What `SpladePooling` does, with the logarithm of the largest logits only, and in float32.

    Args:
        activation: ``"log1p"`` or ``"double_log1p"``.
        pooling: ``"max"`` or ``"sum"``.
        prune: share of a document's largest entry up to which entries become 0, or None.
        width: V.
    """

    def __init__(
        self,
        activation: str = "log1p",
        pooling: str = "max",
        prune: float | None = None,
        width: int | None = None,
    ) -> None:
        super().__init__(pooling, ACTIVATIONS[activation], width)  # type: ignore[arg-type]
        self.activation, self.prune = activation, prune
        # Out of the module's sight: the last layer belongs to the network.
        self.head: tuple[nn.Linear, ...] = ()
        self.fits: bool | None = None

    def forward(self, features: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Put ``sentence_embedding`` ``(N, V)`` beside ``token_embeddings`` ``(N, T, V)``."""
        for head in self.head:
            features["sentence_embedding"] = splade_head(
                features["token_embeddings"],
                head.weight,
                head.bias,
                features["attention_mask"],
                activation=self.activation,  # type: ignore[arg-type]
                prune=self.prune,
            )
            return features
        features["sentence_embedding"] = splade_pool(
            features["token_embeddings"],
            features["attention_mask"],
            activation=self.activation,  # type: ignore[arg-type]
            pooling=self.pooling_strategy,
            prune=self.prune,
        )
        return features

    def facts(self) -> dict[str, Any]:
        """What makes it again."""
        return {
            "activation": self.activation,
            "pooling": self.pooling_strategy,
            "prune": self.prune,
            "width": self.embedding_dimension,
        }

    def __repr__(self) -> str:
        # By which fingerprints tell what has no weights apart.
        return f"{type(self).__name__}({self.facts()})"

    def plain(self, *, pruned: bool = True) -> SpladePooling:
        """The same as a module of sentence-transformers' own, which needs no limbeck.

        Args:
            pruned: False leaves out that it prunes.

        Raises:
            ModelError: it prunes, which that one cannot.
        """
        if pruned and self.prune is not None:
            raise ModelError(
                f"the encoder prunes entries up to {self.prune:g} of a document's largest, which "
                "sentence-transformers has no module for; export vectors (opensearch, csr), or "
                "train with prune unset"
            )
        return SpladePooling(
            self.pooling_strategy, self.activation_function, self.embedding_dimension
        )


@contextmanager
def as_one(network: Any, pooling: Any) -> Iterator[None]:
    """Do the work of a network's last layer and of its pooling as one inside the block.

    Logits of all tokens are not made then; nothing else differs. Where the pooling is no maximum of
    ours, the last layer no linear one, or logits are changed after it, all stays as it is.

    Args:
        network: a `Transformer` of sentence-transformers.
        pooling: what comes after it.
    """
    head = network.model.get_output_embeddings()
    fits = isinstance(pooling, VocabularyPooling) and isinstance(head, nn.Linear)
    if not fits or pooling.pooling_strategy != "max" or pooling.head:
        yield
        return
    if pooling.fits is None:
        pooling.fits = _ends_in(network, head)
    if not pooling.fits:
        yield
        return
    pooling.head = (head,)
    try:
        with _passed_through(head):
            yield
    finally:
        pooling.head = ()


@contextmanager
def _passed_through(head: nn.Linear) -> Iterator[None]:
    """Have a layer hand on what it gets inside the block."""
    head.forward = lambda input: input  # type: ignore[method-assign]
    try:
        yield
    finally:
        del head.forward


@torch.no_grad()
def _ends_in(network: Any, head: nn.Linear) -> bool:
    """Whether logits of a network are just what its last layer says."""
    was = network.training
    network.eval()
    try:
        tokens = {
            name: value.to(head.weight.device) if isinstance(value, Tensor) else value
            for name, value in network.preprocess(["a text"]).items()
        }
        read: list[Tensor] = []
        seen = head.register_forward_pre_hook(lambda _module, given: read.append(given[0]))
        try:
            logits = network(tokens)["token_embeddings"]
        finally:
            seen.remove()
        said = head(read[-1])
        return said.shape == logits.shape and torch.allclose(said, logits, atol=1e-3, rtol=1e-3)
    finally:
        network.train(was)
