"""How far generated samples are from real ones, and what they cover."""

from __future__ import annotations

from limbeck.functional import coverage, generative

from ..harness import adapter

STEM = "_diffusion-distillation-protocol"


@adapter(STEM, "frechet_distance")
def frechet_distance(inputs, params):
    return {"value": generative.frechet_distance(inputs["x"], inputs["y"])}


@adapter(STEM, "polynomial_mmd2")
def polynomial_mmd2(inputs, params):
    options = {"degree": params["degree"], "gamma": params["gamma"], "coefficient": params["coef"]}
    return {"value": generative.kernel_distance(inputs["x"], inputs["y"], **options)}


@adapter(STEM, "precision_recall_density_coverage")
def precision_recall_density_coverage(inputs, params):
    return coverage.manifold_scores(inputs["x"], inputs["y"], neighbours=params["k"])


@adapter(STEM, "sliced_wasserstein")
def sliced_wasserstein(inputs, params):
    given = inputs["x"], inputs["y"], inputs["projections"]
    return {"value": generative.sliced_wasserstein(*given, power=params["p"])}


@adapter(STEM, "mean_pairwise_distance")
def mean_pairwise_distance(inputs, params):
    return {"value": coverage.mean_pairwise_distance(inputs["x"])}
