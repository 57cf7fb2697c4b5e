"""Diagnostics: what a report draws beside the table, from the same predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from limbeck.data.data import Data
from limbeck.evaluate.quality import Source, collect
from limbeck.functional.classification import reliability


def diagnostics(sources: Mapping[str, Source], data: Data, *, bins: int = 10) -> dict[str, Any]:
    """Per-class accuracy and reliability of several sources on the test split.

    Args:
        sources: from batches to outputs, by name.
        data: a classification task; other tasks have no diagnostics.
        bins: of the reliability diagram.

    Returns:
        Plain values: ``classes`` and, by source, ``class_accuracy`` (None where the test split has
        no sample of a class), ``count``, ``confidence`` and ``accuracy`` of the bins.
    """
    if data.task != "classification":
        return {}
    found: dict[str, Any] = {}
    for name, source in sources.items():
        logits, target = collect(source, data, data.test)
        right = (logits.argmax(1) == target).double()
        sums = torch.zeros(len(data.classes), dtype=torch.float64).index_add(0, target, right)
        counts = torch.bincount(target, minlength=len(data.classes))
        count, confidence, accuracy = reliability(logits, target, bins=bins)
        found[name] = {
            "class_accuracy": [
                float(total / number) if number else None
                for total, number in zip(sums, counts, strict=True)
            ],
            "count": count.tolist(),
            "confidence": confidence.tolist(),
            "accuracy": accuracy.tolist(),
        }
    return {"classes": list(data.classes), "sources": found}
