"""Distillation repeated over generations."""

from __future__ import annotations

from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.recursion import anchored_recursion as recursion

from ..harness import adapter


@adapter("recursive-meta-distillation", "anchored_recursion")
def anchored_recursion(inputs, params):
    base = inputs["base"]
    # The file's `final` is one generation past the last one that it takes a divergence of.
    anchors = [params["alpha"]] * (params["steps"] + 1)
    students = recursion(inputs["start"], base, anchors=anchors, mixture=params["kind"])
    kl = soft_target_loss(
        students[:-1],
        base.expand_as(students[:-1]),
        student_is="probabilities",
        teacher_is="probabilities",
        reduction="none",
    )
    return {"kl": kl, "final": students[-1]}
