"""Pooling over the vocabulary by limbeck's kernel, as a module of sentence-transformers."""

from __future__ import annotations

from typing import Any

from sentence_transformers.sparse_encoder.modules import SpladePooling

from limbeck.errors import ModelError
from limbeck.functional import splade_pool

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

    def forward(self, features: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Put ``sentence_embedding`` ``(N, V)`` beside ``token_embeddings`` ``(N, T, V)``."""
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
