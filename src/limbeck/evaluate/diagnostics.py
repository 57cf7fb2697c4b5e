"""Diagnostics: what a report draws beside the table, from the same predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

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
    said = {name: collect(source, data, data.test) for name, source in sources.items()}
    return diagnostics_of(said, data.classes, bins=bins)


def diagnostics_of(
    said: Mapping[str, tuple[Tensor, Tensor]], classes: Sequence[str], *, bins: int = 10
) -> dict[str, Any]:
    """`diagnostics` of what was said before.

    Args:
        said: by source the logits ``(N, C)`` and the class indices ``(N,)``.
        classes: names of the classes.
        bins: of the reliability diagram.

    Returns:
        As `diagnostics`.
    """
    found: dict[str, Any] = {}
    for name, (logits, target) in said.items():
        right = (logits.argmax(1) == target).double()
        sums = torch.zeros(len(classes), dtype=torch.float64).index_add(0, target, right)
        counts = torch.bincount(target, minlength=len(classes))
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
    return {"classes": list(classes), "sources": found}
