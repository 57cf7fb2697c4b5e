"""Loading: which kind of retriever a folder or a hub name holds, told by its own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from limbeck.bridges.sentence_transformers.encoders import quiet
from limbeck.bridges.sentence_transformers.retrievers import retriever
from limbeck.errors import ModelError


def loaded(place: str, name: str, device: Any = "cpu") -> Any:
    """The teacher that sentence-transformers wrote.

    Args:
        place: folder or hub name of a dense or sparse bi-encoder, or of a cross-encoder.
        name: what to call it.
        device: where it computes.

    Raises:
        ModelError: it does not load.
    """
    try:
        with quiet():
            made = _kind(place)(place, device=str(device))
    except ModelError:
        raise
    except Exception as error:  # of many kinds: files, configurations, a hub
        raise ModelError(
            f"hf:{place} does not load with sentence-transformers: {error}; expected a folder "
            "that it wrote, such as one with modules.json, or the hub name of one"
        ) from error
    return retriever(made, name)


def _kind(place: str) -> Any:
    """The class that wrote it: a class of another kind may load it all the same, as nonsense."""
    from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder

    kind = _facts(place, "config_sentence_transformers.json").get("model_type")
    if kind in ("SparseEncoder", "CrossEncoder"):
        return SparseEncoder if kind == "SparseEncoder" else CrossEncoder
    named = _facts(place, "config.json").get("architectures") or ()
    scores = any("SequenceClassification" in one for one in named)
    return CrossEncoder if scores else SentenceTransformer


def _facts(place: str, name: str) -> dict[str, Any]:
    """What one of its files of facts holds, nothing where it has no such file."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    file = Path(place) / name
    if not Path(place).is_dir():
        try:
            file = Path(huggingface_hub.hf_hub_download(place, name))
        except LocalEntryNotFoundError:
            # The hub was not reached, which says nothing about the file.
            raise
        except EntryNotFoundError:
            return {}
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"hf:{place}: {name} is damaged ({error}); fetch it again") from None
    if not isinstance(found, dict):
        raise ModelError(f"hf:{place}: {name} is damaged (no object); fetch it again")
    return found
