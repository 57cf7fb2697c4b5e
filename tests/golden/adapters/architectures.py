"""How alike untrained networks are, and how well scores agree with what was measured."""

from __future__ import annotations

from limbeck.functional.class_gradients import class_gradient, semantic_distance
from limbeck.functional.rank_agreement import rank_agreement
from limbeck.functional.relations import similarity_preserving_loss

from ..harness import adapter


@adapter("diswot", "relation_distance")
def relation_distance(inputs, params):
    return {"distance": similarity_preserving_loss(inputs["student_feat"], inputs["teacher_feat"])}


@adapter("diswot", "semantic_distance")
def between_gradients(inputs, params):
    return {"distance": semantic_distance(inputs["student_grad"], inputs["teacher_grad"])}


@adapter("diswot", "semantic_distance_from_features")
def from_features(inputs, params):
    found = {}
    for side in ("student", "teacher"):
        features = inputs[f"{side}_feat"]
        logits = features @ inputs[f"{side}_weight"].T + inputs[f"{side}_bias"]
        found[f"{side}_grad"] = class_gradient(features, logits, inputs["labels"])
    return {"distance": semantic_distance(found["student_grad"], found["teacher_grad"]), **found}


@adapter("diswot", "rank_agreement")
def agreement(inputs, params):
    return rank_agreement(inputs["a"], inputs["b"])._asdict()
