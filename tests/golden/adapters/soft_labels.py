"""Stored labels and learning rates of fast distillation."""

from __future__ import annotations

from limbeck.functional.schedules import piecewise_constant
from limbeck.functional.soft_labels import recover_soft_labels

from ..harness import adapter


@adapter("meal-v2", "recover_soft_label")
def recover_soft_label(inputs, params):
    label, kind = inputs["label"], params["kind"]
    kept, probabilities = label, None
    if kind != "hard":
        kept, probabilities = label.reshape(len(label), 2, -1).unbind(1)
    options = {"rest": "renormalize" if kind == "marginal_renorm" else "uniform"}
    labels = recover_soft_labels(kept.long(), probabilities, classes=params["n_classes"], **options)
    return {"probs": labels}


@adapter("meal-v2", "piecewise_lr")
def piecewise_lr(inputs, params):
    regime = params["regime"]
    pieces = [
        (int(first), int(last), lr)
        for first, last, lr in zip(regime[0::3], regime[1::3], regime[2::3], strict=True)
    ]
    return {"lr": [piecewise_constant(int(epoch), pieces) for epoch in inputs["epochs"]]}
