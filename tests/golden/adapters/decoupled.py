"""Losses on logits that are parted or standardised."""

from __future__ import annotations

from limbeck.functional.correlation import correlation_loss
from limbeck.functional.decoupled import decoupled_loss

from ..harness import adapter


@adapter("ofa-kd", "dkd_loss", grad="student_logits")
def dkd_loss(inputs, params):
    return {
        "loss": decoupled_loss(
            inputs["student_logits"],
            inputs["teacher_logits"],
            inputs["labels"],
            target_weight=params["alpha"],
            non_target_weight=params["beta"],
            temperature=params["temperature"],
        )
    }


@adapter("ofa-kd", "dist_loss", grad="student_logits")
def dist_loss(inputs, params):
    return {
        "loss": correlation_loss(
            inputs["student_logits"],
            inputs["teacher_logits"],
            inter_weight=params["beta"],
            intra_weight=params["gamma"],
            temperature=params["temperature"],
        )
    }
