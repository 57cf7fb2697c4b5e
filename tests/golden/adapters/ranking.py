"""Rankings and lists of scores: Plackett-Luce, pair-wise, softened ranks, tests."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pad_sequence

from limbeck.evaluate.significance import friedman_test, nemenyi_critical_difference
from limbeck.functional import pairwise, ranking, retrieval, soft_ranks

from ..harness import adapter


@adapter("pld", "plackett_luce_loss", grad="student_logits")
def plackett_luce_loss(inputs, params):
    student, teacher, labels = (
        inputs[name] for name in ("student_logits", "teacher_logits", "labels")
    )
    return {
        "loss": ranking.plackett_luce_loss(student, teacher, labels, **params),
        "ranking": ranking.label_first_ranking(teacher, labels),
    }


@adapter("pld", "plackett_luce_shift_invariance")
def plackett_luce_shift_invariance(inputs, params):
    student, teacher, labels = (
        inputs[name] for name in ("student_logits", "teacher_logits", "labels")
    )
    moved = student + inputs["student_shift"], teacher + inputs["teacher_shift"]
    return {
        "loss": ranking.plackett_luce_loss(student, teacher, labels, **params),
        "loss_shifted": ranking.plackett_luce_loss(*moved, labels, **params),
    }


@adapter("cross-encoders", "margin_mse")
def margin_mse(inputs, params):
    student = torch.stack([inputs["student_pos"], inputs["student_neg"]], 1)
    teacher = torch.stack([inputs["teacher_pos"], inputs["teacher_neg"]], 1)
    return {"loss": pairwise.margin_mse_loss(student, teacher)}


@adapter("cross-encoders", "distill_ranknet")
def distill_ranknet(inputs, params):
    return {"loss": pairwise.ranknet_loss(inputs["scores"], inputs["targets"])}


@adapter("cross-encoders", "approx_ranks")
def approx_ranks(inputs, params):
    return {"ranks": soft_ranks.approximate_ranks(inputs["scores"], **params)}


@adapter("cross-encoders", "adr_mse")
def adr_mse(inputs, params):
    options = {name: params[name] for name in ("temperature", "discount")}
    return {"loss": soft_ranks.rank_mse_loss(inputs["scores"], inputs["targets"], **options)}


@adapter("cross-encoders", "adr_mse_average_ties")
def adr_mse_average_ties(inputs, params):
    scores, targets, mask = _padded(inputs)
    options = {"temperature": 1 / params["alpha"], "mask": mask}
    return {"loss": soft_ranks.rank_mse_loss(scores, targets, **options)}


@adapter("cross-encoders", "infonce_listwise")
def infonce_listwise(inputs, params):
    return {"loss": retrieval.info_nce_loss(inputs["scores"], inputs["targets"].argmax(1))}


@adapter("cross-encoders", "infonce_multi_positive")
def infonce_multi_positive(inputs, params):
    return {"loss": retrieval.info_nce_loss(inputs["scores"], inputs["targets"])}


@adapter("cross-encoders", "pairwise_hinge")
def pairwise_hinge(inputs, params):
    scores = inputs["scores_pos_neg"]
    return {"loss": pairwise.pairwise_hinge_loss(scores, _first_is_positive(scores), **params)}


@adapter("cross-encoders", "pairwise_pointwise_bce")
def pairwise_pointwise_bce(inputs, params):
    scores = inputs["scores_pos_neg"]
    return {"loss": retrieval.pointwise_loss(scores, _first_is_positive(scores))}


@adapter("cross-encoders", "lambda_loss")
def lambda_loss(inputs, params):
    scores, targets, mask = _padded(inputs)
    options = {("top" if name == "k" else name): value for name, value in params.items()}
    return {"loss": pairwise.lambda_loss(scores, targets, mask=mask, **options)}


@adapter("cross-encoders", "friedman_test")
def friedman(inputs, params):
    return vars(friedman_test(inputs["scores"].numpy()))


@adapter("cross-encoders", "nemenyi_critical_difference")
def nemenyi(inputs, params):
    difference = nemenyi_critical_difference(
        params["num_methods"], params["num_settings"], alpha=params["alpha"]
    )
    return {"critical_difference": difference}


def _first_is_positive(scores):
    return torch.tensor([1, 0]).expand(len(scores), 2)


def _padded(inputs):
    """Lists of differing lengths as one table and a mask of what is real."""
    scores = pad_sequence([*inputs["scores"]], batch_first=True)
    targets = pad_sequence([*inputs["targets"]], batch_first=True)
    lengths = torch.tensor([len(row) for row in inputs["scores"]])
    return scores, targets, torch.arange(scores.shape[1]) < lengths[:, None]
