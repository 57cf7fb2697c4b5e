"""Features, attention, relations and layers."""

from __future__ import annotations

from limbeck.functional.attention import relation_loss, relation_scores, spatial_attention
from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.features import cosine_loss, feature_mse_loss
from limbeck.functional.layers import layer_pairs, transport_loss
from limbeck.functional.relations import pairwise_distances
from limbeck.functional.supervised import squared_error

from ..harness import adapter


@adapter("distiller-mi", "kd_logit_mse")
def kd_logit_mse(inputs, params):
    student, teacher = (inputs[f"{side}_logits"] for side in ("student", "teacher"))
    return {"loss": squared_error(student / params["temperature"], teacher / params["temperature"])}


@adapter("distiller-mi", "hidden_mse")
def hidden_mse(inputs, params):
    return {"loss": feature_mse_loss(**_masked(inputs))}


@adapter("distiller-mi", "hidden_softmax_ce")
def hidden_softmax_ce(inputs, params):
    return {
        "loss": soft_target_loss(inputs["student"], inputs["teacher"], divergence="cross_entropy")
    }


@adapter("distiller-mi", "hidden_cosine")
def hidden_cosine(inputs, params):
    return {"loss": cosine_loss(**_masked(inputs))}


@adapter("distiller-mi", "patient_kd")
def patient_kd(inputs, params):
    first = (inputs[side][:, 0] for side in ("student", "teacher"))
    return {"loss": feature_mse_loss(*first, normalize=True, over_features="sum")}


@adapter("distiller-mi", "attention_mse_masked")
def attention_mse_masked(inputs, params):
    return {"loss": relation_loss(**_masked(inputs))}


@adapter("distiller-mi", "layer_map")
def layer_map(inputs, params):
    options = {name: params[name] for name in ("strategy", "feature")}
    pairs = layer_pairs(params["student_layers"], params["teacher_layers"], **options)
    return {"pairs": [[teacher, student] for student, teacher in pairs]}


@adapter("distiller-mi", "emd_layer_cost")
def emd_layer_cost(inputs, params):
    return {"value": transport_loss(inputs["cost"])}


@adapter("autodistil", "relation_scores")
def scores(inputs, params):
    return {
        2 * name[0]: relation_scores(
            inputs[name], heads=params["relation_heads"], bias=inputs["additive_mask"]
        )
        for name in ("query", "key", "value")
    }


@adapter("autodistil", "relation_loss")
def loss_of_relations(inputs, params):
    compare = "probabilities" if params["normalize"] else "scores"
    triples = zip(params["weights"], inputs["student"], inputs["teacher"], strict=True)
    return {
        "loss": sum(
            weight * relation_loss(student, teacher, compare=compare)
            for weight, student, teacher in triples
        )
    }


@adapter("ofa-kd", "pairwise_distance")
def pairwise_distance(inputs, params):
    options = {"squared": params["squared"], "epsilon": params["eps"]}
    return {"distance": pairwise_distances(inputs["x"], **options)}


@adapter("datadam", "spatial_attention")
def attention(inputs, params):
    options = {"power": params["p"], "norm": params["norm"]}
    return {"attention": spatial_attention(inputs["features"], **options)}


def _masked(inputs):
    mask = inputs["mask"]
    return {**inputs, "mask": None if mask is None else mask.bool()}
