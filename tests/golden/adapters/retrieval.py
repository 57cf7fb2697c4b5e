"""Sparse retrieval: penalties, pooling, query tables, ensembles of retrievers and their losses."""

from __future__ import annotations

import torch

from limbeck.evaluate.retrieval import per_query
from limbeck.functional import pairwise, ranking, retrieval, sparse_vectors, teacher_scores
from limbeck.functional.schedules import quadratic_warmup

from ..harness import adapter


@adapter("sparse-retriever", "flops_regularizer")
def flops_regularizer(inputs, params):
    options = {"slots": params["group_num"], "threshold": params["threshold"]}
    return {"value": sparse_vectors.flops_regularizer(inputs["representations"], **options)}


@adapter("sparse-retriever", "quadratic_warmup")
def warmup(inputs, params):
    return {"weights": [quadratic_warmup(int(step), **params) for step in inputs["steps"]]}


@adapter("sparse-retriever", "kl_ranking_loss")
def kl_ranking_loss(inputs, params):
    options = {"divergence": "kl", "temperature": params["temperature"]}
    loss = ranking.list_net_loss(_scores(inputs, params), inputs["teacher_scores"], **options)
    return {"loss": loss}


@adapter("sparse-retriever", "margin_mse_ranking_loss")
def margin_mse_ranking_loss(inputs, params):
    scores = _scores(inputs, params)
    options = {"temperature": params["temperature"]}
    return {"loss": pairwise.margin_mse_loss(scores, inputs["teacher_scores"], **options)}


@adapter("sparse-retriever", "infonce_ranking_loss")
def infonce_ranking_loss(inputs, params):
    query, documents = inputs["query"], inputs["docs"]
    scores = _scores(inputs, params)
    positive, mask = torch.zeros(len(query), dtype=torch.long), None
    if params["in_batch"]:
        positive, mask = retrieval.in_batch_negatives(len(query), len(documents) // len(query))
    return {"loss": retrieval.info_nce_loss(scores, positive, mask=mask)}


@adapter("sparse-retriever", "ensemble_teacher_scores")
def ensemble_teacher_scores(inputs, params):
    pairs = zip(inputs["query_embeddings"], inputs["doc_embeddings"], strict=True)
    scores = [_scores({"query": q, "docs": d}, params) for q, d in pairs]
    return {"scores": teacher_scores.heterogeneous_scores(scores, scale=params["score_scale"])}


@adapter("sparse-retriever", "splade_max_pool")
def splade_max_pool(inputs, params):
    activation = "double_log1p" if params["double_log"] else "log1p"
    options = {"activation": activation, "prune": params["prune_ratio"]}
    logits, mask = inputs["logits"], inputs["attention_mask"]
    return {"vectors": sparse_vectors.splade_pool(logits, mask, **options)}


@adapter("sparse-retriever", "inference_free_query")
def inference_free_query(inputs, params):
    ids, special = inputs["input_ids"].long(), params["special_ids"]
    return {"vectors": sparse_vectors.inference_free_query(ids, inputs["idf"], special=special)}


@adapter("sparse-retriever", "strided_candidate_groups")
def strided_candidate_groups(inputs, params):
    candidates = range(params["num_candidates"])
    return {"groups": retrieval.strided_groups(candidates, params["sample_num"])}


@adapter("sparse-retriever", "bm25_idf")
def bm25_idf(inputs, params):
    documents = [[int(token) for token in one] for one in inputs["documents"]]
    vocabulary = 1 + max(token for one in documents for token in one)
    weights = sparse_vectors.bm25_idf(documents, vocabulary, special=params["special_ids"])
    return {"idf": dict(enumerate(weights.tolist()))}


@adapter("sparse-retriever", "ranking_metric")
def ranking_metric(inputs, params):
    figure = params["metric"].replace("@", "_at_").replace("rr_", "mrr_")
    found = per_query(inputs["run"], inputs["qrels"], [figure])[figure]
    return {"per_query": found, "mean": sum(found.values()) / len(found)}


def _scores(inputs, params):
    return retrieval.candidate_scores(inputs["query"], inputs["docs"], in_batch=params["in_batch"])
